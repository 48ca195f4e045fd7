//! `table`: the table of an earlier run.

use ablate_cache::Store;
use ablate_report::render;

use crate::{args, commands::find_run, error::CliError, print, tables};

/// Prints a run's table.
pub(crate) fn table(args: &args::Table, store: &Store, json: bool) -> Result<(), CliError> {
    let run = find_run(store, &args.run)?;
    let table = tables::table_of(&run, store)?;
    if json {
        print::json(&table.rows);
    } else {
        print::result(&render(
            args.format,
            &table,
            &tables::options(&run),
            print::coloured(),
        ));
    }
    Ok(())
}
