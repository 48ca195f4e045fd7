//! Generators as Hugging Face keeps them: config.json, safetensors (in one file or several), tokenizer.json.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use ablate_core::StageError;
use candle_core::{DType, Device, safetensors::Load as _};
use memmap2::Mmap;
use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, TensorInfo, TensorView},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use crate::{
    decoder::{Family, Layout, Settings, TensorSpec, Weights},
    files::{json, load_tokenizer},
    generator::{Opened, Reader},
    mapped::map,
};

/// Opens a folder; weights are read when they are taken.
pub(crate) fn open(folder: &Path) -> Result<Opened, StageError> {
    let file = folder.join("config.json");
    let values: Map<String, Value> = json(&file)?;
    let name = format!("`{}`", file.display());
    let tokenizer = load_tokenizer(&folder.join("tokenizer.json"))?;
    let ends = ends(folder, &values)?;
    let values = of_language(values);
    let family = match values.get("model_type").and_then(Value::as_str) {
        Some(model_type) => Family::of_model_type(model_type, &name)?,
        None => return Err(StageError::new(format!("{name} lacks `model_type`"))),
    };
    let values = filled(values, family);
    let config = family.config(&Settings::new(values.clone()), &name)?;
    let weights = Shards::open(folder, family.layout.prefix)?;
    let about = About::of(folder)?;
    Ok(Opened {
        family,
        settings: values,
        config,
        layout: Layout { ..family.layout },
        weights: Box::new(weights),
        reader: Reader {
            begin: begin(&tokenizer, &about),
            chat_template: about.template(folder)?,
            tokenizer,
            ends,
        },
    })
}

/// The settings of the language model in a model that reads pictures, too; of others, all.
fn of_language(mut values: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Object(mut language)) = values.remove("text_config") else {
        return values;
    };
    for beside in ["bos_token_id", "eos_token_id", "pad_token_id"] {
        if let Some(value) = values.remove(beside) {
            language.entry(beside).or_insert(value);
        }
    }
    language
}

/// Settings with those that the family lets them leave out.
fn filled(mut values: Map<String, Value>, family: &Family) -> Map<String, Value> {
    for (name, value) in family.defaults {
        values.entry(*name).or_insert_with(|| (*value).into());
    }
    values
}

/// The tokens that end a text, of generation_config.json, else of config.json: one or several.
fn ends(folder: &Path, config: &Map<String, Value>) -> Result<Vec<u32>, StageError> {
    let file = folder.join("generation_config.json");
    let generation: Map<String, Value> = if file.is_file() { json(&file)? } else { Map::new() };
    let listed = generation
        .get("eos_token_id")
        .or_else(|| config.get("eos_token_id"));
    let id = |value: &Value| value.as_u64().map(|id| id as u32);
    Ok(match listed {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(one) => id(one).into_iter().collect(),
        None => Vec::new(),
    })
}

/// What tokenizer_config.json says besides.
#[derive(Default, Deserialize)]
#[serde(default)]
struct About {
    add_bos_token: Option<bool>,
    bos_token: Option<Value>,
    chat_template: Option<Value>,
}

impl About {
    fn of(folder: &Path) -> Result<Self, StageError> {
        let file = folder.join("tokenizer_config.json");
        if file.is_file() {
            json(&file)
        } else {
            Ok(Self::default())
        }
    }

    /// The template: a text, or the one called `default` of several; else the file of newer checkpoints.
    fn template(&self, folder: &Path) -> Result<Option<String>, StageError> {
        let named = |all: &Vec<Value>| {
            let default = all.iter().find(|one| one["name"] == "default");
            default
                .and_then(|one| one["template"].as_str())
                .map(str::to_owned)
        };
        let inside = match &self.chat_template {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Array(all)) => named(all),
            _ => None,
        };
        let file = folder.join("chat_template.jinja");
        match inside {
            None if file.is_file() => Ok(Some(fs_err::read_to_string(file)?)),
            inside => Ok(inside),
        }
    }
}

/// The token that stands before every text: what the tokenizer itself adds, else as `add_bos_token` says.
fn begin(tokenizer: &Tokenizer, about: &About) -> Option<u32> {
    if about.add_bos_token == Some(false) {
        return None;
    }
    let ids = |special| Some(tokenizer.encode("a", special).ok()?.get_ids().to_vec());
    let (with, without) = (ids(true)?, ids(false)?);
    if with.len() > without.len() && with.first() != without.first() {
        return with.first().copied();
    }
    let bos = about
        .bos_token
        .as_ref()
        .filter(|_| about.add_bos_token == Some(true))?;
    let text = bos.as_str().or_else(|| bos["content"].as_str())?;
    tokenizer.token_to_id(text)
}

/// A mapped safetensors file.
struct Shard {
    path: PathBuf,
    bytes: Mmap,
    /// Where the numbers begin.
    start: usize,
    metadata: Metadata,
}

/// The tensors of one or several safetensors files.
struct Shards {
    folder: PathBuf,
    /// By name in a model that only reads text.
    tensors: BTreeMap<String, Found>,
    /// Begins names of the layout that these files leave out.
    missing_prefix: &'static str,
}

/// A tensor's file, and its name there.
struct Found {
    shard: Arc<Shard>,
    name: String,
}

/// What begins the names of the language model's tensors where a model reads pictures, too, and what does so in one that does not.
const LANGUAGE: [(&str, &str); 2] = [("language_model.", ""), ("model.language_model.", "model.")];

/// The name of a tensor in a model that only reads text.
fn plain(name: &str) -> String {
    let inside = |(start, plain): &(&str, &str)| Some(format!("{plain}{}", name.strip_prefix(start)?));
    LANGUAGE
        .iter()
        .find_map(inside)
        .unwrap_or_else(|| name.to_owned())
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Shards {
    fn open(folder: &Path, prefix: &'static str) -> Result<Self, StageError> {
        let index = folder.join("model.safetensors.index.json");
        let files: BTreeSet<String> = match index.is_file() {
            true => json::<Index>(&index)?.weight_map.into_values().collect(),
            false => ["model.safetensors".to_owned()].into(),
        };
        let mut tensors = BTreeMap::new();
        for file in files {
            let shard = Arc::new(Shard::open(folder.join(file))?);
            let found = |name: String| {
                let shard = Arc::clone(&shard);
                (plain(&name), Found { shard, name })
            };
            tensors.extend(shard.metadata.tensors().into_keys().map(found));
        }
        let prefixed = tensors.keys().any(|name| name.starts_with(prefix));
        Ok(Self {
            folder: folder.to_owned(),
            tensors,
            missing_prefix: if prefixed { "" } else { prefix },
        })
    }

    /// The file of a tensor, and its name there.
    fn find(&self, name: &str) -> Option<(&Shard, &str)> {
        let name = name.strip_prefix(self.missing_prefix).unwrap_or(name);
        let Found { shard, name } = self.tensors.get(name)?;
        Some((shard, name))
    }
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self, StageError> {
        let bytes = map(&path)?;
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| {
            let message = format!("`{}` is not a sound safetensors file: {error}", path.display());
            StageError::with_help(message, "fetch or copy the model again")
        })?;
        Ok(Self {
            path,
            start: header + 8,
            bytes,
            metadata,
        })
    }

    fn problem(&self, name: &str, info: &TensorInfo) -> Option<String> {
        let kind = info.dtype;
        if !matches!(kind, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let path = self.path.display();
            return Some(format!(
                "tensor `{name}` of `{path}` is {kind:?}; F32, F16 and BF16 are read"
            ));
        }
        None
    }

    /// The numbers of a range of a tensor, as f32.
    fn numbers(&self, info: &TensorInfo, (first, count): (usize, usize)) -> candle_core::Result<Vec<f32>> {
        let width = info.dtype.bitsize() / 8;
        let from = self.start + info.data_offsets.0 + first * width;
        let bytes = &self.bytes[from..from + count * width];
        let view = TensorView::new(info.dtype, vec![count], bytes).map_err(candle_core::Error::wrap)?;
        view.load(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1()
    }
}

impl Weights for Shards {
    fn place(&self) -> String {
        format!("`{}`", self.folder.display())
    }

    fn problem(&self, tensor: &TensorSpec) -> Option<String> {
        let found = self.find(&tensor.name);
        let info = found.and_then(|(shard, name)| Some((shard, name, shard.metadata.info(name)?)));
        let shape = info.map(|(.., info)| info.shape.as_slice());
        let (shard, name, info) = match (tensor.mismatch(shape), info) {
            (None, Some(found)) => found,
            (mismatch, _) => return mismatch,
        };
        shard.problem(name, info)
    }

    fn take(&mut self, tensor: &TensorSpec) -> Result<Vec<f32>, StageError> {
        let missing = || StageError::new(format!("tensor `{}` is missing", tensor.name));
        let (shard, name) = self.find(&tensor.name).ok_or_else(missing)?;
        let info = shard.metadata.info(name).ok_or_else(missing)?;
        Ok(shard.numbers(info, tensor.range())?)
    }
}
