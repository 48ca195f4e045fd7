//! The graph of a run, in layers from left to right.

mod layout;

use ablate_core::units::duration;
use maud::{Markup, html};

use crate::{
    Plot,
    plot::empty,
    words::{fit, px},
};
use layout::{BOX, Layout, layout};

/// How much more of 12 px text fits than of 13 px text.
const SMALL: f64 = 13.0 / 12.0;

/// What became of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not begun.
    Waiting,
    /// Under way.
    Running,
    /// Computed.
    Ran,
    /// Found.
    Reused,
    /// Found, since inputs did not change.
    Cutoff,
    /// Not to be had.
    Failed,
    /// Not tried.
    Skipped,
}

impl State {
    /// Its name, in styles and for readers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Ran => "ran",
            Self::Reused => "reused",
            Self::Cutoff => "cutoff",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// How many nodes are in which state.
pub type Tally = Vec<(State, usize)>;

/// A box: one node, or all nodes of a stage.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What stands below the name: the kind, the point of the sweep.
    pub about: String,
    /// The states of the nodes in it.
    pub tally: Tally,
    /// Seconds they took together.
    pub seconds: f64,
    /// The places of its producers, all before its own.
    pub from: Vec<usize>,
}

/// A graph without cycles.
#[derive(Clone, Debug, Default)]
pub struct Dag {
    /// What is shown.
    pub title: String,
    /// Producers before consumers.
    pub nodes: Vec<Node>,
}

impl Dag {
    /// Draws it.
    pub fn plot(&self) -> Plot {
        if self.nodes.is_empty() {
            return empty(&self.title);
        }
        let from: Vec<_> = self.nodes.iter().map(|node| node.from.clone()).collect();
        let layout = layout(&from);
        Plot {
            title: self.title.clone(),
            about: self.about(),
            width: layout.width,
            height: layout.height,
            body: html! {
                @for line in &layout.lines {
                    path.edge d=(curve(*line)) {}
                }
                @for (at, node) in self.nodes.iter().enumerate() {
                    (draw(node, at, &layout))
                }
            },
        }
    }

    fn about(&self) -> String {
        let told: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("{} {}", node.name, told(node)))
            .collect();
        told.join("; ")
    }
}

/// `2 ran, 1 reused · 3.1 s`; of a single node the state only.
fn told(node: &Node) -> String {
    let states: Vec<_> = match node.tally[..] {
        [(state, 1)] => vec![state.word().to_owned()],
        _ => node
            .tally
            .iter()
            .map(|(state, count)| format!("{count} {}", state.word()))
            .collect(),
    };
    let seconds = (node.seconds > 0.0).then(|| format!(" · {}", duration(node.seconds)));
    format!("{}{}", states.join(", "), seconds.unwrap_or_default())
}

fn draw(node: &Node, at: usize, layout: &Layout) -> Markup {
    let (x, y) = layout.boxes[at];
    let room = BOX.0 - 26.0;
    let worst = [State::Failed, State::Skipped]
        .into_iter()
        .find(|state| node.tally.iter().any(|(found, _)| found == state));
    html! {
        g {
            title { (node.name) " · " (node.about) " · " (told(node)) }
            rect class={ "box " (worst.map_or("", State::word)) } x=(px(x)) y=(px(y)) width=(px(BOX.0)) height=(px(BOX.1)) rx="6" {}
            (stripes(node, x, y))
            text.strong x=(px(x + 16.0)) y=(px(y + 20.0)) { (fit(&node.name, room)) }
            text.quiet x=(px(x + 16.0)) y=(px(y + 37.0)) { (fit(&node.about, room * SMALL)) }
            text.quiet x=(px(x + 16.0)) y=(px(y + 54.0)) { (fit(&told(node), room * SMALL)) }
        }
    }
}

/// A strip along the left side, shared between the states.
fn stripes(node: &Node, x: f64, y: f64) -> Markup {
    let all = node.tally.iter().map(|(_, count)| *count).sum::<usize>().max(1) as f64;
    let height = BOX.1 - 12.0;
    let mut above = 0.0;
    let mut placed = Vec::new();
    for (state, count) in &node.tally {
        let share = height * *count as f64 / all;
        placed.push((state.word(), y + 6.0 + above, share));
        above += share;
    }
    html! {
        @for (word, top, share) in placed {
            rect class={ "stripe " (word) } x=(px(x + 6.0)) y=(px(top)) width="4" height=(px(share)) {}
        }
    }
}

/// A smooth line, level at both ends.
fn curve([from, to]: [(f64, f64); 2]) -> String {
    let middle = px(f64::midpoint(from.0, to.0));
    let [(x, y), (to_x, to_y)] = [from, to].map(|(x, y)| (px(x), px(y)));
    format!("M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_tell_state_and_time_in_words() {
        let nodes = vec![
            Node {
                name: "data".into(),
                tally: vec![(State::Ran, 1)],
                seconds: 0.25,
                ..Node::default()
            },
            Node {
                name: "triples".into(),
                tally: vec![(State::Ran, 2), (State::Failed, 1)],
                from: vec![0],
                ..Node::default()
            },
        ];
        let text = Dag {
            nodes,
            ..Dag::default()
        }
        .plot()
        .svg();
        assert!(
            text.contains("ran · 0.2 s") && text.contains("2 ran, 1 failed"),
            "{text}"
        );
        assert_eq!(text.matches("class=\"edge\"").count(), 1);
        assert!(text.contains("class=\"box failed\""));
    }
}
