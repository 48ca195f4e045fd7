//! A run under way, from its event log.

use std::{
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use ablate_cache::{Store, unsealed_line};
use ablate_html::{LiveNode, LivePage, live, live_part};
use ablate_plot::State;
use ablate_serve::{Event, Response};
use serde_json::Value;

use super::pages::is_id;
use crate::error::CliError;

/// Nodes that are shown.
const MOST: usize = 100;
/// The most bytes of the log that are read at a time.
const PART: u64 = 4 << 20;

/// The page of a run under way.
pub(super) fn page(store: &Store, id: &str) -> Result<String, CliError> {
    let mut log = Log::open(store, id)?;
    while log.advance() {}
    Ok(live(&log.page))
}

/// Its news, until its record is written.
pub(super) fn events(store: &Store, id: &str) -> Result<Response, CliError> {
    let mut log = Log::open(store, id)?;
    let mut told_end = false;
    let news = std::iter::from_fn(move || {
        if told_end {
            return None;
        }
        if log.advance() {
            return Some(Some(Event {
                name: "part",
                data: live_part(&log.page),
            }));
        }
        told_end = log.is_recorded();
        Some(told_end.then(|| Event {
            name: "over",
            data: "over".into(),
        }))
    });
    Ok(Response::Events(Box::new(news)))
}

/// An event log, and what it said so far.
struct Log {
    folder: PathBuf,
    read: u64,
    page: LivePage,
}

impl Log {
    fn open(store: &Store, id: &str) -> Result<Self, CliError> {
        let folder = store.root().join("runs").join(id);
        if !is_id(id) || !folder.is_dir() {
            return Err(CliError::Usage(format!("there is no run `{id}`")));
        }
        let page = LivePage {
            run: id.to_owned(),
            ..LivePage::default()
        };
        let mut log = Self {
            folder,
            read: 0,
            page,
        };
        log.page.is_over = log.is_recorded();
        Ok(log)
    }

    fn is_recorded(&self) -> bool {
        self.folder.join("run.json").exists()
    }

    /// Takes in what was appended; whether there was anything. A line that is not whole yet waits.
    fn advance(&mut self) -> bool {
        let text = self.appended().unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        for line in text[..whole].lines() {
            let event = unsealed_line(line).and_then(|line| serde_json::from_str(line).ok());
            event.iter().for_each(|event| take(&mut self.page, event));
        }
        whole > 0
    }

    fn appended(&self) -> std::io::Result<String> {
        let mut file = fs_err::File::open(self.folder.join("events.jsonl"))?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(PART).read_to_end(&mut bytes)?;
        // Cut where a character may be: a line ends there or later.
        let end = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

/// What one event says of the run.
fn take(page: &mut LivePage, event: &Value) {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    match event["event"].as_str() {
        Some("run_started") => {
            page.nodes = event["nodes"].as_u64().unwrap_or(0) as usize;
            page.reused = event["reused"].as_u64().unwrap_or(0) as usize;
        }
        Some("node_started") => show(page, text("node")).kind = text("kind"),
        Some("node_note") => show(page, text("node")).note = text("note"),
        Some("node_finished") => {
            let node = show(page, text("node"));
            node.state = state(&text("status"));
            node.reason = text("reason");
            node.seconds = event["seconds"].as_f64();
        }
        _ => {}
    }
}

/// The node of this name, as the latest.
fn show(page: &mut LivePage, name: String) -> &mut LiveNode {
    let at = page.seen.iter().position(|node| node.name == name);
    let node = at.map(|at| page.seen.remove(at)).unwrap_or(LiveNode {
        name,
        kind: String::new(),
        state: State::Running,
        reason: String::new(),
        seconds: None,
        note: String::new(),
    });
    page.finished += page.seen.len().saturating_sub(MOST - 1);
    page.seen.truncate(MOST - 1);
    page.seen.insert(0, node);
    &mut page.seen[0]
}

fn state(word: &str) -> State {
    match word {
        "ran" => State::Ran,
        "reused" => State::Reused,
        "cutoff" => State::Cutoff,
        "failed" => State::Failed,
        _ => State::Skipped,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ablate_cache::sealed_line;

    use super::*;

    fn log(lines: &str) -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("events.jsonl"), lines).unwrap();
        let log = Log {
            folder: folder.path().to_owned(),
            read: 0,
            page: LivePage::default(),
        };
        (folder, log)
    }

    #[test]
    fn the_log_is_followed_and_half_a_line_waits() {
        let started = sealed_line(r#"{"event":"run_started","run":"r","nodes":3,"reused":1}"#);
        let node = sealed_line(r#"{"event":"node_started","node":"a","kind":"sample"}"#);
        let done = sealed_line(
            r#"{"event":"node_finished","node":"a","status":"failed","reason":"no","seconds":2.5}"#,
        );
        let (folder, mut log) = log(&format!("{started}{node}{}", &done[..20]));
        assert!(log.advance() && !log.advance());
        assert_eq!(
            (log.page.nodes, log.page.reused, log.page.seen[0].state),
            (3, 1, State::Running)
        );
        fs_err::write(
            folder.path().join("events.jsonl"),
            format!("{started}{node}{done}"),
        )
        .unwrap();
        assert!(log.advance());
        let node = &log.page.seen[0];
        assert_eq!(
            (node.state, node.reason.as_str(), node.kind.as_str()),
            (State::Failed, "no", "sample")
        );
        assert_eq!(log.page.seen.len(), 1);
    }

    #[test]
    fn a_long_run_shows_its_latest_nodes_and_counts_all() {
        let line = |at: usize| {
            sealed_line(&format!(
                r#"{{"event":"node_finished","node":"n{at}","status":"ran","reason":"","seconds":1}}"#
            ))
        };
        let (_folder, mut log) = log(&(0..250).map(line).collect::<String>());
        assert!(log.advance());
        assert_eq!((log.page.seen.len(), log.page.finished), (MOST, 150));
        assert_eq!(log.page.seen[0].name, "n249");
    }
}
