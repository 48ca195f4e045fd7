//! From a file name to a plan, with every problem told.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use ablate_core::{Places, canon};
use ablate_plan::{Plan, Selection, plan};
use ablate_run::RunRecord;
use ablate_spec::{Experiment, Problem, Severity, Source, load, render};

use petgraph::graph::NodeIndex;

use crate::{args, doubts, error::CliError, leakage, places, print};

/// An experiment that was read without errors.
pub(crate) struct Loaded {
    pub(crate) experiment: Experiment,
    pub(crate) plan: Plan,
    pub(crate) places: Places,
    pub(crate) warnings: Vec<String>,
}

impl Loaded {
    /// The node of this name.
    pub(crate) fn node(&self, name: &str) -> Result<NodeIndex, CliError> {
        let mut order = self.plan.order.iter().copied();
        let wanted = parts(name);
        let found = order.find(|index| parts(&self.plan.node(*index).name) == wanted);
        found.ok_or_else(|| {
            let names = self
                .plan
                .order
                .iter()
                .map(|index| self.plan.node(*index).name.as_str());
            let close = ablate_core::similar(name, names).first().copied();
            let hint = close.map_or_else(
                || "`ablate plan` lists the nodes".into(),
                |close| format!("did you mean `{close}`?"),
            );
            CliError::Usage(format!("there is no node `{name}`: {hint}"))
        })
    }
}

/// The stage a node is of, and its labels: they may be written in any order.
fn parts(name: &str) -> (&str, BTreeSet<&str>) {
    let bracketed = name.strip_suffix(']').and_then(|name| name.split_once('['));
    let (stage, labels) = bracketed.unwrap_or((name, ""));
    (stage, labels.split(',').map(str::trim).collect())
}

/// Reads, checks and plans an experiment file; warnings are printed, errors returned rendered.
pub(crate) fn load_plan(args: &args::Experiment) -> Result<Loaded, CliError> {
    let (loaded, told) = read_plan(args)?;
    if !told.is_empty() {
        print::message(&told);
    }
    Ok(loaded)
}

/// The same with what there is to tell, and nothing printed.
pub(crate) fn read_plan(args: &args::Experiment) -> Result<(Loaded, String), CliError> {
    let (planned, report) = examine(args)?;
    let told = report.rendered();
    let Some((experiment, plan, places)) = planned else {
        return Err(CliError::Experiment(told));
    };
    let loaded = Loaded {
        experiment,
        plan,
        places,
        warnings: report
            .problems
            .into_iter()
            .map(|problem| problem.message)
            .collect(),
    };
    Ok((loaded, told))
}

/// What is wrong with a file.
pub(crate) struct Report {
    pub(crate) problems: Vec<Problem>,
    source: Source,
}

impl Report {
    /// For people.
    pub(crate) fn rendered(&self) -> String {
        let colour = print::live() && std::env::var_os("NO_COLOR").is_none();
        match self.problems.is_empty() {
            true => String::new(),
            false => render(&self.problems, &self.source, colour),
        }
    }
}

type Planned = (Experiment, Plan, Places);

/// Reads, checks and plans: every problem, and the plan if none of them is an error.
pub(crate) fn examine(args: &args::Experiment) -> Result<(Option<Planned>, Report), CliError> {
    let bytes = fs_err::read(&args.file).map_err(|error| CliError::Usage(error.to_string()))?;
    let name = args.file.display().to_string();
    let source = match Source::decode(&name, bytes) {
        Ok(source) => source,
        Err(problem) => {
            let (problems, text) = (vec![problem], String::new());
            let source = Source { name, text };
            return Ok((None, Report { problems, source }));
        }
    };
    let (experiment, mut problems) = load(&source, ablate_registry::STAGES, &args.sets, &model_names());
    let Some(experiment) = experiment else {
        return Ok((None, Report { problems, source }));
    };
    let places = places::places(&folder_of(&args.file));
    let selection = Selection::of(&experiment, &args.only)
        .map_err(|error| CliError::Usage(format!("--only: {error}")))?;
    let plan = match plan(&experiment, &places, &selection) {
        Ok(plan) => plan,
        Err(error) => {
            problems.push(Problem::error("ablate::plan::point", error.to_string()));
            return Ok((None, Report { problems, source }));
        }
    };
    problems.extend(leakage::problems(&plan, &experiment));
    problems.extend(doubts::problems(&plan, &experiment, &places));
    let stops = problems.iter().any(|problem| problem.severity == Severity::Error);
    let planned = (!stops).then_some((experiment, plan, places));
    Ok((planned, Report { problems, source }))
}

/// The names of the catalogue's models: no stage may take one.
pub(crate) fn model_names() -> Vec<&'static str> {
    ablate_models::source::catalogue()
        .iter()
        .map(|entry| entry.name)
        .collect()
}

fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// The pre-image of a node of this name in the last run of this experiment: what reasons compare with.
pub(crate) fn earlier<'a>(
    store: &'a ablate_cache::Store,
    last: Option<&'a RunRecord>,
) -> impl Fn(&str) -> Option<canon::Value> + 'a {
    move |name| {
        let node = last?.nodes.iter().find(|node| node.name == name)?;
        Some(store.trace(node.key?).ok()??.preimage)
    }
}
