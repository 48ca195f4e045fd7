//! The command line of ablate: arguments, messages, exit codes. Only this crate prints, reads the environment or
//! exits; everything else is a library.

mod args;
mod commands;
mod complete;
mod doubts;
mod error;
mod help;
mod leakage;
mod load;
mod machine;
mod places;
mod print;
mod progress;
mod reference;
mod sides;
mod tables;
mod units;
mod view;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use clap_complete::CompleteEnv;

/// Answers the shell if it asks for completions; else parses the arguments, runs the command, prints its error, and gives the exit code (DESIGN §6).
pub fn main() -> ExitCode {
    CompleteEnv::with_factory(args::Args::command)
        .var(complete::VARIABLE)
        .complete();
    let matches = help::sectioned(args::Args::command()).get_matches();
    let args = args::Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match commands::dispatch(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::message(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
