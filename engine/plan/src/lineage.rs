//! What stands behind a node: the models it names, and the judged queries its models have learnt from.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::{ArtifactKind, Output};
use petgraph::{Direction, graph::NodeIndex};

use crate::{Arm, Connection, Node, Origin, Plan};

/// An output port of a node.
pub type Port = (NodeIndex, String);

/// A model is judged by queries or judgements it has learnt from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// The evaluate stage.
    pub system: String,
    /// The stage that made the model.
    pub trainer: String,
    /// What it has learnt from, as `stage.port`.
    pub source: String,
}

/// What a model has learnt from and what it is judged by, of two stages: a leak if their rows are the same.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// The leak it would be.
    pub leak: Leak,
    /// The node that makes the model.
    pub trainer: NodeIndex,
    /// The node that judges.
    pub judge: NodeIndex,
    /// What is learnt from.
    pub learnt: Port,
    /// Its counterpart among what is judged by.
    pub judged: Port,
}

/// The leaks of a plan, one for each evaluate stage, trainer and source.
pub fn leaks(plan: &Plan) -> BTreeSet<Leak> {
    let learnt = learnt(plan);
    plan.arms
        .iter()
        .flat_map(|arm| leaks_of(plan, arm, &learnt))
        .collect()
}

fn leaks_of<'a>(plan: &'a Plan, arm: &'a Arm, learnt: &'a BTreeMap<NodeIndex, Learnt>) -> Vec<Leak> {
    let judged = arm.qrels.as_ref();
    let (Some((node, qrels)), Some(learnt)) = (judged, learnt.get(&arm.node)) else {
        return vec![];
    };
    let leak = |(port, trainer): (&Port, &NodeIndex)| {
        plan.is_same_split(port, (*node, qrels))
            .then(|| leak_of(plan, arm, port, *trainer))
    };
    learnt.iter().filter_map(leak).collect()
}

fn leak_of(plan: &Plan, arm: &Arm, (from, output): &Port, trainer: NodeIndex) -> Leak {
    Leak {
        system: arm.system.clone(),
        trainer: plan.node(trainer).stage.clone(),
        source: format!("{}.{output}", plan.node(*from).stage),
    }
}

/// What is a leak if its rows turn out to be the same.
pub fn suspects(plan: &Plan) -> Vec<Suspect> {
    let learnt = learnt(plan);
    plan.arms
        .iter()
        .flat_map(|arm| suspects_of(plan, arm, &learnt))
        .collect()
}

fn suspects_of(plan: &Plan, arm: &Arm, learnt: &BTreeMap<NodeIndex, Learnt>) -> Vec<Suspect> {
    let judged = arm.qrels.as_ref();
    let (Some((node, qrels)), Some(learnt)) = (judged, learnt.get(&arm.node)) else {
        return vec![];
    };
    let suspect = |(port, trainer): (&Port, &NodeIndex)| {
        let judged = plan.counterpart(port, (*node, qrels))?;
        (judged != *port && !plan.is_same_split(port, (*node, qrels))).then(|| Suspect {
            leak: leak_of(plan, arm, port, *trainer),
            trainer: *trainer,
            judge: arm.node,
            learnt: port.clone(),
            judged,
        })
    };
    learnt.iter().filter_map(suspect).collect()
}

/// `test` of `qrels.test`.
fn split_of(port: &str) -> &str {
    port.split_once('.').map_or(port, |(_, split)| split)
}

/// Queries and judgements that a model upstream has seen, each with the node that made the model.
type Learnt = BTreeMap<Port, NodeIndex>;

/// What the models upstream of each node have learnt from; nodes of which there is none are left out.
fn learnt(plan: &Plan) -> BTreeMap<NodeIndex, Learnt> {
    let mut seen: BTreeMap<NodeIndex, BTreeSet<Port>> = BTreeMap::new();
    let mut learnt: BTreeMap<NodeIndex, Learnt> = BTreeMap::new();
    for index in plan.graph.node_indices() {
        let (mut own_seen, mut own_learnt) = (BTreeSet::new(), Learnt::new());
        let node = plan.node(index);
        for (kind, from, output) in node.inputs.iter().filter_map(|input| produced(node, input)) {
            if matches!(kind, ArtifactKind::Queries | ArtifactKind::Qrels) {
                own_seen.insert((from, output.to_owned()));
            }
            own_learnt.extend(learnt.get(&from).cloned().unwrap_or_default());
            let seen = seen.get(&from).cloned().unwrap_or_default();
            if kind == ArtifactKind::Model {
                own_learnt.extend(seen.iter().map(|port| (port.clone(), from)));
            }
            own_seen.extend(seen);
        }
        if !own_seen.is_empty() {
            seen.insert(index, own_seen);
        }
        if !own_learnt.is_empty() {
            learnt.insert(index, own_learnt);
        }
    }
    learnt
}

/// The kind of an input with the node and port it comes from.
fn produced<'a>(node: &Node, input: &'a Connection) -> Option<(ArtifactKind, NodeIndex, &'a str)> {
    match &input.origin {
        Origin::Node { node: from, output } => Some((kind_of(node, input), *from, output)),
        Origin::Source { .. } => None,
    }
}

fn kind_of(node: &Node, input: &Connection) -> ArtifactKind {
    let ports = node.kind.inputs();
    let port = ports.iter().find(|port| port.name == input.port);
    // A connection is made from a port of its kind.
    port.map_or(ArtifactKind::Corpus, |port| port.kind)
}

impl Plan {
    /// Whether a port is of the split of some judgements.
    fn is_same_split(&self, (from, output): &Port, (node, qrels): (NodeIndex, &str)) -> bool {
        self.is_same_data(*from, node) && split_of(output) == split_of(qrels)
    }

    /// Whether two nodes are one, or read the same source, of which one may name a part.
    fn is_same_data(&self, a: NodeIndex, b: NodeIndex) -> bool {
        let alike = self.node(a).kind.name() == self.node(b).kind.name()
            && self.node(a).bound.meaning() == self.node(b).bound.meaning();
        let covers = |(whole, part): (&str, &str)| {
            let rest = part.strip_prefix(whole);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let both = self.source(a).zip(self.source(b));
        a == b || alike && both.is_some_and(|(a, b)| covers((a, b)) || covers((b, a)))
    }

    /// The source of a node that reads nothing else.
    fn source(&self, index: NodeIndex) -> Option<&str> {
        match self.node(index).inputs.as_slice() {
            [
                Connection {
                    origin: Origin::Source { text, .. },
                    ..
                },
            ] => Some(text),
            _ => None,
        }
    }

    /// Those judgements, or the queries beside them, whichever is of the kind of a port.
    fn counterpart(&self, (from, output): &Port, (node, qrels): (NodeIndex, &str)) -> Option<Port> {
        let mut own = self.node(*from).kind.outputs().iter();
        let kind = own.find(|port| port.name == output)?.kind;
        let beside = |port: &&Output| port.kind == kind && split_of(port.name) == split_of(qrels);
        match kind {
            ArtifactKind::Qrels => Some((node, qrels.to_owned())),
            _ => Some((
                node,
                self.node(node)
                    .kind
                    .outputs()
                    .iter()
                    .find(beside)?
                    .name
                    .to_owned(),
            )),
        }
    }

    /// A node and everything it is made from.
    pub fn lineage(&self, index: NodeIndex) -> BTreeSet<NodeIndex> {
        let mut found = BTreeSet::new();
        let mut open = vec![index];
        while let Some(at) = open.pop() {
            if found.insert(at) {
                open.extend(self.graph.neighbors_directed(at, Direction::Incoming));
            }
        }
        found
    }

    /// The models named in a lineage: `stage.port` → what the user wrote.
    pub fn models_of(&self, lineage: &BTreeSet<NodeIndex>) -> BTreeMap<String, String> {
        let nodes = lineage.iter().map(|index| self.node(*index));
        let named = nodes.flat_map(|node| node.inputs.iter().map(move |input| (node, input)));
        let model = |(node, input): (&Node, &Connection)| match &input.origin {
            Origin::Source { text, .. } if kind_of(node, input) == ArtifactKind::Model => {
                Some((format!("{}.{}", node.stage, input.port), text.clone()))
            }
            _ => None,
        };
        named.filter_map(model).collect()
    }

    /// The negatives that models of a lineage were trained with: the node that made the triples, and the nodes and ports
    /// of the pairs that they, or the triples they were mixed or picked from, were made for.
    pub fn negatives_of(&self, lineage: &BTreeSet<NodeIndex>) -> BTreeSet<(NodeIndex, NodeIndex, String)> {
        let trainers = lineage.iter().map(|index| self.node(*index)).filter(|node| {
            let mut outputs = node.kind.outputs().iter();
            outputs.any(|output| output.kind == ArtifactKind::Model)
        });
        let makers = trainers.filter_map(|node| Some(Self::from(node, ArtifactKind::Triples)?.0));
        let pairs = |maker| {
            let (from, port) = self.pairs_behind(maker)?;
            Some((maker, from, port.to_owned()))
        };
        makers.filter_map(pairs).collect()
    }

    /// The pairs that a node makes triples for, perhaps from other triples.
    fn pairs_behind(&self, maker: NodeIndex) -> Option<(NodeIndex, &str)> {
        let node = self.node(maker);
        Self::from(node, ArtifactKind::Pairs)
            .or_else(|| self.pairs_behind(Self::from(node, ArtifactKind::Triples)?.0))
    }

    /// The node and port that a node's first input of a kind comes from.
    fn from(node: &Node, wanted: ArtifactKind) -> Option<(NodeIndex, &str)> {
        let mut inputs = node.inputs.iter().filter_map(|input| produced(node, input));
        inputs
            .find(|(kind, ..)| *kind == wanted)
            .map(|(_, from, port)| (from, port))
    }
}
