//! Models by their names: the family and the size, which a comparison should not change at once.

use crate::fold::Folded;

/// What the name of a model says: `qwen3` and `8b` of `hf:Qwen/Qwen3-8B@main`.
#[derive(Debug, PartialEq)]
struct Named {
    family: String,
    /// As written, and in millions of parameters.
    size: (String, f64),
}

/// Sizes within this factor are one class: 7B and 8B.
const CLASS: f64 = 1.5;

/// The model of a row that differs from its baseline's in family and in size: neither explains the difference.
pub(super) fn confounded(row: &Folded<'_>, baseline: &Folded<'_>) -> Option<String> {
    let models = &row.arms.first()?.models;
    let others = &baseline.arms.first()?.models;
    let both = models
        .iter()
        .filter_map(|(port, model)| Some((port, model, others.get(port)?)));
    let mut found = both.filter_map(|(port, model, other)| {
        let (ours, theirs) = (named(model)?, named(other)?);
        let (larger, smaller) = (ours.size.1.max(theirs.size.1), ours.size.1.min(theirs.size.1));
        (ours.family != theirs.family && larger > CLASS * smaller).then(|| {
            format!(
                "`{port}` of {} and of its baseline differ in family ({}, {}) and in size ({}, {}) at once: neither \
                 explains a difference",
                row.label(),
                ours.family,
                theirs.family,
                ours.size.0,
                theirs.size.0
            )
        })
    });
    found.next()
}

/// Reads a model's name; `None` if it tells no size.
fn named(source: &str) -> Option<Named> {
    let name = source.split(['@', '#']).next()?;
    let name = name
        .trim_end_matches('/')
        .rsplit(['/', ':'])
        .next()?
        .to_lowercase();
    let parts: Vec<_> = name.split(['-', '_']).collect();
    let size = parts
        .iter()
        .find_map(|part| Some(((*part).to_owned(), millions(part)?)))?;
    let family = parts[0].trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    Some(Named {
        family: family.to_owned(),
        size,
    })
}

/// The millions of `8b`, `0.5b`, `135m`.
fn millions(part: &str) -> Option<f64> {
    let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
    let number: f64 = number
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number > 0.0)?;
    match unit {
        "b" => Some(number * 1000.0),
        "m" => Some(number),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_field() {
        let of = |name: &str| named(name).map(|named| format!("{} {}", named.family, named.size.0));
        let read = |name: &str| of(name).unwrap_or_default();
        assert_eq!(read("hf:meta-llama/Llama-3.1-70B-Instruct@abc"), "llama 70b");
        assert_eq!(read("smollm2-135m-instruct"), "smollm 135m");
        assert_eq!(read("qwen2.5-coder-0.5b-instruct"), "qwen 0.5b");
        assert_eq!(read("hf:Qwen/Qwen3-8B"), "qwen 8b");
        assert_eq!(read("hf:EleutherAI/gpt-j-6b"), "gpt 6b");
        assert_eq!(of("all-minilm-l6-v2"), None);
        assert_eq!(of("path:./mine"), None);
    }
}
