//! Measures by ir_measures' names.

use std::{fmt, str::FromStr};

use ablate_core::similar;

use crate::{
    Judged,
    formula::{Dcg, Formula, Ranking},
    name::{Name, integer_map, unquoted},
    summary::trec_names,
};

/// A measure over one ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    name: String,
    formula: Formula,
    cutoff: Option<usize>,
    /// The least relevant grade; the evaluation's where the name does not say.
    rel: Option<i32>,
    /// Documents without a judgement are taken out of the ranking first.
    judged_only: bool,
}

/// What may follow `@`.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Must,
    May,
    Never,
    Number,
}

/// ir_measures' name and aliases, what follows `@`, parameters, and the formula they make.
struct Family {
    names: &'static [&'static str],
    at: At,
    parameters: &'static [&'static str],
    make: fn(&Name<'_>) -> Result<Formula, String>,
}

const BINARY: &[&str] = &["rel", "judged_only"];
const REL: &[&str] = &["rel"];

const fn family(
    names: &'static [&'static str],
    at: At,
    parameters: &'static [&'static str],
    make: fn(&Name<'_>) -> Result<Formula, String>,
) -> Family {
    Family {
        names,
        at,
        parameters,
        make,
    }
}

const FAMILIES: [Family; 33] = [
    family(&["nDCG", "NDCG"], At::May, &["dcg", "gains", "judged_only"], ndcg),
    family(&["AP", "MAP"], At::May, BINARY, |_| Ok(Formula::AveragePrecision)),
    family(&["RR", "MRR"], At::May, BINARY, |_| Ok(Formula::ReciprocalRank)),
    family(&["P", "Precision"], At::Must, BINARY, |_| Ok(Formula::Precision)),
    family(&["R", "Recall"], At::Must, BINARY, |_| Ok(Formula::Recall)),
    family(&["Rprec", "RPrec"], At::Never, BINARY, |_| {
        Ok(Formula::RPrecision)
    }),
    family(&["Bpref", "BPref"], At::Never, REL, |_| Ok(Formula::Bpref)),
    family(&["infAP"], At::Never, REL, |_| Ok(Formula::InferredAp)),
    family(&["Success"], At::Must, BINARY, |_| Ok(Formula::Success)),
    family(&["IPrec"], At::Number, BINARY, interpolated),
    family(
        &["SetP"],
        At::Never,
        &["rel", "judged_only", "relative"],
        |name| {
            Ok(Formula::SetPrecision {
                relative: name.truth("relative")?,
            })
        },
    ),
    family(&["SetRelP"], At::Never, BINARY, |_| {
        Ok(Formula::SetPrecision { relative: true })
    }),
    family(&["SetR"], At::Never, REL, |_| Ok(Formula::SetRecall)),
    family(&["SetF"], At::Never, &["rel", "judged_only", "beta"], set_f),
    family(&["SetAP"], At::Never, BINARY, |_| Ok(Formula::SetAp)),
    family(&["RBP"], At::May, &["rel", "p"], rbp),
    family(&["ERR"], At::May, &[], |_| Ok(Formula::ExpectedReciprocalRank)),
    family(&["Judged"], At::May, &[], |_| Ok(Formula::Judged)),
    family(&["NumQ"], At::Never, &[], |_| Ok(Formula::Queries)),
    family(&["NumRel"], At::Never, REL, |_| Ok(Formula::Relevant)),
    family(&["NumRelRet"], At::Never, REL, |_| Ok(Formula::RelevantRetrieved)),
    // With a level it counts the relevant ones, as in ir_measures.
    family(&["NumRet"], At::Never, REL, |name| match name.integer("rel")? {
        Some(_) => Ok(Formula::RelevantRetrieved),
        None => Ok(Formula::Retrieved),
    }),
    // By trec_eval's names: ir_measures has none for them.
    family(&["relative_P"], At::Must, REL, |_| Ok(Formula::RelativePrecision)),
    family(&["Rprec_mult"], At::Number, REL, multiple),
    family(&["11pt_avg"], At::Never, REL, |_| Ok(Formula::ElevenPoints)),
    family(&["utility"], At::Never, REL, |_| Ok(Formula::Utility)),
    family(&["binG"], At::Never, REL, |_| Ok(Formula::BinaryG)),
    family(&["G"], At::Never, &[], |_| Ok(Formula::NormalisedGain)),
    family(&["ndcg_rel"], At::Never, &[], |_| Ok(Formula::NdcgAtRelevant)),
    family(&["Rndcg"], At::Never, &[], |_| Ok(Formula::NdcgAtLevels)),
    family(&["rbp_resid"], At::Never, &[], |_| {
        Ok(Formula::RankBiasedResidual)
    }),
    family(&["unj"], At::Must, &[], |_| Ok(Formula::Unjudged)),
    family(&["num_nonrel_judged_ret"], At::Never, REL, |_| {
        Ok(Formula::OthersJudgedRetrieved)
    }),
];

fn ndcg(name: &Name<'_>) -> Result<Formula, String> {
    let dcg = |text: &str| match unquoted(text)? {
        "log2" => Some(Dcg::Linear),
        "exp-log2" => Some(Dcg::Exponential),
        _ => None,
    };
    let gains = name.take("gains", "a map of whole numbers, as in {1:0,2:1}", integer_map)?;
    Ok(Formula::Ndcg {
        dcg: name
            .take("dcg", "'log2' or 'exp-log2'", dcg)?
            .unwrap_or(Dcg::Linear),
        gains: gains.unwrap_or_default(),
    })
}

fn interpolated(name: &Name<'_>) -> Result<Formula, String> {
    let recall = name
        .at
        .and_then(|text| text.parse().ok())
        .filter(|recall| (0.0..=1.0).contains(recall));
    let recall = recall.ok_or("it needs a recall of 0 to 1, as in `IPrec@0.2`")?;
    Ok(Formula::InterpolatedPrecision { recall })
}

fn multiple(name: &Name<'_>) -> Result<Formula, String> {
    let multiple = name
        .at
        .and_then(|text| text.parse().ok())
        .filter(|multiple: &f64| *multiple > 0.0 && multiple.is_finite());
    let multiple = multiple.ok_or("it needs a multiple above 0, as in `Rprec_mult@0.5`")?;
    Ok(Formula::PrecisionAtMultiple { multiple })
}

fn set_f(name: &Name<'_>) -> Result<Formula, String> {
    let positive = |text: &str| {
        text.parse()
            .ok()
            .filter(|beta: &f64| *beta > 0.0 && beta.is_finite())
    };
    let beta = name.take("beta", "a number above 0", positive)?.unwrap_or(1.0);
    Ok(Formula::SetF { beta })
}

fn rbp(name: &Name<'_>) -> Result<Formula, String> {
    let share = |text: &str| text.parse().ok().filter(|p: &f64| *p > 0.0 && *p < 1.0);
    let persistence = name.take("p", "a number between 0 and 1", share)?.unwrap_or(0.8);
    Ok(Formula::RankBiasedPrecision { persistence })
}

/// A name that is no measure, with what it could have been.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no measure: {help}")]
pub struct UnknownMeasure {
    name: String,
    help: String,
}

impl Measure {
    /// A regular expression of every measure's name. What stands in parentheses is not looked at.
    pub fn pattern() -> String {
        let name = |family: &Family| {
            let names = format!("({})({PARAMETERS})?", family.names.join("|"));
            match family.at {
                At::Must => format!("{names}@0*[1-9][0-9]*"),
                At::May => format!("{names}(@0*[1-9][0-9]*)?"),
                At::Number => format!("{names}@[0-9.]+"),
                At::Never => names,
            }
        };
        format!("^({})$", FAMILIES.iter().map(name).collect::<Vec<_>>().join("|"))
    }
}

/// A regular expression of a name's parameters.
const PARAMETERS: &str = r"\([^()]*\)";

impl FromStr for Measure {
    type Err = UnknownMeasure;

    fn from_str(text: &str) -> Result<Self, UnknownMeasure> {
        read(text).map_err(|help| UnknownMeasure {
            name: text.to_owned(),
            help,
        })
    }
}

fn read(text: &str) -> Result<Measure, String> {
    let name = Name::parse(text)?;
    let family = FAMILIES
        .iter()
        .find(|family| family.names.contains(&name.family))
        .ok_or_else(|| unknown(text, name.family))?;
    name.allow(family.parameters)?;
    Ok(Measure {
        name: text.to_owned(),
        formula: (family.make)(&name)?,
        cutoff: cutoff(&name, family.at)?,
        rel: name.integer("rel")?,
        judged_only: name.truth("judged_only")?,
    })
}

fn unknown(text: &str, family: &str) -> String {
    let parts: Vec<&str> = text.split(',').collect();
    if parts.len() > 1 && parts.iter().all(|part| read(part).is_ok()) {
        return "it is several: give each measure its own -m, or its own item of the list".into();
    }
    let known = FAMILIES.iter().flat_map(|family| family.names.iter().copied());
    // trec_eval's names have no `@`, and their cutoff behind `_` or `.`.
    let word = family.trim_end_matches(|c: char| c.is_ascii_digit() || "._,".contains(c));
    let best = match text.contains('@') {
        true => similar(family, known).first().copied(),
        false => similar(word, known.chain(trec_names())).first().copied(),
    };
    if let Some(best) = best {
        let word = if text.contains('@') { family } else { word };
        return format!("did you mean `{}`?", text.replacen(word, best, 1));
    }
    let names: Vec<_> = FAMILIES.iter().map(|family| family.names[0]).collect();
    format!("there is {}", names.join(", "))
}

fn cutoff(name: &Name<'_>, at: At) -> Result<Option<usize>, String> {
    let family = name.family;
    match (at, name.at) {
        (At::Must, None) => Err(format!("it needs a cutoff, as in `{family}@10`")),
        (At::Never, Some(_)) => Err(format!("it has no cutoff: write `{family}`")),
        (At::Must | At::May, Some(text)) => {
            let cutoff = text.parse().ok().filter(|cutoff| *cutoff > 0);
            let help = || format!("the cutoff must be a whole number above 0, as in `{family}@10`");
            cutoff.map(Some).ok_or_else(help)
        }
        _ => Ok(None),
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Measure {
    /// Its value on one ranking; `level` is the least relevant grade where its name does not say.
    pub fn value(&self, query: &Judged, level: i32) -> f64 {
        let judged: Vec<Option<i32>>;
        let grades = if self.judged_only {
            judged = query
                .grades
                .iter()
                .copied()
                .filter(|grade| grade.is_some_and(|g| g >= 0))
                .collect();
            &judged
        } else {
            &query.grades
        };
        self.formula.value(&Ranking {
            grades,
            pool: &query.pool,
            level: self.rel.unwrap_or(level),
            level_named: self.rel.is_some(),
            cutoff: self.cutoff,
        })
    }

    /// Whether it measures the same, by whatever name.
    pub fn is_same(&self, other: &Self) -> bool {
        let named = Self {
            name: self.name.clone(),
            ..other.clone()
        };
        *self == named
    }

    /// Whether its values are counts, which trec_eval adds up over the queries.
    pub fn is_count(&self) -> bool {
        self.formula.is_count()
    }
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
            "P(rel=2)@10",
            "nDCG(dcg='exp-log2')@10",
            "nDCG(gains={1:0,2:3},judged_only=True)@5",
            "SetF(beta=2.0,rel=2)",
            "IPrec@0.1",
            "RBP(p=0.9,rel=1)",
            "ERR@20",
            "Judged@10",
            "NumRet(rel=1)",
            "infAP",
        ] {
            assert_eq!(name.parse::<Measure>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn wrong_names_are_corrected() {
        let told = |name: &str| name.parse::<Measure>().unwrap_err().to_string();
        assert_eq!(
            told("nDGC@10"),
            "`nDGC@10` is no measure: did you mean `nDCG@10`?"
        );
        // Names of trec_eval and of ir_measures differ by little more than case.
        for (name, meant) in [
            ("ndcg@10", "nDCG@10"),
            ("map@10", "MAP@10"),
            ("mrr", "MRR"),
            ("judged@5", "Judged@5"),
            ("p@5", "P@5"),
        ] {
            assert_eq!(
                told(name),
                format!("`{name}` is no measure: did you mean `{meant}`?")
            );
        }
        assert!(
            told("nDCG@10,P(rel=2)@5").ends_with("give each measure its own -m, or its own item of the list")
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
        assert_eq!(
            told("P(relevance=2)@5"),
            "`P(relevance=2)@5` is no measure: it has no parameter `relevance`: did you mean `rel`?"
        );
        assert_eq!(
            told("nDCG(dcg='exp')@5"),
            "`nDCG(dcg='exp')@5` is no measure: `dcg` must be 'log2' or 'exp-log2', not `'exp'`"
        );
        assert_eq!(
            told("P(rel=2@5"),
            "`P(rel=2@5` is no measure: a closing parenthesis is missing, as in `P(rel=2)@10`"
        );
    }
}
