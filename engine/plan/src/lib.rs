//! From a checked experiment to a graph of distinct nodes: sweep expansion, recipes, folding of equal nodes.

mod expand;
mod graph;
mod lineage;
mod point;
mod select;

pub use expand::{PlanError, plan};
pub use graph::{Arm, Connection, Node, Origin, Plan};
pub use lineage::{Leak, Port, Suspect, leaks, suspects};
pub use point::Place;
pub use select::{NoSuchPoint, Selection};
