//! Which stage reads which, and circles among them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{resolve, split};
use crate::{InputRef, Problem, StageDef, Sweep, stages::span_of};

/// The stages each stage reads, over its own fields and every value a sweep gives to a port.
pub(super) fn reads(stages: &[StageDef], sweep: &Sweep) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut note = |stage: &StageDef, fields: &Map<String, Value>| {
        for (port, value) in split(stage.kind, fields).0 {
            let read = value.as_str().and_then(|text| resolve(stages, port, text).ok());
            if let Some(InputRef::Stage { stage: from, .. }) = read {
                found.entry(stage.name.clone()).or_default().insert(from);
            }
        }
    };
    for stage in stages {
        note(stage, &stage.fields);
    }
    for setting in sweep.all_settings() {
        let stage = stages.iter().find(|stage| stage.name == setting.stage);
        if let (Some(stage), [field]) = (stage, setting.path.as_slice()) {
            note(stage, &Map::from_iter([(field.clone(), setting.value.clone())]));
        }
    }
    found
}

/// Circles of stages. Each stage is told of in one of them at most.
pub(crate) fn cycles(stages: &[StageDef], sweep: &Sweep) -> Vec<Problem> {
    let reads = reads(stages, sweep);
    let mut left = in_circles(&reads);
    let mut problems = Vec::new();
    for stage in stages {
        if let Some(circle) = circle(&stage.name, &reads, &left) {
            left.retain(|name| !circle.contains(name));
            problems.push(tell(&circle, stages));
        }
    }
    problems
}

/// The stages that are left when those that read nothing, or that nobody reads, are taken away again and again.
fn in_circles(reads: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut left: BTreeSet<String> = reads.keys().cloned().collect();
    loop {
        let read: BTreeSet<&String> = left.iter().flat_map(|name| &reads[name]).collect();
        let stay =
            |name: &&String| read.contains(name) && reads[*name].iter().any(|from| left.contains(from));
        let next: BTreeSet<String> = left.iter().filter(stay).cloned().collect();
        if next.len() == left.len() {
            return left;
        }
        left = next;
    }
}

/// A shortest circle through `start`, by breadth: the stage, what it reads, what that reads, and so on.
fn circle(
    start: &str,
    reads: &BTreeMap<String, BTreeSet<String>>,
    left: &BTreeSet<String>,
) -> Option<Vec<String>> {
    let mut reader: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = vec![left.get(start)?.as_str()];
    let mut at = 0;
    while at < queue.len() {
        let name = queue[at];
        at += 1;
        for from in reads[name].iter().filter(|from| left.contains(*from)) {
            if from == start {
                return Some(path(name, start, &reader));
            }
            if !reader.contains_key(from.as_str()) {
                reader.insert(from, name);
                queue.push(from);
            }
        }
    }
    None
}

fn path(last: &str, start: &str, reader: &BTreeMap<&str, &str>) -> Vec<String> {
    let mut path = vec![last.to_owned()];
    let mut at = last;
    while at != start {
        at = reader[at];
        path.push(at.to_owned());
    }
    path.reverse();
    path
}

fn tell(circle: &[String], stages: &[StageDef]) -> Problem {
    let names = circle.iter().chain(circle.first());
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    let message = format!("stages read each other in a circle: {}", names.join(" <- "));
    let mut problem = Problem::error("ablate::spec::cycle", message);
    for (at, name) in circle.iter().enumerate() {
        let Some(span) = span_of(stages, name) else {
            continue;
        };
        let reads = &circle[(at + 1) % circle.len()];
        problem = match at {
            0 => problem.at(span),
            _ => problem.also(span, format!("reads `{reads}`")),
        };
    }
    problem.help("let one of them read something else")
}
