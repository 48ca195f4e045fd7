//! Texts to vectors by the encoder of a stage, known ones from the memo.

use std::sync::Arc;

use ablate_core::{Digest, Io, Memo, RowFunction, StageError, canon};
use ablate_models::{
    device,
    encoder::{Embeddings, Prefixes, Role, SentenceEncoder},
};
use rayon::prelude::*;

use super::Reading;

/// Texts to vectors; version 1.
const EMBED: RowFunction = RowFunction {
    name: "embed",
    version: 1,
};

/// An encoder at work in a stage. Its vectors are shared by all stages that encode with it.
pub(crate) struct Encoding<'a> {
    encoder: Arc<SentenceEncoder>,
    /// Numbers kept of each vector.
    dim: usize,
    memo: Memo<'a>,
    batch: usize,
    io: &'a Io<'a>,
}

impl<'a> Encoding<'a> {
    /// The encoder at `port`, reading texts so, at most `batch` at a time.
    ///
    /// # Errors
    /// If the model cannot be loaded, `max_length` leaves no room for a text, or vectors have fewer numbers than are to be kept.
    pub(crate) fn open(
        io: &'a Io<'a>,
        port: &str,
        reading: &Reading,
        batch: usize,
    ) -> Result<Self, StageError> {
        let device = device::open(io.device())?;
        let mut encoder = io.model(port, "f32", |folder| SentenceEncoder::load(folder, &device))?;
        if reading.prefixes != Prefixes::default() {
            Arc::make_mut(&mut encoder).set_prefixes(&reading.prefixes);
        }
        if let Some(tokens) = reading.max_length {
            Arc::make_mut(&mut encoder).set_max_length(tokens)?;
        }
        let whole = encoder.dim();
        let dim = reading.dim.unwrap_or(whole);
        if dim > whole {
            return Err(StageError::new(format!(
                "`dim: {dim}` asks for more numbers than the {whole} of the model's vectors"
            )));
        }
        let meaning = canon::Value::map([
            ("model", io.digest(port)?),
            ("max_length", canon::Value::Int(encoder.max_length() as i128)),
            ("numeric", canon::Value::text("f32")),
        ]);
        let memo = io.memo(EMBED, meaning)?;
        Ok(Self {
            encoder,
            dim,
            memo,
            batch,
            io,
        })
    }

    /// Numbers of a vector.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// The vectors of texts as the encoder gives them; `name` names a text, by its place, in errors.
    pub(crate) fn vectors(
        &self,
        role: Role,
        texts: &[String],
        name: impl Fn(usize) -> String,
    ) -> Result<Embeddings, StageError> {
        let vectors = self.known_or_new(role, texts)?;
        refuse_unsound(&vectors, name)?;
        Ok(vectors)
    }

    /// The same, scaled to length 1.
    pub(crate) fn unit_vectors(
        &self,
        role: Role,
        texts: &[String],
        name: impl Fn(usize) -> String,
    ) -> Result<Embeddings, StageError> {
        let mut vectors = self.vectors(role, texts, name)?;
        if !self.encoder.normalizes() || self.dim < self.encoder.dim() {
            normalize(&mut vectors);
        }
        Ok(vectors)
    }

    /// The same of texts that are named by themselves.
    pub(crate) fn units(&self, role: Role, texts: &[String]) -> Result<Embeddings, StageError> {
        self.unit_vectors(role, texts, |at| format!("the text `{}`", texts[at]))
    }

    fn known_or_new(&self, role: Role, texts: &[String]) -> Result<Embeddings, StageError> {
        let (encoder, io) = (&self.encoder, self.io);
        let prompted = |text| encoder.prompted(role, text);
        let keys: Vec<Digest> = texts
            .iter()
            .map(|text| Digest::of(prompted(text).as_bytes()))
            .collect();
        let fits = |vector: &Vec<f32>| vector.len() == encoder.dim();
        let vectors = self.memo.map(&keys, fits, |missing, sink| {
            let new: Vec<String> = missing
                .iter()
                .map(|at| prompted(&texts[*at]).into_owned())
                .collect();
            let mut done = 0;
            io.progress(0, new.len(), "texts")?;
            encoder.encode_each(&new, self.batch, &mut |at, vector| {
                sink(at, vector.to_vec())?;
                done += 1;
                io.progress(done, new.len(), "texts")
            })
        })?;
        let kept = vectors.iter().flat_map(|vector| &vector[..self.dim]);
        Ok(Embeddings {
            dim: self.dim,
            values: kept.copied().collect(),
        })
    }
}

/// Scales each vector to length 1; a zero vector stays.
pub(crate) fn normalize(vectors: &mut Embeddings) {
    let dim = vectors.dim;
    vectors.values.par_chunks_mut(dim).for_each(|vector| {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        for x in vector {
            *x /= length;
        }
    });
}

fn refuse_unsound(vectors: &Embeddings, name: impl Fn(usize) -> String) -> Result<(), StageError> {
    let unsound = |vector: &[f32]| vector.iter().any(|x| !x.is_finite());
    match vectors.rows().position(unsound) {
        None => Ok(()),
        Some(at) => Err(StageError::with_help(
            format!("the vector of {} holds NaN or infinity", name(at)),
            "check the model: its training may have diverged",
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn vectors_that_are_no_numbers_name_their_text() {
        let values = vec![1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0];
        let message = refuse_unsound(&Embeddings { dim: 2, values }, |at| format!("document `d{at}`"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("document `d2`"), "{message}");
    }

    #[test]
    fn cosine_ignores_length() {
        let mut vectors = Embeddings {
            dim: 2,
            values: vec![3.0, 4.0, 0.3, 0.4, 0.0, 0.0],
        };
        normalize(&mut vectors);
        for (found, expected) in vectors.values.iter().zip([0.6, 0.8, 0.6, 0.8, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-7);
        }
    }
}
