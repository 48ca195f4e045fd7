//! The `collection` stage.

use ablate_core::{ArtifactKind, Input, Io, Output, Stage, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    layout::SPLITS,
    source::{COLLECTION_SOURCE, load},
};

/// Documents, queries and judgements of a collection in BEIR layout.
pub struct Collection;

/// `collection` has no parameters: its source says it all.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl Stage for Collection {
    const NAME: &'static str = "collection";
    const VERSION: u32 = 2;
    const ABOUT: &'static str = "corpus, queries and qrels of a collection: demo, beir/NAME, hf:OWNER/NAME, or a folder in BEIR layout";
    const EXAMPLE: &'static str = "data: {use: collection, source: demo}";
    const INPUTS: &'static [Input] = &[Input::of("source", ArtifactKind::Corpus)
        .about("which collection")
        .or_source(&COLLECTION_SOURCE)];
    const OUTPUTS: &'static [Output] = &[
        Output::of("corpus", ArtifactKind::Corpus).about("all documents"),
        Output::of("queries", ArtifactKind::Queries).about("the queries of every split"),
        Output::of("queries.train", ArtifactKind::Queries)
            .about("queries with judgements in the training split"),
        Output::of("queries.dev", ArtifactKind::Queries)
            .about("queries with judgements in the development split"),
        Output::of("queries.test", ArtifactKind::Queries).about("queries with judgements in the test split"),
        Output::of("qrels.train", ArtifactKind::Qrels).about("judgements of the training split"),
        Output::of("qrels.dev", ArtifactKind::Qrels).about("judgements of the development split"),
        Output::of("qrels.test", ArtifactKind::Qrels).about("judgements of the test split"),
    ];
    type Params = Params;

    fn run(_: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let text = io
            .source("source")
            .ok_or_else(|| StageError::new("`source` must name a collection, not a stage"))?;
        // What is pinned and not on this machine is fetched here.
        io.tree("source")?;
        let beir = load(&text, io.places())?;
        beir.warnings.iter().for_each(|warning| io.warn(warning));
        for split in SPLITS {
            if let Some(rows) = beir.qrels.get(split) {
                io.put(&format!("queries.{split}"), beir.judged(split))?;
                io.put(&format!("qrels.{split}"), rows.clone())?;
            }
        }
        if beir.queried {
            io.put("queries", beir.queries)?;
        }
        io.put("corpus", beir.corpus)
    }
}
