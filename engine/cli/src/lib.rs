//! The command line of ablate: arguments, messages, exit codes. Only this crate prints, reads the environment or
//! exits; everything else is a library.

mod args;
mod commands;
mod error;
mod load;
mod machine;
mod places;
mod print;
mod progress;
mod tables;
mod units;

use std::process::ExitCode;

use clap::Parser;

/// Parses the arguments, runs the command, prints its error, and gives the exit code (DESIGN §6).
pub fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::dispatch(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::message(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
