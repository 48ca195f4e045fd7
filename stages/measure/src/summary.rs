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
const TREC_EVAL: [(&str, &str, &[&str]); 23] = [
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
    ("ndcg", "nDCG", &[]),
    ("ndcg_cut", "nDCG@{}", RANKS),
    ("map_cut", "AP@{}", RANKS),
    ("success", "Success@{}", &["1", "5", "10"]),
    ("set_P", "SetP", &[]),
    ("set_relative_P", "SetRelP", &[]),
    ("set_recall", "SetR", &[]),
    ("set_F", "SetF", &[]),
    ("set_map", "SetAP", &[]),
];

const RANKS: &[&str] = &["5", "10", "15", "20", "30", "100", "200", "500", "1000"];

/// What trec_eval prints where it is not told what to.
const OFFICIAL: [&str; 11] = [
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
];

/// The lines of trec_eval's `official`, its default.
pub fn official() -> Vec<Column> {
    OFFICIAL
        .iter()
        .flat_map(|name| trec_eval(name).unwrap_or_default())
        .collect()
}

/// The lines a name stands for: one for a name of ir_measures (`nDCG@10`), one or more for a name of trec_eval
/// (`map`, `ndcg_cut`, `ndcg_cut.10,20`, `P_5`, `official`).
///
/// # Errors
/// The name is neither.
pub fn columns(name: &str) -> Result<Vec<Column>, UnknownMeasure> {
    match name.parse() {
        _ if name == "official" => Ok(official()),
        Ok(measure) => Ok(vec![Column::new(name, measure, false)]),
        Err(error) => trec_eval(name).ok_or(error),
    }
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
    let (base, cuts) = name.split_once('.').or_else(|| name.rsplit_once('_'))?;
    let (known, pattern, _) = TREC_EVAL
        .iter()
        .find(|(known, _, cuts)| *known == base && !cuts.is_empty())?;
    cuts.split(',')
        .map(|cut| with_cutoff(known, pattern, cut))
        .collect()
}

fn with_cutoff(known: &str, pattern: &str, cut: &str) -> Option<Column> {
    let measure = pattern.replace("{}", cut).parse().ok()?;
    Some(Column::new(format!("{known}_{cut}"), measure, false))
}
