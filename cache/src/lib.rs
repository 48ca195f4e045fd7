//! The content store: objects under the digest of their bytes, traces under their action key.
//!
//! ```text
//! CACHEDIR.TAG            tells backup programs to pass by
//! format                  the version of this layout
//! objects/<2>/<digest>    a Parquet file, or a folder (models, indexes)
//! traces/<2>/<key>.json   what an action produced: the commit of a node
//! recipes.log             which recipe led to which key
//! locks/<key>             held while a key is being computed
//! runs/<id>/              run manifests and event logs
//! memo/<namespace>/        rows computed before, as Parquet segments
//! partial/                work under way
//! ```
//!
//! Objects are durable before the trace that names them; the first writer of a key wins.

mod files;
mod gate;
mod gc;
mod lock;
mod memo;
mod object;
mod parts;
mod recipes;
mod segment;
mod store;
mod stream;
mod trace;
mod verify;

pub use files::{sealed, sealed_line, unsealed, unsealed_line};
pub use gate::Refuse;
pub use gc::Garbage;
pub use lock::ActionLock;
pub use memo::{FlushPolicy, Memo, Recalled};
pub use object::{Object, Staged};
pub use recipes::Recipes;
pub use store::{Store, StoreError};
pub use trace::{Committed, OutputRecord, Trace};
pub use verify::{Finding, Verification};
