//! `table`: the table of an earlier run.

use ablate_cache::Store;
use ablate_report::{Format, Options, Table, details, render};

use crate::{args, commands::find_run, error::CliError, print, tables};

/// Prints a run's table, or writes it.
pub(crate) fn table(args: &args::Table, store: &Store, json: bool) -> Result<(), CliError> {
    let run = find_run(store, &args.run)?;
    let (table, options) = (tables::table_of(&run, store)?, tables::options(&run)?);
    table
        .warnings
        .iter()
        .for_each(|warning| print::message(&format!("warning: {warning}")));
    if args.output.is_some() {
        return write(args, &table, &options);
    }
    if json {
        print::json(&table.rows);
    } else if args.details {
        print::result(&details(&table, &options));
    } else {
        print::bytes(&rendered(
            args.format.unwrap_or_default(),
            &table,
            &options,
            print::coloured(),
        )?);
    }
    Ok(())
}

fn write(args: &args::Table, table: &Table, options: &Options) -> Result<(), CliError> {
    let Some(path) = &args.output else { return Ok(()) };
    let Some(format) = args.format.or_else(|| Format::of_file(path)) else {
        let message = format!(
            "what format `{}` shall have cannot be told: give --format",
            path.display()
        );
        return Err(CliError::Usage(message));
    };
    let bytes = rendered(format, table, options, false)?;
    fs_err::write(path, bytes).map_err(|error| CliError::Failed(format!("error: {error}")))?;
    print::message(&format!("{} rows to {}", table.rows.len(), path.display()));
    Ok(())
}

fn rendered(format: Format, table: &Table, options: &Options, color: bool) -> Result<Vec<u8>, CliError> {
    render(format, table, options, color).map_err(|error| CliError::Failed(format!("error: {error}")))
}
