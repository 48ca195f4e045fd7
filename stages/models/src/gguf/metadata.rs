//! The metadata of a GGUF file, and the settings of a config.json it amounts to.

use std::{collections::BTreeMap, path::Path};

use ablate_core::StageError;
use candle_core::quantized::gguf_file::Value;
use serde_json::{Map, Value as Json, json};

use super::tensors::Tensors;

/// Keys behind the architecture's name, and what config.json calls them.
const SETTINGS: [(&str, &str); 17] = [
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
    ("attention.sliding_window", "sliding_window"),
    ("rope.dimension_count", "rotary_dim"),
    ("rope.freq_base", "rope_theta"),
    ("rope.freq_base_swa", "rope_local_base_freq"),
    ("expert_count", "num_experts"),
    ("expert_used_count", "num_experts_per_tok"),
    ("expert_feed_forward_length", "moe_intermediate_size"),
    ("final_logit_softcapping", "final_logit_softcapping"),
];

/// The metadata of a file.
pub(super) struct Metadata<'p> {
    values: BTreeMap<String, Value>,
    path: &'p Path,
}

impl<'p> Metadata<'p> {
    pub(super) fn new(values: BTreeMap<String, Value>, path: &'p Path) -> Self {
        Self { values, path }
    }

    pub(super) fn error(&self, what: impl std::fmt::Display) -> StageError {
        StageError::new(format!("`{}` {what}", self.path.display()))
    }

    pub(super) fn optional(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    fn get(&self, key: &str) -> Result<&Value, StageError> {
        self.optional(key)
            .ok_or_else(|| self.error(format!("has no `{key}`")))
    }

    pub(super) fn optional_text(&self, key: &str) -> Option<String> {
        self.optional(key)?.to_string().ok().cloned()
    }

    pub(super) fn text(&self, key: &str) -> Result<String, StageError> {
        let text = self.get(key)?.to_string();
        Ok(text
            .map_err(|error| self.error(format!("has a wrong `{key}`: {error}")))?
            .clone())
    }

    /// A flag; none if there is none.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        self.optional(key)?.to_bool().ok()
    }

    /// The id of a token; none if there is none.
    pub(super) fn token(&self, name: &str) -> Option<u32> {
        let value = self.optional(&format!("tokenizer.ggml.{name}_token_id"))?;
        as_json(value).as_u64().map(|id| id as u32)
    }

    /// A list, each of its values read by `read`.
    pub(super) fn list<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> candle_core::Result<T>,
    ) -> Result<Vec<T>, StageError> {
        let values = self.get(key)?.to_vec();
        let all = values.and_then(|values| values.iter().map(read).collect());
        all.map_err(|error| self.error(format!("has a wrong `{key}`: {error}")))
    }

    /// What a config.json would say.
    pub(super) fn settings(&self, tensors: &Tensors) -> Result<Map<String, Json>, StageError> {
        let architecture = self.text("general.architecture")?;
        let get = |key: &str| self.optional(&format!("{architecture}.{key}")).map(as_json);
        let mut settings = Map::new();
        for (theirs, ours) in SETTINGS {
            settings.extend(get(theirs).map(|value| (ours.to_owned(), value)));
        }
        settings.extend(
            self.scaling(&get, tensors)?
                .map(|scaling| ("rope_scaling".to_owned(), scaling)),
        );
        // What a file does not hold is not asked for.
        let held = [
            ("tie_word_embeddings", !tensors.has("output.weight")),
            ("attention_bias", tensors.has("blk.0.attn_q.bias")),
            ("mlp_bias", tensors.has("blk.0.ffn_down.bias")),
        ];
        settings.extend(held.map(|(name, held)| (name.to_owned(), held.into())));
        let vocabulary = tensors
            .shape("token_embd.weight")
            .and_then(|shape| shape.first().copied());
        settings.extend(vocabulary.map(|rows| ("vocab_size".to_owned(), rows.into())));
        // llama.cpp always does.
        settings.insert("norm_topk_prob".into(), true.into());
        Ok(settings)
    }

    /// How positions are stretched: by factors kept as tensors, or by one.
    fn scaling(
        &self,
        get: &impl Fn(&str) -> Option<Json>,
        tensors: &Tensors,
    ) -> Result<Option<Json>, StageError> {
        let original = get("rope.scaling.original_context_length");
        if tensors.has("rope_factors_short.weight") {
            let short = tensors.numbers("rope_factors_short.weight")?;
            let long = match tensors.has("rope_factors_long.weight") {
                true => tensors.numbers("rope_factors_long.weight")?,
                false => short.clone(),
            };
            return Ok(Some(json!({
                "rope_type": "longrope", "short_factor": short, "long_factor": long,
                "original_max_position_embeddings": original, "attention_factor": get("rope.scaling.attn_factor"),
            })));
        }
        if tensors.has("rope_freqs.weight") {
            // Llama 3's, worked out by the converter: the same over any length, in words that transformers knows.
            let factors = tensors.numbers("rope_freqs.weight")?;
            return Ok(Some(json!({
                "rope_type": "longrope", "short_factor": factors, "long_factor": factors,
                "original_max_position_embeddings": get("context_length"), "attention_factor": 1.0,
            })));
        }
        let kind = get("rope.scaling.type").filter(|kind| kind != "none");
        Ok(kind.map(|kind| json!({"rope_type": kind, "factor": get("rope.scaling.factor")})))
    }
}

/// A single value as JSON; lists, which only differ from layer to layer, are none.
fn as_json(value: &Value) -> Json {
    match value {
        Value::U8(x) => json!(x),
        Value::I8(x) => json!(x),
        Value::U16(x) => json!(x),
        Value::I16(x) => json!(x),
        Value::U32(x) => json!(x),
        Value::I32(x) => json!(x),
        Value::U64(x) => json!(x),
        Value::I64(x) => json!(x),
        Value::F32(x) => json!(f64::from(*x)),
        Value::F64(x) => json!(x),
        Value::Bool(x) => json!(x),
        Value::String(x) => json!(x),
        Value::Array(_) => Json::Null,
    }
}
