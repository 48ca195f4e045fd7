//! The words of the domain: digests, artifact kinds and their rows, the [`Stage`] trait, canonical
//! encoding, seeds. No I/O, no YAML, no tensors: every other crate may use this one.

pub mod canon;
mod content;
mod digest;
mod expense;
mod host;
mod kind;
mod memo;
mod params;
mod parts;
mod ports;
mod record;
pub mod rows;
mod schema;
mod seed;
mod share;
mod source;
mod stage;
mod suggest;
pub mod units;

pub use content::{content_digest, content_digest_of};
pub use digest::{ActionKey, ContentDigest, Digest, FileDigest, RecipeId};
pub use expense::{Expense, Preview};
pub use host::{Host, Io, LoadedModel, ModelKey, Progress};
pub use kind::ArtifactKind;
pub use memo::{Memo, MemoryRows, RowFunction, RowStore, RowValue, Sink};
pub use params::{ParamProblem, Problems};
pub use parts::Parts;
pub use ports::{Input, Maker, Output, Ports, Wire};
pub use record::{Column, Record, RowsError, check_columns, check_rows};
pub use schema::{json_schema, properties, range, schema_of};
pub use seed::{Seed, Stream};
pub use share::Part;
pub use source::{Environment, Places, Secret, SourceType};
pub use stage::{Bound, DeviceChoice, Memory, Needs, Numeric, Of, Slot, Stage, StageError, StageKind};
pub use suggest::similar;
