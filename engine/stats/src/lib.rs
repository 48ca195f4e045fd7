//! Statistics of paired scores, as pure functions: they know numbers and seeds, neither tables nor files.
//!
//! The unit is the query. [`Differences`] are system minus baseline, one per query; [`Replicates`] are the scores of one
//! arm, seed by query. Both refuse values that are not finite when they are made, so no function meets a NaN. What a
//! sample cannot answer is `None`: a test of one query, an effect size without variance. `docs/statistics.md` says which
//! estimator stands where and why.

mod beta;
mod bootstrap;
mod choice;
mod correction;
mod differences;
mod effect;
mod moments;
mod noise;
mod normal;
mod power;
mod randomization;
mod replicates;
mod student;
mod t;
mod wilcoxon;

pub use bootstrap::{Bootstrap, Resamples, bootstrap_interval};
pub use choice::{Interval, Method, ROUNDS, Test, Tested};
pub use correction::{Correction, NotAProbability, adjust};
pub use differences::{Counts, Differences};
pub use effect::{cohens_d, hedges_g};
pub use moments::{NotFinite, mean};
pub use noise::{Noise, SeedTest, seed_test};
pub use power::{Goal, LARGEST, detectable_difference, paired_power, queries_needed};
pub use randomization::randomization;
pub use replicates::{Components, Replicates, Unfit};
pub use t::{equivalence, paired_t, t_interval};
pub use wilcoxon::wilcoxon;
