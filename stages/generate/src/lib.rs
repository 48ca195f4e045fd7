//! Prompts, the decoding engine, query filters.

pub mod decode;
mod filter;
mod generate;
mod prompt;
mod queries;
mod sampling;
mod shots;

pub use filter::Filter;
pub use generate::Generate;
pub use prompt::{PROMPT_SOURCE, Prompt, PromptSource, Template};
pub use queries::Queries;
