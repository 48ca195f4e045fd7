//! The arguments, as typed.

use std::path::PathBuf;

use ablate_core::DeviceChoice;
use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::units;

/// Declarative experiment graphs for information retrieval: what did not change is reused.
#[derive(Parser)]
#[command(name = "ablate", version, propagate_version = true)]
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
    Check(Experiment),
    /// Show what would be reused and what would run, and why
    Plan(Experiment),
    /// Run an experiment and print its table
    Run(Run),
    /// Print the table of a run
    Table(Table),
    /// List the runs of the store
    Runs,
    /// Show the rows a node produced
    Show(Show),
    /// Show what changed between two runs, and what moved
    Diff(Diff),
    /// List or download the models of the catalogue
    #[command(subcommand)]
    Models(Models),
    /// Evaluate a TREC run file against a TREC qrels file
    Eval(Eval),
    /// Say why a node would run, or what a change would re-run
    Why(Why),
    /// Show what the store could forget, and with --delete forget it
    Gc(Gc),
    /// Keep a run whatever `gc` is told
    Pin {
        /// A run's id, its first letters, its experiment's name, or `latest`
        run: String,
    },
    /// Take the pin of a run away
    Unpin {
        /// A run's id, its first letters, its experiment's name, or `latest`
        run: String,
    },
    /// Check every byte, checksum and key of the store
    Verify,
    /// List the stage kinds, or show the ports and parameters of one
    Stages {
        /// A stage kind
        kind: Option<String>,
    },
}

/// An experiment file with overrides.
#[derive(ClapArgs)]
pub(crate) struct Experiment {
    /// The experiment file
    pub(crate) file: PathBuf,
    /// Set a field, as in `--set queries.decoding.temperature=0.7`
    #[arg(long = "set", value_name = "STAGE.FIELD=VALUE", value_parser = setting)]
    pub(crate) sets: Vec<(String, String)>,
}

#[derive(ClapArgs)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) experiment: Experiment,
    /// Compute on `cpu`, `cuda` or `cuda:N`
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub(crate) device: DeviceChoice,
    /// Nodes that may run at once on the CPU [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Make rows and checkpoints safe at least this often: a kill costs no more
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) flush_seconds: f64,
    /// Rows written together before that time
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) flush_rows: usize,
}

#[derive(ClapArgs)]
pub(crate) struct Why {
    #[command(flatten)]
    pub(crate) experiment: Experiment,
    /// A node, as `plan` names it
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
    #[arg(long, value_name = "DAYS")]
    pub(crate) older_than: Option<f64>,
    /// Keep the newest runs whose artifacts fit, as in 20GB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_bytes)]
    pub(crate) max_bytes: Option<u64>,
    /// Really remove it
    #[arg(long)]
    pub(crate) delete: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Table {
    /// A run's id, its first letters, its experiment's name, or `latest`
    #[arg(default_value = "latest")]
    pub(crate) run: String,
    /// text, markdown or csv
    #[arg(long, default_value = "text")]
    pub(crate) format: ablate_report::Format,
}

#[derive(ClapArgs)]
pub(crate) struct Show {
    /// A run's id, its first letters, its experiment's name, or `latest`
    pub(crate) run: String,
    /// A node of the run, as `plan` names it
    pub(crate) node: String,
    /// The output port [default: the node's first]
    #[arg(long)]
    pub(crate) port: Option<String>,
    /// How many rows
    #[arg(long, default_value_t = 10)]
    pub(crate) rows: usize,
    /// Skip rows before the first one shown
    #[arg(long, default_value_t = 0)]
    pub(crate) from: usize,
}

#[derive(ClapArgs)]
pub(crate) struct Diff {
    /// The earlier run
    pub(crate) before: String,
    /// The later run
    pub(crate) after: String,
}

#[derive(Subcommand)]
pub(crate) enum Models {
    /// List the catalogue
    List,
    /// Download models, verified
    Fetch {
        /// Names of the catalogue, or sources
        #[arg(required = true)]
        names: Vec<String>,
    },
}

#[derive(ClapArgs)]
pub(crate) struct Eval {
    /// A run in TREC format, plain or gzipped
    pub(crate) run: PathBuf,
    /// Judgements in TREC format, plain or gzipped
    pub(crate) qrels: PathBuf,
    /// A measure by ir_measures' name (`nDCG@10`) or trec_eval's (`ndcg_cut.10`); may be repeated [default: trec_eval's]
    #[arg(
        short = 'm',
        long = "measure",
        value_name = "MEASURE",
        default_value = "official",
        hide_default_value = true
    )]
    pub(crate) measures: Vec<String>,
    /// Print every query, too
    #[arg(short = 'q', long)]
    pub(crate) queries: bool,
    /// Average over all judged queries: one the run lacks counts as 0
    #[arg(short = 'c', long)]
    pub(crate) complete: bool,
    /// The least grade that is relevant, for measures whose name does not say
    #[arg(short = 'l', long, value_name = "GRADE", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) level: i32,
    /// Look at no more than so many documents of a query
    #[arg(short = 'M', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) depth: Option<u32>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (path, value) = text.split_once('=').ok_or("write it as STAGE.FIELD=VALUE")?;
    Ok((path.to_owned(), value.to_owned()))
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    if (0.0..=1e6).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("write a number of seconds from 0".into())
    }
}

fn device(text: &str) -> Result<DeviceChoice, String> {
    match text.split_once(':') {
        None if text == "cpu" => Ok(DeviceChoice::Cpu),
        None if text == "cuda" => Ok(DeviceChoice::Cuda(0)),
        Some(("cuda", number)) => number.parse().map(DeviceChoice::Cuda).map_err(|e| e.to_string()),
        _ => Err("write cpu, cuda or cuda:N".into()),
    }
}
