//! What past computations say of a plan: how long nodes will take, and what a key differs in from the nearest earlier one.

use std::collections::BTreeMap;

use ablate_cache::{Store, StoreError, Trace};
use ablate_core::canon;

use crate::lookup::differences;

/// The traces of a store, by stage kind.
#[derive(Debug, Default)]
pub struct History {
    kinds: BTreeMap<String, Vec<Trace>>,
}

/// What a node is likely to cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Wall time, seconds.
    pub seconds: f64,
    /// Tokens it generates, if it does.
    pub tokens: Option<u64>,
    /// Bytes of its outputs.
    pub bytes: u64,
}

impl History {
    /// Reads every trace.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let mut history = Self::default();
        for trace in store.traces()? {
            let kind = kind_of(&trace.preimage).unwrap_or_default().to_owned();
            history.kinds.entry(kind).or_default().push(trace);
        }
        Ok(history)
    }

    /// The cost of the computation whose pre-image is nearest to `like`; of several as near, the median. Of a node whose
    /// pre-image is not known yet, the median of its kind. `None` if no node of this kind was ever computed.
    pub fn cost(&self, kind: &str, like: Option<&canon::Value>) -> Option<Cost> {
        let traces = self.kinds.get(kind)?;
        let distance = |trace: &Trace| like.map_or(0, |like| differences(&trace.preimage, like).len());
        let nearest = traces.iter().map(distance).min()?;
        let mut costs: Vec<Cost> = traces
            .iter()
            .filter(|trace| distance(trace) == nearest)
            .map(cost_of)
            .collect();
        costs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Some(costs[costs.len() / 2])
    }

    /// The computation of the same kind whose pre-image differs least from `preimage`, and in what.
    pub fn nearest(&self, preimage: &canon::Value) -> Option<(&Trace, Vec<String>)> {
        let traces = self.kinds.get(kind_of(preimage)?)?;
        let compared = traces
            .iter()
            .map(|trace| (trace, differences(&trace.preimage, preimage)));
        compared.min_by_key(|(trace, changes)| (changes.len(), std::cmp::Reverse(trace.finished)))
    }
}

fn cost_of(trace: &Trace) -> Cost {
    Cost {
        seconds: trace.seconds,
        tokens: trace.tokens,
        bytes: trace.outputs.iter().map(|output| output.bytes).sum(),
    }
}

fn kind_of(preimage: &canon::Value) -> Option<&str> {
    let canon::Value::Map(fields) = preimage else {
        return None;
    };
    match fields.get("kind")? {
        canon::Value::Text(kind) => Some(kind),
        _ => None,
    }
}
