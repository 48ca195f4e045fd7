//! Leakage: models that are judged by what they have learnt from. An error, unless the file allows it by name.

use std::collections::BTreeSet;

use ablate_plan::{Leak, Plan, leaks, suspects};
use ablate_spec::{Experiment, Problem};

/// Every leak of a plan, and what is allowed in vain.
pub(crate) fn problems(plan: &Plan, experiment: &Experiment) -> Vec<Problem> {
    let leaks = leaks(plan);
    let suspects = suspects(plan);
    let suspected = suspects.iter().map(|suspect| &suspect.leak);
    let sources: BTreeSet<_> = leaks.iter().chain(suspected).map(|leak| &leak.source).collect();
    let idle = experiment
        .allow_leakage
        .iter()
        .filter(|name| !sources.contains(name));
    let idle = idle.map(|name| {
        let message = format!("`allow_leakage` names `{name}`, which no model learns from");
        Problem::warning("ablate::plan::leakage", message).help("remove it")
    });
    leaks
        .iter()
        .map(|leak| problem(leak, experiment))
        .chain(idle)
        .collect()
}

fn problem(leak: &Leak, experiment: &Experiment) -> Problem {
    let Leak {
        system,
        trainer,
        source,
    } = leak;
    let message = format!("`{trainer}` learns from `{source}`, and `{system}` judges it by that split");
    let at = experiment
        .stages
        .iter()
        .find(|stage| stage.name == *trainer)
        .map(|stage| stage.span);
    let place = |problem: Problem| at.map_or(problem.clone(), |at| problem.at(at));
    if experiment.allow_leakage.contains(source) {
        return place(Problem::warning("ablate::plan::leakage", message));
    }
    let help = format!("train on another split, or allow it: `allow_leakage: [{source}]`");
    place(Problem::error("ablate::plan::leakage", message)).help(help)
}
