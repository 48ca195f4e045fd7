//! Expansion: stages × the places of the sweep they depend on, folded by recipe.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ablate_core::{ArtifactKind, Bound, Maker, ParamProblem, Places, Ports, RecipeId, Wire, canon};
use ablate_spec::{Experiment, InputRef, StageDef, Sweep, apply, resolve, split};
use petgraph::{
    algo::toposort,
    graph::{DiGraph, NodeIndex},
    visit::{Bfs, Reversed},
};
use serde_json::{Map, Value};

use crate::{
    Arm, Connection, Node, Origin, Place, Plan, Selection,
    point::{Choice, Relevant, labels, points, relevant, upstream},
    select::needed,
};

/// Why an experiment that reads well cannot be planned: a combination of axes gives a stage fields that do not fit.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A stage's fields do not fit at one point of the sweep.
    #[error("`{node}`: {}", told(problems))]
    Fields {
        /// The node.
        node: String,
        /// What is wrong.
        problems: Vec<ParamProblem>,
    },
    /// An input names nothing at one point of the sweep.
    #[error("`{node}`: {message}")]
    Input {
        /// The node.
        node: String,
        /// What is wrong.
        message: String,
    },
    /// The stages read each other in a circle.
    #[error("the stages around `{0}` read each other in a circle")]
    Cycle(String),
}

fn told(problems: &[ParamProblem]) -> String {
    let one = |problem: &ParamProblem| match problem.path.is_empty() {
        true => problem.message.clone(),
        false => format!("`{}` {}", problem.path.join("."), problem.message),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Plans the points of `experiment` that `selection` takes. `places` is only used to make relative paths absolute;
/// nothing is read.
pub fn plan(experiment: &Experiment, places: &Places, selection: &Selection) -> Result<Plan, PlanError> {
    let upstream = upstream(experiment);
    let order = stage_order(experiment, &upstream)?;
    let axes = relevant(experiment, &upstream, &order);
    let points = points(experiment);
    let mut builder = Builder::new(experiment, places);
    for at in order {
        let stage = &experiment.stages[at];
        let mut seen = BTreeSet::new();
        for point in &points {
            let own: Vec<Choice<'_>> = point
                .iter()
                .filter(|c| axes[stage.name.as_str()].contains(&c.axis))
                .copied()
                .collect();
            let place = Place::of(&own);
            if seen.insert(place.clone()) {
                builder.add(stage, &own, &axes)?;
            }
            if selection.takes(point) {
                builder.asked.insert((stage.name.clone(), place));
            }
        }
    }
    Ok(builder.finish())
}

/// Producers first; in file order where that is free.
fn stage_order(
    experiment: &Experiment,
    upstream: &BTreeMap<&str, BTreeSet<String>>,
) -> Result<Vec<usize>, PlanError> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut order = Vec::new();
    while order.len() < experiment.stages.len() {
        let ready = |stage: &StageDef| {
            !done.contains(stage.name.as_str())
                && upstream[stage.name.as_str()]
                    .iter()
                    .all(|p| done.contains(p.as_str()))
        };
        let Some(at) = experiment.stages.iter().position(ready) else {
            let stuck = experiment
                .stages
                .iter()
                .find(|stage| !done.contains(stage.name.as_str()));
            return Err(PlanError::Cycle(
                stuck.map(|s| s.name.clone()).unwrap_or_default(),
            ));
        };
        done.insert(&experiment.stages[at].name);
        order.push(at);
    }
    Ok(order)
}

struct Builder<'a> {
    experiment: &'a Experiment,
    places: &'a Places,
    graph: DiGraph<Node, ()>,
    /// The node of a stage at a place.
    nodes: BTreeMap<(String, Place), NodeIndex>,
    folded: BTreeMap<RecipeId, NodeIndex>,
    arms: Vec<Arm>,
    /// The stages at the places that are asked for.
    asked: BTreeSet<(String, Place)>,
}

impl<'a> Builder<'a> {
    fn new(experiment: &'a Experiment, places: &'a Places) -> Self {
        Self {
            experiment,
            places,
            graph: DiGraph::new(),
            nodes: BTreeMap::new(),
            folded: BTreeMap::new(),
            arms: Vec::new(),
            asked: BTreeSet::new(),
        }
    }

    fn add(
        &mut self,
        stage: &StageDef,
        choices: &[Choice<'_>],
        axes: &Relevant<'_>,
    ) -> Result<(), PlanError> {
        let place = Place::of(choices);
        let name = format!("{}{}", stage.name, place.suffix());
        let (ports, params) = split(stage.kind, &fields_at(&self.experiment.sweep, stage, choices));
        let bound = stage.kind.bind(&params).map_err(|problems| PlanError::Fields {
            node: name.clone(),
            problems,
        })?;
        let inputs = ports
            .iter()
            .map(|(port, value)| self.connect(&name, port, value, choices, axes))
            .collect::<Result<Vec<_>, _>>()?;
        let problems = bound.check_ports(&self.wires(&inputs));
        if !problems.is_empty() {
            return Err(PlanError::Fields { node: name, problems });
        }
        let recipe = self.recipe(stage, bound.as_ref(), &inputs);
        let index = *self.folded.entry(recipe).or_insert_with(|| {
            let node = Node {
                name,
                stage: stage.name.clone(),
                places: Vec::new(),
                kind: stage.kind,
                bound: Arc::from(bound),
                inputs: inputs.clone(),
                recipe,
            };
            self.graph.add_node(node)
        });
        self.graph[index].places.push(place.clone());
        for input in &inputs {
            if let Origin::Node { node, .. } = input.origin {
                self.graph.update_edge(node, index, ());
            }
        }
        self.nodes.insert((stage.name.clone(), place.clone()), index);
        self.add_arm(stage, place, index);
        Ok(())
    }

    /// What stands at the ports of a node.
    fn wires<'n>(&'n self, inputs: &'n [Connection]) -> Ports<'n> {
        let name = |input: &'n Connection| match &input.origin {
            Origin::Node { node, .. } => &self.graph[*node].name,
            Origin::Source { text, .. } => text,
        };
        let named = |input: &'n Connection| (input.port, name(input).clone());
        let wire = |input: &'n Connection| match &input.origin {
            Origin::Source { text, .. } => Wire::Source(text),
            Origin::Node { node, .. } => Wire::Stage(Maker {
                name: name(input),
                bound: Some(self.graph[*node].bound.as_ref()),
                inputs: self.graph[*node].inputs.iter().map(named).collect(),
            }),
        };
        inputs.iter().map(|input| (input.port, wire(input))).collect()
    }

    fn connect(
        &self,
        node: &str,
        port: &&'static ablate_core::Input,
        value: &Value,
        choices: &[Choice<'_>],
        axes: &Relevant<'_>,
    ) -> Result<Connection, PlanError> {
        let fail = |message: String| PlanError::Input {
            node: node.to_owned(),
            message,
        };
        let text = value
            .as_str()
            .ok_or_else(|| fail(format!("the input `{}` must be a name", port.name)))?;
        let found = resolve(&self.experiment.stages, port, text).map_err(|error| fail(error.message))?;
        let origin = match (found, port.source) {
            (InputRef::Stage { stage, port: output }, _) => {
                let own: Vec<_> = choices
                    .iter()
                    .filter(|c| axes[stage.as_str()].contains(&c.axis))
                    .copied()
                    .collect();
                let producer = self.nodes.get(&(stage.clone(), Place::of(&own)));
                let node = *producer.ok_or_else(|| fail(format!("`{stage}` has no node at this point")))?;
                if !self.graph[node].bound.makes(&output) {
                    return Err(fail(format!("`{stage}` does not make `{output}` at this point")));
                }
                Origin::Node { node, output }
            }
            (InputRef::Source(text), Some(source)) => Origin::Source { source, text },
            (InputRef::Source(text), None) => return Err(fail(format!("`{text}` is not a stage"))),
        };
        Ok(Connection {
            port: port.name,
            origin,
        })
    }

    /// The digest of a node's structure.
    fn recipe(&self, stage: &StageDef, bound: &dyn Bound, inputs: &[Connection]) -> RecipeId {
        let input = |input: &Connection| {
            let origin = match &input.origin {
                Origin::Node { node, output } => canon::Value::map([
                    ("recipe", canon::Value::text(self.graph[*node].recipe)),
                    ("output", canon::Value::text(output)),
                ]),
                Origin::Source { source, text } => canon::Value::map([
                    ("source", canon::Value::text(source.name())),
                    ("identity", canon::Value::text(source.identity(text, self.places))),
                ]),
            };
            (input.port, origin)
        };
        let value = canon::Value::map([
            ("kind", canon::Value::text(stage.kind.name())),
            ("version", canon::Value::Int(stage.kind.version().into())),
            ("numeric", canon::Value::text(stage.kind.numeric())),
            ("params", bound.meaning()),
            ("inputs", canon::Value::map(inputs.iter().map(input))),
        ]);
        RecipeId(value.digest("ablate recipe v1"))
    }

    fn add_arm(&mut self, stage: &StageDef, place: Place, node: NodeIndex) {
        if stage
            .kind
            .outputs()
            .first()
            .is_none_or(|output| output.kind != ArtifactKind::Scores)
        {
            return;
        }
        let qrels = self.graph[node]
            .inputs
            .iter()
            .find(|input| input.port == "qrels")
            .map(|i| i.origin.clone());
        let qrels = match qrels {
            Some(Origin::Node { node, output }) => Some((node, output)),
            _ => None,
        };
        let judged_on = qrels.as_ref().map(|(node, _)| *node);
        let collection = judged_on
            .or_else(|| self.documents_behind(node))
            .map(|node| self.collection(node))
            .unwrap_or_default();
        self.arms.push(Arm {
            system: stage.name.clone(),
            place,
            collection,
            node,
            qrels,
        });
    }

    /// The nearest node that takes documents from elsewhere, for what is measured without judgements.
    fn documents_behind(&self, node: NodeIndex) -> Option<NodeIndex> {
        let mut behind = Bfs::new(Reversed(&self.graph), node);
        std::iter::from_fn(|| behind.next(Reversed(&self.graph))).find(|at| {
            let Node { inputs, kind, .. } = &self.graph[*at];
            let taken = inputs
                .iter()
                .all(|input| matches!(input.origin, Origin::Source { .. }));
            taken
                && kind
                    .outputs()
                    .iter()
                    .any(|output| output.kind == ArtifactKind::Corpus)
        })
    }

    /// The name of a collection: the last part of its source.
    fn collection(&self, node: NodeIndex) -> String {
        let source = self.graph[node]
            .inputs
            .iter()
            .find_map(|input| match &input.origin {
                Origin::Source { text, .. } => Some(text),
                Origin::Node { .. } => None,
            });
        let name = source.and_then(|text| text.trim_end_matches('/').rsplit('/').next());
        name.unwrap_or(&self.graph[node].stage).to_owned()
    }

    fn finish(self) -> Plan {
        // Nodes were added producers first, so index order is such an order; petgraph confirms it.
        debug_assert!(
            toposort(&self.graph, None).is_ok(),
            "producers are added before consumers"
        );
        let asked = self.asked.iter().map(|place| self.nodes[place]).collect();
        let needed = needed(&self.graph, &asked);
        let taken = |arm: &Arm| {
            let place = (arm.system.clone(), arm.place.clone());
            needed.contains(&arm.node) && self.asked.contains(&place)
        };
        Plan {
            arms: self.arms.into_iter().filter(taken).collect(),
            order: needed.into_iter().collect(),
            graph: self.graph,
        }
    }
}

/// The fields of a stage at a point: as written, then what the choices set, then what overrides set.
fn fields_at(sweep: &Sweep, stage: &StageDef, choices: &[Choice<'_>]) -> Map<String, Value> {
    let mut fields = stage.fields.clone();
    let labels = labels(choices);
    let chosen = choices.iter().flat_map(|choice| &choice.point.sets);
    for setting in chosen
        .chain(sweep.overridden(&labels))
        .filter(|set| set.stage == stage.name)
    {
        apply(&mut fields, &setting.path, setting.value.clone());
    }
    fields
}
