//! What `plan` tells: what will run, and what it is likely to take.

use ablate_cache::{OutputRecord, Store, Trace};
use ablate_core::{Expense, Places, Preview};
use ablate_plan::{Connection, Origin, Plan};
use arrow::array::RecordBatch;
use petgraph::graph::NodeIndex;
use serde::Serialize;

use crate::{Decision, History, Lookup, lookup::hit_reason};

/// A decision in words, for `plan`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// The node.
    pub name: String,
    /// Its stage kind.
    pub kind: &'static str,
    /// `reuse`, `run` or `maybe`.
    pub decision: &'static str,
    /// Why.
    pub reason: String,
    /// Seconds it is likely to take; null if it is reused, or nothing like it was ever computed.
    pub seconds: Option<f64>,
    /// Tokens it is likely to generate; null for stages that do not.
    pub tokens: Option<u64>,
    /// Bytes it is likely to write.
    pub bytes: Option<u64>,
    /// What it is going to ask of servers; null for stages that do not, and where its inputs are not there yet.
    pub expense: Option<Expense>,
}

impl Lookup {
    /// The decisions in words, in plan order.
    pub fn forecast(&self, plan: &Plan) -> Vec<Forecast> {
        let row = |index: &NodeIndex| {
            let node = plan.node(*index);
            let (decision, reason) = match &self.decisions[index] {
                Decision::Hit { status, .. } => ("reuse", hit_reason(*status).to_owned()),
                Decision::Run { reason, .. } => ("run", reason.clone()),
                Decision::Maybe { reason } => ("maybe", reason.clone()),
            };
            Forecast {
                name: node.name.clone(),
                kind: node.kind.name(),
                decision,
                reason,
                seconds: None,
                tokens: None,
                bytes: None,
                expense: None,
            }
        };
        plan.order.iter().map(row).collect()
    }

    /// The same, with the likely cost of what is not reused: by what the store remembers, and by what the stages tell.
    pub fn forecast_with(
        &self,
        plan: &Plan,
        history: &History,
        store: &Store,
        places: &Places,
    ) -> Vec<Forecast> {
        let mut rows = self.forecast(plan);
        for (index, row) in plan.order.iter().zip(&mut rows) {
            let cost = match &self.decisions[index] {
                Decision::Hit { .. } => continue,
                Decision::Run { preimage, .. } => history.cost(row.kind, Some(preimage)),
                Decision::Maybe { .. } => history.cost(row.kind, None),
            };
            row.seconds = cost.map(|cost| cost.seconds);
            row.tokens = cost.and_then(|cost| cost.tokens);
            row.bytes = cost.map(|cost| cost.bytes);
            let known = Known {
                lookup: self,
                inputs: &plan.node(*index).inputs,
                store,
                places,
            };
            row.expense = plan.node(*index).bound.expense(&known);
        }
        rows
    }

    fn trace(&self, index: NodeIndex) -> Option<&Trace> {
        match self.decisions.get(&index)? {
            Decision::Hit { trace, .. } => Some(trace),
            _ => None,
        }
    }
}

/// The inputs of a node, as far as they are there.
struct Known<'a> {
    lookup: &'a Lookup,
    inputs: &'a [Connection],
    store: &'a Store,
    places: &'a Places,
}

impl Known<'_> {
    fn record(&self, port: &str) -> Option<&OutputRecord> {
        let input = self.inputs.iter().find(|input| input.port == port)?;
        match &input.origin {
            Origin::Node { node, output } => self.lookup.trace(*node)?.output(output),
            Origin::Source { .. } => None,
        }
    }
}

impl Preview for Known<'_> {
    fn source(&self, port: &str) -> Option<&str> {
        let input = self.inputs.iter().find(|input| input.port == port)?;
        match &input.origin {
            Origin::Source { text, .. } => Some(text),
            Origin::Node { .. } => None,
        }
    }

    fn rows(&self, port: &str) -> Option<u64> {
        self.record(port)?.rows
    }

    fn sample(&self, port: &str) -> Option<RecordBatch> {
        let mut rows = self.store.stream_rows(self.record(port)?, None, 0).ok()?;
        rows.next()?.ok()
    }

    fn places(&self) -> &Places {
        self.places
    }
}
