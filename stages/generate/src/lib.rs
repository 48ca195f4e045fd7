//! Prompts and the search for good ones, the decoding engine, endpoints, query filters.

mod answers;
mod asking;
mod chat;
mod copying;
mod cues;
mod cutting;
pub mod decode;
mod endpoint;
mod evaluate_pairs;
mod filling;
mod filter;
mod generate;
mod lanes;
mod likeness;
mod local;
mod negatives;
mod optimise;
mod pair_prompts;
mod prompt;
mod published;
mod queries;
mod query_writing;
mod reading;
mod remote;
#[cfg(test)]
mod samples;
mod sampling;
mod shots;
mod spelling;
mod strategies;
mod teaching;
mod template;
mod writer;
mod writing;

pub use copying::copied_share;
pub use endpoint::{Batch, Endpoint, GENERATOR_SOURCE, GeneratorSource};
pub use evaluate_pairs::EvaluatePairs;
pub use filter::Filter;
pub use generate::Generate;
pub use negatives::WriteNegatives;
pub use optimise::OptimisePrompt;
pub use pair_prompts::{PairPrompts, Prompting};
pub use prompt::{PROMPT_SOURCE, Prompt, PromptSource};
pub use queries::Queries;
pub use reading::{Format, Reading};
