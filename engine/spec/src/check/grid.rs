//! The values of a sweep, each looked at once, at a point that runs: never the product.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Point, Problem, Setting, Span, Sweep,
    point::{combination, settings},
    stages::Stages,
};

use super::points;

/// More points than any study has: a typing error rather than a wish.
const MOST_POINTS: usize = 1_000_000;

/// What is wrong with the fields of the stages at the points of the sweep.
pub(crate) fn grid(sweep: &Sweep, stages: &Stages<'_>) -> Vec<Problem> {
    let mut problems = targets(sweep, stages);
    problems.extend(conflicts(sweep));
    problems.extend(overridden(sweep, stages));
    problems.extend(size(sweep));
    let mut seen = Seen {
        stages,
        told: BTreeSet::new(),
        problems,
    };
    let replicate: &[Setting] = sweep.replicate.first().map_or(&[], |point| &point.sets);
    let first = combination(sweep, None);
    if let Some(first) = &first {
        let mut all = settings(sweep, first);
        all.extend(replicate);
        seen.every_stage(&all);
    } else if sweep.include.is_empty() {
        let problem = Problem::error(
            "ablate::spec::empty_sweep",
            "`exclude` leaves no point of the sweep",
        );
        seen.problems.push(problem.help("exclude less"));
    }
    for (at, axis) in sweep.axes.iter().enumerate() {
        for (index, point) in axis.points.iter().enumerate() {
            if let Some(at) = combination(sweep, Some((at, index))) {
                let mut all = settings(sweep, &at);
                all.extend(replicate);
                seen.point(point, &all, &format!("`{}` is", axis.name));
            }
        }
    }
    for point in sweep.replicate.iter().skip(1) {
        let mut all = first.as_ref().map(|at| settings(sweep, at)).unwrap_or_default();
        all.extend(&point.sets);
        seen.point(point, &all, "the replicate is");
    }
    for point in &sweep.include {
        let all: Vec<_> = point.sets.iter().chain(replicate).collect();
        seen.point(point, &all, "the included point is");
    }
    seen.problems
}

/// Tells each problem once, though many points have it.
struct Seen<'a> {
    stages: &'a Stages<'a>,
    told: BTreeSet<(&'static str, String, Option<Span>)>,
    problems: Vec<Problem>,
}

impl Seen<'_> {
    fn every_stage(&mut self, settings: &[&Setting]) {
        for at in 0..self.stages.defs.len() {
            for problem in self.stages.check(at, settings) {
                self.tell(problem, |problem| problem);
            }
        }
    }

    /// Looks at the stages a point sets something of.
    fn point(&mut self, point: &Point, settings: &[&Setting], what: &str) {
        let touched: BTreeSet<&str> = point.sets.iter().map(|set| set.stage.as_str()).collect();
        for (at, stage) in self.stages.defs.iter().enumerate() {
            if !touched.contains(stage.name.as_str()) {
                continue;
            }
            for problem in self.stages.check(at, settings) {
                self.tell(problem, |problem| whereabouts(problem, point, what));
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
fn whereabouts(problem: Problem, point: &Point, what: &str) -> Problem {
    let here = |set: &Setting| problem.at == Some(set.span) || problem.at == Some(set.key);
    match point.sets.first() {
        Some(first) if !point.sets.iter().any(here) => {
            problem.also(first.key, format!("where {what} `{}`", point.label))
        }
        _ => problem,
    }
}

/// Settings of no stage, or of its kind.
fn targets(sweep: &Sweep, stages: &Stages<'_>) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let settings = points(sweep).flat_map(|point| &point.sets);
    let wrong = |setting: &Setting| {
        seen.insert(setting.key)
            .then(|| stages.no_target(&setting.stage, &setting.path))?
            .map(|problem| problem.at(setting.key))
    };
    settings.filter_map(wrong).collect()
}

type Owners<'a> = BTreeMap<(&'a str, &'a [String]), (&'a str, Span)>;

/// Fields by the axis that sets them; for replicates, `replicate`.
fn owners<'a>(sweep: &'a Sweep, mut clash: impl FnMut(&'a str, &'a Setting, &str, Span)) -> Owners<'a> {
    let axes = sweep.axes.iter().map(|axis| (axis.name.as_str(), &axis.points));
    let mut owners = Owners::new();
    for (name, points) in axes.chain([("replicate", &sweep.replicate)]) {
        for setting in points.iter().flat_map(|point| &point.sets) {
            match owner(&owners, &setting.stage, &setting.path) {
                Some((other, at)) if other != name => clash(name, setting, other, at),
                _ => {}
            }
            let key = (setting.stage.as_str(), setting.path.as_slice());
            owners.entry(key).or_insert((name, setting.key));
        }
    }
    owners
}

/// Who sets this field, a field within it, or one it lies in.
fn owner<'a>(owners: &Owners<'a>, stage: &str, path: &[String]) -> Option<(&'a str, Span)> {
    let around = (1..=path.len()).find_map(|length| owners.get(&(stage, &path[..length])));
    let within = || {
        let (key, value) = owners.range((stage, path)..).next()?;
        (key.0 == stage && key.1.starts_with(path)).then_some(value)
    };
    around.or_else(within).copied()
}

/// Fields that two axes set: one of them would do nothing.
fn conflicts(sweep: &Sweep) -> Vec<Problem> {
    let mut told = BTreeSet::new();
    let mut problems = Vec::new();
    owners(sweep, |name, setting, other, first| {
        if told.insert(setting.key) {
            let field = format!("{}.{}", setting.stage, setting.path.join("."));
            let message = format!("`{name}` and `{other}` both set `{field}`");
            let problem = Problem::error("ablate::spec::conflicting_axes", message).at(setting.key);
            problems.push(problem.also(first, "set here too").help("set it in one of them"));
        }
    });
    problems
}

/// Options that an axis overrides everywhere.
fn overridden(sweep: &Sweep, stages: &Stages<'_>) -> Vec<Problem> {
    let owners = owners(sweep, |_, _, _, _| {});
    let lost = |(stage, path, option): &(String, Vec<String>, String)| {
        let (axis, at) = owner(&owners, stage, path)?;
        let message = format!("{option}: `{axis}` sets this field, so the option does nothing where it does");
        Some(Problem::warning("ablate::spec::overridden_set", message).at(at))
    };
    stages.options.iter().filter_map(lost).collect()
}

fn size(sweep: &Sweep) -> Option<Problem> {
    let lengths = sweep.axes.iter().map(|axis| axis.points.len());
    let count = lengths
        .chain([sweep.replicate.len().max(1)])
        .try_fold(1_usize, usize::checked_mul);
    if count.is_some_and(|count| count <= MOST_POINTS) {
        return None;
    }
    let message = format!("the axes multiply to more than {MOST_POINTS} points");
    let problem = Problem::error("ablate::spec::too_large", message);
    let at = sweep.axes.iter().flat_map(|axis| &axis.points);
    let first = at.flat_map(|point| &point.sets).next();
    let problem = first.map_or(problem.clone(), |set| problem.at(set.key));
    Some(problem.help("vary fewer fields at once, or add single points with `include`"))
}
