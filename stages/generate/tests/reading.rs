//! What a model reads of a prompt, and what ends its answer.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
#[path = "../../models/tests/common/generator.rs"]
mod generator;

use ablate_generate::{Format, Reading};
use ablate_models::generator::Reader;
use generator::tiny_generator;

/// Ends an answer; the other end stands behind texts that are none.
const TURN: u32 = b'!' as u32;

#[test]
fn a_conversation_ends_with_what_its_template_puts_behind_answers() {
    let folder = tiny_generator();
    let mut reader = Reader::load(folder.path())
        .map_err(|error| error.to_string())
        .unwrap();
    let end_of_text = reader.ends[0];
    reader.ends = vec![end_of_text, TURN];
    reader.chat_template = Some(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.role == 'assistant' %}!{% endif %}{% endfor %}\
         {% if add_generation_prompt %}<assistant>{% endif %}"
            .into(),
    );
    for (format, text, end) in [
        (Format::Raw, "why", end_of_text),
        (Format::Chat, "<user>why<assistant>", TURN),
    ] {
        let reading = Reading::new(&reader, format)
            .map_err(|error| error.to_string())
            .unwrap();
        let read = reading.text("why").map_err(|error| error.to_string());
        assert_eq!(read.unwrap(), text);
        let found = reading.end().map_err(|error| error.to_string());
        assert_eq!(found.unwrap(), Some(end));
    }
}
