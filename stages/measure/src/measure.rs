//! Measures by ir_measures' names, computed as trec_eval does.

use std::{fmt, str::FromStr};

use ablate_core::similar;

use crate::Judged;

/// A measure over one ranking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure {
    family: Family,
    cutoff: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Ndcg,
    Recall,
    ReciprocalRank,
    AveragePrecision,
    Precision,
    RPrecision,
    Bpref,
    Success,
}

/// Name, family, and whether a cutoff must, may or may not follow.
const FAMILIES: [(&str, Family, Cut); 8] = [
    ("nDCG", Family::Ndcg, Cut::May),
    ("R", Family::Recall, Cut::Must),
    ("RR", Family::ReciprocalRank, Cut::May),
    ("AP", Family::AveragePrecision, Cut::May),
    ("P", Family::Precision, Cut::Must),
    ("Rprec", Family::RPrecision, Cut::MayNot),
    ("Bpref", Family::Bpref, Cut::MayNot),
    ("Success", Family::Success, Cut::Must),
];

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Must,
    May,
    MayNot,
}

/// A name that is no measure, with what it could have been.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no measure: {help}")]
pub struct UnknownMeasure {
    name: String,
    help: String,
}

impl Measure {
    /// A regular expression of every measure's name.
    pub fn pattern() -> String {
        let name = |(name, _, cut): &(&str, Family, Cut)| match cut {
            Cut::Must => format!("{name}@0*[1-9][0-9]*"),
            Cut::May => format!("{name}(@0*[1-9][0-9]*)?"),
            Cut::MayNot => (*name).to_owned(),
        };
        format!("^({})$", FAMILIES.iter().map(name).collect::<Vec<_>>().join("|"))
    }
}

impl FromStr for Measure {
    type Err = UnknownMeasure;

    fn from_str(text: &str) -> Result<Self, UnknownMeasure> {
        let (name, cutoff) = match text.split_once('@') {
            Some((name, cutoff)) => (name, Some(cutoff)),
            None => (text, None),
        };
        let fail = |help: String| UnknownMeasure {
            name: text.to_owned(),
            help,
        };
        let Some((_, family, cut)) = FAMILIES.iter().find(|(known, ..)| *known == name) else {
            let near = similar(name, FAMILIES.iter().map(|(known, ..)| *known));
            return Err(fail(match near.first() {
                Some(best) => format!("did you mean `{}`?", text.replacen(name, best, 1)),
                None => "there is nDCG, nDCG@k, R@k, RR, RR@k, AP, AP@k, P@k, Rprec, Bpref, Success@k".into(),
            }));
        };
        let cutoff = cutoff
            .map(|k| k.parse::<usize>().ok().filter(|k| *k > 0))
            .map(|k| {
                k.ok_or_else(|| {
                    fail(format!(
                        "the cutoff must be a whole number above 0, as in `{name}@10`"
                    ))
                })
            });
        match (cut, cutoff.transpose()?) {
            (Cut::Must, None) => Err(fail(format!("it needs a cutoff, as in `{name}@10`"))),
            (Cut::MayNot, Some(_)) => Err(fail(format!("it has no cutoff: write `{name}`"))),
            (_, cutoff) => Ok(Self {
                family: *family,
                cutoff,
            }),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FAMILIES
            .iter()
            .find(|(_, family, _)| *family == self.family)
            .map_or("", |(name, ..)| name);
        match self.cutoff {
            Some(cutoff) => write!(f, "{name}@{cutoff}"),
            None => f.write_str(name),
        }
    }
}

impl Measure {
    /// Its value on one ranking. Formulas: trec_eval 9 (m_ndcg_cut.c, m_map.c, m_bpref.c, …).
    pub fn value(&self, query: &Judged) -> f64 {
        let cut = &query.grades[..self.cutoff.unwrap_or(usize::MAX).min(query.grades.len())];
        let relevant = query.relevant() as f64;
        match self.family {
            Family::Ndcg => ratio(gain(cut.iter().map(|g| g.unwrap_or(0))), self.ideal(query)),
            Family::Recall => ratio(hits(cut) as f64, relevant),
            Family::ReciprocalRank => first_hit(cut).map_or(0.0, |rank| 1.0 / rank as f64),
            Family::AveragePrecision => ratio(precisions(cut), relevant),
            Family::Precision => ratio(hits(cut) as f64, self.cutoff.unwrap_or(1) as f64),
            Family::RPrecision => ratio(
                hits(&query.grades[..query.relevant().min(query.grades.len())]) as f64,
                relevant,
            ),
            Family::Bpref => bpref(query),
            Family::Success => f64::from(u8::from(first_hit(cut).is_some())),
        }
    }

    /// The gain of the best ranking, cut like the run's.
    fn ideal(&self, query: &Judged) -> f64 {
        gain(
            query
                .ideal
                .iter()
                .copied()
                .take(self.cutoff.unwrap_or(usize::MAX)),
        )
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

fn is_hit(grade: &Option<i32>) -> bool {
    grade.is_some_and(|grade| grade > 0)
}

fn hits(grades: &[Option<i32>]) -> usize {
    grades.iter().filter(|grade| is_hit(grade)).count()
}

fn first_hit(grades: &[Option<i32>]) -> Option<usize> {
    grades.iter().position(is_hit).map(|at| at + 1)
}

/// Linear gain over log2(rank + 1).
fn gain(grades: impl Iterator<Item = i32>) -> f64 {
    grades
        .enumerate()
        .map(|(at, grade)| f64::from(grade.max(0)) / ((at + 2) as f64).log2())
        .sum()
}

/// The sum of the precisions at each relevant rank.
fn precisions(grades: &[Option<i32>]) -> f64 {
    let ranks = grades
        .iter()
        .enumerate()
        .filter(|(_, grade)| is_hit(grade))
        .map(|(at, _)| at + 1);
    ranks
        .enumerate()
        .map(|(seen, rank)| (seen + 1) as f64 / rank as f64)
        .sum()
}

/// Buckley and Voorhees 2004, as trec_eval: judged non-relevant above each relevant, bounded by min(R, N).
fn bpref(query: &Judged) -> f64 {
    let bound = query.relevant().min(query.judged - query.relevant()) as f64;
    let (mut above, mut sum) = (0usize, 0.0);
    for grade in query.grades.iter().flatten() {
        if *grade > 0 {
            sum += if above == 0 {
                1.0
            } else {
                1.0 - (above.min(query.relevant()) as f64).min(bound) / bound
            };
        } else {
            above += 1;
        }
    }
    ratio(sum, query.relevant() as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_read_and_write() {
        for name in [
            "nDCG@10",
            "nDCG",
            "R@100",
            "RR",
            "RR@10",
            "AP",
            "AP@100",
            "P@5",
            "Rprec",
            "Bpref",
            "Success@1",
        ] {
            assert_eq!(name.parse::<Measure>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn wrong_names_are_corrected() {
        let told = |name: &str| name.parse::<Measure>().unwrap_err().to_string();
        assert_eq!(
            told("NDCG@10"),
            "`NDCG@10` is no measure: did you mean `nDCG@10`?"
        );
        assert_eq!(told("P"), "`P` is no measure: it needs a cutoff, as in `P@10`");
        assert_eq!(
            told("R@0"),
            "`R@0` is no measure: the cutoff must be a whole number above 0, as in `R@10`"
        );
        assert_eq!(
            told("Rprec@5"),
            "`Rprec@5` is no measure: it has no cutoff: write `Rprec`"
        );
    }
}
