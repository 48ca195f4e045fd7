//! The stage: what stands at its ports goes to files, the program runs, what it wrote is checked and taken in.

use std::{collections::BTreeMap, path::PathBuf, process, time::Duration};

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Needs, Output, Ports, Problems, Slot, Stage, StageError, rows,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{FILES_SOURCE, child, tables};

/// Any program.
pub struct Command;

/// Parameters of `command`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The program and its arguments; `{files}` stands for the path at the port `files`. It finds the paths of its
    /// inputs in `ABLATE_IN_<PORT>`, those of its outputs in `ABLATE_OUT_<PORT>`, and all of them as JSON in the file
    /// that `ABLATE_MANIFEST` names.
    #[schemars(length(min = 1), extend("examples" = [["python3", "{files}"]]))]
    pub run: Vec<String>,
    /// A number of yours: raise it when the program gives other rows though `run` and `files` are the same.
    pub version: u32,
    /// What the program writes: corpus, queries, qrels, run, pairs, triples or scores.
    #[schemars(length(min = 1), extend("items" = {"type": "string", "enum": TABLES}), extend("uniqueItems" = true), extend("examples" = [["triples"]]))]
    pub outputs: Vec<String>,
    /// The program is ended, and the stage fails, after so many seconds; never if not given.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub timeout_seconds: Option<f64>,
    /// Whether it computes on the device of the run (a GPU): then it waits for its turn.
    #[serde(default)]
    pub device: bool,
    /// Gigabytes of main memory it needs: it waits until so much is free.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub memory_gb: f64,
}

impl Params {
    /// None also where the clock does not reach so far.
    fn timeout(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.timeout_seconds?).ok()
    }
}

/// What stands for the path at the port `files`.
const FILES: &str = "{files}";

const TABLES: [ArtifactKind; 7] = [
    ArtifactKind::Corpus,
    ArtifactKind::Queries,
    ArtifactKind::Qrels,
    ArtifactKind::Run,
    ArtifactKind::Pairs,
    ArtifactKind::Triples,
    ArtifactKind::Scores,
];

fn table(name: &str) -> Option<ArtifactKind> {
    TABLES.into_iter().find(|kind| kind.name() == name)
}

impl Stage for Command {
    const NAME: &'static str = "command";
    const VERSION: u32 = 1;
    const ABOUT: &'static str = "any program: its inputs and outputs are Parquet files";
    const EXAMPLE: &'static str = "mined: {use: command, pairs: kept, corpus: data.corpus, files: mine.py, run: [python3, \"{files}\"], \
         outputs: [triples], version: 1}";
    const INPUTS: &'static [Input] = &[
        Input::of("corpus", ArtifactKind::Corpus)
            .optional()
            .about("documents for the program"),
        Input::of("queries", ArtifactKind::Queries)
            .optional()
            .about("queries for the program"),
        Input::of("qrels", ArtifactKind::Qrels)
            .optional()
            .about("judgements for the program"),
        Input::of("ranking", ArtifactKind::Run)
            .optional()
            .about("a ranking for the program"),
        Input::of("pairs", ArtifactKind::Pairs)
            .optional()
            .about("synthetic queries for the program"),
        Input::of("triples", ArtifactKind::Triples)
            .optional()
            .about("training triples for the program"),
        Input::of("scores", ArtifactKind::Scores)
            .optional()
            .about("per-query scores for the program"),
        Input::of("model", ArtifactKind::Model)
            .optional()
            .about("a model folder for the program"),
        Input::of("files", ArtifactKind::Corpus)
            .optional()
            .or_source(&FILES_SOURCE)
            .about("the script, or a folder of them: its bytes enter the key"),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output::of("corpus", ArtifactKind::Corpus).about("documents it wrote"),
        Output::of("queries", ArtifactKind::Queries).about("queries it wrote"),
        Output::of("qrels", ArtifactKind::Qrels).about("judgements it wrote"),
        Output::of("run", ArtifactKind::Run).about("a ranking it wrote"),
        Output::of("pairs", ArtifactKind::Pairs).about("synthetic queries it wrote"),
        Output::of("triples", ArtifactKind::Triples).about("training triples it wrote"),
        Output::of("scores", ArtifactKind::Scores).about("per-query scores it wrote"),
    ];
    const EXECUTION: &'static [&'static str] = &["timeout_seconds", "device", "memory_gb"];
    type Params = Params;

    fn needs(params: &Params) -> Needs {
        let slot = if params.device { Slot::Device } else { Slot::Cpu };
        let memory = Memory {
            least: (params.memory_gb * 1e9) as u64,
            ..Memory::READING
        };
        Needs { slot, memory }
    }

    fn check(params: &Params, problems: &mut Problems) {
        for name in &params.outputs {
            let known = TABLES.map(ArtifactKind::name).join(", ");
            problems.require(
                table(name).is_some(),
                "outputs",
                format!("`{name}` is none of {known}"),
            );
        }
    }

    fn check_ports(params: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        let named = params.run.iter().any(|text| text.contains(FILES));
        problems.require(
            ports.has("files") || !named,
            "run",
            "names `{files}`, and nothing stands at `files`: write `files: ./PATH`",
        );
    }

    fn makes(params: &Params, output: &str) -> bool {
        params.outputs.iter().any(|name| name == output)
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let work = Work::begin(params, io)?;
        let timeout = params.timeout();
        child::run(work.command(params)?, &work.log, timeout, &|| io.cancelled())?;
        for (name, path) in &work.outputs {
            if let Some(kind) = table(name) {
                let rows = rows::checked(kind, &tables::read(path, kind)?)?;
                io.put_batch(name, rows)?;
            }
        }
        let lines = child::last_lines(&work.log);
        if !lines.is_empty() {
            io.note(format!("it printed, at the end:\n{lines}"));
        }
        Ok(())
    }
}

/// The folder a program works in, and the files in it.
struct Work {
    folder: PathBuf,
    log: PathBuf,
    files: Option<PathBuf>,
    inputs: BTreeMap<String, PathBuf>,
    outputs: BTreeMap<String, PathBuf>,
}

impl Work {
    /// Writes the inputs into an empty folder, whose name is new each time: the program of a run that was killed may
    /// live on and write. The folder around it outlives a kill: `ABLATE_STATE` is for programs that can go on where
    /// they were.
    fn begin(params: &Params, io: &Io<'_>) -> Result<Self, StageError> {
        let around = io.checkpoints()?;
        for entry in fs_err::read_dir(&around)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name != "state") {
                fs_err::remove_dir_all(path)?;
            }
        }
        fs_err::create_dir_all(around.join("state"))?;
        let folder = tempfile::Builder::new()
            .prefix("work-")
            .tempdir_in(&around)?
            .keep();
        let mut inputs = BTreeMap::new();
        for port in Command::INPUTS.iter().filter(|port| port.source.is_none()) {
            if port.kind.is_tree() {
                inputs.extend(
                    io.optional_tree(port.name)?
                        .map(|path| (port.name.to_owned(), path)),
                );
            } else if let Some(batch) = io.batch(port.name)? {
                let path = folder.join(format!("in-{}.parquet", port.name));
                tables::write(&path, &batch)?;
                inputs.insert(port.name.to_owned(), path);
            }
        }
        let output = |name: &String| (name.clone(), folder.join(format!("out-{name}.parquet")));
        Ok(Self {
            log: folder.join("log.txt"),
            files: io.optional_tree("files")?,
            inputs,
            outputs: params.outputs.iter().map(output).collect(),
            folder,
        })
    }

    fn command(&self, params: &Params) -> Result<process::Command, StageError> {
        let files = self.files.as_ref().map(|path| path.display().to_string());
        let argument = |text: &String| {
            files
                .as_ref()
                .map_or(text.clone(), |files| text.replace(FILES, files))
        };
        let mut words = params.run.iter().map(argument);
        let mut command = process::Command::new(words.next().unwrap_or_default());
        let manifest = self.folder.join("manifest.json");
        let all = json!({"inputs": self.inputs, "outputs": self.outputs, "files": files});
        fs_err::write(&manifest, serde_json::to_vec_pretty(&all)?)?;
        command
            .args(words)
            .current_dir(&self.folder)
            .env("ABLATE_MANIFEST", manifest)
            .env("ABLATE_STATE", self.folder.with_file_name("state"));
        for (prefix, paths) in [("IN", &self.inputs), ("OUT", &self.outputs)] {
            for (port, path) in paths {
                command.env(format!("ABLATE_{prefix}_{}", port.to_uppercase()), path);
            }
        }
        Ok(command)
    }
}
