//! The table for a terminal.

use comfy_table::{Attribute, Cell, presets::UTF8_FULL_CONDENSED};

use crate::{
    Options, Table,
    cells::{figure, legend, missing},
    grid::{Column, Grid},
};

/// `table` with borders and a legend; with `color` the best mean of each column is bold.
pub fn text(table: &Table, options: &Options, color: bool) -> String {
    if table.rows.is_empty() {
        let lines = ["nothing was evaluated".to_owned()].into_iter();
        return lines.chain(missing(table)).collect::<Vec<_>>().join("\n") + "\n";
    }
    let grid = Grid::of(table);
    let title = |column: &Column<'_>| match column.collection {
        Some(collection) => format!("{collection}\n{}", column.measure),
        None => column.measure.to_owned(),
    };
    let names = grid.names.iter().map(ToString::to_string);
    let mut drawn = frame(names.chain(grid.columns.iter().map(title)).collect(), color);
    for line in &grid.rows {
        let figures = grid.cells(line).into_iter().map(|(found, best)| {
            let cell = Cell::new(figure(found));
            if best {
                cell.add_attribute(Attribute::Bold)
            } else {
                cell
            }
        });
        drawn.add_row(
            line.labels
                .iter()
                .map(Cell::new)
                .chain(figures)
                .collect::<Vec<_>>(),
        );
    }
    format!("{}\n{}\n", drawn.trim_fmt(), legend(table, options))
}

/// An empty table with this header, as wide as its content wants: results that wrap cannot be compared by eye.
pub(crate) fn frame(header: Vec<String>, color: bool) -> comfy_table::Table {
    let mut frame = comfy_table::Table::new();
    frame.load_style(UTF8_FULL_CONDENSED).set_header(header);
    if color {
        frame.enforce_styling();
    } else {
        frame.force_no_tty();
    }
    frame
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use crate::{arm::samples::arm, table};

    pub(crate) fn sample() -> (Table, Options) {
        let with = |shift: f64| -> Vec<f64> { (0..8).map(|i| 0.3 + f64::from(i) * 0.05 + shift).collect() };
        let noisy: Vec<f64> = (0..8).map(|i| 0.42 + f64::from(i * i % 5) * 0.07).collect();
        let arms = [
            arm("bm25", &[], None, "nDCG@10", &with(0.0)),
            arm("dense", &[("negatives", "bm25")], Some("1"), "nDCG@10", &noisy),
            arm(
                "dense",
                &[("negatives", "bm25")],
                Some("2"),
                "nDCG@10",
                &with(0.02),
            ),
            arm(
                "dense",
                &[("negatives", "random")],
                Some("1"),
                "nDCG@10",
                &with(0.031),
            ),
            arm(
                "dense",
                &[("negatives", "random")],
                Some("2"),
                "nDCG@10",
                &with(0.030),
            ),
        ];
        let baseline = [("system".to_owned(), "bm25".to_owned())].into();
        let options = Options {
            baseline,
            ..Options::default()
        };
        (table(&arms, &options).unwrap(), options)
    }

    #[test]
    fn the_table_reads_well() {
        let (table, options) = sample();
        insta::assert_snapshot!(text(&table, &options, false), @r"
        ┌────────┬───────────┬─────────────────────────────┐
        │ system ┆ negatives ┆ nDCG@10                     │
        ╞════════╪═══════════╪═════════════════════════════╡
        │ bm25   ┆ -         ┆ 0.4750                      │
        │ dense  ┆ bm25      ┆ 0.5231 ± 0.0398  (+0.0481)  │
        │ dense  ┆ random    ┆ 0.5055 ± 0.0007  (+0.0305*) │
        └────────┴───────────┴─────────────────────────────┘
        in brackets the difference from system=bm25; * p < .05 after Holm correction over 2 comparisons, paired t-test over queries
        ± sample standard deviation over 2 seeds
        8 queries
        ");
    }

    #[test]
    fn color_marks_only_the_best() {
        let (table, options) = sample();
        let bold: Vec<_> = text(&table, &options, true)
            .lines()
            .filter(|line| line.contains("\u{1b}[1m"))
            .map(String::from)
            .collect();
        assert_eq!(bold.len(), 1, "{bold:?}");
        assert!(bold[0].contains("bm25") && bold[0].contains("dense"), "{bold:?}");
        assert!(!text(&table, &options, false).contains('\u{1b}'));
    }

    #[test]
    fn what_is_missing_is_said() {
        let (mut table, options) = sample();
        table.missing.push(crate::Missing {
            system: "dense".into(),
            collection: "demo".into(),
            point: [("negatives".to_owned(), "llm".to_owned())].into(),
            replicate: Some("2".into()),
            reason: "`triples[negatives=llm]` failed".into(),
        });
        let told = text(&table, &options, false);
        let last = told.lines().last().unwrap();
        assert_eq!(
            last,
            "missing: dense[negatives=llm,seed=2] on demo: `triples[negatives=llm]` failed"
        );
        table.rows.clear();
        assert!(text(&table, &options, false).ends_with(&format!("{last}\n")));
    }

    #[test]
    fn an_empty_table_says_so() {
        let options = Options::default();
        assert_eq!(
            text(&table(&[], &options).unwrap(), &options, false),
            "nothing was evaluated\n"
        );
    }
}
