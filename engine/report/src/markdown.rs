//! The table in GitHub's Markdown.

use crate::{
    Options, Table,
    cells::legend,
    grid::{Column, Grid, written},
};

/// `table` as Markdown, the best mean of each column in bold, the legend below.
pub fn markdown(table: &Table, options: &Options) -> String {
    let grid = Grid::of(table);
    let title = |column: &Column<'_>| match column.collection {
        Some(collection) => format!("{}<br>{}", escape(collection), escape(column.measure)),
        None => escape(column.measure),
    };
    let names = grid.names.iter().map(|name| escape(name));
    let rules = grid
        .names
        .iter()
        .map(|_| "---")
        .chain(grid.columns.iter().map(|_| "---:"));
    let mut lines = vec![
        line(names.chain(grid.columns.iter().map(title))),
        line(rules.map(String::from)),
    ];
    lines.extend(
        grid.rows
            .iter()
            .map(|row| line(written(&grid, row, escape, bold).into_iter())),
    );
    let legend = escape(&legend(table, options)).replace('\n', "<br>\n");
    format!("{}\n\n{legend}\n", lines.join("\n"))
}

fn bold(text: &str) -> String {
    format!("**{text}**")
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// Keeps marks of Markdown from taking effect.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('*', "\\*")
        .replace('_', "\\_")
        .replace('<', "\\<")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{arm::samples::arm, table, text};

    #[test]
    fn the_table_reads_well() {
        let (table, options) = text::tests::sample();
        insta::assert_snapshot!(markdown(&table, &options), @r"
        | system | negatives | nDCG@10 |
        | --- | --- | ---: |
        | bm25 | - | 0.4750 |
        | dense | bm25 | **0.5231 ± 0.0398  (+0.0481)** |
        | dense | random | 0.5055 ± 0.0007  (+0.0305\*) |

        in brackets the difference from system=bm25; \* p \< .05 after Holm correction over 2 comparisons, paired t-test over queries<br>
        ± sample standard deviation over 2 seeds<br>
        8 queries
        ");
    }

    #[test]
    fn marks_are_escaped() {
        let arms = [arm("a_b|c", &[], None, "AP", &[0.5])];
        let options = Options::default();
        let table = table(&arms, &options).unwrap();
        assert!(markdown(&table, &options).contains("| a\\_b\\|c | 0.5000 |"));
    }
}
