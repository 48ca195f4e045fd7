//! What `diff` compares: a run, or what the store holds of an experiment file, whole or at a point of its sweep.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ablate_cache::Store;
use ablate_plan::Place;
use ablate_report::{NodeView, Options, RunView, Table};
use ablate_run::{ArmRecord, Decision, NodeRecord, RunRecord, arm_records, lookup};
use serde_json::json;

use crate::{
    args::Experiment,
    commands::find_run,
    error::CliError,
    load::{self, Loaded},
    tables,
};

/// One side of a comparison.
pub(crate) struct Side {
    /// As the user named it; a run by its id.
    pub(crate) name: String,
    pub(crate) nodes: Vec<NodeRecord>,
    pub(crate) arms: Vec<ArmRecord>,
    pub(crate) options: Options,
}

/// Finds what `RUN`, `FILE.yaml`, `RUN[axis=label,...]` or `FILE.yaml[axis=label,...]` names.
pub(crate) fn find(text: &str, store: &Store) -> Result<Side, CliError> {
    let bracketed = text.strip_suffix(']').and_then(|text| text.split_once('['));
    let (base, labels) = bracketed.unwrap_or((text, ""));
    let ending = Path::new(base).extension();
    let side = if ending.is_some_and(|ending| ending == "yaml" || ending == "yml") {
        of_file(base, store)?
    } else {
        of_run(base, store)?
    };
    let wrong = || CliError::Usage(format!("`{text}`: write the point as [AXIS=LABEL,...]"));
    let point = side.point(labels).ok_or_else(wrong)?;
    side.at(&point)
}

/// The first label of `text` and what follows it: one that `known` has, since commas may stand in it, else up to a comma.
fn first_label<'t>(text: &'t str, known: &BTreeSet<(&str, &str)>) -> Option<((&'t str, &'t str), &'t str)> {
    let (axis, behind) = text.split_once('=')?;
    let own = known.iter().filter(|(name, _)| *name == axis.trim());
    let rests = own.filter_map(|(_, label)| behind.trim_start().strip_prefix(label));
    let whole = rests.filter(|rest| rest.is_empty() || rest.starts_with(','));
    let comma = behind.find(',').map_or("", |comma| &behind[comma..]);
    let rest = whole.min_by_key(|rest| rest.len()).unwrap_or(comma);
    let label = &behind[..behind.len() - rest.len()];
    Some(((axis.trim(), label.trim()), rest.trim_start_matches(',')))
}

fn of_run(name: &str, store: &Store) -> Result<Side, CliError> {
    of_record(find_run(store, name)?)
}

/// A run as a side.
pub(crate) fn of_record(run: RunRecord) -> Result<Side, CliError> {
    Ok(Side {
        options: tables::options(&run)?,
        name: run.id,
        nodes: run.nodes,
        arms: run.arms,
    })
}

/// What the store holds of a file's nodes, whichever run computed it.
fn of_file(file: &str, store: &Store) -> Result<Side, CliError> {
    let loaded = load::load_plan(&Experiment {
        file: file.into(),
        sets: vec![],
        only: vec![],
    })?;
    stored(&loaded, file, store)
}

/// The same of an experiment that was read from `file`.
pub(crate) fn stored(loaded: &Loaded, file: &str, store: &Store) -> Result<Side, CliError> {
    let found = lookup(&loaded.plan, store, &loaded.places, &|_| None)?;
    let record = |index| {
        let planned = NodeRecord::planned(&loaded.plan, index);
        match found.decisions.get(&index) {
            Some(Decision::Hit { status, trace }) => NodeRecord {
                status: *status,
                key: Some(trace.key),
                ..planned
            },
            _ => planned,
        }
    };
    let nodes: Vec<_> = loaded.plan.graph.node_indices().map(record).collect();
    let report = json!(loaded.experiment.report);
    Ok(Side {
        name: file.into(),
        arms: arm_records(&loaded.plan, &nodes, store)?,
        options: tables::options_from(&report, file)?,
        nodes,
    })
}

impl Side {
    /// Axis → label, as written behind its name; `None` if that is no point.
    fn point(&self, labels: &str) -> Option<BTreeMap<String, String>> {
        let places = self.nodes.iter().flat_map(|node| &node.places);
        let pairs = places.flat_map(|place| &place.point);
        let known: BTreeSet<_> = pairs
            .map(|(axis, label)| (axis.as_str(), label.as_str()))
            .collect();
        let (mut point, mut rest) = (BTreeMap::new(), labels);
        while !rest.is_empty() {
            let ((axis, label), behind) = first_label(rest, &known)?;
            point.insert(axis.to_owned(), label.to_owned());
            rest = behind;
        }
        Some(point)
    }

    /// The nodes and arms at `labels`, which leave their names: what stands there is compared with what stands elsewhere.
    fn at(self, labels: &BTreeMap<String, String>) -> Result<Self, CliError> {
        if labels.is_empty() {
            return Ok(self);
        }
        for (axis, label) in labels {
            let has = |place: &Place| place.point.get(axis) == Some(label);
            if !self.nodes.iter().any(|node| node.places.iter().any(has)) {
                return Err(CliError::Usage(format!(
                    "{} has no point {axis}={label}",
                    self.name
                )));
            }
        }
        let stands = |place: &Place| {
            let agrees = |(axis, label)| place.point.get(axis).is_none_or(|own| own == label);
            labels.iter().all(agrees).then(|| Place {
                point: place
                    .point
                    .clone()
                    .into_iter()
                    .filter(|(axis, _)| !labels.contains_key(axis))
                    .collect(),
                replicate: place.replicate.clone(),
            })
        };
        let nodes = self.nodes.iter().flat_map(|node| {
            let everywhere = [Place::default()];
            let places = if node.places.is_empty() {
                &everywhere[..]
            } else {
                &node.places
            };
            let here: Vec<_> = places.iter().filter_map(stands).collect();
            here.into_iter().map(move |place| NodeRecord {
                name: format!("{}{}", node.stage, place.suffix()),
                ..node.clone()
            })
        });
        let arms = self.arms.iter().filter_map(|arm| {
            Some(ArmRecord {
                place: stands(&arm.place)?,
                ..arm.clone()
            })
        });
        let point: Vec<_> = labels
            .iter()
            .map(|(axis, label)| format!("{axis}={label}"))
            .collect();
        Ok(Self {
            name: format!("{}[{}]", self.name, point.join(",")),
            nodes: nodes.collect(),
            arms: arms.collect(),
            options: self.options,
        })
    }

    /// Its table.
    pub(crate) fn table(&self, store: &Store) -> Result<Table, CliError> {
        let arms = tables::arms(&self.arms, store)?;
        tables::table_from(&self.arms, &self.nodes, &arms, &self.options)
    }

    /// What a comparison sees of it.
    pub(crate) fn view(&self, store: &Store) -> Result<RunView, CliError> {
        let nodes = self.nodes.iter().map(|node| view_of(node, store));
        Ok(RunView {
            id: self.name.clone(),
            nodes: nodes.collect::<Result<_, _>>()?,
            arms: tables::arms(&self.arms, store)?,
        })
    }

    /// The node of this name.
    pub(crate) fn node(&self, name: &str) -> Option<&NodeRecord> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

fn view_of(node: &NodeRecord, store: &Store) -> Result<NodeView, CliError> {
    let trace = node.key.map(|key| store.trace(key)).transpose()?.flatten();
    let sources = node.inputs.iter().filter(|input| input.node.is_none());
    let outputs = trace.iter().flat_map(|trace| &trace.outputs);
    let outputs = outputs.map(|output| (output.port.clone(), output.content.to_string()));
    Ok(NodeView {
        name: node.name.clone(),
        kind: node.kind.clone(),
        recipe: node.recipe.to_string(),
        key: node.key.map(|key| key.to_string()),
        sources: sources
            .map(|input| (input.port.clone(), input.what.clone()))
            .collect(),
        outputs: outputs.collect(),
        preimage: trace
            .and_then(|trace| serde_json::to_value(trace.preimage).ok())
            .unwrap_or_default(),
    })
}
