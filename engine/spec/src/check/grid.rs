//! The values of a sweep, each looked at once, at a point that runs: never the product.

use std::collections::BTreeSet;

use super::owners::Owners;
use crate::{Axis, Labels, Problem, Setting, Span, Sweep, holds, stages::Stages};

/// More points than any study has: a typing error rather than a wish.
const MOST_POINTS: usize = 1_000_000;

/// Likewise of axes.
const MOST_AXES: usize = 100;

/// What is wrong with the fields of the stages at the points of the sweep.
pub(crate) fn grid(sweep: &Sweep, stages: &Stages<'_>) -> Vec<Problem> {
    if let Some(problem) = size(sweep) {
        return vec![problem];
    }
    let mut problems = targets(sweep, stages);
    let owners = Owners::of(sweep);
    problems.extend(owners.conflicts());
    problems.extend(overridden(&owners, stages));
    let replicate: &[Setting] = sweep.replicate.first().map_or(&[], |point| &point.sets);
    let mut seen = Seen {
        stages,
        sweep,
        replicate,
        told: BTreeSet::new(),
        problems,
    };
    seen.first();
    seen.axes();
    seen.replicates();
    seen.included();
    seen.overrides();
    seen.problems
}

/// Looks at one point of each value of the sweep. Tells each problem once, though many points have it.
struct Seen<'a> {
    stages: &'a Stages<'a>,
    sweep: &'a Sweep,
    /// What the first replicate sets.
    replicate: &'a [Setting],
    told: BTreeSet<(&'static str, String, Option<Span>)>,
    problems: Vec<Problem>,
}

impl Seen<'_> {
    /// Every stage, at the first point.
    fn first(&mut self) {
        let Some(labels) = self.sweep.combination(&Labels::new()) else {
            if self.sweep.include.is_empty() {
                let message = "`exclude` leaves no point of the sweep";
                let problem = Problem::error("ablate::spec::empty_sweep", message);
                self.problems.push(problem.help("exclude less"));
            }
            return;
        };
        let settings = self.sweep.settings(&labels, self.replicate);
        for at in 0..self.stages.defs.len() {
            for problem in self.stages.check(at, &settings) {
                self.tell(problem, |problem| problem);
            }
        }
    }

    fn axes(&mut self) {
        for axis in &self.sweep.axes {
            for point in &axis.points {
                let fixed = [(axis.name.clone(), point.label.clone())].into();
                if let Some(labels) = self.sweep.combination(&fixed) {
                    let settings = self.sweep.settings(&labels, self.replicate);
                    let place = format!("where `{}` is `{}`", axis.name, point.label);
                    self.look(&point.sets, &settings, &place);
                }
            }
        }
    }

    fn replicates(&mut self) {
        let first = self.sweep.combination(&Labels::new()).unwrap_or_default();
        for point in self.sweep.replicate.iter().skip(1) {
            let settings = self.sweep.settings(&first, &point.sets);
            let place = format!("where the replicate is `{}`", point.label);
            self.look(&point.sets, &settings, &place);
        }
    }

    fn included(&mut self) {
        for included in &self.sweep.include {
            let more = [&included.point.sets, self.replicate].concat();
            let settings = self.sweep.settings(&included.at, &more);
            let place = format!("where the included point is `{}`", included.point.label);
            self.look(&included.point.sets, &settings, &place);
        }
    }

    fn overrides(&mut self) {
        for one in &self.sweep.overrides {
            match self.sweep.combination(&one.at) {
                Some(labels) => {
                    let settings = self.sweep.settings(&labels, self.replicate);
                    self.look(&one.sets, &settings, "where this override holds");
                }
                None if self
                    .sweep
                    .include
                    .iter()
                    .any(|included| holds(&one.at, &included.at)) => {}
                None => {
                    let problem = Problem::error(
                        "ablate::spec::bad_axis",
                        "no point is `where` this override holds",
                    );
                    self.problems
                        .push(problem.at(one.span).help("name labels that stand together"));
                }
            }
        }
    }

    /// Looks at the stages that `sets` set something of.
    fn look(&mut self, sets: &[Setting], settings: &[&Setting], place: &str) {
        let touched: BTreeSet<&str> = sets.iter().map(|set| set.stage.as_str()).collect();
        for (at, stage) in self.stages.defs.iter().enumerate() {
            if !touched.contains(stage.name.as_str()) {
                continue;
            }
            for problem in self.stages.check(at, settings) {
                self.tell(problem, |problem| whereabouts(problem, sets, place));
            }
        }
    }

    fn tell(&mut self, problem: Problem, finish: impl FnOnce(Problem) -> Problem) {
        let key = (problem.code, problem.message.clone(), problem.at);
        if self.told.insert(key) {
            self.problems.push(finish(problem));
        }
    }
}

/// Says at which point a problem is, unless its place says so.
fn whereabouts(problem: Problem, sets: &[Setting], place: &str) -> Problem {
    let here = |set: &Setting| problem.at == Some(set.span) || problem.at == Some(set.key);
    match sets.first() {
        Some(first) if !sets.iter().any(here) => problem.also(first.key, place),
        _ => problem,
    }
}

/// Settings of no stage, or of its kind.
fn targets(sweep: &Sweep, stages: &Stages<'_>) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let wrong = |setting: &Setting| {
        seen.insert(setting.key)
            .then(|| stages.no_target(&setting.stage, &setting.path))?
            .map(|problem| problem.at(setting.key))
    };
    sweep.all_settings().filter_map(wrong).collect()
}

/// Options that an axis overrides everywhere.
fn overridden(owners: &Owners<'_>, stages: &Stages<'_>) -> Vec<Problem> {
    let lost = |(stage, path, option): &(String, Vec<String>, String)| {
        let (axis, at) = owners.first(stage, path)?;
        let message = format!("{option}: `{axis}` sets this field, so the option does nothing where it does");
        Some(Problem::warning("ablate::spec::overridden_set", message).at(at))
    };
    stages.options.iter().filter_map(lost).collect()
}

fn size(sweep: &Sweep) -> Option<Problem> {
    let place = || {
        let mut set = sweep
            .axes
            .iter()
            .flat_map(|axis| &axis.points)
            .flat_map(|point| &point.sets);
        set.next().map(|set| set.key)
    };
    let tell = |message: String| {
        let problem = Problem::error("ablate::spec::too_large", message);
        place().map_or(problem.clone(), |at| problem.at(at))
    };
    if sweep.axes.len() > MOST_AXES {
        return Some(tell(format!("there are more than {MOST_AXES} axes")).help("vary fewer fields at once"));
    }
    let points = count(&sweep.axes, &Labels::new());
    let points = points.and_then(|points| points.checked_mul(sweep.replicate.len().max(1)));
    if points.is_some_and(|points| points <= MOST_POINTS) {
        return None;
    }
    let problem = tell(format!("the axes multiply to more than {MOST_POINTS} points"));
    Some(problem.help("vary fewer fields at once, or add single points with `include`"))
}

/// How many combinations of the axes there are within these labels; `None` beyond what can be counted.
fn count(axes: &[Axis], within: &Labels) -> Option<usize> {
    let here = axes.iter().filter(|axis| axis.within == *within);
    let points = |axis: &Axis| {
        let inside = axis.points.iter().map(|point| {
            let mut within = within.clone();
            within.insert(axis.name.clone(), point.label.clone());
            count(axes, &within)
        });
        inside.sum::<Option<usize>>()
    };
    here.map(points)
        .try_fold(1_usize, |product, points| product.checked_mul(points?))
}
