//! Which files of a folder or repository are a collection.
//!
//! | part | files, the first line that any file fits |
//! |---|---|
//! | documents | `corpus.EXT`; `corpus/*.EXT`; `data/corpus-*.EXT` |
//! | queries | `queries.EXT`; `queries/*.EXT`; `data/queries-*.EXT`; `topics.EXT`, `topics.*` |
//! | judgements of a split | `qrels/SPLIT.EXT`; `qrels/SPLIT-*.EXT`; `data/SPLIT-*.EXT`; `default/SPLIT-*.EXT` |
//!
//! `EXT` is `jsonl`, `tsv`, `csv` or `parquet`, of topics also `trec`, of judgements also `qrels` and `txt` (TREC's four
//! columns), and each may end in `.gz` or `.zst`. A split is `train`, `dev` (or `validation`, `valid`) or `test`. Where there is
//! none of a split, and a single file in `qrels` or with a name that begins with `qrels.`, as TREC's collections have it, it is `test`.

/// The splits a collection may have.
pub(crate) const SPLITS: [&str; 3] = ["train", "dev", "test"];

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Corpus,
    Queries,
    Qrels(&'static str),
}

/// How the content of a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Jsonl,
    Tsv,
    Csv,
    Parquet,
    /// TREC's topics, or its judgements in four columns.
    Trec,
}

/// A file of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) role: Role,
    pub(crate) format: Format,
    /// Its path below the folder, with `/`.
    pub(crate) path: String,
}

impl Part {
    /// The file as a part in this role, if its ending says how it is written.
    pub(crate) fn new(role: Role, path: &str) -> Option<Self> {
        let format = format_of(role, stem(path))?;
        let path = path.to_owned();
        Some(Self { role, format, path })
    }

    /// Its path without the ending of its compression: what it is to a digest.
    pub(crate) fn name(&self) -> &str {
        stem(&self.path)
    }
}

/// The split a word stands for.
pub(crate) fn split_of(word: &str) -> Option<&'static str> {
    match word {
        "train" => Some("train"),
        "dev" | "valid" | "validation" => Some("dev"),
        "test" => Some("test"),
        _ => None,
    }
}

/// The parts among `files`, paths with `/`: documents, queries, splits. A plain file goes before a compressed one of the
/// same name, and JSON lines before TSV, CSV and Parquet.
pub(crate) fn parts(files: &[String]) -> Vec<Part> {
    let roles = [Role::Corpus, Role::Queries].into_iter();
    let mut parts: Vec<Part> = roles.flat_map(|role| of(role, files)).collect();
    let mut judged: Vec<Part> = SPLITS
        .into_iter()
        .flat_map(|split| of(Role::Qrels(split), files))
        .collect();
    if let (true, [one]) = (judged.is_empty(), &judgements(files)[..]) {
        judged.extend(Part::new(Role::Qrels("test"), one));
    }
    parts.extend(judged);
    parts
}

/// Files that hold judgements by their names and are none of the parts, nor a part in another format.
pub(crate) fn unread<'a>(files: &'a [String], parts: &[Part]) -> Vec<&'a str> {
    let is_part = |path: &&str| {
        let known = |split| rank_of(Role::Qrels(split), stem(path)).is_some();
        parts.iter().any(|part| part.path == *path) || SPLITS.into_iter().any(known)
    };
    let judgements = judgements(files).into_iter();
    judgements.filter(|path| !is_part(path)).collect()
}

/// Files that hold judgements by their names, whatever their split.
fn judgements(files: &[String]) -> Vec<&str> {
    let named = |path: &&str| {
        let readable = format_of(Role::Qrels("test"), stem(path)).is_some();
        readable && (path.starts_with("qrels/") || path.starts_with("qrels."))
    };
    files.iter().map(String::as_str).filter(named).collect()
}

fn of(role: Role, files: &[String]) -> Vec<Part> {
    let fitting = |rank: usize| {
        let fits = files
            .iter()
            .filter(move |path| rank_of(role, stem(path)) == Some(rank));
        let mut parts: Vec<Part> = fits.filter_map(|path| Part::new(role, path)).collect();
        parts.sort_by(|a, b| order(a).cmp(&order(b)));
        parts
    };
    let mut found = (0..RANKS)
        .map(fitting)
        .find(|parts| !parts.is_empty())
        .unwrap_or_default();
    let best = found.first().map(|part| part.format);
    found.retain(|part| Some(part.format) == best);
    found.dedup_by(|b, a| a.name() == b.name());
    found.truncate(if whole(&found) { 1 } else { found.len() });
    found
}

/// Whether the first of the files holds everything: it is no shard.
fn whole(parts: &[Part]) -> bool {
    let whole = |part: &Part| rank_of(part.role, part.name()).is_some_and(|rank| rank == 0 || rank == TOPICS);
    parts.first().is_some_and(whole)
}

fn order(part: &Part) -> (u8, &str, usize) {
    let format = match part.format {
        Format::Jsonl => 0,
        Format::Tsv => 1,
        Format::Csv => 2,
        Format::Parquet => 3,
        Format::Trec => 4,
    };
    (format, part.name(), part.path.len())
}

const RANKS: usize = 5;

/// The rank of TREC's topics: where there are no `queries`.
const TOPICS: usize = 4;

/// Which line of the table above a path fits.
fn rank_of(role: Role, path: &str) -> Option<usize> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let word = file.split(['.', '-']).next().unwrap_or_default();
    let is_whole = file.split_once('.').is_some_and(|(stem, _)| stem == word);
    let (own, fits) = match role {
        Role::Corpus => ("corpus", word == "corpus"),
        Role::Queries => ("queries", word == "queries"),
        Role::Qrels(split) => ("qrels", split_of(word) == Some(split)),
    };
    let judgements = matches!(role, Role::Qrels(_));
    match folder {
        "" if judgements => None,
        "" if role == Role::Queries && file.starts_with("topics.") => Some(TOPICS),
        "" => (fits && is_whole).then_some(0),
        folder if folder == own && judgements => fits.then_some(usize::from(!is_whole)),
        folder if folder == own => Some(1),
        "data" => (fits && !is_whole).then_some(2),
        "default" if judgements => (fits && !is_whole).then_some(3),
        _ => None,
    }
}

/// The path without the ending of its compression.
pub(crate) fn stem(path: &str) -> &str {
    let stem = path.strip_suffix(".gz").or_else(|| path.strip_suffix(".zst"));
    stem.unwrap_or(path)
}

fn format_of(role: Role, path: &str) -> Option<Format> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let (_, ending) = file.rsplit_once('.')?;
    match (ending, role) {
        ("jsonl", _) => Some(Format::Jsonl),
        ("tsv", _) => Some(Format::Tsv),
        ("csv", _) => Some(Format::Csv),
        ("parquet", _) => Some(Format::Parquet),
        ("qrels" | "txt", Role::Qrels(_)) => Some(Format::Trec),
        (_, Role::Queries) if file.starts_with("topics.") => Some(Format::Trec),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts among files whose names stand between spaces.
    fn found(files: &str) -> String {
        let files: Vec<String> = files.split_whitespace().map(str::to_owned).collect();
        let paths: Vec<String> = parts(&files).into_iter().map(|part| part.path).collect();
        paths.join(" ")
    }

    #[test]
    fn layouts_of_beir_trec_and_the_hub_are_found() {
        let cases = [
            (
                "README.md corpus.jsonl qrels/notes.md qrels/test.tsv queries.jsonl",
                "corpus.jsonl queries.jsonl qrels/test.tsv",
            ),
            (
                "corpus.jsonl.gz corpus.jsonl corpus.tsv queries.jsonl.zst",
                "corpus.jsonl queries.jsonl.zst",
            ),
            (
                "corpus/c-1-of-2.parquet corpus/c-0-of-2.parquet queries/q.parquet data/test-0.parquet data/validation-0.parquet",
                "corpus/c-0-of-2.parquet corpus/c-1-of-2.parquet queries/q.parquet data/validation-0.parquet data/test-0.parquet",
            ),
            (
                "data/corpus-0.parquet data/queries-0.parquet default/test-0.parquet",
                "data/corpus-0.parquet data/queries-0.parquet default/test-0.parquet",
            ),
            (
                "corpus.csv topics.robust04.txt.gz qrels/test.qrels qrels/dev.txt",
                "corpus.csv topics.robust04.txt.gz qrels/dev.txt qrels/test.qrels",
            ),
            (
                "corpus.tsv topics.xml qrels.robust04.txt",
                "corpus.tsv topics.xml qrels.robust04.txt",
            ),
            (
                "corpus.tsv queries.tsv qrels/dl19.tsv qrels/dl20.tsv",
                "corpus.tsv queries.tsv",
            ),
            ("train.tsv corpus-sample.jsonl notes.tsv", ""),
        ];
        for (files, expected) in cases {
            assert_eq!(found(files), expected, "{files}");
        }
    }

    #[test]
    fn judgements_of_no_split_are_known() {
        let unread_of = |files: &str| {
            let files: Vec<String> = files.split_whitespace().map(str::to_owned).collect();
            unread(&files, &parts(&files)).join(" ")
        };
        assert_eq!(unread_of("corpus.tsv qrels/dl19.tsv qrels/notes.md"), "");
        assert_eq!(
            unread_of("qrels/dl19.tsv qrels/dl20.txt.gz qrels/test.tsv qrels/test.jsonl qrels.tsv"),
            "qrels/dl19.tsv qrels/dl20.txt.gz qrels.tsv"
        );
    }
}
