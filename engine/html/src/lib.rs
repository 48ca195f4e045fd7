//! Pages about runs: a run as one self-contained file, and what a server shows beside it.
//!
//! A page is a function of plain data ([`RunPage`] and its parts): nothing here reads a file or a clock. All text passes
//! through [`maud`], which escapes it; only the style and the scripts of this crate stand in pages as they are. A page
//! loads nothing: its content security policy admits its own style and scripts by their digests, and nothing else.

mod comparison;
mod document;
mod figures;
mod graph;
mod live;
mod node;
mod nodes;
mod results;
mod rows;
mod run;
mod runs;
mod samples;
mod spell;
mod statistics;
mod view;

pub use comparison::comparison;
pub use document::{Place, message};
pub use figures::{Figure, figures};
pub use live::{LiveNode, LivePage, live, live_part};
pub use node::{NodePage, node};
pub use rows::{RowsPage, rows};
pub use run::run;
pub use runs::{RunEntry, runs};
pub use view::{
    Curve, Hardness, InputView, NegativeSample, NodeView, OutputView, PairSample, RunPage, Spread,
};
