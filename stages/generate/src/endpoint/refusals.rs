//! What the words of a refusal say of a field that was sent.

/// What servers say of a field that they have no place for: OpenAI's and Groq's, pydantic's (vLLM, Mistral), serde's (TGI).
const NO_PLACE: [&str; 9] = [
    "unsupported",
    "not supported",
    "does not support",
    "unknown",
    "unrecognized",
    "unexpected",
    "not permitted",
    "not allowed",
    "extra_forbidden",
];

/// What they say of a prompt that is too long, perhaps beside the name of a field.
const TOO_LONG: [&str; 3] = ["context", "too long", "too many tokens"];

/// Whether a refusal is of the length of a prompt: no field is at fault.
pub(super) fn is_of_length(why: &str) -> bool {
    let why = why.to_lowercase();
    TOO_LONG.iter().any(|words| why.contains(words))
}

/// Whether a refusal names a field.
pub(super) fn names(why: &str, field: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    why.match_indices(field).any(|(at, _)| {
        let (before, behind) = (&why[..at], &why[at + field.len()..]);
        !before.ends_with(is_part) && !behind.starts_with(is_part)
    })
}

/// Whether a refusal says that there is no place for a field.
pub(super) fn has_no_place_for(why: &str, field: &str) -> bool {
    let all = why.to_lowercase();
    names(why, field) && NO_PLACE.iter().any(|words| all.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_as_a_word() {
        assert!(names("'top_k' is unsupported", "top_k") && names("seed", "seed"));
        assert!(!names("max_top_k is 5", "top_k") && !names("seeds", "seed"));
    }

    #[test]
    fn a_value_out_of_range_and_a_long_prompt_are_no_unknown_fields() {
        let long = "'max_tokens' or 'max_completion_tokens' is too large: 64. This model's maximum context length is 2048 tokens";
        assert!(is_of_length(long) && !has_no_place_for(long, "max_tokens"));
        assert!(!has_no_place_for("max_tokens must be at least 1", "max_tokens"));
        let other = "Unsupported parameter: 'max_tokens' is not supported with this model";
        assert!(has_no_place_for(other, "max_tokens") && !is_of_length(other));
    }
}
