//! What changed between two runs, joined with what moved.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Arm, FieldChange, Moved, Options, RowChanges,
    alone::one_sided,
    fields::changes,
    fold::{Folded, fold},
    moved,
};

/// A node of a run, as its record has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its name, unique in the run: `retriever[negatives=bm25,seed=1]`.
    pub name: String,
    /// Its stage kind.
    pub kind: String,
    /// Its recipe id.
    pub recipe: String,
    /// Its action key; `None` where it was not reached.
    pub key: Option<String>,
    /// What the key was made from; null where it is not known.
    pub preimage: Value,
    /// The sources it reads, as the user wrote them, by port.
    pub sources: BTreeMap<String, String>,
    /// Output port → content digest; empty where it was not reached.
    pub outputs: BTreeMap<String, String>,
}

/// What a comparison sees of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// The run's id.
    pub id: String,
    /// Its nodes, in plan order.
    pub nodes: Vec<NodeView>,
    /// Its evaluated arms.
    pub arms: Vec<Arm>,
}

/// The difference between two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// The first run.
    pub a: String,
    /// The second run.
    pub b: String,
    /// Nodes of both whose keys differ, in the order of the second run: first cause, then effect.
    pub changed: Vec<NodeChange>,
    /// Nodes of the second run only.
    pub added: Vec<String>,
    /// Nodes of the first run only.
    pub removed: Vec<String>,
    /// Figures that moved.
    pub figures: Vec<Moved>,
    /// How many figures are the same, query by query.
    pub unchanged: usize,
    /// Rows and measures of rows that only one of the runs has figures of.
    pub one_sided: Vec<String>,
    /// Nodes that have no result in one of the runs.
    pub not_computed: Vec<String>,
    /// The test over queries.
    pub test: String,
    /// How its p-values are corrected.
    pub correction: String,
    /// What hinders the comparison.
    pub warnings: Vec<String>,
}

/// A node whose key is another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeChange {
    /// Its name.
    pub name: String,
    /// Its stage kind, in the second run.
    pub kind: String,
    /// What differs in what its key is made from; empty where one of the keys is not known.
    pub fields: Vec<FieldChange>,
    /// Whether it came to the same result: then nothing downstream moved because of it.
    pub same_result: bool,
    /// How its tables differ, by output port, where that was looked at.
    pub rows: BTreeMap<String, RowChanges>,
}

impl NodeChange {
    /// Whether nothing of its own changed, only the content of its inputs.
    pub fn is_carried(&self) -> bool {
        !self.fields.is_empty() && self.fields.iter().all(FieldChange::is_carried)
    }
}

/// Compares run `a` with the later run `b`. Nodes are matched by name, figures by system, collection and point; `options`
/// say by which test, and how p-values are corrected over the figures that moved.
pub fn diff(a: &RunView, b: &RunView, options: &Options) -> Diff {
    let mut warnings = Vec::new();
    let (before, after) = (folded(a, &mut warnings), folded(b, &mut warnings));
    let one_sided = one_sided(&before, &after, &mut warnings);
    let (figures, unchanged) = figures(&before, &after, options, &mut warnings);
    Diff {
        a: a.id.clone(),
        b: b.id.clone(),
        changed: b
            .nodes
            .iter()
            .filter_map(|new| changed(find(a, &new.name)?, new))
            .collect(),
        added: missing_from(a, b),
        removed: missing_from(b, a),
        figures,
        unchanged,
        one_sided,
        not_computed: not_computed(a, b),
        test: options.test.to_string(),
        correction: options.correction.to_string(),
        warnings,
    }
}

fn find<'a>(run: &'a RunView, name: &str) -> Option<&'a NodeView> {
    run.nodes.iter().find(|node| node.name == name)
}

/// The names of `run` that `other` does not have.
fn missing_from(other: &RunView, run: &RunView) -> Vec<String> {
    run.nodes
        .iter()
        .filter(|node| find(other, &node.name).is_none())
        .map(|node| node.name.clone())
        .collect()
}

fn changed(old: &NodeView, new: &NodeView) -> Option<NodeChange> {
    if old.key == new.key && (old.key.is_some() || old.recipe == new.recipe) {
        return None;
    }
    let known = !old.preimage.is_null() && !new.preimage.is_null();
    let mut fields = if known {
        changes(&old.preimage, &new.preimage)
    } else {
        Vec::new()
    };
    fields.iter_mut().for_each(|field| name_sources(field, old, new));
    Some(NodeChange {
        name: new.name.clone(),
        kind: new.kind.clone(),
        fields,
        same_result: !new.outputs.is_empty() && old.outputs == new.outputs,
        rows: BTreeMap::new(),
    })
}

/// Says which source stood at a port, rather than its digest, where another one does.
fn name_sources(field: &mut FieldChange, old: &NodeView, new: &NodeView) {
    let port = field
        .path
        .strip_prefix("inputs.")
        .and_then(|path| path.strip_suffix(".digest"));
    let Some(port) = port.map(str::to_owned) else {
        return;
    };
    let (before, after) = (old.sources.get(&port), new.sources.get(&port));
    if before != after {
        *field = FieldChange {
            path: port,
            old: before.cloned().map(Value::String),
            new: after.cloned().map(Value::String),
        };
    }
}

fn folded<'a>(run: &'a RunView, warnings: &mut Vec<String>) -> Vec<Folded<'a>> {
    fold(&run.arms).unwrap_or_else(|error| {
        warnings.push(format!("the figures of run {} are left out: {error}", run.id));
        Vec::new()
    })
}

/// The nodes without a result, of either run.
fn not_computed(a: &RunView, b: &RunView) -> Vec<String> {
    let open = a
        .nodes
        .iter()
        .chain(&b.nodes)
        .filter(|node| node.outputs.is_empty());
    let names: BTreeSet<&String> = open.map(|node| &node.name).collect();
    names.into_iter().cloned().collect()
}

fn figures(
    before: &[Folded<'_>],
    after: &[Folded<'_>],
    options: &Options,
    warnings: &mut Vec<String>,
) -> (Vec<Moved>, usize) {
    let (mut figures, mut unchanged) = (Vec::new(), 0);
    for new in after {
        let Some(old) = before.iter().find(|old| old.is_at(new)) else {
            continue;
        };
        let (moved, same) = moved::between(old, new, options, warnings);
        figures.extend(moved);
        unchanged += same;
    }
    if let Err(error) = moved::correct(&mut figures, options) {
        warnings.push(format!("p-values are not corrected: {error}"));
    }
    (figures, unchanged)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::{QueryScore, arm::samples::arm};

    const A: [f64; 12] = [0.61, 0.43, 1.0, 0.0, 0.63, 0.39, 0.5, 0.72, 0.31, 0.9, 0.25, 0.63];
    const B: [f64; 12] = [0.5, 0.43, 0.63, 0.0, 0.69, 0.25, 0.43, 0.63, 0.36, 0.75, 0.0, 0.5];

    fn node(name: &str, preimage: Value) -> NodeView {
        let key = (!preimage.is_null()).then(|| preimage.to_string());
        NodeView {
            name: name.into(),
            kind: name.into(),
            recipe: preimage.to_string(),
            key,
            preimage,
            ..NodeView::default()
        }
    }

    fn compared(one: &RunView, two: &RunView) -> Diff {
        diff(one, two, &Options::default())
    }

    fn run(id: &str, temperature: f64, values: &[f64], extra: &str) -> RunView {
        let content = "ab".repeat(31) + &format!("{temperature:.2}")[2..];
        RunView {
            id: id.into(),
            nodes: vec![
                node("docs", json!({"params": {"count": 5}})),
                node(
                    "queries",
                    json!({"params": {"decoding": {"temperature": temperature}}, "version": 1}),
                ),
                node("kept", json!({"inputs": {"pairs": {"content": content}}})),
                node(extra, json!({})),
            ],
            arms: vec![
                arm("bm25", &[], None, "AP", &B),
                arm("dense", &[("negatives", "bm25")], Some("1"), "AP", values),
            ],
        }
    }

    pub(crate) fn sample() -> Diff {
        compared(&run("first", 0.0, &B, "old"), &run("second", 0.7, &A, "new"))
    }

    #[test]
    fn changed_fields_and_carried_nodes() {
        let diff = sample();
        let names: Vec<_> = diff
            .changed
            .iter()
            .map(|node| (node.name.as_str(), node.is_carried()))
            .collect();
        assert_eq!(names, [("queries", false), ("kept", true)]);
        let field = &diff.changed[0].fields[0];
        assert_eq!(field.path, "params.decoding.temperature");
        assert_eq!(
            (field.old.clone(), field.new.clone()),
            (Some(json!(0.0)), Some(json!(0.7)))
        );
        assert_eq!(
            (diff.added, diff.removed),
            (vec!["new".to_owned()], vec!["old".to_owned()])
        );
    }

    #[test]
    fn figures_moved_query_by_query() {
        // python: ttest_rel(A, B).pvalue; np.mean(A)-np.mean(B)
        let diff = sample();
        assert_eq!((diff.figures.len(), diff.unchanged), (1, 1));
        let moved = &diff.figures[0];
        assert!((moved.p.unwrap() - 0.017_592_632_902_934_5).abs() < 1e-12);
        assert!((moved.delta - 0.1).abs() < 1e-12, "{}", moved.delta);
        assert_eq!(
            (moved.wins, moved.losses, moved.ties, moved.n_queries),
            (8, 2, 2, 12)
        );
        let movers: Vec<_> = moved.movers.iter().map(|mover| mover.query_id.as_str()).collect();
        assert_eq!(movers, ["q2", "q10", "q9", "q5", "q11"]);
    }

    #[test]
    fn p_is_corrected_over_the_figures_that_moved() {
        let mut two = run("second", 0.7, &A, "new");
        let mut one = run("first", 0.0, &B, "old");
        two.arms.push(arm("other", &[], None, "AP", &A));
        one.arms.push(arm("other", &[], None, "AP", &B));
        let p = compared(&one, &two).figures[0].p.unwrap();
        assert!((p - 2.0 * 0.017_592_632_902_934_5).abs() < 1e-12, "{p}");
    }

    #[test]
    fn what_hinders_is_told() {
        let one = run("first", 0.0, &B, "x");
        let mut judged = run("second", 0.0, &A, "x");
        judged.arms[1].qrels = "others".into();
        let found = compared(&one, &judged);
        assert_eq!(found.figures[0].p, None);
        assert!(
            found.warnings[0].contains("judged by different qrels"),
            "{:?}",
            found.warnings
        );

        let fewer = compared(&one, &run("second", 0.0, &A[..4], "x"));
        assert_eq!(fewer.figures[0].n_queries, 4);
        assert!(
            fewer.warnings[0].contains("on the 4 queries that both runs have"),
            "{:?}",
            fewer.warnings
        );

        let mut gone = run("second", 0.0, &B, "x");
        gone.arms.pop();
        assert_eq!(
            compared(&one, &gone).warnings,
            ["dense[negatives=bm25] is only in the first run"]
        );

        let mut more = run("second", 0.0, &B, "x");
        let measured = more.arms[1].scores.clone().into_iter();
        more.arms[1].scores.extend(measured.map(|score| QueryScore {
            measure: "RR".into(),
            ..score
        }));
        let found = compared(&one, &more);
        assert_eq!(found.one_sided, ["RR of dense[negatives=bm25]"]);
        assert_eq!(found.unchanged, 2);
    }

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let one = run("first", 0.0, &B, "x");
        let found = compared(&one, &one);
        assert!(found.changed.is_empty() && found.figures.is_empty() && found.warnings.is_empty());
        assert_eq!(found.unchanged, 2);
    }

    #[test]
    fn sources_are_named_and_equal_results_are_known() {
        let with = |model: &str, digest: &str, content: &str| {
            let mut run = run("first", 0.0, &B, "x");
            run.nodes[1] = NodeView {
                sources: [("model".to_owned(), model.to_owned())].into(),
                outputs: [("pairs".to_owned(), content.to_owned())].into(),
                ..node(
                    "queries",
                    json!({"inputs": {"model": {"source": "model", "digest": digest}}}),
                )
            };
            run
        };
        let found = compared(&with("small", "d1", "rows"), &with("large", "d2", "others"));
        let field = &found.changed[0].fields[0];
        assert_eq!(
            (field.path.as_str(), &field.new),
            ("model", &Some(json!("large")))
        );
        assert!(!found.changed[0].same_result);
        let renewed = compared(&with("small", "d1", "rows"), &with("small", "d2", "rows"));
        assert_eq!(renewed.changed[0].fields[0].path, "inputs.model.digest");
        assert!(renewed.changed[0].same_result);
    }

    #[test]
    fn a_node_without_a_key_has_no_fields() {
        let one = run("first", 0.0, &B, "x");
        let mut two = one.clone();
        two.nodes[1] = NodeView {
            key: None,
            preimage: Value::Null,
            ..two.nodes[1].clone()
        };
        let found = compared(&one, &two);
        assert_eq!(found.changed.len(), 1);
        assert!(found.changed[0].fields.is_empty() && !found.changed[0].is_carried());
    }
}
