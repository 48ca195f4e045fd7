//! What can be reused: keys from the contents of the inputs, traces from the store.

use std::collections::{BTreeMap, BTreeSet};

use ablate_cache::{Recipes, Store, StoreError, Trace};
use ablate_core::{Places, SourceType, StageError, canon};
use ablate_plan::{Node, Origin, Plan};
use petgraph::graph::NodeIndex;

use crate::Status;

/// What a look at the store says of a node.
#[derive(Clone, Debug)]
pub enum Decision {
    /// A trace holds its result.
    Hit {
        /// `Reused` or `Cutoff`.
        status: Status,
        /// The trace.
        trace: Box<Trace>,
    },
    /// Its key is known and no trace has it.
    Run {
        /// The pre-image of its key.
        preimage: canon::Value,
        /// Why it must run.
        reason: String,
    },
    /// An input is not known yet.
    Maybe {
        /// What it waits for.
        reason: String,
    },
}

/// Decisions over a whole plan.
#[derive(Debug)]
pub struct Lookup {
    /// By node.
    pub decisions: BTreeMap<NodeIndex, Decision>,
    /// What the store knew of recipes.
    pub recipes: Recipes,
    /// Damaged traces that were passed over: their nodes run again.
    pub warnings: Vec<String>,
}

/// Looks every node up, producers first. `earlier` gives the last known pre-image of a node of this name, for reasons.
pub fn lookup(
    plan: &Plan,
    store: &Store,
    places: &Places,
    earlier: &dyn Fn(&str) -> Option<canon::Value>,
) -> Result<Lookup, StoreError> {
    let mut found = Lookup {
        decisions: BTreeMap::new(),
        recipes: store.recipes()?,
        warnings: vec![],
    };
    for index in &plan.order {
        let decision = decide(plan, *index, store, places, &mut found, earlier)?;
        found.decisions.insert(*index, decision);
    }
    restore_missing(plan, store, &mut found.decisions);
    Ok(found)
}

/// Why a node with a trace is not run.
pub(crate) fn hit_reason(status: Status) -> &'static str {
    match status {
        Status::Cutoff => "another recipe led to the same inputs",
        _ => "computed before",
    }
}

fn decide(
    plan: &Plan,
    index: NodeIndex,
    store: &Store,
    places: &Places,
    found: &mut Lookup,
    earlier: &dyn Fn(&str) -> Option<canon::Value>,
) -> Result<Decision, StoreError> {
    let node = plan.node(index);
    let known = |producer: NodeIndex| match &found.decisions[&producer] {
        Decision::Hit { trace, .. } => Ok(trace.as_ref()),
        _ => Err(plan.node(producer).name.clone()),
    };
    let preimage = match preimage(node, places, known) {
        Ok(preimage) => preimage,
        Err(Unknown::Producer(name)) => {
            return Ok(Decision::Maybe {
                reason: format!("waits for `{name}`"),
            });
        }
        Err(unknown) => {
            return Ok(Decision::Maybe {
                reason: unknown.into_error().to_string(),
            });
        }
    };
    let key = Trace::key_of(&preimage);
    let trace = match store.trace(key) {
        Err(StoreError::Damaged { path, what }) => {
            found.warnings.push(format!(
                "{} is damaged ({what}): its node runs again",
                path.display()
            ));
            store.forget(key)?;
            None
        }
        other => other?,
    };
    Ok(match trace {
        Some(trace) => {
            let seen = found.recipes.lead(node.recipe, key);
            let status = if seen { Status::Reused } else { Status::Cutoff };
            Decision::Hit {
                status,
                trace: Box::new(trace),
            }
        }
        None => Decision::Run {
            reason: reason(earlier(&node.name), &preimage),
            preimage,
        },
    })
}

/// Why the key of a node is not known yet.
pub(crate) enum Unknown {
    /// A producer has not run.
    Producer(String),
    /// A source could not be read.
    Source(StageError),
    /// A source is not on this machine, and nothing says what it is.
    Unfetched {
        source: &'static dyn SourceType,
        text: String,
    },
}

impl Unknown {
    /// What is told where nothing can be done about it.
    pub(crate) fn into_error(self) -> StageError {
        match self {
            Self::Producer(name) => StageError::new(format!("`{name}` left no result")),
            Self::Source(error) => error,
            Self::Unfetched { text, .. } => StageError::new(format!("`{text}` is not fetched")),
        }
    }
}

/// The pre-image of a node's key: everything its stage can read, by content (DESIGN §3).
pub(crate) fn preimage<'t>(
    node: &Node,
    places: &Places,
    produced: impl Fn(NodeIndex) -> Result<&'t Trace, String>,
) -> Result<canon::Value, Unknown> {
    let mut inputs = BTreeMap::new();
    for input in &node.inputs {
        let value = match &input.origin {
            Origin::Node {
                node: producer,
                output,
            } => {
                let trace = produced(*producer).map_err(Unknown::Producer)?;
                let record = trace
                    .output(output)
                    .ok_or_else(|| Unknown::Source(absent(trace, output)))?;
                canon::Value::map([("content", canon::Value::text(record.content))])
            }
            Origin::Source { source, text } => {
                let digest = source.digest(text, places).map_err(Unknown::Source)?;
                let digest = digest.ok_or_else(|| Unknown::Unfetched {
                    source: *source,
                    text: text.clone(),
                })?;
                canon::Value::map([
                    ("source", canon::Value::text(source.name())),
                    ("digest", canon::Value::text(digest)),
                ])
            }
        };
        inputs.insert(input.port.to_owned(), value);
    }
    Ok(canon::Value::map([
        ("kind", canon::Value::text(node.kind.name())),
        ("version", canon::Value::Int(node.kind.version().into())),
        ("numeric", canon::Value::text(node.kind.numeric())),
        ("params", node.bound.meaning()),
        ("inputs", canon::Value::Map(inputs)),
    ]))
}

fn absent(trace: &Trace, output: &str) -> StageError {
    let ports: Vec<_> = trace.outputs.iter().map(|o| o.port.as_str()).collect();
    StageError::new(format!(
        "there is no `{output}` in this data; it has {}",
        ports.join(", ")
    ))
}

/// A hit whose object was collected is only good for its content digests: where a consumer may run, or the table
/// reads it, it must be computed again. Consumers first, so that the need passes upwards.
fn restore_missing(plan: &Plan, store: &Store, decisions: &mut BTreeMap<NodeIndex, Decision>) {
    let arms: BTreeSet<NodeIndex> = plan
        .arms
        .iter()
        .flat_map(|arm| [Some(arm.node), arm.qrels.as_ref().map(|q| q.0)])
        .flatten()
        .collect();
    for index in plan.order.iter().rev() {
        let Decision::Hit { trace, .. } = &decisions[index] else {
            continue;
        };
        let read = |consumer| {
            let decision = decisions.get(&consumer);
            decision.is_some_and(|decision| !matches!(decision, Decision::Hit { .. }))
        };
        let needed = arms.contains(index) || plan.graph.neighbors(*index).any(read);
        if needed && trace.outputs.iter().any(|output| !store.has_object(output.file)) {
            let preimage = trace.preimage.clone();
            let reason = "its result was removed from the store".to_owned();
            decisions.insert(*index, Decision::Run { preimage, reason });
        }
    }
}

/// Why a key has no trace: what changed since the last run of a node of this name.
fn reason(earlier: Option<canon::Value>, now: &canon::Value) -> String {
    let Some(before) = earlier else {
        return "never computed".into();
    };
    let changes = differences(&before, now);
    match changes.len() {
        0 => "its result was removed from the store".into(),
        1..=3 => changes.join(", "),
        more => format!("{} and {} more changes", changes[..3].join(", "), more - 3),
    }
}

/// What `now` differs in from `before`, a line a field: `field: old → new`.
pub(crate) fn differences(before: &canon::Value, now: &canon::Value) -> Vec<String> {
    let mut changes = Vec::new();
    compare("", Some(before), Some(now), &mut changes);
    changes
}

fn compare(path: &str, before: Option<&canon::Value>, now: Option<&canon::Value>, into: &mut Vec<String>) {
    if before == now {
        return;
    }
    if let (Some(canon::Value::Map(a)), Some(canon::Value::Map(b))) = (before, now) {
        let names: BTreeSet<_> = a.keys().chain(b.keys()).collect();
        for name in names {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            compare(&path, a.get(name), b.get(name), into);
        }
        return;
    }
    into.push(
        match path.strip_suffix(".content").or(path.strip_suffix(".digest")) {
            Some(input) => format!("{} changed", input.replacen("inputs.", "input ", 1)),
            None => format!(
                "{}: {} → {}",
                path.trim_start_matches("params."),
                shown(before),
                shown(now)
            ),
        },
    );
}

fn shown(value: Option<&canon::Value>) -> String {
    value
        .and_then(|v| serde_json::to_string(v).ok())
        .unwrap_or_else(|| "unset".into())
}
