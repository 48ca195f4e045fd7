//! `check-results`: the figures of a run against those its file has committed.

use ablate_cache::Store;
use ablate_report::{Expected, Judged, judge};
use ablate_spec::Expect;

use crate::{args::CheckResults, commands::find_run, error::CliError, load, print, tables};

/// Says of every committed figure whether the run agrees.
pub(crate) fn check_results(args: &CheckResults, store: &Store, json: bool) -> Result<(), CliError> {
    let loaded = load::load_plan(&args.experiment)?;
    let file = args.experiment.file.display();
    if loaded.experiment.expect.is_empty() {
        let help = "write `expect: [{where: {AXIS: LABEL}, MEASURE: VALUE, tolerance: VALUE}]`";
        return Err(CliError::Usage(format!(
            "{file} commits no figures\n  help: {help}"
        )));
    }
    let run = find_run(store, args.run.as_deref().unwrap_or(&loaded.experiment.name))?;
    let judged = judge(
        &tables::table_of(&run, store)?,
        &expected(&loaded.experiment.expect),
    );
    if json {
        print::json(&judged);
    } else {
        judged
            .iter()
            .for_each(|one| print::result(&format!("{:7} {one}", one.verdict)));
    }
    let wrong = judged.iter().filter(|one| !one.agrees()).count();
    if wrong == 0 {
        return Ok(());
    }
    let (all, id) = (judged.len(), &run.id);
    Err(CliError::Different(format!(
        "{wrong} of {all} figures of run {id} contradict {file}"
    )))
}

/// What a run contradicts, as warnings.
pub(crate) fn contradictions(judged: &[Judged]) -> impl Iterator<Item = String> {
    let wrong = judged.iter().filter(|one| !one.agrees());
    wrong.map(|one| format!("the result contradicts `expect`: {one}"))
}

/// The committed figures of a file.
pub(crate) fn expected(expect: &[Expect]) -> Vec<Expected> {
    let one = |one: &Expect| Expected {
        at: one.at.clone(),
        figures: one.figures.clone(),
        tolerance: one.tolerance,
    };
    expect.iter().map(one).collect()
}
