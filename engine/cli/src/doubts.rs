//! Sources that are well spelt and perhaps not what was meant.

use std::collections::BTreeSet;

use ablate_core::Places;
use ablate_plan::{Origin, Plan};
use ablate_spec::{Experiment, Problem};

/// A warning for each such source of each stage.
pub(crate) fn problems(plan: &Plan, experiment: &Experiment, places: &Places) -> Vec<Problem> {
    let nodes = plan.order.iter().map(|index| plan.node(*index));
    let inputs = nodes.flat_map(|node| node.inputs.iter().map(move |input| (&node.stage, &input.origin)));
    let doubt = |(stage, origin): (_, &Origin)| match origin {
        Origin::Source { source, text } => Some((stage, source.doubt(text, places)?)),
        Origin::Node { .. } => None,
    };
    let doubts: BTreeSet<(&String, String)> = inputs.filter_map(doubt).collect();
    doubts
        .into_iter()
        .map(|(stage, message)| {
            let problem = Problem::warning("ablate::plan::doubtful_source", message);
            let of_stage = experiment.stages.iter().find(|def| def.name == *stage);
            of_stage.map_or(problem.clone(), |def| problem.at(def.span))
        })
        .collect()
}
