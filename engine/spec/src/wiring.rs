//! Parameters and inputs of a stage that fit each by itself and not together.

use std::collections::BTreeMap;

use ablate_core::{Bound, Input, Maker, Ports, StageKind, Wire};
use serde_json::Value;

use crate::{
    InputRef, Problem, Setting, StageDef,
    check::{resolve, split},
    stages::{Fields, Stages, values_at},
};

/// A port, what it names, and the stage there.
type Wired<'a> = (&'static Input, InputRef, Option<At<'a>>);

/// A stage where some settings hold.
struct At<'a> {
    def: &'a StageDef,
    bound: Box<dyn Bound>,
    /// What its inputs name.
    inputs: BTreeMap<&'static str, String>,
}

impl Stages<'_> {
    /// The stage of this name with its parameters where `settings` hold; `None` if they do not fit.
    fn at(&self, name: &str, settings: &[&Setting]) -> Option<At<'_>> {
        let def = self.defs.iter().find(|def| def.name == name)?;
        let (ports, params) = split(def.kind, &values_at(def, settings));
        let named = |(port, value): (&'static Input, Value)| {
            let name = match resolve(&self.defs, port, value.as_str()?).ok()? {
                InputRef::Stage { stage, .. } => stage,
                InputRef::Source(text) => text,
            };
            Some((port.name, name))
        };
        Some(At {
            def,
            bound: def.kind.bind(&params).ok()?,
            inputs: ports.into_iter().filter_map(named).collect(),
        })
    }

    fn wired(&self, port: &'static Input, value: &Value, settings: &[&Setting]) -> Option<Wired<'_>> {
        let found = resolve(&self.defs, port, value.as_str()?).ok()?;
        let maker = match &found {
            InputRef::Stage { stage, .. } => self.at(stage, settings),
            InputRef::Source(_) => None,
        };
        Some((port, found, maker))
    }
}

/// What stands at a port.
fn wire<'w>((port, found, maker): &'w Wired<'_>) -> (&'static str, Wire<'w>) {
    let wire = match found {
        InputRef::Source(text) => Wire::Source(text),
        InputRef::Stage { stage, .. } => Wire::Stage(Maker {
            name: stage,
            bound: maker.as_ref().map(|at| at.bound.as_ref()),
            inputs: maker.as_ref().map(|at| at.inputs.clone()).unwrap_or_default(),
        }),
    };
    (port.name, wire)
}

impl Fields<'_> {
    /// What is wrong with `bound` and what stands at its ports. An input that names nothing is told of already.
    pub(crate) fn wiring(
        &self,
        bound: &dyn Bound,
        ports: &[(&'static Input, Value)],
        stages: &Stages<'_>,
        settings: &[&Setting],
    ) -> Vec<Problem> {
        let wired = ports
            .iter()
            .map(|(port, value)| stages.wired(port, value, settings));
        let Some(wired) = wired.collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let mut problems: Vec<_> = wired.iter().filter_map(|wired| self.unmade(wired)).collect();
        let ports: Ports<'_> = wired.iter().map(wire).collect();
        let found = bound.check_ports(&ports);
        problems.extend(found.iter().map(|problem| self.parameter(problem)));
        problems
    }

    /// An output that the parameters of its stage leave out.
    fn unmade(&self, (port, found, maker): &Wired<'_>) -> Option<Problem> {
        let (InputRef::Stage { port: output, .. }, Some(At { def, bound, .. })) = (found, maker) else {
            return None;
        };
        if bound.makes(output) {
            return None;
        }
        let message = format!("the stage `{}` does not make `{output}`", def.name);
        let problem =
            Problem::error("ablate::spec::wrong_port", message).help(made(def.kind, bound.as_ref()));
        let problem = self.place(problem, &[port.name.to_owned()], false);
        Some(problem.also(def.span, format!("made here, by `{}`", def.kind.name())))
    }
}

fn made(kind: &dyn StageKind, bound: &dyn Bound) -> String {
    let outputs = kind.outputs().iter().filter(|output| bound.makes(output.name));
    let names: Vec<_> = outputs.map(|output| format!("`{}`", output.name)).collect();
    format!("with its parameters it makes {}", names.join(", "))
}
