//! Trainers: objectives, losses, optimiser, schedule, and the loop they share.

pub mod answers;
mod batches;
pub mod biencoder;
mod checkpoint;
pub mod completions;
mod cpo;
pub mod crossencoder;
pub mod distillation;
mod gradients;
pub mod imitation;
mod lessons;
pub mod loss;
pub mod masking;
pub mod monot5;
pub mod optimizer;
mod preferences;
pub mod ranking;
pub mod relevance;
mod sft;
mod tokens;
mod trainer;
mod training;
mod tuning;

pub use batches::{Batches, no_duplicates, shuffled};
pub use biencoder::TrainBiencoder;
pub use checkpoint::Checkpoints;
pub use cpo::TrainCpo;
pub use crossencoder::TrainCrossencoder;
pub use distillation::TrainDistillation;
pub use gradients::Gradients;
pub use monot5::TrainMonoT5;
pub use preferences::Preferences;
pub use sft::TrainSft;
pub use trainer::{Dev, Objective, Settings, train};
