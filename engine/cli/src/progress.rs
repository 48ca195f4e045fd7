//! Progress on standard error: bars with rate and time left on a terminal, plain lines otherwise.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ablate_run::{Event, Status};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::print;

/// How often a plain line may tell how far a node is.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the events of a run.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    nodes: Mutex<BTreeMap<String, Live>>,
}

struct Live {
    bar: ProgressBar,
    began: Instant,
    told: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            bars: print::live().then(MultiProgress::new),
            nodes: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes one event in.
    pub(crate) fn show(&self, event: &Event) {
        match event {
            Event::RunStarted {
                run, nodes, reused, ..
            } => {
                self.line(&format!("run {run}: {nodes} nodes, {reused} found in the store"));
            }
            Event::NodeStarted { node, kind } => self.started(node, kind),
            Event::NodeProgress {
                node,
                done,
                total,
                unit,
            } => self.advanced(node, *done, *total, unit),
            Event::NodeNote { node, note } => self.line(&format!("  {node}: {note}")),
            Event::NodeFinished {
                node,
                status,
                reason,
                seconds,
                ..
            } => self.finished(node, *status, reason, *seconds),
            Event::RunFinished { .. } => {}
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => print::message(text),
        }
    }

    fn started(&self, node: &str, kind: &str) {
        let now = Instant::now();
        let bar = match &self.bars {
            Some(bars) => bars.add(ProgressBar::new_spinner().with_message(node.to_owned())),
            None => ProgressBar::hidden(),
        };
        bar.enable_steady_tick(Duration::from_millis(120));
        if self.bars.is_none() {
            self.line(&format!("  {node} ({kind}) started"));
        }
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).insert(
            node.into(),
            Live {
                bar,
                began: now,
                told: now,
            },
        );
    }

    fn advanced(&self, node: &str, done: u64, total: Option<u64>, unit: &str) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(live) = nodes.get_mut(node) else { return };
        if self.bars.is_none() {
            if live.told.elapsed() >= PLAIN_INTERVAL {
                live.told = Instant::now();
                print::message(&format!(
                    "  {node}: {}",
                    so_far(done, total, unit, live.began.elapsed().as_secs_f64())
                ));
            }
            return;
        }
        if live.bar.length().is_none() {
            live.bar.set_style(style(unit));
        }
        total.into_iter().for_each(|total| live.bar.set_length(total));
        live.bar.set_position(done);
    }

    fn finished(&self, node: &str, status: Status, reason: &str, seconds: f64) {
        let live = self
            .nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(node);
        live.into_iter().for_each(|live| live.bar.finish_and_clear());
        match status {
            Status::Failed => self.line(&format!("error: stage `{node}` failed: {reason}")),
            Status::Ran => self.line(&format!("  {node} ran in {seconds:.1} s")),
            other => self.line(&format!("  {node} {}: {reason}", other.word())),
        }
    }
}

fn style(unit: &str) -> ProgressStyle {
    let template = format!("  {{msg}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec}} {{eta}} left");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `120/240 docs, 8.1 docs/s, 15 s left`.
fn so_far(done: u64, total: Option<u64>, unit: &str, seconds: f64) -> String {
    let rate = done as f64 / seconds.max(1e-9);
    let rest = total
        .filter(|_| done > 0)
        .map(|total| format!(", {:.0} s left", total.saturating_sub(done) as f64 / rate));
    let total = total.map(|total| format!("/{total}")).unwrap_or_default();
    format!(
        "{done}{total} {unit}, {rate:.1} {unit}/s{}",
        rest.unwrap_or_default()
    )
}
