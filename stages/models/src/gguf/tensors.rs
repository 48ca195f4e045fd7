//! The tensors of a GGUF file, as numbers or as the integers of their block formats.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::Cursor,
    path::{Path, PathBuf},
};

use ablate_core::StageError;
use candle_core::{
    Device,
    quantized::{
        GgmlDType, QStorage, QTensor,
        gguf_file::{Content, TensorInfo, Value},
    },
};
use memmap2::Mmap;

use super::{blocks::blocks, types::unknown_type};
use crate::{
    decoder::{TensorSpec, Weights},
    mapped::map,
    ops::product::Blocks,
};

/// A mapped file.
pub(super) struct Tensors {
    path: PathBuf,
    bytes: Mmap,
    content: Content,
}

impl Tensors {
    pub(super) fn open(path: &Path) -> Result<Self, StageError> {
        let bytes = map(path)?;
        let refuse =
            |what: String, help: &str| StageError::with_help(format!("`{}`{what}", path.display()), help);
        if let Some(what) = unknown_type(&bytes) {
            return Err(refuse(
                format!(": {what}"),
                "take the model in another quantisation",
            ));
        }
        let content = Content::read(&mut Cursor::new(&bytes[..]))
            .map_err(|error| refuse(format!(" is no sound GGUF file: {error}"), "fetch the file again"))?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            content,
        })
    }

    /// The metadata, by key.
    pub(super) fn take_metadata(&mut self) -> BTreeMap<String, Value> {
        self.content.metadata.drain().collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(self.content.tensor_infos.get(name)?.shape.dims())
    }

    /// All numbers of a tensor.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<f32>, StageError> {
        let count = self.shape(name).map_or(0, |shape| shape.iter().product());
        self.range(name, (0, count))
    }

    /// The bytes of so many values from `first` on.
    fn bytes(&self, info: &TensorInfo, (first, count): (usize, usize)) -> Option<&[u8]> {
        let (block, size) = (info.ggml_dtype.block_size(), info.ggml_dtype.type_size());
        if first % block != 0 || count % block != 0 {
            return None;
        }
        let offset = usize::try_from(self.content.tensor_data_offset.checked_add(info.offset)?).ok()?;
        let start = offset.checked_add(first / block * size)?;
        let end = start.checked_add(count / block * size)?;
        // Blocks begin with halves.
        let align = if info.ggml_dtype == GgmlDType::F32 { 4 } else { 2 };
        let bytes = self.bytes.get(start..end)?;
        (bytes.as_ptr().align_offset(align) == 0).then_some(bytes)
    }

    /// The type of a tensor, and the bytes of so many values from `first` on.
    fn found(&self, name: &str, range: (usize, usize)) -> Result<(GgmlDType, &[u8]), StageError> {
        let info = self.content.tensor_infos.get(name);
        info.and_then(|info| Some((info.ggml_dtype, self.bytes(info, range)?)))
            .ok_or_else(|| StageError::new(format!("{}: {}", self.place(), broken(name))))
    }

    fn range(&self, name: &str, range: (usize, usize)) -> Result<Vec<f32>, StageError> {
        let (dtype, bytes) = self.found(name, range)?;
        let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)?;
        let numbers = QTensor::new(storage, range.1)?.dequantize(&Device::Cpu)?;
        Ok(numbers.to_vec1()?)
    }
}

fn broken(name: &str) -> String {
    format!("tensor `{name}` does not lie within the file")
}

impl Weights for Tensors {
    fn place(&self) -> String {
        format!("`{}`", self.path.display())
    }

    fn problem(&self, tensor: &TensorSpec) -> Option<String> {
        let mismatch = tensor.mismatch(self.shape(&tensor.name));
        mismatch.or_else(|| {
            let info = self.content.tensor_infos.get(&tensor.name)?;
            match self.bytes(info, tensor.range()) {
                Some(_) => None,
                None => Some(broken(&tensor.name)),
            }
        })
    }

    fn take(&mut self, tensor: &TensorSpec) -> Result<Vec<f32>, StageError> {
        self.range(&tensor.name, tensor.range())
    }

    fn blocks(&mut self, tensor: &TensorSpec) -> Result<Option<Blocks>, StageError> {
        let (dtype, bytes) = self.found(&tensor.name, tensor.range())?;
        Ok(blocks(bytes, dtype, *tensor.shape.last().unwrap_or(&1)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::quantized::gguf_file;

    use super::*;

    const KINDS: [(&str, GgmlDType); 10] = [
        ("Q4_0", GgmlDType::Q4_0),
        ("Q4_1", GgmlDType::Q4_1),
        ("Q5_0", GgmlDType::Q5_0),
        ("Q5_1", GgmlDType::Q5_1),
        ("Q8_0", GgmlDType::Q8_0),
        ("Q2_K", GgmlDType::Q2K),
        ("Q3_K", GgmlDType::Q3K),
        ("Q4_K", GgmlDType::Q4K),
        ("Q5_K", GgmlDType::Q5K),
        ("Q6_K", GgmlDType::Q6K),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = (0..hex.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    /// tests/fixtures/gguf_blocks.py: blocks of every type, dequantised by gguf. The second block is read alone too, as
    /// an expert's part of a tensor is.
    #[test]
    fn blocks_of_every_type_are_ggufs() {
        let fixture = include_str!("../../../../tests/fixtures/gguf_blocks.json");
        let fixture: serde_json::Value = serde_json::from_str(fixture).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (about, (name, kind)) in fixture["types"].as_array().unwrap().iter().zip(KINDS) {
            assert_eq!(about["name"], name);
            let (path, block) = (
                folder.path().join(name),
                about["block"].as_u64().unwrap() as usize,
            );
            let data = bytes(about["bytes"].as_str().unwrap());
            let storage = QStorage::from_data(Cow::Owned(data), &Device::Cpu, kind).unwrap();
            let tensor = QTensor::new(storage, (2, block)).unwrap();
            let mut file = fs_err::File::create(&path).unwrap();
            gguf_file::write(&mut file, &[], &[("t", &tensor)]).unwrap();
            let tensors = Tensors::open(&path).unwrap_or_else(|e| panic!("{e}"));
            let found = tensors.numbers("t").unwrap_or_else(|e| panic!("{e}"));
            let expected = about["numbers"].as_array().unwrap();
            for (found, expected) in found.iter().step_by(11).zip(expected) {
                let expected = expected.as_f64().unwrap() as f32;
                assert!(
                    (found - expected).abs() <= 1e-5 * expected.abs(),
                    "{name}: {found}, not {expected}"
                );
            }
            let second = tensors
                .range("t", (block, block))
                .unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(second, found[block..]);
            let (dtype, bytes) = tensors
                .found("t", (0, 2 * block))
                .unwrap_or_else(|e| panic!("{e}"));
            match blocks(bytes, dtype, block) {
                Some(blocks) => assert_eq!(blocks.numbers(), found, "{name}"),
                None => assert!(["Q2_K", "Q3_K"].contains(&name), "{name}"),
            }
        }
    }
}
