//! The arguments, as typed.

mod exchange;
mod pages;

use std::path::PathBuf;

use ablate_core::{DeviceChoice, Part};
use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::{ArgValueCandidates, Shell};

use crate::{complete, units};
pub(crate) use exchange::{Eval, Export};
#[cfg(feature = "serve")]
pub(crate) use pages::Serve;
pub(crate) use pages::{Plot, Report};

const EXIT_CODES: &str = "\
Exit codes: 0 fine, 1 a stage failed, 2 bad command line, 3 bad experiment file, 4 a check found a difference, \
5 store damaged or in use, 130 interrupted.
`ablate help COMMAND` says more of a command.";

/// Declarative experiment graphs for information retrieval: what did not change is reused.
#[derive(Parser)]
#[command(name = "ablate", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Where artifacts are kept [default: cache/store of the project, else the user's cache folder]
    #[arg(long, global = true, env = "ABLATE_STORE", value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Print the answer as JSON, and nothing else, to standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Find every problem of an experiment file
    ///
    /// Every problem is told at once, with its place and what to do. Nothing runs; neither data nor models are needed.
    #[command(after_help = "Example:\n  ablate check study.yaml --set docs.count=50")]
    Check(Experiment),
    /// Show what would be reused and what would run, why, and what it is likely to cost
    #[command(after_help = "Example:\n  ablate plan study.yaml")]
    Plan(Experiment),
    /// Run an experiment and print its table
    ///
    /// What the store holds is reused. After a kill or Ctrl-C the same command goes on where it was.
    #[command(
        after_help = "Examples:\n  ablate run study.yaml\n  ablate run study.yaml --device cuda --set retriever.epochs=3"
    )]
    Run(Run),
    /// Compute parts of rows for a run: what `run` starts on its other devices
    #[command(hide = true)]
    Helper(Helper),
    /// Print the table of a run
    #[command(
        after_help = "Examples:\n  ablate table\n  ablate table negatives --details\n  ablate table negatives -o table.tex"
    )]
    Table(Table),
    /// List the runs of the store, oldest first
    Runs,
    /// Show the rows a node produced: look at the queries, the negatives
    #[command(
        after_help = "Examples:\n  ablate show latest queries --rows 3\n  ablate show latest 'triples[negatives=bm25]' --from 100"
    )]
    Show(Show),
    /// Show what changed between two runs, files or points beside what moved, and whether it is noise
    ///
    /// Of a file it is compared what the store holds of its nodes, whichever run computed it.
    #[command(
        after_help = "Examples:\n  ablate diff 20261121-0652 latest --check\n  ablate diff 'latest[negatives=bm25]' 'latest[negatives=llm]'\n  ablate diff old.yaml new.yaml"
    )]
    Diff(Diff),
    /// Hold the figures of a run against those its file commits with `expect`: OK, OKish or FAIL
    ///
    /// OK is equal to four decimals, OKish within the tolerance. Anything else ends with exit code 4.
    #[command(after_help = "Example:\n  ablate check-results experiments/quickstart.yaml")]
    CheckResults(CheckResults),
    /// Write a run as one HTML file: graph, table, plots, samples, provenance
    ///
    /// The file loads nothing, works without JavaScript, and prints.
    #[command(after_help = "Example:\n  ablate report latest -o report.html")]
    Report(Report),
    /// Write a plot of a run as SVG or PNG, or list its plots
    #[command(
        after_help = "Examples:\n  ablate plot latest\n  ablate plot latest scores -o scores.svg\n  ablate plot latest graph -o graph.png --scale 3"
    )]
    Plot(Plot),
    /// Browse the runs of the store: pages, rows, comparisons, a run under way
    ///
    /// Only this machine reaches it, unless --address says otherwise.
    #[cfg(feature = "serve")]
    #[command(after_help = "Example:\n  ablate serve --port 8017")]
    Serve(Serve),
    /// List or download the models of the catalogue
    #[command(subcommand)]
    Models(Models),
    /// Evaluate a TREC run file against a TREC qrels file, without an experiment
    #[command(after_help = "Example:\n  ablate eval run.trec qrels.trec -m nDCG@10 -m R@100 -q")]
    Eval(Eval),
    /// Write an artifact as a file that other systems read: a TREC run or qrels, BEIR's documents and queries, vectors
    #[command(
        after_help = "Examples:\n  ablate export latest lexical -o lexical.trec.gz\n  ablate export latest data --port qrels.test -o qrels.trec\n  ablate export latest vectors -o vectors.parquet"
    )]
    Export(Export),
    /// Say why a node would run, or what a change would re-run
    #[command(
        after_help = "Examples:\n  ablate why study.yaml retriever\n  ablate why study.yaml --if triples.depth=200"
    )]
    Why(Why),
    /// Show what the store could forget, and with --delete forget it
    ///
    /// What a kept or pinned run leads to stays. Without a limit every run is kept.
    #[command(
        after_help = "Examples:\n  ablate gc --keep-last 3\n  ablate gc --older-than 30 --max-bytes 20GB --delete"
    )]
    Gc(Gc),
    /// Keep a run whatever `gc` is told
    Pin {
        /// A run's id, its first letters, its experiment's name, or `latest`
        #[arg(add = ArgValueCandidates::new(complete::runs))]
        run: String,
    },
    /// Take the pin of a run away
    Unpin {
        /// A run's id, its first letters, its experiment's name, or `latest`
        #[arg(add = ArgValueCandidates::new(complete::runs))]
        run: String,
    },
    /// Check every byte, checksum and key of the store, or compute a node again and compare
    ///
    /// Damage is named, and computed again by the next run that needs it.
    #[command(
        after_help = "Examples:\n  ablate verify\n  ablate verify --rerun scores experiments/quickstart.yaml"
    )]
    Verify(Verify),
    /// List the stage kinds, or show the ports and parameters of one
    #[command(after_help = "Examples:\n  ablate stages\n  ablate stages negatives")]
    Stages(Stages),
    /// Print the JSON Schema of experiment files, for editors
    ///
    /// An editor with yaml-language-server completes and checks a file that begins with the line
    /// `# yaml-language-server: $schema=PATH`.
    #[command(after_help = "Example:\n  ablate schema > experiment.json")]
    Schema,
    /// Print the script that completes commands in a shell: names of stages, models and runs, too
    #[command(
        after_help = "Examples:\n  source <(ablate completions bash)      # in ~/.bashrc; zsh alike\n  ablate completions fish | source       # in ~/.config/fish/config.fish\n  ablate completions powershell | Out-String | Invoke-Expression"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "Example:\n  ablate man ~/.local/share/man/man1")]
    Man {
        /// The folder; made if it is not there
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// An experiment file with overrides.
#[derive(ClapArgs)]
pub(crate) struct Experiment {
    /// The experiment file
    pub(crate) file: PathBuf,
    /// Set a field, as in `--set queries.decoding.temperature=0.7`; may be repeated
    #[arg(long = "set", value_name = "STAGE.FIELD=VALUE", value_parser = setting)]
    pub(crate) sets: Vec<(String, String)>,
    /// Take only the points of the sweep with this label, as in `--only negatives=bm25`; labels of one axis add up, axes
    /// narrow down, `seed` names replicates
    #[arg(long, value_name = "AXIS=LABEL", value_parser = point)]
    pub(crate) only: Vec<(String, String)>,
}

#[derive(ClapArgs)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) experiment: Experiment,
    /// Compute on `cpu`, `cuda`, `cuda:N` or `metal`; on several, as in `cuda:0,cuda:1`, a process on each computes a part of the
    /// rows of nodes that generate, score or encode
    #[arg(long, default_value = "cpu", value_parser = device, value_delimiter = ',')]
    pub(crate) device: Vec<DeviceChoice>,
    /// Nodes that may run at once on the CPU [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Main memory nodes may take together, as in 16GB [default: nine tenths of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    pub(crate) memory: Option<u64>,
    #[command(flatten)]
    pub(crate) flush: Flush,
}

/// How much work a kill may cost.
#[derive(ClapArgs)]
pub(crate) struct Flush {
    /// Make rows and checkpoints safe at least this often: a kill costs no more
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) flush_seconds: f64,
    /// Rows written together before that time
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) flush_rows: usize,
}

#[derive(ClapArgs)]
pub(crate) struct Helper {
    #[command(flatten)]
    pub(crate) experiment: Experiment,
    /// Its device
    #[arg(long, value_parser = device)]
    pub(crate) device: DeviceChoice,
    /// Its part of the rows, as in 1/4
    #[arg(long)]
    pub(crate) part: Part,
    /// As of the run
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    pub(crate) memory: Option<u64>,
    #[command(flatten)]
    pub(crate) flush: Flush,
}

#[derive(ClapArgs)]
pub(crate) struct Verify {
    /// Compute this node again, as `plan` names it, from its kept inputs, and compare what comes out
    #[arg(long, value_name = "NODE", requires = "file")]
    pub(crate) rerun: Option<String>,
    /// The experiment file the node is of
    #[arg(requires = "rerun")]
    pub(crate) file: Option<PathBuf>,
    /// Set a field, as in `--set queries.decoding.temperature=0.7`
    #[arg(long = "set", value_name = "STAGE.FIELD=VALUE", value_parser = setting)]
    pub(crate) sets: Vec<(String, String)>,
    /// Compute on `cpu`, `cuda` or `cuda:N`
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub(crate) device: DeviceChoice,
}

#[derive(ClapArgs)]
pub(crate) struct Why {
    #[command(flatten)]
    pub(crate) experiment: Experiment,
    /// A node, as `plan` names it
    #[arg(add = ArgValueCandidates::new(complete::nodes))]
    pub(crate) node: Option<String>,
    /// Show what this change would re-run; may be repeated
    #[arg(long = "if", value_name = "STAGE.FIELD=VALUE", value_parser = setting)]
    pub(crate) changes: Vec<(String, String)>,
}

#[derive(ClapArgs)]
pub(crate) struct Gc {
    /// Keep the last N runs of each experiment
    #[arg(long, value_name = "N")]
    pub(crate) keep_last: Option<usize>,
    /// Let runs go that are older than so many days
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub(crate) older_than: Option<f64>,
    /// Keep the newest runs whose artifacts fit, as in 20GB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    pub(crate) max_bytes: Option<u64>,
    /// Let rows of the memo go that no run has looked up for so many days
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub(crate) memo_older_than: Option<f64>,
    /// Really remove it
    #[arg(long)]
    pub(crate) delete: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Table {
    /// A run's id, its first letters, its experiment's name, or `latest`
    #[arg(default_value = "latest", add = ArgValueCandidates::new(complete::runs))]
    pub(crate) run: String,
    /// text, markdown, latex (booktabs), csv, parquet or json [default: by the ending of --output, else text]
    #[arg(long)]
    pub(crate) format: Option<ablate_report::Format>,
    /// Write it to this file: .txt, .md, .tex, .csv, .parquet or .json
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Show every comparison on a line: interval, p, effect size, wins and losses, and what it would take to be surer
    #[arg(long, conflicts_with_all = ["format", "output"])]
    pub(crate) details: bool,
}

/// An artifact of a run.
#[derive(ClapArgs)]
pub(crate) struct Artifact {
    /// A run's id, its first letters, its experiment's name, or `latest`
    #[arg(add = ArgValueCandidates::new(complete::runs))]
    pub(crate) run: String,
    /// A node of the run, as `plan` names it
    #[arg(add = ArgValueCandidates::new(complete::nodes))]
    pub(crate) node: String,
    /// The output port [default: the one that the stage's name stands for]
    #[arg(long)]
    pub(crate) port: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) artifact: Artifact,
    /// How many rows
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) rows: usize,
    /// Skip so many rows before the first one shown
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) from: usize,
}

#[derive(ClapArgs)]
pub(crate) struct Diff {
    /// What was before: a run (its id, its first letters, its experiment's name, `latest`) or an experiment file, each with
    /// a point of its sweep in brackets if only that is meant
    #[arg(add = ArgValueCandidates::new(complete::runs))]
    pub(crate) before: String,
    /// What came after, likewise
    #[arg(add = ArgValueCandidates::new(complete::runs))]
    pub(crate) after: String,
    /// End with exit code 4 if a figure moved significantly or is on one side only, or if there is none to compare
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(ClapArgs)]
pub(crate) struct CheckResults {
    #[command(flatten)]
    pub(crate) experiment: Experiment,
    /// A run to judge [default: what the store holds of the file's nodes, whichever run computed it]
    #[arg(long, conflicts_with_all = ["sets", "only"], add = ArgValueCandidates::new(complete::runs))]
    pub(crate) run: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Models {
    /// List the catalogue, and which of it is on this machine
    List,
    /// Download models, verified
    #[command(after_help = "Example:\n  ablate models fetch all-minilm-l6-v2")]
    Fetch {
        /// Names of the catalogue, or sources
        #[arg(required = true, add = ArgValueCandidates::new(complete::models))]
        names: Vec<String>,
    },
}

#[derive(ClapArgs)]
pub(crate) struct Stages {
    /// A stage kind
    #[arg(add = ArgValueCandidates::new(complete::kinds))]
    pub(crate) kind: Option<String>,
    /// Print Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (path, value) = text.split_once('=').ok_or("write it as STAGE.FIELD=VALUE")?;
    Ok((path.to_owned(), value.to_owned()))
}

fn point(text: &str) -> Result<(String, String), String> {
    let (axis, label) = text.split_once('=').ok_or("write it as AXIS=LABEL")?;
    Ok((axis.to_owned(), label.to_owned()))
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    if (0.0..=1e6).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("write a number of seconds from 0".into())
    }
}

fn days(text: &str) -> Result<f64, String> {
    let days: Option<f64> = text.parse().ok().filter(|days| (0.0..=1e6).contains(days));
    days.ok_or_else(|| "write a number of days from 0".into())
}

fn device(text: &str) -> Result<DeviceChoice, String> {
    match text.split_once(':') {
        None if text == "cpu" => Ok(DeviceChoice::Cpu),
        None if text == "cuda" => Ok(DeviceChoice::Cuda(0)),
        None if text == "metal" => Ok(DeviceChoice::Metal),
        Some(("cuda", number)) => number.parse().map(DeviceChoice::Cuda).map_err(|e| e.to_string()),
        _ => Err("write cpu, cuda, cuda:N or metal".into()),
    }
}
