//! Who sets a field: two axes that may stand together must not set the same one, since one of them would do nothing.

use std::collections::BTreeMap;

use crate::{Labels, Point, Problem, Span, Sweep};

/// A field, by stage and path.
type Field<'a> = (&'a str, &'a [String]);

/// An axis, the replicates or the overrides, setting a field.
struct Owner<'a> {
    name: &'a str,
    /// The labels around the axis.
    within: &'a Labels,
    /// Its labels that set the field, with the places where they do.
    labels: BTreeMap<&'a str, Span>,
    /// The first of these places.
    span: Span,
}

/// The owners of every field that a sweep sets.
pub(super) struct Owners<'a>(BTreeMap<Field<'a>, Vec<Owner<'a>>>);

/// No labels are around replicates and overrides.
const NOWHERE: &Labels = &Labels::new();

const REPLICATE: &str = "replicate";
const OVERRIDE: &str = "override";

impl<'a> Owners<'a> {
    pub(super) fn of(sweep: &'a Sweep) -> Self {
        let mut owners = Self(BTreeMap::new());
        for axis in &sweep.axes {
            owners.add(&axis.name, &axis.within, &axis.points);
        }
        owners.add(REPLICATE, NOWHERE, &sweep.replicate);
        for setting in sweep.overrides.iter().flat_map(|one| &one.sets) {
            let field = (setting.stage.as_str(), setting.path.as_slice());
            owners.note(field, OVERRIDE, NOWHERE, setting.key);
        }
        owners
    }

    fn add(&mut self, name: &'a str, within: &'a Labels, points: &'a [Point]) {
        for point in points {
            for setting in &point.sets {
                let field = (setting.stage.as_str(), setting.path.as_slice());
                let owner = self.note(field, name, within, setting.key);
                owner.labels.insert(&point.label, setting.key);
            }
        }
    }

    fn note(&mut self, field: Field<'a>, name: &'a str, within: &'a Labels, span: Span) -> &mut Owner<'a> {
        let owners = self.0.entry(field).or_default();
        let at = owners
            .iter()
            .position(|owner| owner.name == name)
            .unwrap_or_else(|| {
                owners.push(Owner {
                    name,
                    within,
                    labels: BTreeMap::new(),
                    span,
                });
                owners.len() - 1
            });
        &mut owners[at]
    }

    /// The axis or replicates that set this field, a field within it, or one it lies in.
    pub(super) fn first(&self, stage: &str, path: &[String]) -> Option<(&'a str, Span)> {
        let around = (1..=path.len()).find_map(|length| self.0.get(&(stage, &path[..length])));
        let inside = || {
            let (field, owners) = self.0.range((stage, path)..).next()?;
            (field.0 == stage && field.1.starts_with(path)).then_some(owners)
        };
        let owner = around
            .or_else(inside)?
            .iter()
            .find(|owner| owner.name != OVERRIDE)?;
        Some((owner.name, owner.span))
    }

    /// Fields that two of them set where both stand.
    pub(super) fn conflicts(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for ((stage, path), owners) in &self.0 {
            let mut others: Vec<&Owner<'_>> = Vec::new();
            let around = (1..path.len()).filter_map(|length| self.0.get(&(*stage, &path[..length])));
            others.extend(around.flatten());
            for owner in owners {
                if let Some(other) = others.iter().find(|other| together(other, owner)) {
                    problems.push(conflict((stage, path), owner, other));
                }
                others.push(owner);
            }
        }
        problems
    }
}

/// Whether two owners set their field at one point. Overrides are made to set what axes set.
fn together(a: &Owner<'_>, b: &Owner<'_>) -> bool {
    let names = [a.name, b.name];
    if a.name == b.name || (names.contains(&OVERRIDE) && !names.contains(&REPLICATE)) {
        return false;
    }
    let stands = |inner: &Owner<'_>, outer: &Owner<'_>| {
        let label = inner.within.get(outer.name);
        label.is_none_or(|label| outer.labels.contains_key(label.as_str()))
    };
    let agree = |(axis, label): (&String, &String)| b.within.get(axis).is_none_or(|other| other == label);
    stands(a, b) && stands(b, a) && a.within.iter().all(agree)
}

/// The one that stands later in the file is told, with the place of the other.
fn conflict((stage, path): Field<'_>, a: &Owner<'_>, b: &Owner<'_>) -> Problem {
    let place = |owner: &Owner<'_>, inner: &Owner<'_>| {
        let label = inner.within.get(owner.name);
        *label
            .and_then(|label| owner.labels.get(label.as_str()))
            .unwrap_or(&owner.span)
    };
    let sides = [(a.name, place(a, b)), (b.name, place(b, a))];
    let [first, later] = if sides[0].1 < sides[1].1 {
        sides
    } else {
        [sides[1], sides[0]]
    };
    let field = format!("{stage}.{}", path.join("."));
    let message = format!("`{}` and `{}` both set `{field}`", later.0, first.0);
    Problem::error("ablate::spec::conflicting_axes", message)
        .at(later.1)
        .also(first.1, "set here too")
        .help("set it in one of them")
}
