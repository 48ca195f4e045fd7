//! Trainers: losses, optimiser, schedule.

mod batches;
pub mod biencoder;
mod checkpoint;
pub mod loss;
pub mod optimizer;
mod trainer;

pub use batches::no_duplicates;
pub use biencoder::TrainBiencoder;
pub use checkpoint::Checkpoints;
pub use trainer::{Settings, batch_loss, train};
