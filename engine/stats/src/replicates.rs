//! The scores of one arm over seeds and queries, and how much of their variance is of which.

use crate::{
    mean,
    moments::{NotFinite, check_finite, variance},
};

/// Scores of an arm, one row per replicate (seed), one column per query. All are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Replicates {
    scores: Vec<Vec<f64>>,
}

/// Why scores are no matrix of seed by query.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// There is no replicate.
    #[error("there are no scores")]
    Empty,
    /// A replicate has another number of queries than the first.
    #[error("replicate {replicate} has {found} queries, the first has {expected}")]
    Ragged {
        /// Its place, from 0.
        replicate: usize,
        /// How many it has.
        found: usize,
        /// How many the first has.
        expected: usize,
    },
    /// A score is NaN or infinite.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
}

/// Variance components of the scores of an arm: y(seed, query) = mean + seed + query + residual, all but the mean random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Components {
    /// What a seed adds to all queries alike.
    pub seed: f64,
    /// What makes a query easy or hard for all seeds alike.
    pub query: f64,
    /// What a seed does to single queries, and all else.
    pub residual: f64,
}

impl Replicates {
    /// Takes scores, one `Vec` per replicate with the queries in the same order.
    ///
    /// # Errors
    /// If there is no replicate, if replicates have different numbers of queries, or if a score is not finite.
    pub fn new(scores: Vec<Vec<f64>>) -> Result<Self, Unfit> {
        let expected = scores.first().ok_or(Unfit::Empty)?.len();
        for (replicate, row) in scores.iter().enumerate() {
            if row.len() != expected {
                let found = row.len();
                return Err(Unfit::Ragged {
                    replicate,
                    found,
                    expected,
                });
            }
            check_finite(row)?;
        }
        Ok(Self { scores })
    }

    /// How many replicates, at least one.
    pub fn seeds(&self) -> usize {
        self.scores.len()
    }

    /// How many queries.
    pub fn queries(&self) -> usize {
        self.scores[0].len()
    }

    /// The mean over queries of each replicate.
    pub fn means(&self) -> Vec<f64> {
        let of = |row: &Vec<f64>| mean(row.iter().copied());
        self.scores.iter().map(of).collect()
    }

    /// The mean over replicates of each query.
    pub fn query_means(&self) -> Vec<f64> {
        let of = |query: usize| mean(self.scores.iter().map(|row| row[query]));
        (0..self.queries()).map(of).collect()
    }

    /// The mean over replicates of their means over queries.
    pub fn mean(&self) -> f64 {
        mean(self.means())
    }

    /// The sample standard deviation of the replicates' means; `None` for a single one.
    pub fn sd(&self) -> Option<f64> {
        variance(&self.means()).map(f64::sqrt)
    }

    /// The components by the analysis of variance of the two-way random layout with one score per cell (Searle, Casella
    /// and McCulloch 1992, section 4.7; the design p × i of Brennan 2001): the residual is its mean square, seed and
    /// query are (mean square - residual) over the size of the other, and 0 where that is negative.
    ///
    /// `None` for fewer than two replicates or two queries.
    pub fn components(&self) -> Option<Components> {
        let (seeds, queries) = (self.seeds() as f64, self.queries() as f64);
        let by_seed = queries * variance(&self.means())?;
        let by_query = seeds * variance(&self.query_means())?;
        let residual = self.residual_squares() / ((seeds - 1.0) * (queries - 1.0));
        Some(Components {
            seed: ((by_seed - residual) / queries).max(0.0),
            query: ((by_query - residual) / seeds).max(0.0),
            residual,
        })
    }

    fn residual_squares(&self) -> f64 {
        let (means, query_means, all) = (self.means(), self.query_means(), self.mean());
        let of_row = |(row, of_seed): (&Vec<f64>, &f64)| {
            let square = |(y, of_query): (&f64, &f64)| (y - of_seed - of_query + all).powi(2);
            row.iter().zip(&query_means).map(square).sum::<f64>()
        };
        self.scores.iter().zip(&means).map(of_row).sum()
    }

    /// The standard error of [`mean`](Self::mean) if both seeds and queries are a sample: the root of
    /// seed / S + query / Q + residual / (S Q). Of a single replicate that over queries alone, since nothing tells what
    /// another seed would do.
    ///
    /// `None` for fewer than two queries.
    pub fn standard_error(&self) -> Option<f64> {
        let (seeds, queries) = (self.seeds() as f64, self.queries() as f64);
        if self.seeds() == 1 {
            return variance(&self.scores[0]).map(|variance| (variance / queries).sqrt());
        }
        let of = self.components()?;
        Some((of.seed / seeds + of.query / queries + of.residual / (seeds * queries)).sqrt())
    }
}
