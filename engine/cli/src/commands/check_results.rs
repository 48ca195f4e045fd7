//! `check-results`: figures against those a file has committed.

use ablate_cache::Store;
use ablate_report::{Expected, Judged, Verdict, judge};
use ablate_spec::Expect;

use crate::{
    args::CheckResults,
    commands::find_run,
    error::CliError,
    load, print,
    sides::{self, Side},
};

/// Says of every committed figure whether what the store holds of the file's nodes agrees, or what a run came to.
pub(crate) fn check_results(args: &CheckResults, store: &Store, json: bool) -> Result<(), CliError> {
    let loaded = load::load_plan(&args.experiment)?;
    let file = args.experiment.file.display().to_string();
    let committed = expected(&loaded.experiment.expect);
    if committed.is_empty() {
        let help = "write `expect: [{where: {AXIS: LABEL}, MEASURE: VALUE, tolerance: VALUE}]`";
        return Err(CliError::Usage(format!(
            "{file} commits no figures\n  help: {help}"
        )));
    }
    let side = match &args.run {
        Some(run) => sides::of_record(find_run(store, run)?)?,
        None => sides::stored(&loaded, &file, store)?,
    };
    let committed = match args.experiment.only.is_empty() {
        true => committed,
        false => asked_for(committed, &side)?,
    };
    let judged = judge(&side.table(store)?, &committed);
    if json {
        print::json(&judged);
    } else {
        judged
            .iter()
            .for_each(|one| print::result(&format!("{:7} {one}", one.verdict)));
    }
    outcome(&judged, &side.name, &file)
}

/// The committed figures of points that `--only` takes.
fn asked_for(committed: Vec<Expected>, side: &Side) -> Result<Vec<Expected>, CliError> {
    let asked = |one: &Expected| {
        side.arms
            .iter()
            .any(|arm| one.fits(&arm.system, &arm.place.point))
    };
    let committed: Vec<_> = committed.into_iter().filter(asked).collect();
    match committed.is_empty() {
        true => Err(CliError::Usage(
            "--only: no figure is committed of these points".into(),
        )),
        false => Ok(committed),
    }
}

fn outcome(judged: &[Judged], side: &str, file: &str) -> Result<(), CliError> {
    let count = |verdict| judged.iter().filter(|one| one.verdict == verdict).count();
    let (off, missing, all) = (count(Verdict::Off), count(Verdict::Missing), judged.len());
    let off = (off > 0).then(|| format!("{off} of {all} figures contradict {file}"));
    let missing = (missing > 0).then(|| {
        format!(
            "{missing} of {all} figures are not there in {side}: `ablate run {file}` computes what can be"
        )
    });
    let told: Vec<_> = off.into_iter().chain(missing).collect();
    match told.is_empty() {
        true => Ok(()),
        false => Err(CliError::Different(told.join("\n"))),
    }
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
