//! Instructions that the model writes itself, each from a document and some demonstrations, as MIPRO's proposer does (Opsahl-Ong et al.
//! 2024), in words of our own.

use ablate_core::{Seed, StageError, Stream, rows::Document};

use super::{Demonstration, Params, Trying};
use crate::{asking::Asking, shots::Shot, template::Template, writing::DecodingParams};

/// What the model is asked.
const ASK: &str = "These are documents of one collection, each with a search query that finds it.\n\n{examples}A document without a \
     query: {document}\n\nTell a writer in one sentence how to write such a search query for any document of the collection.\nInstruction:";
const LAYOUT: &str = "Document: {document}\nSearch query: {query}\n\n";

/// The instructions that are plain sentences and leave room for a document, in the order they were written; fewer than `proposals`, if
/// some are not, or repeat others.
///
/// # Errors
/// If the model fails, or the prompt is too long for it.
pub(super) fn proposals(
    params: &Params,
    base: &Asking,
    pool: &[Demonstration],
    train: &[Document],
    trying: &mut Trying<'_>,
) -> Result<Vec<String>, StageError> {
    if params.proposals == 0 {
        return Ok(vec![]);
    }
    let decoding = DecodingParams {
        temperature: 0.7,
        max_new_tokens: Some(96),
        ..DecodingParams::default()
    };
    let seed = Seed::root(params.queries.seed).child("proposals");
    let mut found: Vec<String> = Vec::new();
    for (at, document) in (0..params.proposals).zip(train.iter().cycle()) {
        let shots = drawn(params, pool, &mut seed.child(&at.to_string()).stream());
        let asking = Asking::new(ASK, LAYOUT, vec![], None)?.shown(shots)?;
        let texts = trying.texts(&asking, std::slice::from_ref(document), &decoding)?;
        let sentences = texts.iter().filter_map(|text| sentence(&text.text));
        for sentence in sentences.collect::<Vec<_>>() {
            let tokens = trying.tokens(&base.instructed(&sentence).shown(vec![])?)?;
            if tokens <= trying.budget() && !found.contains(&sentence) {
                found.push(sentence);
            }
        }
    }
    let (kept, asked) = (found.len(), params.proposals);
    trying.io().note(format!(
        "the model wrote {kept} instructions that can be tried, of {asked}"
    ));
    Ok(found)
}

/// Different demonstrations by chance, as many as a prompt may have.
fn drawn(params: &Params, pool: &[Demonstration], stream: &mut Stream) -> Vec<Shot> {
    let mut pool: Vec<&Demonstration> = pool.iter().collect();
    stream.shuffle(&mut pool);
    let some = pool.into_iter().take(params.max_demonstrations as usize);
    some.map(|demonstration| demonstration.shot.clone()).collect()
}

/// The first line of a text, without quotes around it, if it can be an instruction.
fn sentence(text: &str) -> Option<String> {
    let line = text.trim().lines().next()?;
    let line = line.trim_matches(|character: char| {
        character.is_whitespace() || "\"'`*\u{201c}\u{201d}".contains(character)
    });
    let is_plain = Template::parse(line, &[]).is_ok();
    (is_plain && line.contains(' ')).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_a_plain_sentence() {
        let plain = |text: &str| sentence(text).unwrap_or_default();
        assert_eq!(
            plain(" \u{201c}Ask for what is rare.\u{201d}\nAnd more."),
            "Ask for what is rare."
        );
        assert_eq!(
            ["Ask {document} now.", "", "...", "\n"].map(plain),
            ["", "", "", ""]
        );
    }
}
