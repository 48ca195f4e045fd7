//! What serde says of a value, in words for people who write experiments.

use ablate_core::similar;

/// Serde's message on a value, in words for people who write experiments.
pub(crate) fn decoding(path: &str, message: &str) -> (&'static str, String) {
    let (head, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        other => other,
    };
    let name = path.trim_end_matches('.');
    let (code, head) = if let Some(found) = head.strip_prefix("invalid type: ") {
        ("ablate::spec::wrong_type", found)
    } else if let Some(found) = head.strip_prefix("invalid value: ") {
        ("ablate::spec::out_of_range", found)
    } else if head.starts_with("unknown variant") {
        let found = head.trim_start_matches("unknown variant ");
        ("ablate::spec::unknown_value", found)
    } else {
        return ("ablate::spec::wrong_type", format!("`{name}`: {message}"));
    };
    (code, format!("`{name}` takes {expected}, not {head}"))
}

/// The unknown variant of serde's message, and those it lists.
fn unknown(message: &str) -> Option<(&str, Vec<&str>)> {
    let names = message.strip_prefix("unknown variant ")?.split('`');
    let mut names = names.skip(1).step_by(2);
    Some((names.next()?, names.collect()))
}

/// Where an unknown variant is a kind of stages of its own, as `negatives/llm` beside `negatives`.
pub(crate) fn own_kind(message: &str, kind: &str, kinds: &[&str]) -> Option<String> {
    let own = format!("{kind}/{}", unknown(message)?.0);
    let is_kind = kinds.contains(&own.as_str());
    is_kind.then(|| format!("that is a kind of its own: `use: {own}`"))
}

/// Did-you-mean from serde's list of variants.
pub(crate) fn variant(message: &str) -> Option<String> {
    let (word, known) = unknown(message)?;
    let best = similar(word, known.iter().copied()).first().copied()?;
    Some(format!("did you mean `{best}`?"))
}
