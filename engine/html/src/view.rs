//! What a page shows of a run, as plain data.

use ablate_plot::State;
use ablate_report::{QueryDifferences, Table};
use serde_json::Value;

/// A run.
#[derive(Clone, Debug)]
pub struct RunPage {
    /// Its id.
    pub id: String,
    /// Its experiment.
    pub experiment: String,
    /// The file it was read from.
    pub file: String,
    /// When it started.
    pub started: String,
    /// Seconds it took.
    pub seconds: f64,
    /// Version of the program.
    pub version: String,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// Its nodes, producers first.
    pub nodes: Vec<NodeView>,
    /// Its table, or why there is none.
    pub table: Result<Table, String>,
    /// What the marks of the table mean.
    pub legend: String,
    /// Differences from baselines by the first measure, best row first.
    pub by_query: Vec<QueryDifferences>,
    /// How scores of generated queries are spread, and what filters kept.
    pub spreads: Vec<Spread>,
    /// How hard negatives are.
    pub hardness: Vec<Hardness>,
    /// Training curves.
    pub curves: Vec<Curve>,
    /// Some generated queries.
    pub pairs: Vec<PairSample>,
    /// Some negatives.
    pub negatives: Vec<NegativeSample>,
    /// What the reader should know before believing it.
    pub warnings: Vec<String>,
}

/// A node of a run.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its stage kind.
    pub kind: String,
    /// What became of it.
    pub state: State,
    /// Why, or the error.
    pub reason: String,
    /// Its key.
    pub key: Option<String>,
    /// Seconds it took in this run.
    pub seconds: f64,
    /// Rows this run computed.
    pub rows_computed: u64,
    /// Rows taken from earlier work.
    pub rows_reused: u64,
    /// Its parameters.
    pub params: Value,
    /// Its inputs.
    pub inputs: Vec<InputView>,
    /// Its outputs; none where it left nothing.
    pub outputs: Vec<OutputView>,
    /// Version of its stage.
    pub version: Option<String>,
    /// Kind of arithmetic.
    pub numeric: Option<String>,
    /// Where it was computed, and on what.
    pub host: Option<String>,
    /// When it was computed.
    pub finished: Option<String>,
    /// Seconds the computation took, whenever it was.
    pub computed_in: Option<f64>,
    /// Tokens it generated.
    pub tokens: Option<u64>,
    /// What its stage had to say.
    pub notes: Vec<String>,
}

impl NodeView {
    /// The name of its stage: its own without the place in the sweep.
    pub(crate) fn stage(&self) -> &str {
        self.name.split('[').next().unwrap_or(&self.name)
    }

    /// Its place in the sweep; empty outside of one.
    pub(crate) fn point(&self) -> &str {
        let rest = &self.name[self.stage().len()..];
        rest.trim_start_matches('[').trim_end_matches(']')
    }
}

/// What stands at an input port.
#[derive(Clone, Debug)]
pub struct InputView {
    /// The port.
    pub port: String,
    /// The node that made it; `None` for a source.
    pub node: Option<String>,
    /// The output port of that node, or the source as it was written.
    pub what: String,
    /// The digest of the source.
    pub digest: Option<String>,
}

/// What stands at an output port.
#[derive(Clone, Debug)]
pub struct OutputView {
    /// The port.
    pub port: String,
    /// The kind of artifact.
    pub kind: String,
    /// Rows, for tables.
    pub rows: Option<u64>,
    /// Size.
    pub bytes: u64,
    /// Digest of the content.
    pub content: String,
    /// Whether it is still in the store.
    pub is_here: bool,
}

/// How the scores of generated queries are spread.
#[derive(Clone, Debug)]
pub struct Spread {
    /// The node.
    pub node: String,
    /// What the values are.
    pub by: String,
    /// Values of what the node kept; all, if it does not choose.
    pub kept: Vec<f64>,
    /// Values of what it dropped.
    pub dropped: Vec<f64>,
    /// The value from which on it kept, in numbers and in words.
    pub cut: Option<(f64, String)>,
}

/// One value of the negatives of a node, by their source.
#[derive(Clone, Debug)]
pub struct Hardness {
    /// The node.
    pub node: String,
    /// The column.
    pub column: String,
    /// What it is, on an axis.
    pub axis: String,
    /// Source of negatives → values of those that have one.
    pub sources: Vec<(String, Vec<f64>)>,
}

/// The curve of one training run.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The node.
    pub node: String,
    /// Step and loss.
    pub loss: Vec<(f64, f64)>,
}

/// A generated query beside its document.
#[derive(Clone, Debug)]
pub struct PairSample {
    /// The node.
    pub node: String,
    /// The document.
    pub doc_id: String,
    /// Its text, cut.
    pub text: String,
    /// The query.
    pub query: String,
    /// The mean log-probability of its tokens.
    pub mean_logprob: Option<f64>,
    /// A scorer's score.
    pub score: Option<f64>,
    /// Why decoding ended.
    pub finish: String,
}

/// A negative beside the query and the positive.
#[derive(Clone, Debug)]
pub struct NegativeSample {
    /// The node.
    pub node: String,
    /// The query.
    pub query: String,
    /// The relevant document.
    pub pos_id: String,
    /// Its text, cut.
    pub pos_text: String,
    /// The negative.
    pub neg_id: String,
    /// Its text, cut.
    pub neg_text: String,
    /// Where it came from.
    pub source: String,
}
