//! One file a verb.

mod artifact;
mod cells;
mod check;
mod check_results;
mod diff;
mod eval;
mod export;
mod gc;
mod helper;
mod man;
mod models;
mod plot;
mod report;
mod run;
mod runs;
mod schema;
#[cfg(feature = "serve")]
mod serve;
mod show;
mod stages;
mod table;
mod verify;
mod why;

use std::path::Path;

use ablate_cache::Store;
use ablate_run::{RunRecord, load_run};

use crate::{
    args::{Args, Command},
    complete,
    error::CliError,
    places,
};

/// Runs the command asked for.
pub(crate) fn dispatch(args: Args) -> Result<(), CliError> {
    let json = args.json;
    let root = places::store(args.store.as_deref());
    let store = || Store::open(&root).map_err(CliError::from);
    match args.command {
        Command::Check(experiment) => check::check(&experiment, json),
        Command::Plan(experiment) => check::plan(&experiment, &store()?, json),
        Command::Run(options) => run::run(&options, &store()?, json),
        Command::Helper(options) => helper::helper(&options, &store()?),
        Command::Table(options) => table::table(&options, &store()?, json),
        Command::Runs => runs::runs(&store()?, json),
        Command::Show(options) => show::show(&options, &store()?, json),
        Command::CheckResults(options) => check_results::check_results(&options, &store()?, json),
        Command::Diff(options) => diff::diff(&options, &store()?, json),
        Command::Report(options) => report::report(&options, &store()?, json),
        Command::Plot(options) => plot::plot(&options, &store()?, json),
        #[cfg(feature = "serve")]
        Command::Serve(options) => serve::serve(&options, &root, json),
        Command::Models(command) => models::models(&command, json),
        Command::Eval(options) => eval::eval(&options, json),
        Command::Export(options) => export::export(&options, &store()?, json),
        Command::Why(options) => why::why(&options, &store()?, json),
        Command::Gc(options) => gc::gc(&options, &root, json),
        Command::Pin { run } => gc::pin(&store()?, &run, true, json),
        Command::Unpin { run } => gc::pin(&store()?, &run, false, json),
        Command::Verify(options) => verify::verify(&options, &store()?, json),
        Command::Stages(options) => stages::stages(&options, json),
        Command::Schema => {
            schema::schema();
            Ok(())
        }
        Command::Completions { shell } => complete::register(shell),
        Command::Man { folder } => man::man(&folder, json),
    }
}

/// Writes a file the user asked for.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    fs_err::write(path, bytes).map_err(|error| CliError::Failed(format!("error: {error}")))
}

/// The run a user named.
pub(crate) fn find_run(store: &Store, wanted: &str) -> Result<RunRecord, CliError> {
    load_run(store, wanted)?.ok_or_else(|| {
        let place = store.root().display();
        CliError::Usage(format!(
            "there is no run `{wanted}` in {place}: `ablate runs` lists them"
        ))
    })
}
