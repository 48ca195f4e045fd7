//! What trec_eval prints: measures under its own names, and how their values become one.

use std::fmt;

use crate::{Measure, UnknownMeasure};

/// How the values of the queries become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mean {
    /// Counts are added up.
    Sum,
    /// The arithmetic mean.
    Arithmetic,
    /// The geometric mean, values below .00001 raised to it (trec_eval's MIN_GEO_MEAN).
    Geometric,
}

/// One line of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// What the line is called.
    pub label: String,
    /// What is measured.
    pub measure: Measure,
    /// How the values of the queries become one.
    pub mean: Mean,
}

impl Column {
    fn new(label: impl Into<String>, measure: Measure, geometric: bool) -> Self {
        let mean = match (measure.is_count(), geometric) {
            (true, _) => Mean::Sum,
            (false, true) => Mean::Geometric,
            (false, false) => Mean::Arithmetic,
        };
        Self {
            label: label.into(),
            measure,
            mean,
        }
    }

    /// Whether a single query has such a line: trec_eval prints the number of queries and geometric means for all queries only.
    pub fn is_per_query(&self) -> bool {
        self.mean != Mean::Geometric && self.label != "num_q"
    }

    /// One value from those of the queries; 0 where there are none.
    pub fn fold(&self, values: impl ExactSizeIterator<Item = f64>) -> f64 {
        const LEAST: f64 = 0.00001;
        let count = values.len().max(1) as f64;
        match self.mean {
            Mean::Sum => values.sum(),
            Mean::Arithmetic => values.sum::<f64>() / count,
            Mean::Geometric => (values.map(|value| value.max(LEAST).ln()).sum::<f64>() / count).exp(),
        }
    }

    /// A value as trec_eval writes it: counts whole, others with four decimals.
    pub fn format(&self, value: f64) -> impl fmt::Display + use<> {
        match self.mean {
            Mean::Sum => format!("{value:.0}"),
            _ => format!("{value:.4}"),
        }
    }
}

/// trec_eval's measures: its name, ir_measures' with `{}` for the cutoff, and the default cutoffs.
const TREC_EVAL: [(&str, &str, &[&str]); 35] = [
    ("num_q", "NumQ", &[]),
    ("num_ret", "NumRet", &[]),
    ("num_rel", "NumRel", &[]),
    ("num_rel_ret", "NumRelRet", &[]),
    ("map", "AP", &[]),
    ("gm_map", "AP", &[]),
    ("Rprec", "Rprec", &[]),
    ("bpref", "Bpref", &[]),
    ("gm_bpref", "Bpref", &[]),
    ("recip_rank", "RR", &[]),
    (
        "iprec_at_recall",
        "IPrec@{}",
        &[
            "0.00", "0.10", "0.20", "0.30", "0.40", "0.50", "0.60", "0.70", "0.80", "0.90", "1.00",
        ],
    ),
    ("P", "P@{}", RANKS),
    ("recall", "R@{}", RANKS),
    ("infAP", "infAP", &[]),
    (
        "Rprec_mult",
        "Rprec_mult@{}",
        &[
            "0.20", "0.40", "0.60", "0.80", "1.00", "1.20", "1.40", "1.60", "1.80", "2.00",
        ],
    ),
    ("utility", "utility", &[]),
    ("11pt_avg", "11pt_avg", &[]),
    ("binG", "binG", &[]),
    ("G", "G", &[]),
    ("ndcg", "nDCG", &[]),
    ("ndcg_rel", "ndcg_rel", &[]),
    ("Rndcg", "Rndcg", &[]),
    ("ndcg_cut", "nDCG@{}", RANKS),
    ("map_cut", "AP@{}", RANKS),
    ("relative_P", "relative_P@{}", RANKS),
    ("success", "Success@{}", &["1", "5", "10"]),
    ("set_P", "SetP", &[]),
    ("set_relative_P", "SetRelP", &[]),
    ("set_recall", "SetR", &[]),
    ("set_F", "SetF", &[]),
    ("set_map", "SetAP", &[]),
    ("num_nonrel_judged_ret", "num_nonrel_judged_ret", &[]),
    ("rbp", "RBP(p=0.9)", &[]),
    ("rbp_resid", "rbp_resid", &[]),
    ("unj", "unj@{}", &["5", "10", "20"]),
];

const RANKS: &[&str] = &["5", "10", "15", "20", "30", "100", "200", "500", "1000"];

/// trec_eval's names for several measures; `all_trec` stands for all of [`TREC_EVAL`], without `relstring`, which is no number.
const NICKNAMES: [(&str, &[&str]); 2] = [
    (
        "official",
        &[
            "num_q",
            "num_ret",
            "num_rel",
            "num_rel_ret",
            "map",
            "gm_map",
            "Rprec",
            "bpref",
            "recip_rank",
            "iprec_at_recall",
            "P",
        ],
    ),
    (
        "set",
        &[
            "num_q",
            "num_ret",
            "num_rel",
            "num_rel_ret",
            "utility",
            "set_P",
            "set_recall",
            "set_relative_P",
            "set_map",
            "set_F",
        ],
    ),
];

/// The lines of trec_eval's `official`, its default.
pub fn official() -> Vec<Column> {
    nickname("official").unwrap_or_default()
}

/// Whether a name stands for trec_eval's own choice of measures: `official`, `set`, `all_trec`.
pub fn is_nickname(name: &str) -> bool {
    nickname(name.trim()).is_some()
}

/// The lines of one of trec_eval's names for several measures.
fn nickname(name: &str) -> Option<Vec<Column>> {
    let all: Vec<&str> = match NICKNAMES.iter().find(|(known, _)| *known == name) {
        Some((_, names)) => names.to_vec(),
        None if name == "all_trec" => TREC_EVAL.iter().map(|(known, ..)| *known).collect(),
        None => return None,
    };
    Some(all.into_iter().filter_map(trec_eval).flatten().collect())
}

/// The lines a name stands for: one for a name of ir_measures (`nDCG@10`), one or more for a name of trec_eval
/// (`map`, `ndcg_cut`, `ndcg_cut.10,20`, `P_5`, `official`).
///
/// # Errors
/// The name is neither.
pub fn columns(name: &str) -> Result<Vec<Column>, UnknownMeasure> {
    let name = name.trim();
    let known = nickname(name).or_else(|| trec_eval(name));
    let measure = || Ok(vec![Column::new(name, name.parse()?, false)]);
    known.map_or_else(measure, Ok)
}

/// trec_eval's names.
pub(crate) fn trec_names() -> impl Iterator<Item = &'static str> {
    TREC_EVAL.iter().map(|(known, ..)| *known)
}

/// A regular expression of the names that [`columns`] takes and that one value a query answers to.
pub(crate) fn pattern() -> String {
    let names = TREC_EVAL.iter().filter(|(known, ..)| !known.starts_with("gm_"));
    let name = |(known, _, cuts): &(&str, &str, &[&str])| match cuts {
        [] => (*known).to_owned(),
        _ => format!("{known}[._][0-9][0-9.]*"),
    };
    let names: Vec<String> = names.map(name).collect();
    format!("^({})$|{}", names.join("|"), Measure::pattern())
}

fn trec_eval(name: &str) -> Option<Vec<Column>> {
    let whole = TREC_EVAL.iter().find(|(known, ..)| *known == name);
    if let Some((known, pattern, cuts)) = whole {
        return match cuts {
            [] => Some(vec![Column::new(
                *known,
                pattern.parse().ok()?,
                known.starts_with("gm_"),
            )]),
            cuts => cuts.iter().map(|cut| with_cutoff(known, pattern, cut)).collect(),
        };
    }
    // `iprec_at_recall_0.10` has a point in its cutoff.
    let splits = [name.rsplit_once('_'), name.split_once('.')];
    let found = splits.into_iter().flatten().find_map(|(base, cuts)| {
        let with_cuts = |(known, _, cuts): &&(&str, &str, &[&str])| *known == base && !cuts.is_empty();
        let (known, pattern, _) = TREC_EVAL.iter().find(with_cuts)?;
        Some((known, pattern, cuts))
    });
    let (known, pattern, cuts) = found?;
    cuts.split(',')
        .map(|cut| with_cutoff(known, pattern, cut))
        .collect()
}

fn with_cutoff(known: &str, pattern: &str, cut: &str) -> Option<Column> {
    let measure = pattern.replace("{}", cut).parse().ok()?;
    Some(Column::new(format!("{known}_{cut}"), measure, false))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_trec_eval_stand_for_lines() {
        let labels = |name: &str| -> Vec<String> {
            let columns = columns(name).unwrap().into_iter();
            columns.map(|column| column.label).collect()
        };
        assert_eq!(labels("ndcg_cut.5,10"), ["ndcg_cut_5", "ndcg_cut_10"]);
        assert_eq!(labels("iprec_at_recall_0.10"), ["iprec_at_recall_0.10"]);
        assert_eq!(labels("Rprec_mult.0.5"), ["Rprec_mult_0.5"]);
        assert_eq!(labels("set").len(), 10);
        // The lines of NIST's out.test.a but `runid`.
        assert_eq!(labels("all_trec").len(), 98);
        let told = columns("ndgc_cut_10").unwrap_err().to_string();
        assert!(told.contains("did you mean `ndcg_cut_10`?"), "{told}");
    }
}
