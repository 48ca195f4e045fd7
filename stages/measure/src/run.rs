//! The `run` stage: a ranking of another system, from a file in TREC format.

use std::path::{Path, PathBuf};

use ablate_core::{
    ArtifactKind, Digest, Input, Io, Output, Places, Record, SourceType, Stage, StageError, rows::Hit,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Scored, TrecFile,
    ranking::{grouped, rank},
    trec,
};

/// Queries whose hits become a part of the table at once.
const QUERIES: usize = 1024;

/// A ranking that was made elsewhere.
pub struct Run;

/// `run` has no parameters: its source says it all.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl Stage for Run {
    const NAME: &'static str = "run";
    const VERSION: u32 = 1;
    const ABOUT: &'static str =
        "a ranking of another system, from a file in TREC format: to evaluate, rerank, fuse, mine";
    const EXAMPLE: &'static str = "theirs: {use: run, source: ./theirs.trec.gz}";
    const INPUTS: &'static [Input] = &[Input::of("source", ArtifactKind::Run)
        .about("the file")
        .or_source(&RUN_SOURCE)];
    const OUTPUTS: &'static [Output] = &[Output::of("run", ArtifactKind::Run)
        .about("its hits with their scores, ranked as trec_eval ranks them")];
    type Params = Params;

    fn run(_: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let file = TrecFile::read(&io.tree("source")?)?;
        let hits = file.run()?.hits;
        let queries: Vec<_> = grouped(&hits, |hit| hit.query).into_iter().collect();
        let parts = queries.chunks(QUERIES).map(|queries| {
            let rows: Vec<Hit> = queries
                .iter()
                .flat_map(|(_, hits)| ranked(hits.concat()))
                .collect();
            Ok(Hit::encode(&rows)?)
        });
        io.put_parts::<Hit>("run", parts)
    }
}

/// The hits of a query as rows.
fn ranked(mut hits: Vec<Scored<'_>>) -> impl Iterator<Item = Hit> {
    rank(&mut hits);
    (1..).zip(hits).map(|(rank, hit)| Hit {
        query_id: hit.query.to_owned(),
        doc_id: hit.document.to_owned(),
        rank,
        score: hit.score,
    })
}

/// Files of runs as sources.
pub static RUN_SOURCE: RunSource = RunSource;

/// Resolves the path of a run.
pub struct RunSource;

impl SourceType for RunSource {
    fn name(&self) -> &'static str {
        "file of a run"
    }

    fn about(&self) -> &'static str {
        "a file of lines `query Q0 document rank score tag`, plain, gzipped or zstd-compressed"
    }

    fn examples(&self) -> Vec<&'static str> {
        vec!["./run.trec"]
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let is_path = text.contains(['/', '.']);
        is_path
            .then_some(())
            .ok_or_else(|| format!("write its path, as in `./{text}.trec`"))
    }

    fn identity(&self, text: &str, places: &Places) -> String {
        places.base.join(text).to_string_lossy().into_owned()
    }

    /// Of the unpacked bytes: compressing a run does not change it.
    fn digest(&self, text: &str, places: &Places) -> Result<Option<Digest>, StageError> {
        let path = found(&places.base.join(text))?;
        Ok(Some(Digest::of(&trec::bytes(&path)?)))
    }

    fn fetch(&self, text: &str, places: &Places, _: &dyn Fn(&str)) -> Result<PathBuf, StageError> {
        found(&places.base.join(text))
    }
}

fn found(path: &Path) -> Result<PathBuf, StageError> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    Err(StageError::with_help(
        format!("the run {} is not there, or no file", path.display()),
        "relative paths start at the folder of the experiment file",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Measure, Options, evaluate};

    #[test]
    fn ranks_are_those_of_trec_eval_whatever_the_file_says() {
        let hit = |document, score| Scored {
            query: "q",
            document,
            score,
        };
        let rows: Vec<Hit> = ranked(vec![hit("a", 1.0), hit("c", 2.0), hit("b", 2.0)]).collect();
        let order: Vec<_> = rows.iter().map(|hit| (hit.doc_id.as_str(), hit.rank)).collect();
        assert_eq!(order, [("c", 1), ("b", 2), ("a", 3)]);
        let judged = ablate_core::rows::Judgement {
            query_id: "q".into(),
            doc_id: "b".into(),
            grade: 1,
        };
        let measures: [Measure; 1] = ["RR".parse().unwrap()];
        let scored: Vec<Scored<'_>> = rows.iter().map(Scored::from).collect();
        let values = evaluate(&scored, &[judged], &measures, Options::default());
        assert_eq!(values["q"], [0.5]);
    }

    #[test]
    fn a_source_is_a_path_and_its_unpacked_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            base: folder.path().into(),
            ..Places::default()
        };
        let text = b"q Q0 d 1 2.5 tag\n";
        fs_err::write(folder.path().join("x.trec"), text).unwrap();
        fs_err::write(
            folder.path().join("x.trec.zst"),
            zstd::encode_all(&text[..], 3).unwrap(),
        )
        .unwrap();
        let digest = |text: &str| RUN_SOURCE.digest(text, &places);
        assert_eq!(digest("./x.trec").unwrap(), digest("x.trec.zst").unwrap());
        let absent = digest("./y.trec").unwrap_err().to_string();
        assert!(absent.contains("y.trec is not there"), "{absent}");
        assert_eq!(
            RUN_SOURCE.check("mine").unwrap_err(),
            "write its path, as in `./mine.trec`"
        );
    }
}
