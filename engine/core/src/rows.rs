//! One struct per kind of table: its columns, in the order of the schema, and its sort key.

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use crate::{ArtifactKind, Record, RowsError, check_rows, record::record};

record! {
    /// A document of a collection.
    Document: Corpus by (doc_id) {
        /// Unique id.
        doc_id: String,
        /// Title, where the collection has one.
        title: Option<String>,
        /// Body.
        text: String,
    }
}

impl Document {
    /// Title, a space, text; the text alone without a title. What BEIR systems index and encode.
    pub fn full_text(&self) -> String {
        match self.title.as_deref() {
            Some(title) if !title.is_empty() => format!("{title} {}", self.text),
            _ => self.text.clone(),
        }
    }
}

record! {
    /// A query.
    Query: Queries by (query_id) {
        /// Unique id.
        query_id: String,
        /// What was asked.
        text: String,
    }
}

record! {
    /// A relevance judgement.
    Judgement: Qrels by (query_id, doc_id) {
        /// The query.
        query_id: String,
        /// The document.
        doc_id: String,
        /// Grade; above 0 is relevant.
        grade: i32,
    }
}

record! {
    /// A ranked result.
    Hit: Run by (query_id, rank) {
        /// The query.
        query_id: String,
        /// The document.
        doc_id: String,
        /// Rank from 1.
        rank: u32,
        /// Score, higher is better.
        score: f32,
    }
}

record! {
    /// A synthetic query and the document it was made from.
    Pair: Pairs by (query_id) {
        /// `doc_id#sample`.
        query_id: String,
        /// The generated query.
        query: String,
        /// The document.
        doc_id: String,
        /// The document's text as the prompt saw it before truncation.
        text: String,
        /// Mean natural-log probability of the kept tokens, stop token excluded.
        mean_logprob: Option<f32>,
        /// A scorer's score.
        score: Option<f32>,
        /// A chain of thought, where the prompt asked for one.
        reasoning: Option<String>,
        /// Tokens of the prompt.
        prompt_tokens: u32,
        /// Tokens generated, the stop token excluded.
        new_tokens: u32,
        /// Why decoding ended: `stop`, `length` or `end`.
        finish: String,
    }
}

record! {
    /// A training triple with its texts, so that a trainer needs no corpus.
    Triple: Triples by (query_id, pos_id, neg_id) {
        /// The query.
        query_id: String,
        /// Its text.
        query: String,
        /// The relevant document.
        pos_id: String,
        /// Its text.
        pos_text: String,
        /// The hard negative.
        neg_id: String,
        /// Its text.
        neg_text: String,
        /// Where the negative came from.
        source: String,
    }
}

record! {
    /// Two queries that were written for a document, and which of them scores higher.
    Preferred: Preferences by (doc_id) {
        /// The document.
        doc_id: String,
        /// What a generator is asked, the document in it.
        prompt: String,
        /// How the prompt asks to reach a model, `raw` or `chat`, where it says so.
        format: Option<String>,
        /// The answer with the query of the highest score: the query, and where the prompt asks for reasoning, that before it.
        chosen: String,
        /// Where it comes from: `teacher`, `student` or `reference`.
        chosen_from: String,
        /// Its score.
        chosen_score: f32,
        /// The answer with the query of the lowest score.
        rejected: String,
        /// Where it comes from.
        rejected_from: String,
        /// Its score.
        rejected_score: f32,
    }
}

record! {
    /// A text's vector.
    Vector: Vectors by (id) {
        /// The document or query.
        id: String,
        /// As the encoder gives it; all of an artifact are of one length.
        vector: Vec<f32>,
    }
}

record! {
    /// How hard a negative of a triple is. A margin is the score of the positive less that of the negative.
    Hardness: Hardness by (query_id, pos_id, neg_id) {
        /// The query.
        query_id: String,
        /// The relevant document.
        pos_id: String,
        /// The negative.
        neg_id: String,
        /// Where the negative came from.
        source: String,
        /// Its rank from 1 in BM25 for the query; none where it shares no term with it.
        bm25_rank: Option<u32>,
        /// Its score there.
        bm25_score: f32,
        /// The margin there.
        bm25_margin: f32,
        /// Its rank from 1 by the cosine of vectors, where there is an encoder.
        dense_rank: Option<u32>,
        /// Its cosine with the query.
        dense_score: Option<f32>,
        /// The margin there.
        dense_margin: Option<f32>,
        /// Its cosine with the positive.
        positive_similarity: Option<f32>,
    }
}

record! {
    /// One measure of one query.
    Score: Scores by (measure, query_id) {
        /// The query.
        query_id: String,
        /// The measure, by ir_measures' name.
        measure: String,
        /// Its value.
        value: f64,
    }
}

record! {
    /// A prompt: template and shots.
    PromptRow: Prompt by (part) {
        /// `template` or `shot/N`.
        part: String,
        /// The text.
        text: String,
    }
}

record! {
    /// One optimiser step of a training run.
    Step: Curve by (step) {
        /// Step from 1.
        step: u32,
        /// Learning rate of the step.
        learning_rate: f64,
        /// Loss before the update.
        loss: f64,
        /// Global norm of the gradient before clipping.
        gradient_norm: f64,
        /// Mean loss of rows it is not trained on, after the update; at steps it was looked at.
        dev_loss: Option<f64>,
    }
}

record! {
    /// A prompt that was tried, on the documents of one rung of a search.
    Trial: Trials by (trial, rung) {
        /// The prompt's number; 0 is the one the search began with.
        trial: u32,
        /// The rung, from 0; each tries fewer prompts on more documents.
        rung: u32,
        /// What the prompt says before its demonstrations.
        instruction: String,
        /// The names of its demonstrations in their order, as a JSON array.
        demonstrations: String,
        /// Tokens of the prompt with the longest document there may be.
        prompt_tokens: u32,
        /// Documents it was tried on so far.
        documents: u32,
        /// Mean worth of the queries it had written for them: 0 to 1.
        score: f64,
        /// `kept` for the next rung, `dropped`, or `chosen`.
        outcome: String,
    }
}

/// The schema of a kind of table; `None` for trees.
pub fn schema(kind: ArtifactKind) -> Option<SchemaRef> {
    Some(match kind {
        ArtifactKind::Corpus => Document::schema(),
        ArtifactKind::Queries => Query::schema(),
        ArtifactKind::Qrels => Judgement::schema(),
        ArtifactKind::Run => Hit::schema(),
        ArtifactKind::Pairs => Pair::schema(),
        ArtifactKind::Triples => Triple::schema(),
        ArtifactKind::Preferences => Preferred::schema(),
        ArtifactKind::Vectors => Vector::schema(),
        ArtifactKind::Hardness => Hardness::schema(),
        ArtifactKind::Scores => Score::schema(),
        ArtifactKind::Prompt => PromptRow::schema(),
        ArtifactKind::Curve => Step::schema(),
        ArtifactKind::Trials => Trial::schema(),
        ArtifactKind::Model | ArtifactKind::Index => return None,
    })
}

/// A table of any origin as an artifact of `kind`: sorted by its key, refused for duplicate keys and NaN.
pub fn checked(kind: ArtifactKind, batch: &RecordBatch) -> Result<RecordBatch, RowsError> {
    fn of<R: Record>(batch: &RecordBatch) -> Result<RecordBatch, RowsError> {
        check_rows(&mut R::decode(batch)?)
    }
    match kind {
        ArtifactKind::Corpus => of::<Document>(batch),
        ArtifactKind::Queries => of::<Query>(batch),
        ArtifactKind::Qrels => of::<Judgement>(batch),
        ArtifactKind::Run => of::<Hit>(batch),
        ArtifactKind::Pairs => of::<Pair>(batch),
        ArtifactKind::Triples => of::<Triple>(batch),
        ArtifactKind::Preferences => of::<Preferred>(batch),
        ArtifactKind::Vectors => of::<Vector>(batch),
        ArtifactKind::Hardness => of::<Hardness>(batch),
        ArtifactKind::Scores => of::<Score>(batch),
        ArtifactKind::Prompt => of::<PromptRow>(batch),
        ArtifactKind::Curve => of::<Step>(batch),
        ArtifactKind::Trials => of::<Trial>(batch),
        ArtifactKind::Model | ArtifactKind::Index => Ok(batch.clone()),
    }
}
