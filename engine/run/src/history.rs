//! What past computations say of a plan: how long nodes will take, and what a key differs in from the nearest earlier one.

use std::collections::BTreeMap;

use ablate_cache::{Store, StoreError, Trace};
use ablate_core::canon;

use crate::lookup::differences;

/// The traces of a store, by stage kind.
#[derive(Debug, Default)]
pub struct History {
    kinds: BTreeMap<String, Vec<Trace>>,
    /// Rows of the tables they wrote, by content digest.
    rows: BTreeMap<String, u64>,
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
            let tables = trace
                .outputs
                .iter()
                .filter_map(|output| Some((output, output.rows?)));
            history
                .rows
                .extend(tables.map(|(output, rows)| (output.content.to_string(), rows)));
            history.kinds.entry(kind).or_default().push(trace);
        }
        Ok(history)
    }

    /// The cost of the computation whose pre-image is nearest to `like`, times as much as there are more rows to read; of several as
    /// near, the median. Of a node whose pre-image is not known yet, the median of its kind. `None` if no node of this kind was ever
    /// computed.
    pub fn cost(&self, kind: &str, like: Option<&canon::Value>) -> Option<Cost> {
        let traces = self.kinds.get(kind)?;
        let distance = |trace: &Trace| like.map_or(0, |like| differences(&trace.preimage, like).len());
        let nearest = traces.iter().map(distance).min()?;
        let mut costs: Vec<Cost> = traces
            .iter()
            .filter(|trace| distance(trace) == nearest)
            .map(|trace| cost_of(trace, like.map_or(1.0, |like| self.growth(&trace.preimage, like))))
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

impl History {
    /// How many times the rows of `before` a node reads: at the port where that is furthest from 1, since what another port brings is
    /// often read once for all.
    fn growth(&self, before: &canon::Value, now: &canon::Value) -> f64 {
        let (before, now) = (self.inputs(before), self.inputs(now));
        let ratio = |(port, rows): (&&str, &u64)| Some(*rows as f64 / *before.get(port)? as f64);
        let ratios = now.iter().filter_map(ratio);
        let far = |ratio: &f64| ratio.ln().abs();
        ratios.max_by(|a, b| far(a).total_cmp(&far(b))).unwrap_or(1.0)
    }

    /// Rows at the input ports of a pre-image, where they are known and there are any.
    fn inputs<'v>(&self, preimage: &'v canon::Value) -> BTreeMap<&'v str, u64> {
        let rows = |(port, input): (&'v String, &canon::Value)| {
            let canon::Value::Text(content) = field(input, "content")? else {
                return None;
            };
            let rows = self.rows.get(content).filter(|rows| **rows > 0)?;
            Some((port.as_str(), *rows))
        };
        match field(preimage, "inputs") {
            Some(canon::Value::Map(inputs)) => inputs.iter().filter_map(rows).collect(),
            _ => BTreeMap::new(),
        }
    }
}

/// What a computation cost, so many times.
fn cost_of(trace: &Trace, times: f64) -> Cost {
    let scaled = |count: u64| (count as f64 * times).round() as u64;
    Cost {
        seconds: trace.seconds * times,
        tokens: trace.tokens.map(scaled),
        bytes: scaled(trace.outputs.iter().map(|output| output.bytes).sum()),
    }
}

fn field<'v>(value: &'v canon::Value, name: &str) -> Option<&'v canon::Value> {
    match value {
        canon::Value::Map(fields) => fields.get(name),
        _ => None,
    }
}

fn kind_of(preimage: &canon::Value) -> Option<&str> {
    match field(preimage, "kind")? {
        canon::Value::Text(kind) => Some(kind),
        _ => None,
    }
}
