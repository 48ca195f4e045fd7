//! The layout of a model folder by sentence-transformers: read, and written again with other parameters.

use std::path::{Path, PathBuf};

use ablate_core::StageError;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Pooling,
    prompts::{Named, Prompts},
};
use crate::files::{TOKENIZER, copy, json, optional_json, tokenizer_limit};

/// Files beside the parameters and the tokenizer that a trained model takes over from its base.
const COMPANIONS: [&str; 4] = [
    "config.json",
    "sentence_bert_config.json",
    PROMPTS,
    "modules.json",
];

/// What the files of sentence-transformers say about a model.
pub(super) struct Modules {
    base: PathBuf,
    /// Folder of the encoder itself, below the model's; empty where they are one.
    path: String,
    /// Folder of the pooling's configuration, below the model's, if it has one.
    pooling_path: Option<String>,
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    /// Tokens a text is cut at, where the model says so.
    pub(super) max_length: Option<usize>,
    pub(super) prompts: Prompts,
}

/// What libraries say of the model beside its modules.
const PROMPTS: &str = "config_sentence_transformers.json";

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
}

impl Modules {
    /// Reads `modules.json` of `folder` and the files it points to. Without it the folder is a plain encoder: mean
    /// pooling, no normalisation.
    pub(super) fn read(folder: &Path) -> Result<Self, StageError> {
        let mut modules = Self {
            base: folder.to_owned(),
            path: String::new(),
            pooling_path: None,
            pooling: Pooling::Mean,
            normalize: false,
            max_length: None,
            prompts: Prompts::default(),
        };
        let list = folder.join("modules.json");
        for module in optional_json::<Vec<Module>>(&list)?.unwrap_or_default() {
            // Class paths moved between versions of the library; their last part did not.
            match module.kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" => modules.path = module.path,
                "Pooling" => {
                    modules.pooling = read_pooling(&folder.join(&module.path).join("config.json"))?;
                    modules.pooling_path = Some(module.path);
                }
                "Normalize" => modules.normalize = true,
                other => {
                    return Err(StageError::with_help(
                        format!("`{}`: module `{other}` is not supported", list.display()),
                        "use a model of the modules Transformer, Pooling and Normalize",
                    ));
                }
            }
        }
        let config = modules.transformer().join("sentence_bert_config.json");
        let config: Option<SentenceConfig> = optional_json(&config)?;
        modules.max_length = match config.and_then(|config| config.max_seq_length) {
            None => tokenizer_limit(&modules.transformer())?,
            known => known,
        };
        let named: Option<Named> = optional_json(&folder.join(PROMPTS))?;
        modules.prompts = named.as_ref().map(Prompts::named).unwrap_or_default();
        Ok(modules)
    }

    /// The folder of the encoder itself.
    pub(super) fn transformer(&self) -> PathBuf {
        self.base.join(&self.path)
    }

    /// Copies all but the parameters to the empty `folder`, with these prompts; returns where the parameters go.
    pub(super) fn copy(&self, prompts: &Prompts, folder: &Path) -> Result<PathBuf, StageError> {
        let transformer = folder.join(&self.path);
        fs_err::create_dir_all(&transformer)?;
        for (from, to) in [
            (self.base.clone(), folder.to_owned()),
            (self.transformer(), transformer.clone()),
        ] {
            copy(&COMPANIONS, &from, &to)?;
            copy(&TOKENIZER, &from, &to)?;
        }
        match &self.pooling_path {
            Some(path) => {
                fs_err::create_dir_all(folder.join(path))?;
                fs_err::copy(
                    self.base.join(path).join("config.json"),
                    folder.join(path).join("config.json"),
                )?;
            }
            None => self.describe(folder)?,
        }
        if *prompts != self.prompts {
            self.write_prompts(prompts, folder)?;
        }
        Ok(transformer.join("model.safetensors"))
    }

    /// Writes other prompts than the base's, as sentence-transformers finds them.
    fn write_prompts(&self, prompts: &Prompts, folder: &Path) -> Result<(), StageError> {
        let mut config: Map<String, Value> = optional_json(&self.base.join(PROMPTS))?.unwrap_or_default();
        let named = json!({"query": prompts.query, "document": prompts.document});
        config.insert("prompts".into(), named);
        config.insert("default_prompt_name".into(), Value::Null);
        Ok(fs_err::write(
            folder.join(PROMPTS),
            format!("{:#}\n", Value::Object(config)),
        )?)
    }

    /// Writes what a plain encoder leaves unsaid.
    fn describe(&self, folder: &Path) -> Result<(), StageError> {
        #[derive(Deserialize)]
        struct Width {
            #[serde(alias = "dim")]
            hidden_size: usize,
        }
        let width = json::<Width>(&self.transformer().join("config.json"))?.hidden_size;
        let pooling = json!({
            "word_embedding_dimension": width,
            "pooling_mode_cls_token": self.pooling == Pooling::Cls,
            "pooling_mode_mean_tokens": self.pooling == Pooling::Mean,
        });
        let module = |idx: usize, path: &str, kind: &str| {
            let kind = format!("sentence_transformers.models.{kind}");
            json!({"idx": idx, "name": idx.to_string(), "path": path, "type": kind})
        };
        let modules = json!([
            module(0, &self.path, "Transformer"),
            module(1, "1_Pooling", "Pooling")
        ]);
        fs_err::create_dir_all(folder.join("1_Pooling"))?;
        fs_err::write(folder.join("1_Pooling/config.json"), format!("{pooling:#}\n"))?;
        Ok(fs_err::write(
            folder.join("modules.json"),
            format!("{modules:#}\n"),
        )?)
    }
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the file's own fields")]
struct PoolingConfig {
    /// Since sentence-transformers 6, instead of the flags.
    pooling_mode: Option<Value>,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
    /// Whether a prompt's tokens are pooled with the text's.
    include_prompt: Option<bool>,
}

impl PoolingConfig {
    fn pooling(&self) -> Option<Pooling> {
        if let Some(mode) = &self.pooling_mode {
            return match mode.as_str()? {
                "mean" => Some(Pooling::Mean),
                "cls" => Some(Pooling::Cls),
                _ => None,
            };
        }
        let others = self.pooling_mode_max_tokens || self.pooling_mode_mean_sqrt_len_tokens;
        match (self.pooling_mode_mean_tokens, self.pooling_mode_cls_token) {
            (true, false) if !others => Some(Pooling::Mean),
            (false, true) if !others => Some(Pooling::Cls),
            _ => None,
        }
    }
}

fn read_pooling(file: &Path) -> Result<Pooling, StageError> {
    let config: PoolingConfig = json(file)?;
    let refused = |what: &str| {
        StageError::with_help(
            format!(
                "`{}` asks for a pooling that is not supported{what}",
                file.display()
            ),
            "use a model with mean pooling or with CLS pooling",
        )
    };
    if config.include_prompt == Some(false) {
        return Err(refused(": one that leaves the prompt out"));
    }
    config.pooling().ok_or_else(|| refused(""))
}
