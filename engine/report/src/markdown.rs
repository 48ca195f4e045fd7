//! The table in GitHub's Markdown.

use crate::{
    Options, Table,
    cells::{Columns, figure, is_best, legend},
};

/// `table` as Markdown, the best mean of each collection and measure in bold, the legend below.
pub fn markdown(table: &Table, options: &Options) -> String {
    let columns = Columns::of(table);
    let what = columns.header();
    let rules = what
        .iter()
        .map(|_| "---")
        .chain(table.measures.iter().map(|_| "---:"))
        .map(String::from);
    let mut lines = vec![
        line(what.iter().chain(&table.measures).map(|name| escape(name))),
        line(rules),
    ];
    for row in &table.rows {
        let figures = table.measures.iter().map(|measure| {
            let figure = escape(&figure(row.scores.get(measure)));
            if is_best(table, row, measure) {
                format!("**{figure}**")
            } else {
                figure
            }
        });
        let what = columns.values(&row.system, &row.collection, &row.point);
        lines.push(line(what.iter().map(|value| escape(value)).chain(figures)));
    }
    let legend = escape(&legend(table, options)).replace('\n', "<br>\n");
    format!("{}\n\n{legend}\n", lines.join("\n"))
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
