//! The `index/bm25` stage.

use ablate_core::{ArtifactKind, Input, Io, Memory, Output, Stage, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    analysis::Analyser,
    index::{self, Fields, Scheme},
};

/// An inverted index of a corpus.
pub struct IndexBm25;

/// Parameters of `index/bm25`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How text becomes terms.
    #[serde(default)]
    analyser: Analyser,
    /// Which texts of a document are searched.
    #[serde(default)]
    fields: Fields,
}

impl Stage for IndexBm25 {
    const NAME: &'static str = "index/bm25";
    const VERSION: u32 = 3;
    const ABOUT: &'static str =
        "an inverted index, for any number of searches with any constants and variant of BM25";
    const EXAMPLE: &'static str = "index: {use: index/bm25, corpus: data.corpus}";
    const INPUTS: &'static [Input] =
        &[Input::of("corpus", ArtifactKind::Corpus).about("the documents to index")];
    const OUTPUTS: &'static [Output] =
        &[Output::of("index", ArtifactKind::Index).about("terms, their documents, and lengths")];
    // The corpus goes by in parts; what stays is what the threads invert at a time.
    const MEMORY: Memory = Memory {
        tables: 0.5,
        models: 0.0,
        least: 512 << 20,
    };
    type Params = Params;

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let scheme = Scheme {
            analyser: params.analyser.clone(),
            fields: params.fields,
        };
        let watch = |done| io.advance(done, "documents");
        index::write(&io.out_dir("index")?, io.parts("corpus")?, &scheme, watch)
    }
}
