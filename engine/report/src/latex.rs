//! The table for a paper: LaTeX with booktabs.

use crate::{
    Options, Table,
    cells::legend,
    grid::{Column, Grid, written},
};

/// `table` as a `table` environment; its preamble needs `\usepackage{booktabs}`. The best mean of each column is bold.
pub fn latex(table: &Table, options: &Options) -> String {
    let grid = Grid::of(table);
    let form = "l".repeat(grid.names.len()) + &"r".repeat(grid.columns.len());
    let mut lines = vec![
        r"\begin{table}".to_owned(),
        r"\centering".to_owned(),
        format!(r"\begin{{tabular}}{{{form}}}"),
        r"\toprule".to_owned(),
    ];
    lines.extend(collections(&grid));
    let names = grid.names.iter().copied();
    lines.push(row(names
        .chain(grid.columns.iter().map(|column| column.measure))
        .map(escape)));
    lines.push(r"\midrule".into());
    lines.extend(
        grid.rows
            .iter()
            .map(|line| row(written(&grid, line, escape, bold).into_iter())),
    );
    let legend = escape(&legend(table, options)).replace('\n', "; ");
    lines.extend([
        r"\bottomrule".to_owned(),
        r"\end{tabular}".to_owned(),
        format!(r"\caption{{{legend}}}"),
        r"\end{table}".to_owned(),
    ]);
    lines.join("\n") + "\n"
}

/// The line of collections above that of measures, where there are several.
fn collections(grid: &Grid<'_>) -> Vec<String> {
    let groups: Vec<_> = grid
        .columns
        .chunk_by(|a, b| a.collection == b.collection)
        .collect();
    let title = |group: &&[Column<'_>]| {
        let name = group[0].collection.unwrap_or_default();
        format!(r"\multicolumn{{{}}}{{c}}{{{}}}", group.len(), escape(name))
    };
    if groups.len() < 2 {
        return vec![];
    }
    let mut first = grid.names.len() + 1;
    let rule = |group: &&[Column<'_>]| {
        let start = first;
        first += group.len();
        format!(r"\cmidrule(lr){{{start}-{}}}", first - 1)
    };
    let rules: String = groups.iter().map(rule).collect();
    let empty = grid.names.iter().map(|_| String::new());
    vec![row(empty.chain(groups.iter().map(title))), rules]
}

fn bold(text: &str) -> String {
    format!(r"\textbf{{{text}}}")
}

fn row(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(" & ") + r" \\"
}

/// Keeps what LaTeX takes for commands from taking effect, and writes signs as it knows them.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str(r"\textbackslash{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '~' => out.push_str(r"\textasciitilde{}"),
            '^' => out.push_str(r"\textasciicircum{}"),
            '<' | '>' => out.push_str(&format!("${c}$")),
            '*' => out.push_str(r"$^{*}$"),
            '±' => out.push_str(r"$\pm$"),
            '≈' => out.push_str(r"$\approx$"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Arm, arm::samples::arm, table, text};

    #[test]
    fn the_table_reads_well() {
        let (table, options) = text::tests::sample();
        insta::assert_snapshot!(latex(&table, &options), @r"
        \begin{table}
        \centering
        \begin{tabular}{llr}
        \toprule
        system & negatives & nDCG@10 \\
        \midrule
        bm25 & - & 0.4750 \\
        dense & bm25 & \textbf{0.5231 $\pm$ 0.0398  (+0.0481)} \\
        dense & random & 0.5055 $\pm$ 0.0007  (+0.0305$^{*}$) \\
        \bottomrule
        \end{tabular}
        \caption{in brackets the difference from system=bm25; $^{*}$ p $<$ .05 after Holm correction over 2 comparisons, paired t-test over queries; $\pm$ sample standard deviation over 2 seeds; 8 queries}
        \end{table}
        ");
    }

    #[test]
    fn collections_stand_above_their_measures() {
        let one = arm("s_1", &[], None, "AP", &[0.1, 0.2]);
        let two = Arm {
            collection: "nf&c".into(),
            ..one.clone()
        };
        let options = Options::default();
        insta::assert_snapshot!(latex(&table(&[one, two], &options).unwrap(), &options), @r"
        \begin{table}
        \centering
        \begin{tabular}{lrr}
        \toprule
         & \multicolumn{1}{c}{demo} & \multicolumn{1}{c}{nf\&c} \\
        \cmidrule(lr){2-2}\cmidrule(lr){3-3}
        system & AP & AP \\
        \midrule
        s\_1 & 0.1500 & 0.1500 \\
        \bottomrule
        \end{tabular}
        \caption{2 queries}
        \end{table}
        ");
    }
}
