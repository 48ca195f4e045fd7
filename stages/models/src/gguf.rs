//! GGUF files: configuration, weights and tokenizer of a Llama-family model in one file.

use std::{collections::BTreeMap, path::Path, str::FromStr};

use ablate_core::StageError;
use candle_core::{
    Device,
    quantized::gguf_file::{Content, Value},
};
use serde_json::json;
use tokenizers::Tokenizer;

use crate::llama::{Config, DeviceLlama, Model, Weights};

/// What decoding needs: model, tokenizer, and the tokens that end a text.
pub struct Generator {
    /// The model.
    pub model: Model,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Tokens that end a text.
    pub ends: Vec<u32>,
}

type Loaded = Result<Model, StageError>;

impl Generator {
    /// Loads the one GGUF file of a model folder, to compute on `device`.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, StageError> {
        Self::open(folder, |config, file| Model::load(config, file, device))
    }

    /// The same with candle's tensors on the CPU too: to compare with.
    pub fn load_tensors(folder: &Path, device: &Device) -> Result<Self, StageError> {
        Self::open(folder, |config, file| {
            DeviceLlama::load(config, file, device).map(Model::Device)
        })
    }

    fn open(folder: &Path, load: impl FnOnce(Config, &mut File<'_>) -> Loaded) -> Result<Self, StageError> {
        let files = fs_err::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let mut found: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|e| e == "gguf"))
            .collect();
        found.sort();
        match found.as_slice() {
            [file] => Self::load_file(file, load),
            [] => Err(StageError::with_help(
                format!("{} holds no .gguf file", folder.display()),
                "a generator is a GGUF file",
            )),
            _ => Err(StageError::new(format!(
                "{} holds {} .gguf files: keep one",
                folder.display(),
                found.len()
            ))),
        }
    }

    fn load_file(
        path: &Path,
        load: impl FnOnce(Config, &mut File<'_>) -> Loaded,
    ) -> Result<Self, StageError> {
        let named = |error: candle_core::Error| StageError::new(format!("{}: {error}", path.display()));
        let mut file = fs_err::File::open(path)?;
        let content = Content::read(&mut file).map_err(named)?;
        let meta = Meta(&content);
        let architecture = meta.text("general.architecture")?;
        if architecture != "llama" {
            return Err(StageError::new(format!(
                "{}: the architecture `{architecture}` is not known; llama is",
                path.display()
            )));
        }
        let config = meta.config()?;
        let tokenizer = meta.tokenizer()?;
        let ends = vec![meta.number("tokenizer.ggml.eos_token_id")? as u32];
        let mut weights = File {
            content: &content,
            file: &mut file,
            path,
        };
        let model = load(config, &mut weights)?;
        Ok(Self {
            model,
            tokenizer,
            ends,
        })
    }
}

struct Meta<'a>(&'a Content);

impl Meta<'_> {
    fn get(&self, key: &str) -> Result<&Value, StageError> {
        self.0
            .metadata
            .get(key)
            .ok_or_else(|| StageError::new(format!("the GGUF file has no `{key}`")))
    }

    fn text(&self, key: &str) -> Result<String, StageError> {
        Ok(self.get(key)?.to_string()?.clone())
    }

    fn number(&self, key: &str) -> Result<usize, StageError> {
        match self.get(key)? {
            Value::U64(value) => Ok(*value as usize),
            other => Ok(other.to_u32()? as usize),
        }
    }

    fn real(&self, key: &str) -> Result<f64, StageError> {
        Ok(f64::from(self.get(key)?.to_f32()?))
    }

    fn config(&self) -> Result<Config, StageError> {
        let tokens = self.get("tokenizer.ggml.tokens")?.to_vec()?.len();
        Ok(Config {
            hidden_size: self.number("llama.embedding_length")?,
            intermediate_size: self.number("llama.feed_forward_length")?,
            num_attention_heads: self.number("llama.attention.head_count")?,
            num_key_value_heads: self.number("llama.attention.head_count_kv")?,
            num_hidden_layers: self.number("llama.block_count")?,
            vocab_size: tokens,
            rms_norm_eps: self.real("llama.attention.layer_norm_rms_epsilon")?,
            rope_theta: self.real("llama.rope.freq_base").unwrap_or(10_000.0),
            max_position_embeddings: self.number("llama.context_length")?,
            neighbours: true,
        })
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, StageError> {
        self.get(key)?
            .to_vec()?
            .iter()
            .map(|value| Ok(value.to_string()?.clone()))
            .collect()
    }

    /// Byte-level BPE rebuilt as a tokenizer.json, digits apart as the `smollm` pre-tokenizer of llama.cpp has it.
    fn tokenizer(&self) -> Result<Tokenizer, StageError> {
        let kind = (
            self.text("tokenizer.ggml.model")?,
            self.text("tokenizer.ggml.pre").unwrap_or_default(),
        );
        if (kind.0.as_str(), kind.1.as_str()) != ("gpt2", "smollm") {
            return Err(StageError::new(format!(
                "the tokenizer `{}`/`{}` is not known; gpt2/smollm is",
                kind.0, kind.1
            )));
        }
        let tokens = self.texts("tokenizer.ggml.tokens")?;
        let types = self.get("tokenizer.ggml.token_type")?.to_vec()?;
        let special = tokens
            .iter()
            .zip(types)
            .enumerate()
            .filter(|(_, (_, kind))| matches!(kind.to_i32(), Ok(3 | 4)));
        let added: Vec<_> = special
            .map(|(id, (token, _))| {
                json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                       "normalized": false, "special": true})
            })
            .collect();
        let vocabulary: BTreeMap<&String, usize> =
            tokens.iter().enumerate().map(|(id, token)| (token, id)).collect();
        let byte_level =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        let digits = json!({"type": "Digits", "individual_digits": true});
        let text = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
            "post_processor": null, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                      "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                      "vocab": vocabulary, "merges": self.texts("tokenizer.ggml.merges")?},
        });
        Tokenizer::from_str(&text.to_string())
            .map_err(|error| StageError::new(format!("the GGUF tokenizer: {error}")))
    }
}

/// The tensors of a GGUF file, dequantised as they are asked for: block formats have no SIMD product on the CPU that
/// would beat f32.
struct File<'a> {
    content: &'a Content,
    file: &'a mut fs_err::File,
    path: &'a Path,
}

impl Weights for File<'_> {
    type Error = StageError;

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, StageError> {
        let inside = gguf_name(name);
        let fail =
            |what: String| StageError::new(format!("{}: tensor `{inside}`: {what}", self.path.display()));
        let tensor = self
            .content
            .tensor(self.file, &inside, &Device::Cpu)
            .map_err(|error| fail(error.to_string()))?;
        if tensor.shape().dims() != shape {
            return Err(fail(format!(
                "has the shape {:?}, expected {shape:?}",
                tensor.shape().dims()
            )));
        }
        Ok(tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }

    fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(&gguf_name(name))
    }
}

/// llama.cpp's name of a Hugging Face tensor.
fn gguf_name(name: &str) -> String {
    const PARTS: [(&str, &str); 13] = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
    ];
    PARTS
        .iter()
        .rev()
        .fold(name.to_owned(), |name, (theirs, ours)| name.replace(theirs, ours))
}
