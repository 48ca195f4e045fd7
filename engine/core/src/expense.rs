//! What a node is going to cost where somebody else computes for it, told before it runs.

use arrow::array::RecordBatch;
use serde::Serialize;

use crate::Places;

/// Tokens that a server will be asked for, were none of the rows known from before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Expense {
    /// Tokens it reads, about: a token is taken for four characters.
    pub read: u64,
    /// Tokens it writes at the most.
    pub written: u64,
    /// What both cost, in the currency of the price; null where none is given.
    pub cost: Option<f64>,
}

/// What is known of a node's inputs before it runs.
pub trait Preview {
    /// The source at a port, if it is one.
    fn source(&self, port: &str) -> Option<&str>;
    /// Rows of the table at a port, where it is there already.
    fn rows(&self, port: &str) -> Option<u64>;
    /// The first rows of that table.
    fn sample(&self, port: &str) -> Option<RecordBatch>;
    /// Where sources are looked up.
    fn places(&self) -> &Places;
}
