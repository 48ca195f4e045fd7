//! Paired tests over queries, and corrections for testing often.

mod correction;
mod paired;
mod special;

pub use correction::adjust;
pub(crate) use paired::{differences, p_value};
pub use paired::{paired_t, randomization, wilcoxon};
