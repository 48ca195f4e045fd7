//! The arguments of the verbs that read and write the files of other systems.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Artifact;

#[derive(ClapArgs)]
pub(crate) struct Eval {
    /// A run in TREC format, plain, gzipped or zstd-compressed: query, Q0, document, rank, score, tag
    pub(crate) run: PathBuf,
    /// Judgements in TREC format, likewise: query, 0, document, grade
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
    /// Drop the document whose id is the query's before anything is counted (ArguAna, Quora)
    #[arg(long)]
    pub(crate) drop_self: bool,
}

#[derive(ClapArgs)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) artifact: Artifact,
    /// The file to write, as its ending says: .trec (a ranking, judgements), .tsv (judgements or queries, as BEIR and
    /// Anserini read them), .jsonl (documents and queries in BEIR layout, any table) or .parquet (any table); all but the last
    /// also with .gz or .zst
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The name of the system in a ranking [default: the node's]
    #[arg(long)]
    pub(crate) tag: Option<String>,
}
