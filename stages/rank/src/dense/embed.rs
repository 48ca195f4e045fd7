//! `embed`: the vectors of documents or queries as an artifact, for search and for other tools.

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Numeric, Output, Parts, Ports, Problems, Record, Slot, Stage,
    StageError,
    rows::{Document, Query, Vector},
};
use ablate_models::source::{ENCODER, MODEL_SOURCE, require_role};
use arrow::{
    array::RecordBatch,
    datatypes::{ArrowPrimitiveType, Float16Type},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{blocks, default_batch, vectors::Encoding};

/// The stage.
pub struct Embed;

/// How exactly numbers are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Precision {
    /// As computed.
    #[default]
    F32,
    /// Rounded to what a half-precision number holds, in a column of single precision: a smaller file.
    F16,
}

impl Precision {
    fn round(self, number: f32) -> f32 {
        type Half = <Float16Type as ArrowPrimitiveType>::Native;
        match self {
            Self::F32 => number,
            Self::F16 => Half::from_f32(number).to_f32(),
        }
    }
}

/// Parameters of `embed`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How exactly numbers are kept.
    #[serde(default)]
    precision: Precision,
    /// Tokens a text is cut at; the model's own limit if not given.
    #[serde(default)]
    #[schemars(range(min = 3))]
    max_length: Option<usize>,
    /// Texts encoded at once. Cannot change a result.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1))]
    batch: usize,
}

impl Stage for Embed {
    const NAME: &'static str = "embed";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "documents or queries as vectors of a sentence encoder";
    const EXAMPLE: &'static str = "vectors: {use: embed, corpus: data.corpus, model: all-minilm-l6-v2}";
    const INPUTS: &'static [Input] = &[
        Input::of("corpus", ArtifactKind::Corpus)
            .or_port("queries")
            .about("the documents to encode, title and text"),
        Input::of("queries", ArtifactKind::Queries)
            .optional()
            .about("queries to encode instead"),
        Input::of("model", ArtifactKind::Model)
            .or_source(&MODEL_SOURCE)
            .about("the encoder"),
    ];
    const OUTPUTS: &'static [Output] =
        &[Output::of("vectors", ArtifactKind::Vectors).about("a vector a text, as the encoder gives it")];
    const EXECUTION: &'static [&'static str] = &["batch"];
    const SLOT: Slot = Slot::Device;
    const NUMERIC: Numeric = "f32";
    // Texts and vectors go by in blocks.
    const MEMORY: Memory = Memory {
        tables: 0.5,
        models: 2.0,
        least: 1 << 30,
    };
    type Params = Params;

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(ENCODER, "model", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let encoding = Encoding::open(io, "model", params.max_length, params.batch)?;
        let part = |texts: Result<Texts, StageError>| vectors(params, &encoding, texts?);
        match (io.optional_parts("corpus")?, io.optional_parts("queries")?) {
            (Some(corpus), None) => {
                let texts = texts(corpus, |row: Document| (row.full_text(), row.doc_id));
                io.put_parts::<Vector>("vectors", texts.map(part))
            }
            (None, Some(queries)) => {
                let texts = texts(queries, |row: Query| (row.text, row.query_id));
                io.put_parts::<Vector>("vectors", texts.map(part))
            }
            _ => Err(StageError::with_help(
                "either documents or queries are encoded",
                "set `corpus` or `queries`, not both",
            )),
        }
    }
}

/// Texts, each with its name.
type Texts = Vec<(String, String)>;

/// The texts of a table, block by block.
fn texts<R: Record>(
    parts: Parts<'_>,
    text: impl Fn(R) -> (String, String),
) -> impl Iterator<Item = Result<Texts, StageError>> {
    blocks(parts).map(move |rows| Ok(rows?.into_iter().map(&text).collect()))
}

/// The rows of some texts.
fn vectors(params: &Params, encoding: &Encoding<'_>, texts: Texts) -> Result<RecordBatch, StageError> {
    let (texts, names): (Vec<String>, Vec<String>) = texts.into_iter().unzip();
    let vectors = encoding.vectors(&texts, |at| format!("`{}`", names[at]))?;
    let rounded = |vector: &[f32]| vector.iter().map(|x| params.precision.round(*x)).collect();
    let row = |(id, vector): (String, &[f32])| Vector {
        id,
        vector: rounded(vector),
    };
    let rows: Vec<Vector> = names.into_iter().zip(vectors.rows()).map(row).collect();
    Ok(Vector::encode(&rows)?)
}

#[cfg(test)]
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_rounds_to_eleven_bits() {
        assert_eq!(Precision::F16.round(1.0 + 1.0 / 4096.0), 1.0);
        assert_eq!(Precision::F16.round(0.333), 0.333_007_8);
        assert_eq!(Precision::F32.round(0.333), 0.333);
    }
}
