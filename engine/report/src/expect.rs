//! Results against committed figures.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{Table, label};

/// Figures equal to four decimals are what tables of the field print as equal.
const PRINTED: f64 = 0.5e-4;

/// Committed figures of the rows that have these labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// Axis → label; `system` names an evaluate stage.
    pub at: BTreeMap<String, String>,
    /// Measure → figure.
    pub figures: BTreeMap<String, f64>,
    /// How far off is fine.
    pub tolerance: f64,
}

impl Expected {
    /// Whether a row of `system` at `point` has its labels.
    pub fn fits(&self, system: &str, point: &BTreeMap<String, String>) -> bool {
        self.at.iter().all(|(axis, label)| match axis.as_str() {
            "system" => system == label,
            _ => point.get(axis) == Some(label),
        })
    }
}

/// What a result says of a committed figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Verdict {
    /// Equal, to the four decimals that tables print.
    #[serde(rename = "OK")]
    Equal,
    /// Within the tolerance.
    #[serde(rename = "OKish")]
    Close,
    /// Beyond it.
    #[serde(rename = "FAIL")]
    Off,
    /// No row has these labels and the measure.
    #[serde(rename = "MISSING")]
    Missing,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Equal => "OK",
            Self::Close => "OKish",
            Self::Off => "FAIL",
            Self::Missing => "MISSING",
        })
    }
}

/// A committed figure beside the one found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// What became of it.
    pub verdict: Verdict,
    /// The row: of a missing one, what was asked for.
    pub row: String,
    /// Its collection; empty of a missing one.
    pub collection: String,
    /// The measure.
    pub measure: String,
    /// The committed figure.
    pub expected: f64,
    /// The mean found.
    pub found: Option<f64>,
    /// How far off is fine.
    pub tolerance: f64,
}

impl Judged {
    /// Whether the result agrees with what was committed.
    pub fn agrees(&self) -> bool {
        self.verdict <= Verdict::Close
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            row,
            measure,
            expected,
            tolerance,
            ..
        } = self;
        let place = if self.collection.is_empty() {
            String::new()
        } else {
            format!(" on {}", self.collection)
        };
        let found = self
            .found
            .map_or_else(|| "there is none".into(), |found| format!("{found:.4}"));
        write!(
            f,
            "{measure} of {row}{place}: {found}, expected {expected} ± {tolerance}"
        )
    }
}

/// Holds every committed figure against all rows that have its labels.
pub fn judge(table: &Table, expected: &[Expected]) -> Vec<Judged> {
    let figures = expected.iter().flat_map(|one| {
        one.figures
            .iter()
            .map(move |(measure, value)| (one, measure, *value))
    });
    figures
        .flat_map(|(one, measure, value)| judge_figure(table, one, measure, value))
        .collect()
}

fn judge_figure(table: &Table, one: &Expected, measure: &str, expected: f64) -> Vec<Judged> {
    let judged = |verdict, row: String, collection: &str, found| Judged {
        verdict,
        row,
        collection: collection.into(),
        measure: measure.into(),
        expected,
        found,
        tolerance: one.tolerance,
    };
    let rows = table.rows.iter().filter(|row| one.fits(&row.system, &row.point));
    let found = rows.filter_map(|row| Some((row, row.scores.get(measure)?.mean)));
    let each: Vec<_> = found
        .map(|(row, mean)| {
            let verdict = verdict((mean - expected).abs(), one.tolerance);
            judged(
                verdict,
                label(&row.system, &row.point),
                &row.collection,
                Some(mean),
            )
        })
        .collect();
    if !each.is_empty() {
        return each;
    }
    let mut at = one.at.clone();
    let system = at.remove("system").unwrap_or_else(|| "any system".into());
    vec![judged(Verdict::Missing, label(&system, &at), "", None)]
}

fn verdict(off: f64, tolerance: f64) -> Verdict {
    // A figure may be committed with the very digits that stand at the edge of its tolerance.
    const ROUNDING: f64 = 1e-9;
    if off <= PRINTED + ROUNDING {
        Verdict::Equal
    } else if off <= tolerance + ROUNDING {
        Verdict::Close
    } else {
        Verdict::Off
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Options, arm::samples::arm, table};

    fn judged(at: &[(&str, &str)], measure: &str, value: f64, tolerance: f64) -> Vec<String> {
        let arms = [
            arm("bm25", &[], None, "AP", &[0.5, 0.25]),
            arm("dense", &[("lr", "1")], None, "AP", &[0.5, 0.3]),
            arm("dense", &[("lr", "2")], None, "AP", &[0.5, 0.5]),
        ];
        let expected = Expected {
            at: at
                .iter()
                .map(|(axis, label)| ((*axis).into(), (*label).into()))
                .collect(),
            figures: [(measure.to_owned(), value)].into(),
            tolerance,
        };
        let table = table(&arms, &Options::default()).unwrap();
        let judged = judge(&table, &[expected]);
        judged
            .iter()
            .map(|one| format!("{}: {one}", one.verdict))
            .collect()
    }

    #[test]
    fn equal_close_and_off() {
        let bm25 = |value, tolerance| judged(&[("system", "bm25")], "AP", value, tolerance).remove(0);
        assert_eq!(
            bm25(0.375, 0.0),
            "OK: AP of bm25 on demo: 0.3750, expected 0.375 ± 0"
        );
        assert!(bm25(0.37504, 0.0).starts_with("OK:"));
        assert!(bm25(0.3751, 0.0).starts_with("FAIL:"));
        assert!(bm25(0.38, 0.005).starts_with("OKish:"));
        assert!(bm25(0.381, 0.005).starts_with("FAIL:"));
    }

    #[test]
    fn every_row_with_the_labels_is_judged() {
        let found = judged(&[("system", "dense")], "AP", 0.4, 0.0);
        let verdicts: Vec<_> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(verdicts, ["OK", "FAIL"]);
    }

    #[test]
    fn what_no_row_has_is_missing() {
        let expected = "MISSING: AP of dense[lr=3]: there is none, expected 0.4 ± 0";
        assert_eq!(
            judged(&[("lr", "3"), ("system", "dense")], "AP", 0.4, 0.0),
            [expected]
        );
        assert!(judged(&[], "RR", 0.4, 0.0)[0].starts_with("MISSING: RR of any system"));
    }
}
