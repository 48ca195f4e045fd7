//! One head of one text in the attention of T5.

use super::{
    super::{
        attention::{HIDDEN, drop_weights, softmax_backward, softmax_rows},
        product::{Matrix, Packed, multiply},
    },
    Attended,
};

/// One head of one text: windows into the rows of all heads.
pub(super) struct Head<'a> {
    pub(super) shape: &'a Attended,
    pub(super) text: usize,
    pub(super) index: usize,
    pub(super) queries: &'a [f32],
    pub(super) keys_values: &'a [f32],
    /// What is added for each distance, or nothing.
    pub(super) distances: &'a [f32],
    /// Width of all heads.
    pub(super) width: usize,
}

impl<'a> Head<'a> {
    fn own(&self) -> usize {
        self.width / self.shape.heads
    }

    /// Its first column.
    fn column(&self) -> usize {
        self.index * self.own()
    }

    fn rows(&self) -> usize {
        self.queries.len() / self.width
    }

    fn tokens(&self) -> usize {
        self.keys_values.len() / (2 * self.width)
    }

    fn query(&self) -> Matrix<'a> {
        Matrix::window(
            &self.queries[self.column()..],
            self.rows(),
            self.own(),
            self.width,
        )
    }

    /// Keys (0) or values (1).
    fn part(&self, part: usize) -> Matrix<'a> {
        let from = part * self.width + self.column();
        Matrix::window(
            &self.keys_values[from..],
            self.tokens(),
            self.own(),
            2 * self.width,
        )
    }

    /// Where the number for a query and the first key stands among those of its distances.
    fn first(&self, query: usize) -> usize {
        self.distances.len() / 2 - query
    }

    /// Rows of weights, `(rows, tokens)`, as a matrix.
    fn square<'b>(&self, weights: &'b [f32]) -> Matrix<'b> {
        Matrix::new(weights, self.rows(), self.tokens())
    }

    /// `a b`, `(rows, tokens)`.
    fn scores(&self, a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
        let mut scores = vec![0.0; self.rows() * self.tokens()];
        multiply(a, &Packed::new(b), &mut scores, self.tokens(), false);
        scores
    }

    fn weights(&self) -> Vec<f32> {
        let mut scores = self.scores(self.query(), self.part(0).transposed());
        for (query, row) in scores.chunks_exact_mut(self.tokens()).enumerate() {
            if !self.distances.is_empty() {
                let added = &self.distances[self.first(query)..][..self.tokens()];
                row.iter_mut().zip(added).for_each(|(score, more)| *score += more);
            }
            if self.shape.causal {
                row.iter_mut().skip(query + 1).for_each(|score| *score = HIDDEN);
            }
        }
        softmax_rows(&mut scores, self.tokens(), 1.0);
        scores
    }

    fn drop(&self, weights: &mut [f32]) {
        let dropout = self.shape.dropout.map(|dropout| dropout.part(self.text));
        drop_weights(weights, dropout, self.index * weights.len());
    }

    /// What its queries take of the values, into its columns of `out`.
    pub(super) fn forward(&self, out: &mut [f32]) {
        let mut weights = self.weights();
        self.drop(&mut weights);
        let (weights, values) = (self.square(&weights), Packed::new(self.part(1)));
        multiply(weights, &values, &mut out[self.column()..], self.width, false);
    }

    /// Writes the gradients of its queries, keys and values, and adds those of its distances.
    pub(super) fn backward(&self, gradient: &[f32], out: &mut Gradients<'_>, for_distances: &mut [f32]) {
        let gradient = Matrix::window(&gradient[self.column()..], self.rows(), self.own(), self.width);
        let weights = self.weights();
        let mut dropped = weights.clone();
        self.drop(&mut dropped);
        let mut scores = self.scores(gradient, self.part(1).transposed());
        self.drop(&mut scores);
        softmax_backward(&mut scores, &weights, self.tokens(), 1.0);
        let (column, wide) = (self.column(), 2 * self.width);
        let for_queries = &mut out.queries[column..];
        let write = |a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32], stride: usize| {
            multiply(a, &Packed::new(b), out, stride, false);
        };
        write(self.square(&scores), self.part(0), for_queries, self.width);
        let (keys, values) = (column, self.width + column);
        write(
            self.square(&scores).transposed(),
            self.query(),
            &mut out.keys_values[keys..],
            wide,
        );
        write(
            self.square(&dropped).transposed(),
            gradient,
            &mut out.keys_values[values..],
            wide,
        );
        if !self.distances.is_empty() {
            for (query, row) in scores.chunks_exact(self.tokens()).enumerate() {
                let sums = &mut for_distances[self.first(query)..][..row.len()];
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, gradient)| *sum += gradient);
            }
        }
    }
}

/// The gradients of a text's rows.
pub(super) struct Gradients<'a> {
    pub(super) queries: &'a mut [f32],
    pub(super) keys_values: &'a mut [f32],
}
