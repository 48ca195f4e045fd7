//! Every comparison of a table on a line of its own: how large, how sure, and what it would take to be surer.

use crate::{
    Figure, Options, Row, Table,
    cells::{legend, p_value},
    label,
    text::frame,
};

const HEADER: [&str; 10] = [
    "arm",
    "measure",
    "difference",
    "interval",
    "p",
    "g",
    "wins/losses/ties",
    "detectable",
    "queries needed",
    "seeds needed",
];

/// The comparisons of `table` for a terminal; that there are none, if there are none.
pub fn details(table: &Table, options: &Options) -> String {
    let compared = |row: &&Row| row.scores.values().any(|figure| figure.delta.is_some());
    if !table.rows.iter().any(|row| compared(&row)) {
        return "nothing is compared: name a `baseline` in `report`\n".into();
    }
    let mut drawn = frame(HEADER.map(String::from).to_vec(), false);
    for row in table.rows.iter().filter(compared) {
        for measure in &table.measures {
            let figure = row.scores.get(measure).filter(|figure| figure.delta.is_some());
            if let Some(figure) = figure {
                drawn.add_row(line(row, measure, figure));
            }
        }
    }
    let about = "g: Hedges' g_z over queries; detectable: the least difference these queries would find; needed: how many \
                 queries find an effect of this size, how many seeds an arm this difference (level .05, power .8)";
    format!("{}\n{}\n{about}\n", drawn.trim_fmt(), legend(table, options))
}

fn line(row: &Row, measure: &str, figure: &Figure) -> [String; HEADER.len()] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let interval = figure.ci.map(|[low, high]| format!("{low:+.4} to {high:+.4}"));
    let counts = figure.counts.as_ref();
    let counts = counts.map(|counts| format!("{}/{}/{}", counts.wins, counts.losses, counts.ties));
    [
        format!("{} on {}", label(&row.system, &row.point), row.collection),
        measure.to_owned(),
        or_dash(figure.delta.map(|delta| format!("{delta:+.4}"))),
        or_dash(interval),
        or_dash(figure.p.map(p_value)),
        or_dash(figure.effect.map(|effect| format!("{effect:+.2}"))),
        or_dash(counts),
        or_dash(figure.detectable.map(|least| format!("{least:.4}"))),
        or_dash(figure.queries_needed.map(|queries| queries.to_string())),
        or_dash(figure.seeds_needed.map(|seeds| seeds.to_string())),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{table, text::tests::sample};

    #[test]
    fn comparisons_read_well() {
        let (table, options) = sample();
        insta::assert_snapshot!(details(&table, &options), @r"
        ┌─────────────────────────────────┬─────────┬────────────┬──────────┬─────────┬───────┬──────────────────┬────────────┬────────────────┬──────────────┐
        │ arm                             ┆ measure ┆ difference ┆ interval ┆ p       ┆ g     ┆ wins/losses/ties ┆ detectable ┆ queries needed ┆ seeds needed │
        ╞═════════════════════════════════╪═════════╪════════════╪══════════╪═════════╪═══════╪══════════════════╪════════════╪════════════════╪══════════════╡
        │ dense[negatives=bm25] on demo   ┆ nDCG@10 ┆ +0.0481    ┆ -        ┆ 0.1256  ┆ +0.55 ┆ 6/2/0            ┆ 0.0905     ┆ 29             ┆ 8            │
        │ dense[negatives=random] on demo ┆ nDCG@10 ┆ +0.0305    ┆ -        ┆ <0.0001 ┆ -     ┆ 8/0/0            ┆ -          ┆ -              ┆ 2            │
        └─────────────────────────────────┴─────────┴────────────┴──────────┴─────────┴───────┴──────────────────┴────────────┴────────────────┴──────────────┘
        in brackets the difference from system=bm25; * p < .05 after Holm correction over 2 comparisons, paired t-test over queries
        ± sample standard deviation over 2 seeds
        8 queries
        g: Hedges' g_z over queries; detectable: the least difference these queries would find; needed: how many queries find an effect of this size, how many seeds an arm this difference (level .05, power .8)
        ");
    }

    #[test]
    fn without_a_baseline_there_are_none() {
        let table = table(&[], &Options::default()).unwrap();
        assert!(details(&table, &Options::default()).starts_with("nothing is compared"));
    }
}
