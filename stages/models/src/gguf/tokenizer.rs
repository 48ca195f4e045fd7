//! Tokenizers rebuilt from GGUF metadata as tokenizer.json has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use ablate_core::StageError;
use candle_core::quantized::gguf_file::Value;
use serde_json::{Value as Json, json};
use tokenizers::Tokenizer;

use super::metadata::Metadata;

/// Kinds of tokens, by their numbers in the format.
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const BYTE: i32 = 6;

/// Control tokens that end a text or a turn, whatever the metadata say (llama.cpp's `llama-vocab.cpp`).
const ENDS: [&str; 9] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<EOT>",
    "_<EOT>",
];

/// How GPT-2 splits a text.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// How tiktoken's cl100k does, numbers in threes: Llama 3, Phi-4.
const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The same with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How tiktoken's o200k does: Phi-4-mini.
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's: the same without the endings, and single digits.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How a byte-level tokenizer prepares a text, by `tokenizer.ggml.pre`.
struct Preparation {
    names: &'static [&'static str],
    pattern: &'static str,
    /// Whether digits are set apart before the pattern splits.
    digits: bool,
    /// Whether texts are composed (NFC) first.
    composed: bool,
    /// Whether a piece that is a token is taken whole, whatever the merges say; and a text begins with a token.
    whole: bool,
}

const PLAIN: Preparation = Preparation {
    names: &["gpt-2", "phi-2", "mpt", "olmo", "jais"],
    pattern: GPT2,
    digits: false,
    composed: false,
    whole: false,
};

static PREPARATIONS: [Preparation; 7] = [
    PLAIN,
    Preparation {
        names: &["smollm"],
        digits: true,
        ..PLAIN
    },
    Preparation {
        names: &["llama-bpe", "llama3", "llama-v3"],
        pattern: CL100K,
        whole: true,
        ..PLAIN
    },
    Preparation {
        names: &["dbrx"],
        pattern: CL100K,
        ..PLAIN
    },
    Preparation {
        names: &["qwen2", "deepseek-r1-qwen"],
        pattern: QWEN2,
        composed: true,
        ..PLAIN
    },
    Preparation {
        names: &["gpt-4o"],
        pattern: O200K,
        ..PLAIN
    },
    Preparation {
        names: &["tekken"],
        pattern: TEKKEN,
        whole: true,
        ..PLAIN
    },
];

/// The tokenizer of a file.
///
/// # Errors
/// If it is of a kind that is not known; the message names it.
pub(super) fn rebuilt(metadata: &Metadata<'_>) -> Result<Tokenizer, StageError> {
    let text = match metadata.text("tokenizer.ggml.model")?.as_str() {
        "gpt2" => byte_level(metadata)?,
        "llama" => by_score(metadata)?,
        other => {
            let what =
                format!("has a tokenizer of the kind `{other}`, which is not known: gpt2 and llama are");
            return Err(metadata.error(what));
        }
    };
    Tokenizer::from_str(&text.to_string())
        .map_err(|error| metadata.error(format!("has a tokenizer that cannot be rebuilt: {error}")))
}

/// The token that stands before every text, where the model was trained so.
pub(super) fn begin(metadata: &Metadata<'_>) -> Result<Option<u32>, StageError> {
    // What llama.cpp takes where a file says nothing.
    let by_default = match metadata.text("tokenizer.ggml.model")?.as_str() {
        "gpt2" => preparation(metadata)?.whole,
        _ => true,
    };
    let asked = metadata
        .flag("tokenizer.ggml.add_bos_token")
        .unwrap_or(by_default);
    Ok(metadata.token("bos").filter(|_| asked))
}

/// The tokens that end a text, or a turn of a conversation: those the file says, then those that llama.cpp knows by their texts.
pub(super) fn ends(metadata: &Metadata<'_>) -> Result<Vec<u32>, StageError> {
    let said = ["eos", "eot", "eom"].map(|name| metadata.token(name));
    let tokens = Tokens::read(metadata)?;
    let known = tokens
        .all()
        .filter(|(_, text, kind)| *kind == CONTROL && ENDS.contains(text));
    let known = known.map(|(id, ..)| id as u32);
    let mut ends: Vec<u32> = Vec::new();
    for id in said.into_iter().flatten().chain(known) {
        if !ends.contains(&id) {
            ends.push(id);
        }
    }
    match ends.is_empty() {
        true => Err(metadata.error("has no `tokenizer.ggml.eos_token_id`")),
        false => Ok(ends),
    }
}

fn preparation(metadata: &Metadata<'_>) -> Result<&'static Preparation, StageError> {
    let name = metadata.optional_text("tokenizer.ggml.pre").unwrap_or_default();
    PREPARATIONS
        .iter()
        .find(|one| one.names.contains(&name.as_str()))
        .ok_or_else(|| {
            let known: Vec<&str> = PREPARATIONS.iter().flat_map(|one| one.names).copied().collect();
            let known = known.join(", ");
            metadata.error(format!(
                "has the pre-tokenizer `{name}`, which is not known: {known} are"
            ))
        })
}

/// Byte-pair encoding over bytes (GPT-2's).
fn byte_level(metadata: &Metadata<'_>) -> Result<Json, StageError> {
    let preparation = preparation(metadata)?;
    let tokens = Tokens::read(metadata)?;
    let merges = metadata.list("tokenizer.ggml.merges", |value| value.to_string().cloned())?;
    let level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let split = json!({"type": "Split", "pattern": {"Regex": preparation.pattern}, "behavior": "Isolated",
                       "invert": false});
    let splits = match preparation.digits {
        true => [json!({"type": "Digits", "individual_digits": true}), level(true)],
        false => [split, level(false)],
    };
    let mut model = tokens.model(&json!(merges));
    model["ignore_merges"] = preparation.whole.into();
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": tokens.added(),
        "normalizer": preparation.composed.then(|| json!({"type": "NFC"})),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits},
        "post_processor": null, "decoder": level(true), "model": model,
    }))
}

/// SentencePiece's byte-pair encoding: of all neighbours that make a token, those of the best score merge first; what
/// no token spells is spelt in bytes (Kudo and Richardson 2018).
fn by_score(metadata: &Metadata<'_>) -> Result<Json, StageError> {
    let tokens = Tokens::read(metadata)?;
    let scores = metadata.list("tokenizer.ggml.scores", Value::to_f32)?;
    let blank = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let unblank = json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "});
    let mut before = vec![blank];
    let mut after = vec![unblank, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    if metadata.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true) {
        before.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
        after.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let mut model = tokens.model(&json!(tokens.merges(&scores)));
    model["unk_token"] = json!(tokens.texts.get(metadata.token("unknown").unwrap_or(0) as usize));
    model["fuse_unk"] = true.into();
    model["byte_fallback"] = true.into();
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": tokens.added(),
        "normalizer": {"type": "Sequence", "normalizers": before}, "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": after}, "model": model,
    }))
}

/// The tokens of a file by id.
struct Tokens {
    texts: Vec<String>,
    kinds: Vec<i32>,
}

impl Tokens {
    fn read(metadata: &Metadata<'_>) -> Result<Self, StageError> {
        let texts = metadata.list("tokenizer.ggml.tokens", |value| value.to_string().cloned())?;
        let kinds = metadata.list("tokenizer.ggml.token_type", Value::to_i32)?;
        match texts.len() == kinds.len() {
            true => Ok(Self { texts, kinds }),
            false => Err(metadata.error("has not as many types of tokens as tokens")),
        }
    }

    fn all(&self) -> impl Iterator<Item = (usize, &str, i32)> {
        let kinds = self.kinds.iter().copied();
        let named = self.texts.iter().zip(kinds).enumerate();
        named.map(|(id, (text, kind))| (id, text.as_str(), kind))
    }

    /// Tokens that are found in a text before it is split.
    fn added(&self) -> Vec<Json> {
        let found = self
            .all()
            .filter(|(.., kind)| [CONTROL, USER_DEFINED].contains(kind));
        let added = found.map(|(id, token, kind)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": kind == CONTROL})
        });
        added.collect()
    }

    fn model(&self, merges: &Json) -> Json {
        let vocabulary: BTreeMap<&str, usize> = self.all().map(|(id, token, _)| (token, id)).collect();
        json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
               "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
               "vocab": vocabulary, "merges": merges})
    }

    /// Every pair of tokens that makes a token, the best score first.
    fn merges(&self, scores: &[f32]) -> Vec<[&str; 2]> {
        let spelt = |kind: &i32| ![UNKNOWN, CONTROL, USER_DEFINED, BYTE].contains(kind);
        let normal = || self.all().filter(|(.., kind)| spelt(kind));
        let known: BTreeSet<&str> = normal().map(|(_, token, _)| token).collect();
        let mut merges = Vec::new();
        for (id, token, _) in normal() {
            let score = scores.get(id).copied().unwrap_or(0.0);
            for (at, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(at);
                if known.contains(left) && known.contains(right) {
                    merges.push((score, id, [left, right]));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        merges.into_iter().map(|(.., pair)| pair).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::generator::{Reader, tokens_behind};

    fn metadata(model: &Json) -> Metadata<'static> {
        let each = |key: &str, value: fn(&Json) -> Value| {
            Value::Array(model[key].as_array().unwrap().iter().map(value).collect())
        };
        let values = [
            ("model", Value::String("llama".into())),
            (
                "tokens",
                each("pieces", |x| Value::String(x.as_str().unwrap().into())),
            ),
            (
                "scores",
                each("scores", |x| Value::F32(x.as_f64().unwrap() as f32)),
            ),
            (
                "token_type",
                each("kinds", |x| Value::I32(x.as_i64().unwrap() as i32)),
            ),
            (
                "add_space_prefix",
                Value::Bool(model["prefix"].as_bool().unwrap()),
            ),
            ("unknown_token_id", Value::U32(0)),
            ("bos_token_id", Value::U32(1)),
        ];
        let named = values.map(|(key, value)| (format!("tokenizer.ggml.{key}"), value));
        Metadata::new(named.into(), Path::new("m.gguf"))
    }

    /// As a conversion of a chat model has it whose end of a text is not the end of a turn.
    #[test]
    fn the_end_of_a_turn_is_known_by_its_text() {
        let texts = ["a", "<|end|>", "</s>", "<|im_end|>"].map(|text| Value::String(text.into()));
        let of = |kinds: [i32; 4], more: Option<u32>| {
            let kinds = kinds.map(Value::I32);
            let values = [
                ("tokens", Value::Array(texts.to_vec())),
                ("token_type", Value::Array(kinds.to_vec())),
            ];
            let eos = more.map(|id| ("eos_token_id", Value::U32(id)));
            let named = values.into_iter().chain(eos);
            let named = named.map(|(key, value)| (format!("tokenizer.ggml.{key}"), value));
            ends(&Metadata::new(named.collect(), Path::new("m.gguf"))).map_err(|error| error.to_string())
        };
        // The same text as a token that is spelt ends nothing.
        assert_eq!(of([1, 1, 3, 3], Some(2)), Ok(vec![2, 3]));
        assert_eq!(of([1, 3, 3, 3], None), Ok(vec![1, 3]));
        assert!(of([1; 4], None).is_err());
    }

    /// A text is cut where tokens of it end, but for those that spell a part of a character, or only the blank that is put before a text.
    fn assert_beginnings(tokenizer: &Tokenizer, text: &str, ids: &[u32]) {
        let reader = Reader {
            tokenizer: tokenizer.clone(),
            begin: None,
            ends: vec![],
            chat_template: None,
        };
        for count in 1..ids.len() {
            let spelt = tokenizer.decode(&ids[..count], false).unwrap();
            if !spelt.contains('\u{fffd}') && !spelt.is_empty() {
                assert_eq!(
                    reader.beginning(text, count).unwrap_or_default(),
                    spelt,
                    "{text:?}"
                );
            }
        }
    }

    /// tests/fixtures/sentencepiece_bpe.py.
    #[test]
    fn scores_merge_as_sentencepiece_does() {
        let fixture = include_str!("../../../../tests/fixtures/sentencepiece_bpe.json");
        let fixture: Json = serde_json::from_str(fixture).unwrap();
        let models = fixture["models"].as_array().unwrap();
        for model in models {
            let tokenizer = rebuilt(&metadata(model)).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(begin(&metadata(model)).unwrap_or_default(), Some(1));
            for string in model["strings"].as_array().unwrap() {
                let text = string["text"].as_str().unwrap();
                let expected: Vec<u32> = serde_json::from_value(string["ids"].clone()).unwrap();
                let found = tokenizer.encode(text, false).unwrap();
                assert_eq!(found.get_ids(), expected, "{text:?}");
                assert_eq!(tokenizer.decode(&expected, false).unwrap(), text);
                assert_beginnings(&tokenizer, text, &expected);
            }
        }
        // Behind other text, the model that puts a blank before a text gives the tokens of the one that does not.
        let tokenizer = rebuilt(&metadata(&models[0])).unwrap_or_else(|e| panic!("{e}"));
        for string in models[1]["strings"].as_array().unwrap() {
            let pieces = |ids: &[u32]| -> Vec<String> {
                ids.iter().map(|id| tokenizer.id_to_token(*id).unwrap()).collect()
            };
            let found = tokens_behind(&tokenizer, string["text"].as_str().unwrap());
            let expected = string["ids"].as_array().unwrap().iter();
            let expected = expected.map(|id| {
                models[1]["pieces"][id.as_u64().unwrap() as usize]
                    .as_str()
                    .unwrap()
            });
            assert_eq!(pieces(&found.unwrap_or_default()), expected.collect::<Vec<_>>());
        }
    }
}
