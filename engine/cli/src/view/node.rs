//! A node with what its trace says.

use ablate_cache::{OutputRecord, Store, Trace};
use ablate_core::canon;
use ablate_html::{InputView, NodeView, OutputView};
use ablate_plot::State;
use ablate_run::{InputRecord, NodeRecord, Status};

/// What a page shows of a node.
pub(crate) fn node_view(node: &NodeRecord, trace: Option<&Trace>, store: &Store) -> NodeView {
    let fact = |name: &str| field(trace?, &[name]).map(text);
    NodeView {
        name: node.name.clone(),
        kind: node.kind.clone(),
        state: state(node.status),
        reason: node.reason.clone(),
        key: node.key.map(|key| key.to_string()),
        seconds: node.seconds,
        rows_computed: node.rows_computed,
        rows_reused: node.rows_reused,
        params: node.params.clone(),
        inputs: node.inputs.iter().map(|input| input_view(input, trace)).collect(),
        outputs: trace
            .iter()
            .flat_map(|trace| &trace.outputs)
            .map(|output| output_view(output, store))
            .collect(),
        version: fact("version"),
        numeric: fact("numeric"),
        host: trace.map(|trace| trace.host.clone()),
        finished: trace.map(|trace| time(trace.finished)),
        computed_in: trace.map(|trace| trace.seconds),
        tokens: trace.and_then(|trace| trace.tokens),
        notes: trace.map(|trace| trace.notes.clone()).unwrap_or_default(),
    }
}

fn state(status: Status) -> State {
    match status {
        Status::Ran => State::Ran,
        Status::Reused => State::Reused,
        Status::Cutoff => State::Cutoff,
        Status::Failed => State::Failed,
        Status::Skipped => State::Skipped,
    }
}

fn input_view(input: &InputRecord, trace: Option<&Trace>) -> InputView {
    let digest = |trace: &Trace| field(trace, &["inputs", &input.port, "digest"]).map(text);
    InputView {
        port: input.port.clone(),
        node: input.node.clone(),
        what: input.what.clone(),
        digest: trace.and_then(digest),
    }
}

fn output_view(output: &OutputRecord, store: &Store) -> OutputView {
    OutputView {
        port: output.port.clone(),
        kind: output.kind.name().into(),
        rows: output.rows,
        bytes: output.bytes,
        content: output.content.to_string(),
        is_here: store.has_object(output.file),
    }
}

/// The value at a path of the pre-image.
fn field<'t>(trace: &'t Trace, path: &[&str]) -> Option<&'t canon::Value> {
    path.iter().try_fold(&trace.preimage, |value, name| match value {
        canon::Value::Map(map) => map.get(*name),
        _ => None,
    })
}

fn text(value: &canon::Value) -> String {
    match value {
        canon::Value::Text(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    }
}

/// Seconds since 1970 as a date in the zone of this machine.
fn time(seconds: u64) -> String {
    let at = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let local = at.map(|at| at.to_zoned(jiff::tz::TimeZone::system()));
    local
        .map(|at| at.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}
