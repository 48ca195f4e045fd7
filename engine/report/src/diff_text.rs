//! A [`Diff`] for a terminal.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    Diff, FieldChange, Moved, NodeChange, RowChanges, cells::p_value, fields::changes, label, text::frame,
    warnings::LEVEL,
};

/// What changed, then what moved.
pub fn diff_text(diff: &Diff) -> String {
    let mut lines = vec![format!("{} → {}", diff.a, diff.b)];
    lines.extend(nodes(diff));
    if lines.len() == 1 {
        lines.push("no node changed".into());
    }
    lines.push(String::new());
    lines.extend(figures(diff));
    lines.extend(diff.warnings.iter().map(|warning| format!("note: {warning}")));
    lines.join("\n") + "\n"
}

fn nodes(diff: &Diff) -> Vec<String> {
    let (carried, own): (Vec<_>, Vec<_>) = diff.changed.iter().partition(|node| node.is_carried());
    let mut lines: Vec<_> = own.into_iter().flat_map(node).collect();
    let carried: Vec<_> = carried.iter().map(|node| node.name.as_str()).collect();
    lines.extend(list("other inputs", &carried));
    lines.extend(list("added", &diff.added));
    lines.extend(list("removed", &diff.removed));
    lines
}

/// `what (3): a, b, c`; of many, how many of each stage.
fn list<S: AsRef<str>>(what: &str, names: &[S]) -> Option<String> {
    const MOST: usize = 8;
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    let mut shown: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    if names.len() > MOST {
        let stage = |name: &&str| name.split('[').next().unwrap_or_default().to_owned();
        let stages: Vec<_> = names.iter().map(stage).collect();
        let unique: BTreeSet<_> = stages.iter().collect();
        let count = |stage: &String| stages.iter().filter(|other| *other == stage).count();
        shown = unique
            .into_iter()
            .map(|stage| format!("{} of {stage}", count(stage)))
            .collect();
    }
    (!names.is_empty()).then(|| format!("{what} ({}): {}", names.len(), shown.join(", ")))
}

fn node(node: &NodeChange) -> Vec<String> {
    let mut lines = vec![format!("changed: {} ({})", node.name, node.kind)];
    if node.fields.is_empty() {
        lines.push("    one of the runs did not reach it".into());
    }
    lines.extend(node.fields.iter().map(field));
    if node.same_result {
        lines.push("    the same result: nothing moved because of it".into());
    }
    lines.extend(node.rows.iter().flat_map(|(port, changes)| rows(port, changes)));
    lines
}

/// How a table differs, with a few of its rows.
fn rows(port: &str, changes: &RowChanges) -> Vec<String> {
    let RowChanges {
        before,
        after,
        added,
        dropped,
        changed,
        examples,
    } = changes;
    let counts = format!("{added} added, {dropped} dropped, {changed} changed");
    let mut lines = vec![format!("    {port}: {before} → {after} rows: {counts}")];
    lines.extend(examples.iter().map(|(old, new)| match (old, new) {
        (Value::Null, new) => format!("      + {}", brief(new)),
        (old, Value::Null) => format!("      - {}", brief(old)),
        (old, new) => format!("      ~ {}", difference(old, new)),
    }));
    lines
}

/// The fields of a row on a line: first what names it.
fn brief(row: &Value) -> String {
    let fields = row.as_object().into_iter().flatten();
    let shown = fields.filter(|(_, value)| !value.is_null());
    let each: Vec<_> = shown
        .map(|(name, old)| format!("{name}: {}", value(Some(old))))
        .collect();
    each.join(", ")
}

/// The fields of a row that changed, behind the one that names it.
fn difference(old: &Value, new: &Value) -> String {
    let id = ["query_id", "doc_id"].iter().find_map(|name| old.get(*name));
    let each: Vec<_> = changes(old, new)
        .iter()
        .map(|change| field(change).trim().to_owned())
        .collect();
    format!("{}: {}", value(id), each.join(", "))
}

fn field(change: &FieldChange) -> String {
    format!(
        "    {}: {} → {}",
        change.path,
        value(change.old.as_ref()),
        value(change.new.as_ref())
    )
}

/// A value in brief: text without quotes, digests and long values cut.
fn value(value: Option<&Value>) -> String {
    let text = match value {
        None => return "(none)".into(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let is_digest = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let limit = if is_digest { 12 } else { 60 };
    if text.chars().count() <= limit {
        return text.replace('\n', "\\n");
    }
    let start: String = text.chars().take(limit).collect();
    format!("{}…", start.replace('\n', "\\n"))
}

/// That there is no figure on both sides, and what would have to be computed.
fn nothing(diff: &Diff) -> String {
    let lacking = list("not computed", &diff.not_computed);
    format!(
        "nothing to compare: {}",
        lacking.as_deref().unwrap_or("no figure is on both sides")
    )
}

fn figures(diff: &Diff) -> Vec<String> {
    if diff.figures.is_empty() && diff.unchanged == 0 {
        return vec![nothing(diff)];
    }
    if diff.figures.is_empty() {
        return vec![format!(
            "no figure moved; the same on every query: {}",
            diff.unchanged
        )];
    }
    let header = [
        "system",
        "measure",
        "before",
        "after",
        "difference",
        "p",
        "wins/losses/ties",
    ];
    let mut drawn = frame(header.map(String::from).to_vec(), false);
    for moved in &diff.figures {
        drawn.add_row(row(moved));
    }
    let mut lines = vec![
        drawn.trim_fmt(),
        format!(
            "* p < .05, {} over queries, {} over the figures that moved",
            diff.test, diff.correction
        ),
    ];
    if diff.unchanged > 0 {
        lines.push(format!("the same on every query: {} more", diff.unchanged));
    }
    lines.extend(diff.figures.iter().flat_map(movers));
    lines
}

fn name(moved: &Moved) -> String {
    format!("{} on {}", label(&moved.system, &moved.point), moved.collection)
}

fn row(moved: &Moved) -> [String; 7] {
    let mark = if moved.p.is_some_and(|p| p < LEVEL) {
        "*"
    } else {
        ""
    };
    [
        name(moved),
        moved.measure.clone(),
        format!("{:.4}", moved.a),
        format!("{:.4}", moved.b),
        format!("{:+.4}{mark}", moved.delta),
        moved.p.map_or_else(|| "-".into(), p_value),
        format!("{}/{}/{}", moved.wins, moved.losses, moved.ties),
    ]
}

fn movers(moved: &Moved) -> Vec<String> {
    if moved.movers.is_empty() {
        return vec![];
    }
    let each = moved.movers.iter().map(|m| {
        let text = m
            .text
            .as_ref()
            .map(|text| format!("  {}", value(Some(&Value::String(text.clone())))));
        format!(
            "    {}  {:.3} → {:.3}{}",
            m.query_id,
            m.a,
            m.b,
            text.unwrap_or_default()
        )
    });
    let title = format!("largest moves of {} by {}:", name(moved), moved.measure);
    [title].into_iter().chain(each).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diff::tests::sample;

    #[test]
    fn many_nodes_are_counted_by_stage() {
        let names: Vec<_> = (0..9)
            .map(|at| format!("{}[k={at}]", if at < 6 { "run" } else { "scores" }))
            .collect();
        assert_eq!(
            list("added", &names).as_deref(),
            Some("added (9): 6 of run, 3 of scores")
        );
        assert_eq!(
            list("added", &names[..2]).as_deref(),
            Some("added (2): run[k=0], run[k=1]")
        );
        assert_eq!(list::<&str>("added", &[]), None);
    }

    #[test]
    fn the_difference_reads_well() {
        insta::assert_snapshot!(diff_text(&sample()), @r"
        first → second
        changed: queries (queries)
            params.decoding.temperature: 0.0 → 0.7
        other inputs (1): kept
        added (1): new
        removed (1): old

        ┌───────────────────────────────┬─────────┬────────┬────────┬────────────┬────────┬──────────────────┐
        │ system                        ┆ measure ┆ before ┆ after  ┆ difference ┆ p      ┆ wins/losses/ties │
        ╞═══════════════════════════════╪═════════╪════════╪════════╪════════════╪════════╪══════════════════╡
        │ dense[negatives=bm25] on demo ┆ AP      ┆ 0.4308 ┆ 0.5308 ┆ +0.1000*   ┆ 0.0176 ┆ 8/2/2            │
        └───────────────────────────────┴─────────┴────────┴────────┴────────────┴────────┴──────────────────┘
        * p < .05, paired t-test over queries, Holm correction over the figures that moved
        the same on every query: 1 more
        largest moves of dense[negatives=bm25] on demo by AP:
            q2  0.630 → 1.000
            q10  0.000 → 0.250
            q9  0.750 → 0.900
            q5  0.250 → 0.390
            q11  0.500 → 0.630
        ");
    }

    #[test]
    fn tiny_p_values_are_not_zero() {
        assert_eq!(
            [p_value(1e-9), p_value(1e-4), p_value(1.0)],
            ["<0.0001", "0.0001", "1.0000"]
        );
    }

    #[test]
    fn values_are_brief() {
        assert_eq!(value(Some(&json!("ab".repeat(32)))), "abababababab…");
        assert_eq!(value(Some(&json!("a\nb"))), "a\\nb");
        assert_eq!(value(Some(&json!(0.7))), "0.7");
        assert_eq!(value(None), "(none)");
    }
}
