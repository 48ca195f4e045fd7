//! From a file name to a plan, with every problem told.

use std::path::{Path, PathBuf};

use ablate_core::{Places, canon};
use ablate_plan::{Plan, Selection, plan};
use ablate_run::RunRecord;
use ablate_spec::{Experiment, Severity, Source, load, render};

use petgraph::graph::NodeIndex;

use crate::{args, error::CliError, leakage, places, print};

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
        let found = order.find(|index| self.plan.node(*index).name == name);
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
    let bytes = fs_err::read(&args.file).map_err(|error| CliError::Usage(error.to_string()))?;
    let colour = print::live() && std::env::var_os("NO_COLOR").is_none();
    let name = args.file.display().to_string();
    let source = Source::decode(&name, bytes).map_err(|problem| {
        CliError::Experiment(render(
            &[problem],
            &Source {
                name: name.clone(),
                text: String::new(),
            },
            colour,
        ))
    })?;
    let (experiment, mut problems) = load(&source, ablate_registry::STAGES, &args.sets, &model_names());
    let Some(experiment) = experiment else {
        return Err(CliError::Experiment(render(&problems, &source, colour)));
    };
    let places = places::places(&folder_of(&args.file));
    let selection = Selection::of(&experiment, &args.only)
        .map_err(|error| CliError::Usage(format!("--only: {error}")))?;
    let plan = plan(&experiment, &places, &selection)
        .map_err(|error| CliError::Experiment(format!("error: {name}: {error}")))?;
    problems.extend(leakage::problems(&plan, &experiment));
    let told = match problems.is_empty() {
        true => String::new(),
        false => render(&problems, &source, colour),
    };
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(CliError::Experiment(told));
    }
    let loaded = Loaded {
        experiment,
        plan,
        places,
        warnings: problems.into_iter().map(|problem| problem.message).collect(),
    };
    Ok((loaded, told))
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
