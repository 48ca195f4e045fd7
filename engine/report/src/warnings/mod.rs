//! What a table should not be believed without.

mod models;

use crate::{Row, fold::Folded};

/// The level at which a difference is marked.
pub(crate) const LEVEL: f64 = 0.05;

/// How many rows a warning names.
const NAMED: usize = 3;

/// By what part budgets may differ and still count as equal.
const BUDGET: f64 = 0.01;

/// All warnings about the rows, `against` being the place of each one's baseline.
pub(crate) fn of(folded: &[Folded<'_>], against: &[Option<usize>], rows: &[Row]) -> Vec<String> {
    let mut warnings: Vec<_> = folded.iter().filter_map(unlike).collect();
    warnings.extend(two_factors(folded, against));
    let pairs = || {
        against
            .iter()
            .zip(folded)
            .filter_map(|(other, row)| Some((row, &folded[(*other)?])))
    };
    warnings.extend(pairs().filter_map(|(row, baseline)| models::confounded(row, baseline)));
    warnings.extend(pairs().filter_map(|(row, baseline)| unequal_negatives(row, baseline)));
    warnings.extend(within_seed_noise(folded, rows));
    warnings.extend(identical(folded));
    warnings
}

/// A row whose replicates are not of the same queries and judgements.
fn unlike(row: &Folded<'_>) -> Option<String> {
    let error = row.measures.values().find_map(|values| values.unlike.as_ref())?;
    Some(format!("means are averaged, queries are not compared: {error}"))
}

/// Rows that differ from their baseline in more than one respect: no single factor explains the difference.
fn two_factors(folded: &[Folded<'_>], against: &[Option<usize>]) -> Option<String> {
    let pairs = folded
        .iter()
        .zip(against)
        .filter_map(|(row, other)| Some((row, &folded[(*other)?])));
    let found: Vec<_> = pairs
        .filter(|(row, other)| factors(row, other) > 1)
        .map(|(row, _)| row.label())
        .collect();
    let more = found.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let named: Vec<_> = found.iter().take(NAMED).map(String::as_str).collect();
    (!found.is_empty()).then(|| {
        format!(
            "more than one factor changes between the baseline and {}{more}",
            named.join(", ")
        )
    })
}

/// A row whose models saw another number of hard negatives for each query than its baseline's.
fn unequal_negatives(row: &Folded<'_>, baseline: &Folded<'_>) -> Option<String> {
    let mean = |row: &Folded<'_>| {
        let each: Vec<_> = row.arms.iter().filter_map(|arm| arm.negatives).collect();
        (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
    };
    let (ours, theirs) = (mean(row)?, mean(baseline)?);
    ((ours - theirs).abs() > BUDGET * theirs).then(|| {
        format!(
            "{} was trained with {ours:.2} negatives a query, its baseline {} with {theirs:.2}: unequal budgets",
            row.label(),
            baseline.label()
        )
    })
}

/// How many of system and shared axes differ.
fn factors(row: &Folded<'_>, other: &Folded<'_>) -> usize {
    let differs =
        |(axis, label): &(&String, &String)| other.point.get(*axis).is_some_and(|theirs| theirs != *label);
    usize::from(row.system != other.system) + row.point.iter().filter(differs).count()
}

/// Differences that queries call significant and that seeds alone may make.
fn within_seed_noise(folded: &[Folded<'_>], rows: &[Row]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (row, folded) in rows.iter().zip(folded) {
        for (measure, figure) in &row.scores {
            let marked = figure.p.is_some_and(|p| p < LEVEL) && figure.within_seed_noise == Some(true);
            if let (true, Some(delta), Some(p)) = (marked, figure.delta, figure.p_seeds) {
                let label = folded.label();
                warnings.push(format!(
                    "{measure} of {label} differs from the baseline by {delta:+.4}, within seed noise: \
                     over seeds p is {p:.3}"
                ));
            }
        }
    }
    warnings
}

/// Rows with the same value on every query though no node is shared: a parameter may not have reached the stage.
fn identical(folded: &[Folded<'_>]) -> Vec<String> {
    let mut groups: Vec<Vec<&Folded<'_>>> = Vec::new();
    for row in folded
        .iter()
        .filter(|row| row.measures.values().any(|values| !values.queries.is_empty()))
    {
        match groups.iter_mut().find(|group| same_scores(group[0], row)) {
            Some(group) if group.iter().any(|other| shares_a_node(other, row)) => {}
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    let tell = |group: &Vec<&Folded<'_>>| {
        let labels: Vec<_> = group.iter().map(|row| row.label()).collect();
        let (named, more) = labels.split_at(labels.len().min(NAMED));
        let more = if more.is_empty() {
            String::new()
        } else {
            format!(", and {} more,", more.len())
        };
        let named = match named {
            [first, second] if more.is_empty() => format!("{first} and {second}"),
            named => named.join(", "),
        };
        format!("{named}{more} have identical scores on every query, from different results")
    };
    groups.iter().filter(|group| group.len() > 1).map(tell).collect()
}

fn shares_a_node(first: &Folded<'_>, second: &Folded<'_>) -> bool {
    first
        .arms
        .iter()
        .any(|arm| second.arms.iter().any(|other| other.key == arm.key))
}

fn same_scores(first: &Folded<'_>, second: &Folded<'_>) -> bool {
    first.collection == second.collection && first.measures == second.measures
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Arm, Options, arm::samples::arm, table};

    fn warnings(arms: &[Arm], baseline: &[(&str, &str)]) -> Vec<String> {
        let baseline = baseline.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        table(
            arms,
            &Options {
                baseline,
                ..Options::default()
            },
        )
        .unwrap()
        .warnings
    }

    #[test]
    fn two_factors_at_once() {
        let row = |size, family, value| {
            arm(
                "s",
                &[("size", size), ("family", family)],
                None,
                "AP",
                &[value, 0.5],
            )
        };
        let arms = [
            row("8b", "llama", 0.1),
            row("70b", "llama", 0.2),
            row("70b", "qwen", 0.3),
        ];
        let found = warnings(&arms, &[("size", "8b"), ("family", "llama")]);
        assert_eq!(
            found,
            ["more than one factor changes between the baseline and s[family=qwen,size=70b]"]
        );
    }

    #[test]
    fn one_factor_is_no_confusion() {
        let arms = [
            arm(
                "s",
                &[("size", "8b"), ("family", "llama")],
                None,
                "AP",
                &[0.1, 0.5],
            ),
            arm(
                "s",
                &[("size", "70b"), ("family", "llama")],
                None,
                "AP",
                &[0.2, 0.5],
            ),
        ];
        assert!(warnings(&arms, &[("size", "8b")]).is_empty());
    }

    /// Arms along an axis of generators, as an ablation over sizes of two families has them.
    fn generators(models: &[&str]) -> Vec<String> {
        let arms: Vec<_> = models
            .iter()
            .enumerate()
            .map(|(at, model)| Arm {
                models: [("queries.model".to_owned(), (*model).to_owned())].into(),
                ..arm(
                    "s",
                    &[("generator", model)],
                    None,
                    "AP",
                    &[0.1 + at as f64 / 10.0, 0.5],
                )
            })
            .collect();
        warnings(&arms, &[("generator", models[0])])
    }

    #[test]
    fn size_confounded_with_family() {
        let found = generators(&[
            "hf:meta-llama/Llama-3.1-8B",
            "hf:Qwen/Qwen2.5-72B",
            "hf:Qwen/Qwen2.5-7B",
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0],
            "`queries.model` of s[generator=hf:Qwen/Qwen2.5-72B] and of its baseline differ in family (qwen, llama) and \
             in size (72b, 8b) at once: neither explains a difference"
        );
        assert!(generators(&["hf:meta-llama/Llama-3.1-8B", "hf:meta-llama/Llama-3.1-70B"]).is_empty());
        assert!(generators(&["hf:meta-llama/Llama-3.1-8B", "hf:Qwen/Qwen3-8B"]).is_empty());
    }

    #[test]
    fn unequal_budgets_of_negatives() {
        let with = |negatives: f64| {
            let one = |label, value, negatives| Arm {
                negatives: Some(negatives),
                ..arm("s", &[("negatives", label)], None, "AP", &[value, 0.5])
            };
            warnings(
                &[one("bm25", 0.1, 4.0), one("llm", 0.2, negatives)],
                &[("negatives", "bm25")],
            )
        };
        let message = "s[negatives=llm] was trained with 1.00 negatives a query, its baseline s[negatives=bm25] with 4.00: \
                       unequal budgets";
        assert_eq!(with(1.0), [message]);
        assert!(with(4.0).is_empty() && with(3.99).is_empty());
    }

    #[test]
    fn a_difference_beyond_seed_noise_is_not_told() {
        let values =
            |shift: f64| -> Vec<f64> { (0..40).map(|i| 0.4 + f64::from(i % 5) * 0.001 + shift).collect() };
        let arms = [
            arm("base", &[], None, "AP", &vec![0.4; 40]),
            arm("s", &[], Some("1"), "AP", &values(0.1)),
            arm("s", &[], Some("2"), "AP", &values(0.101)),
            arm("s", &[], Some("3"), "AP", &values(0.099)),
        ];
        assert!(warnings(&arms, &[("system", "base")]).is_empty());
    }

    #[test]
    fn a_significant_difference_within_seed_noise() {
        let values =
            |shift: f64| -> Vec<f64> { (0..40).map(|i| 0.4 + f64::from(i % 5) * 0.001 + shift).collect() };
        let arms = [
            arm("base", &[], None, "AP", &vec![0.4; 40]),
            arm("s", &[], Some("1"), "AP", &values(0.1)),
            arm("s", &[], Some("2"), "AP", &values(-0.08)),
        ];
        let found = warnings(&arms, &[("system", "base")]);
        assert_eq!(
            found,
            ["AP of s differs from the baseline by +0.0120, within seed noise: over seeds p is 0.916"]
        );
    }

    #[test]
    fn identical_scores_from_different_keys() {
        let one = arm("s", &[("lr", "1")], None, "AP", &[0.1, 0.2]);
        let two = arm("s", &[("lr", "2")], None, "AP", &[0.1, 0.2]);
        let shared = Arm {
            key: one.key.clone(),
            ..two.clone()
        };
        let message = "s[lr=1] and s[lr=2] have identical scores on every query, from different results";
        assert_eq!(warnings(&[one.clone(), two.clone()], &[]), [message]);
        assert!(warnings(&[one.clone(), shared], &[]).is_empty());
        let many: Vec<_> = (2..6)
            .map(|lr| arm("s", &[("lr", &lr.to_string())], None, "AP", &[0.1, 0.2]))
            .collect();
        let told = "s[lr=1], s[lr=2], s[lr=3], and 2 more, have identical scores on every query, from different results";
        assert_eq!(warnings(&[&[one], many.as_slice()].concat(), &[]), [told]);
    }
}
