//! From the nodes of a run to the boxes of its graph.

use std::collections::BTreeMap;

use ablate_plot::{Dag, Node, State};

use crate::NodeView;

/// With more nodes than this a box is a stage: nobody reads hundreds of boxes.
const MOST: usize = 40;

/// The graph of a run: a box a node, or of a large run a box a stage.
pub(crate) fn graph(title: &str, nodes: &[NodeView]) -> Dag {
    let by_stage = nodes.len() > MOST;
    let group = |node: &NodeView| {
        if by_stage {
            node.stage().to_owned()
        } else {
            node.name.clone()
        }
    };
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut boxes: Vec<Node> = Vec::new();
    // Where each node's box is, to find that of a producer by its name.
    let mut of_node: BTreeMap<&str, usize> = BTreeMap::new();
    for node in nodes {
        let at = *places.entry(group(node)).or_insert_with(|| {
            boxes.push(Node {
                name: group(node),
                ..Node::default()
            });
            boxes.len() - 1
        });
        of_node.insert(&node.name, at);
        add(&mut boxes[at], node);
        let producers = node
            .inputs
            .iter()
            .filter_map(|input| of_node.get(input.node.as_deref()?));
        for producer in producers.copied().filter(|producer| *producer != at) {
            if !boxes[at].from.contains(&producer) {
                boxes[at].from.push(producer);
            }
        }
    }
    for (node, one) in nodes.iter().zip(0..).filter(|_| !by_stage) {
        name(&mut boxes[one], node);
    }
    Dag {
        title: title.to_owned(),
        nodes: in_order(boxes),
    }
}

fn add(into: &mut Node, node: &NodeView) {
    into.about.clone_from(&node.kind);
    into.seconds += node.seconds;
    match into.tally.iter_mut().find(|(state, _)| *state == node.state) {
        Some((_, count)) => *count += 1,
        None => into.tally.push((node.state, 1)),
    }
    into.tally.sort();
}

/// A box of one node says where in the sweep it stands, outside of one which kind it is.
fn name(one: &mut Node, node: &NodeView) {
    node.stage().clone_into(&mut one.name);
    let point = if node.point().is_empty() {
        &node.kind
    } else {
        node.point()
    };
    point.clone_into(&mut one.about);
}

/// Boxes of stages that feed each other both ways cannot be drawn in layers: lines back are left out.
fn in_order(mut boxes: Vec<Node>) -> Vec<Node> {
    for (at, one) in boxes.iter_mut().enumerate() {
        one.from.retain(|producer| *producer < at);
    }
    boxes
}

/// How many nodes are in which state, for the head of a page.
pub(crate) fn tally(nodes: &[NodeView]) -> Vec<(State, usize)> {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    nodes
        .iter()
        .for_each(|node| *counts.entry(node.state).or_default() += 1);
    counts.into_iter().collect()
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::InputView;

    pub(crate) fn node(name: &str, from: &[&str], state: State) -> NodeView {
        let input = |node: &&str| InputView {
            port: "in".into(),
            node: Some((*node).to_owned()),
            what: "out".into(),
            digest: None,
        };
        NodeView {
            name: name.into(),
            kind: "sample".into(),
            state,
            reason: "never computed".into(),
            key: Some("ab".repeat(32)),
            seconds: 1.5,
            rows_computed: 10,
            rows_reused: 0,
            params: serde_json::json!({"count": 5}),
            inputs: from.iter().map(input).collect(),
            outputs: vec![],
            version: Some("1".into()),
            numeric: Some("exact".into()),
            host: Some("host".into()),
            finished: None,
            computed_in: Some(1.5),
            tokens: None,
            notes: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{samples::node, *};

    #[test]
    fn a_small_run_has_a_box_a_node() {
        let nodes = [
            node("data", &[], State::Reused),
            node("run[k=1]", &["data", "data"], State::Ran),
        ];
        let dag = graph("g", &nodes);
        assert_eq!(
            (dag.nodes[1].name.as_str(), dag.nodes[1].about.as_str()),
            ("run", "k=1")
        );
        assert_eq!(
            (dag.nodes[0].about.as_str(), &dag.nodes[1].from),
            ("sample", &vec![0])
        );
    }

    #[test]
    fn a_large_run_has_a_box_a_stage() {
        let mut nodes = vec![node("data", &[], State::Ran)];
        nodes.extend((0..60).map(|k| {
            let state = if k == 7 { State::Failed } else { State::Ran };
            node(&format!("run[k={k}]"), &["data"], state)
        }));
        let dag = graph("g", &nodes);
        assert_eq!(dag.nodes.len(), 2);
        assert_eq!(dag.nodes[1].tally, [(State::Ran, 59), (State::Failed, 1)]);
        assert!((dag.nodes[1].seconds - 90.0).abs() < 1e-9);
    }
}
