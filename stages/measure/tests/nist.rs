//! The outputs NIST ships with trec_eval, and runs of other systems, scored again.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use ablate_measure::{Column, Options, TrecFile, columns, evaluate, official};

/// The folder `official` of the shared data; `None`, loudly, where there is none.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let named = std::env::var_os("ABLATE_DATA").map(PathBuf::from);
    let found = named
        .into_iter()
        .chain([beside])
        .map(|folder| folder.join("official"))
        .find(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: neither ABLATE_DATA nor ../shared/data holds a folder `official`");
    }
    found
}

/// Every value by (measure, query), written as trec_eval writes it.
fn lines(
    run: &Path,
    qrels: &Path,
    columns: &[Column],
    options: Options,
) -> BTreeMap<(String, String), String> {
    let measures: Vec<_> = columns.iter().map(|column| column.measure.clone()).collect();
    let (run, qrels) = (TrecFile::read(run).unwrap(), TrecFile::read(qrels).unwrap());
    let run = run.run().unwrap();
    let queries = evaluate(&run.hits, &qrels.qrels().unwrap(), &measures, options);
    let mut lines = BTreeMap::new();
    for (at, column) in columns.iter().enumerate() {
        let mut put = |query: &str, value| {
            lines.insert(
                (column.label.clone(), query.to_owned()),
                column.format(value).to_string(),
            )
        };
        put("all", column.fold(queries.values().map(|values| values[at])));
        for (query, values) in queries.iter().filter(|_| column.is_per_query()) {
            put(query, values[at]);
        }
    }
    lines.insert(("runid".into(), "all".into()), run.tag);
    lines
}

/// Compares each line; those of `relstring`, which is no number, are counted.
fn compare(expected: &Path, found: &BTreeMap<(String, String), String>) -> (usize, usize) {
    let (mut ours, mut others) = (0, 0);
    for line in fs_err::read_to_string(expected).unwrap().lines() {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [measure, query, value] = fields[..] else {
            panic!("{line}");
        };
        if let Some(known) = found.get(&(measure.to_owned(), query.to_owned())) {
            assert_eq!(known, value, "{}: {line}", expected.display());
            ours += 1;
        } else {
            assert!(measure.starts_with("relstring"), "no value for {line}");
            others += 1;
        }
    }
    (ours, others)
}

#[test]
fn nists_outputs_line_by_line() {
    let Some(data) = data() else { return };
    let at = |name: &str| data.join("trec_eval_test").join(name);
    let (run, qrels) = (at("results.test"), at("qrels.test"));
    let told = lines(&run, &qrels, &official(), Options::default());
    assert_eq!(compare(&at("out.test"), &told), (30, 0));

    let all = columns("all_trec").unwrap();
    let told = lines(&run, &qrels, &all, Options::default());
    assert_eq!(compare(&at("out.test.a"), &told), (99, 0));
    assert_eq!(compare(&at("out.test.aq"), &told), (384, 3));
    let complete = Options {
        complete: true,
        ..Options::default()
    };
    let told = lines(&at("results.trunc"), &qrels, &all, complete);
    assert_eq!(compare(&at("out.test.aqc"), &told), (384, 3));
    let level = Options {
        level: 2,
        ..Options::default()
    };
    let told = lines(&run, &at("qrels.rel_level"), &all, level);
    assert_eq!(compare(&at("out.test.aql"), &told), (384, 3));
}

/// The expected figures are those of pytrec_eval (`RR@10` of ir_measures). Anserini publishes P@30 .1942 for its run, too.
#[test]
fn runs_of_other_systems() {
    let Some(data) = data() else { return };
    let told = |run: &str, qrels: &str, names: &[&str]| {
        let all: Vec<Column> = names.iter().flat_map(|name| columns(name).unwrap()).collect();
        let found = lines(
            &data.join("runs").join(run),
            &data.join("qrels").join(qrels),
            &all,
            Options::default(),
        );
        names
            .iter()
            .map(|name| found[&((*name).to_owned(), "all".into())].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told("anserini-cacm-bm25.trec", "qrels.cacm.txt", &["AP", "P@30"]),
        ["0.2744", "0.1942"]
    );
    let reranked = "kirloxious-scifact-reranked.trec";
    let qrels = "qrels.beir-v1.0.0-scifact.test.txt";
    assert_eq!(
        told(reranked, qrels, &["nDCG@10", "R@100", "RR@10", "AP"]),
        ["0.5701", "0.8523", "0.5297", "0.5241"]
    );
}
