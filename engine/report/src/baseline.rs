//! Which row each row is compared with.

use std::collections::{BTreeMap, BTreeSet};

use crate::{fold::Folded, options::suggestion};

/// The baseline key that names an evaluate stage rather than an axis.
const SYSTEM: &str = "system";

/// For each row the place of the row it is compared with, and what there is to warn of.
///
/// A baseline row has the system and the labels that `baseline` names. Another row is compared with the baseline row
/// of its collection that has the row's own labels on all other axes; where several have, with that of its system.
pub(crate) fn baselines(
    rows: &[Folded<'_>],
    baseline: &BTreeMap<String, String>,
) -> (Vec<Option<usize>>, Vec<String>) {
    if baseline.is_empty() || rows.is_empty() {
        return (vec![None; rows.len()], Vec::new());
    }
    let named: Vec<_> = (0..rows.len())
        .filter(|&place| is_named(&rows[place], baseline))
        .collect();
    if named.is_empty() {
        return (vec![None; rows.len()], vec![nothing_named(rows, baseline)]);
    }
    let mut warnings = Vec::new();
    let mut chosen = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let found = if named.contains(&place) {
            Ok(None)
        } else {
            choose(rows, row, &named, baseline).map(Some)
        };
        chosen.push(found.unwrap_or_else(|warning| {
            warnings.push(warning);
            None
        }));
    }
    (chosen, warnings)
}

/// Whether a row has everything that `baseline` names.
fn is_named(row: &Folded<'_>, baseline: &BTreeMap<String, String>) -> bool {
    baseline.iter().all(|(axis, label)| match axis.as_str() {
        SYSTEM => row.system == label,
        _ => row.point.get(axis) == Some(label),
    })
}

fn choose(
    rows: &[Folded<'_>],
    row: &Folded<'_>,
    named: &[usize],
    baseline: &BTreeMap<String, String>,
) -> Result<usize, String> {
    let mut fits: Vec<_> = named
        .iter()
        .copied()
        .filter(|&place| fits(&rows[place], row, baseline))
        .collect();
    if fits.len() > 1 && fits.iter().any(|&place| rows[place].system == row.system) {
        fits.retain(|&place| rows[place].system == row.system);
    }
    match fits[..] {
        [place] => Ok(place),
        [] => Err(format!(
            "`{}` has no baseline: no baseline row shares its collection and labels",
            row.label()
        )),
        [first, second, ..] => Err(format!(
            "`{}` has no baseline: `{}` and `{}` fit equally; name more axes, or the system, in `baseline`",
            row.label(),
            rows[first].label(),
            rows[second].label()
        )),
    }
}

/// Whether `candidate` has the labels of `row` on every axis that `baseline` leaves open and both have.
fn fits(candidate: &Folded<'_>, row: &Folded<'_>, baseline: &BTreeMap<String, String>) -> bool {
    let open_axis_agrees = |(axis, label): (&String, &String)| {
        baseline.contains_key(axis) || row.point.get(axis).is_none_or(|own| own == label)
    };
    candidate.collection == row.collection && candidate.point.iter().all(open_axis_agrees)
}

fn nothing_named(rows: &[Folded<'_>], baseline: &BTreeMap<String, String>) -> String {
    let wanted: Vec<_> = baseline
        .iter()
        .map(|(axis, label)| format!("{axis}={label}"))
        .collect();
    let help = baseline
        .iter()
        .find_map(|(axis, label)| unknown(rows, axis, label));
    let help = help.unwrap_or_else(|| "no row has all of these".into());
    format!(
        "nothing is compared: no row is the baseline {}: {help}",
        wanted.join(",")
    )
}

/// What is wrong with one entry of the baseline, if no row has it.
fn unknown(rows: &[Folded<'_>], axis: &str, wanted: &str) -> Option<String> {
    let label = |row: &Folded<'_>| match axis {
        SYSTEM => Some(row.system.to_owned()),
        _ => row.point.get(axis).cloned(),
    };
    let labels = rows.iter().filter_map(label).collect::<BTreeSet<_>>();
    if labels.is_empty() {
        let names = rows.iter().flat_map(|row| row.point.keys().cloned());
        let names: BTreeSet<_> = names.chain([SYSTEM.to_owned()]).collect();
        let help = suggestion(axis, names.iter().map(String::as_str));
        return Some(format!("no row has an axis `{axis}`; {help}"));
    }
    let help = suggestion(wanted, labels.iter().map(String::as_str));
    (!labels.contains(wanted)).then(|| format!("no row has {axis} `{wanted}`; {help}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Arm, arm::samples::arm, fold::fold};

    fn row(system: &str, point: &[(&str, &str)]) -> Arm {
        arm(system, point, None, "AP", &[0.5])
    }

    fn chosen(arms: &[Arm], baseline: &[(&str, &str)]) -> (Vec<Option<usize>>, Vec<String>) {
        let baseline = baseline.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        baselines(&fold(arms).unwrap(), &baseline)
    }

    #[test]
    fn open_axes_match_one_to_one() {
        let arms = [
            row("s", &[("size", "8b"), ("neg", "bm25")]),
            row("s", &[("size", "8b"), ("neg", "llm")]),
            row("s", &[("size", "70b"), ("neg", "bm25")]),
            row("s", &[("size", "70b"), ("neg", "llm")]),
        ];
        let (places, warnings) = chosen(&arms, &[("neg", "bm25")]);
        assert_eq!(places, [None, Some(0), None, Some(2)]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn a_system_without_axes_serves_all_rows() {
        let arms = [
            row("bm25", &[]),
            row("s", &[("neg", "a")]),
            row("s", &[("neg", "b")]),
        ];
        assert_eq!(chosen(&arms, &[("system", "bm25")]).0, [None, Some(0), Some(0)]);
    }

    #[test]
    fn the_own_system_is_preferred_and_ambiguity_is_told() {
        let arms = [
            row("s", &[("neg", "a")]),
            row("t", &[("neg", "a")]),
            row("t", &[("neg", "b")]),
            row("bm25", &[]),
        ];
        let (places, warnings) = chosen(&arms, &[("neg", "a")]);
        assert_eq!(places, [None, None, Some(1), None]);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("`bm25` has no baseline: `s[neg=a]` and `t[neg=a]` fit equally"));
    }

    #[test]
    fn other_collections_are_never_a_baseline() {
        let elsewhere = Arm {
            collection: "other".into(),
            ..row("s", &[("neg", "b")])
        };
        let (places, warnings) = chosen(&[row("s", &[("neg", "a")]), elsewhere], &[("neg", "a")]);
        assert_eq!(places, [None, None]);
        assert!(
            warnings[0].contains("no baseline row shares its collection"),
            "{warnings:?}"
        );
    }

    #[test]
    fn a_misspelt_baseline_is_told() {
        let arms = [row("untrained", &[]), row("s", &[("neg", "bm25")])];
        let warning = |baseline| chosen(&arms, &[baseline]).1.remove(0);
        assert!(
            warning(("system", "untraind"))
                .ends_with("no row has system `untraind`; did you mean `untrained`?")
        );
        assert!(warning(("neg", "bm2")).ends_with("no row has neg `bm2`; did you mean `bm25`?"));
        assert!(warning(("size", "8b")).ends_with("no row has an axis `size`; there is neg, system"));
    }
}
