//! Leaks that only contents show: a model must not be judged by the rows it has learnt from, under whatever name.

use ablate_core::StageError;
use ablate_plan::{Leak, Port, Suspect};
use petgraph::graph::NodeIndex;

use crate::runner::Runner;

impl Runner<'_> {
    /// Refuses to train on, or to judge by, rows that are learnt from and judged by: two stages may name the same data.
    pub(crate) fn refuse_leaks(&self, index: NodeIndex) -> Result<(), StageError> {
        let concerned = |suspect: &&Suspect| [suspect.trainer, suspect.judge].contains(&index);
        let mut leaks = self.suspects.iter().filter(concerned);
        match leaks.find(|suspect| !self.allows(suspect) && self.is_leak(suspect)) {
            None => Ok(()),
            Some(Suspect { leak, .. }) => Err(StageError::with_help(
                told(leak),
                format!(
                    "train on another split, or allow it: `allow_leakage: [{}]`",
                    leak.source
                ),
            )),
        }
    }

    /// The leaks that the file allows.
    pub(crate) fn allowed_leaks(&self) -> Vec<String> {
        let allowed = |suspect: &&Suspect| self.allows(suspect) && self.is_leak(suspect);
        let mut leaks: Vec<_> = self.suspects.iter().filter(allowed).collect();
        leaks.sort_by_key(|suspect| &suspect.leak);
        leaks.dedup_by_key(|suspect| &suspect.leak);
        leaks
            .into_iter()
            .map(|suspect| format!("{}: `allow_leakage` allows it", told(&suspect.leak)))
            .collect()
    }

    fn allows(&self, suspect: &Suspect) -> bool {
        self.options.allow_leakage.contains(&suspect.leak.source)
    }

    fn is_leak(&self, suspect: &Suspect) -> bool {
        let known = self.known();
        let content = |(node, port): &Port| Some(known.nodes.get(node)?.output(port)?.content);
        content(&suspect.learnt).is_some_and(|rows| content(&suspect.judged) == Some(rows))
    }
}

fn told(leak: &Leak) -> String {
    let Leak {
        system,
        trainer,
        source,
    } = leak;
    format!("`{trainer}` learns from `{source}`, and `{system}` judges it by the same rows")
}
