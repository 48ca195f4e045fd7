//! Search against scores added up posting by posting, and by hand.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use ablate_core::{Parts, Record, Seed, Stream, rows::Document};
use proptest::prelude::*;

use super::*;
use crate::{
    analysis::{Analyser, Named},
    index::{Fields, Scheme},
    length,
    similarity::Variant,
};

fn index(documents: &[Document], fields: Fields) -> Index {
    let folder = tempfile::tempdir().unwrap();
    let whole = Document::encode(documents).unwrap();
    // Parts of some hundred rows: runs are merged, and lists go over them.
    let cuts = (0..documents.len()).step_by(700);
    let part = |at: usize| Ok(whole.slice(at, 700.min(documents.len() - at)));
    let parts: Parts<'_> = Box::new(cuts.map(part));
    let analyser = Analyser::Named(Named::Whitespace);
    Index::temporary(folder.path(), parts, &Scheme { analyser, fields }, |_| Ok(())).unwrap()
}

fn document(at: usize, title: Option<String>, text: String) -> Document {
    let doc_id = format!("d{at:06}");
    Document { doc_id, title, text }
}

fn flat<const N: usize>(texts: [&str; N]) -> Searcher {
    let documents: Vec<Document> = (0..)
        .zip(texts)
        .map(|(at, text)| document(at, None, text.into()))
        .collect();
    Searcher::new(index(&documents, Fields::Together), Bm25::lucene(0.9, 0.4), &[])
}

#[test]
fn a_hand_computed_score() {
    let hits = flat(["red apple pie", "green apple", "blue sky over the sea"]).search("apple", 10);
    // N = 3, df = 2: idf = ln(1 + 1.5 / 2.5) = .4700; avgdl = 10/3; dl = 2: norm = 1 / (.9 (.6 + .4 · 2 / 3.3333)).
    let (idf, norm) = (1.6f64.ln(), 1.0 / (0.9 * (0.6 + 0.4 * 2.0 / (10.0 / 3.0))));
    assert_eq!(hits.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 0]);
    let wanted = idf * norm / (1.0 + norm);
    assert!((f64::from(hits[0].1) - wanted).abs() < 1e-6, "{hits:?}");
}

/// With title and text as one, of every variant.
#[test]
fn a_text_scores_what_a_document_that_reads_so_does() {
    let mut stream = Seed::root(9).stream();
    let texts: Vec<String> = (0..60).map(|at| words(&mut stream, 3 + at % 40, 30)).collect();
    let documents: Vec<Document> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| document(at, None, text.clone()))
        .collect();
    for variant in [
        "lucene",
        "lucene-accurate",
        "robertson",
        "atire",
        "bm25l",
        "bm25+",
    ] {
        let bm25 = Bm25 {
            variant: serde_json::from_value(variant.into()).unwrap(),
            delta: 0.5,
            ..Bm25::lucene(0.9, 0.4)
        };
        let searcher = Searcher::new(index(&documents, Fields::Together), bm25, &[]);
        for _ in 0..5 {
            let query = words(&mut stream, 4, 30);
            let scores = searcher.scores(&query);
            let found: Vec<f32> = (texts.iter())
                .map(|text| searcher.score_of_text(&query, text))
                .collect();
            assert_eq!(found, scores, "{variant}: {query}");
        }
    }
}

#[test]
fn ties_go_by_number_and_depth_cuts() {
    let hits = flat(["same words", "same words", "same words"]).search("words", 2);
    assert_eq!(hits.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);
}

/// Lucene's docCount and sumTotalTermFreq / docCount: documents without a term are not counted.
#[test]
fn empty_documents_do_not_count() {
    let score = |hits: Vec<(u32, f32)>| hits[0].1.to_bits();
    let with = flat(["", "red apple", "green sky", ""]).search("apple", 1);
    assert_eq!(
        score(with),
        score(flat(["red apple", "green sky"]).search("apple", 1))
    );
}

#[test]
fn nothing_is_found_in_nothing() {
    assert!(flat([]).search("words", 5).is_empty());
    assert!(flat(["other"]).search("words", 5).is_empty());
    assert!(flat(["words"]).search("", 5).is_empty());
}

/// A collection with words of all frequencies; the first are in most documents, so that lists have many blocks.
struct Collection {
    documents: Vec<Document>,
    queries: Vec<String>,
}

fn words(stream: &mut Stream, count: usize, vocabulary: usize) -> String {
    let mut word = || {
        let places = [(); 3].map(|()| stream.below(vocabulary));
        format!("w{}", places.into_iter().min().unwrap())
    };
    (0..count).map(|_| word()).collect::<Vec<_>>().join(" ")
}

fn collection(seed: u64, count: usize, vocabulary: usize) -> Collection {
    let mut stream = Seed::root(seed).child("collection").stream();
    let mut next = |at| {
        let title = (stream.below(3) > 0).then(|| {
            let length = stream.below(4);
            words(&mut stream, length, vocabulary)
        });
        let length = [0, 3, 8, 60][stream.below(4)];
        document(at, title, words(&mut stream, length, vocabulary))
    };
    let documents = (0..count).map(&mut next).collect();
    let mut query = |_| {
        let length = 1 + stream.below(7);
        words(&mut stream, length, vocabulary * 2)
    };
    let queries = (0..6).map(&mut query).collect();
    Collection { documents, queries }
}

/// The scores of one field by the definition, document by document and term by term; nothing of the index is used.
fn add_naive(texts: &[String], boost: f32, query: &str, bm25: Bm25, sums: &mut BTreeMap<u32, f64>) -> f64 {
    let texts: Vec<Vec<&str>> = texts
        .iter()
        .map(|text| text.split_whitespace().collect())
        .collect();
    let filled = texts.iter().filter(|text| !text.is_empty()).count();
    let tokens: usize = texts.iter().map(Vec::len).sum();
    let average = (tokens as f64 / filled.max(1) as f64) as f32;
    let mut counts: BTreeMap<&str, f32> = BTreeMap::new();
    query
        .split_whitespace()
        .for_each(|term| *counts.entry(term).or_default() += 1.0);
    let mut floor = 0.0;
    for (term, count) in counts {
        let frequency = |text: &Vec<&str>| text.iter().filter(|word| **word == term).count() as u32;
        let holding = texts.iter().filter(|text| frequency(text) > 0).count();
        if holding == 0 {
            continue;
        }
        let weight = count * boost * bm25.weight(holding, filled);
        floor += f64::from(bm25.floor(weight));
        for (document, text) in (0..).zip(&texts) {
            let length = match bm25.variant {
                Variant::Lucene => length::decode(length::encode(text.len() as u32)),
                _ => text.len() as u32,
            };
            let norm = bm25.norm(length as f32, average);
            if frequency(text) > 0 {
                let gain = bm25.gain(weight, frequency(text) as f32, norm);
                *sums.entry(document).or_default() += f64::from(gain);
            }
        }
    }
    floor
}

fn ranked(sums: BTreeMap<u32, f64>, floor: f64, depth: usize) -> Vec<(u32, u32)> {
    let mut all: Vec<(u32, f32)> = sums
        .into_iter()
        .filter(|(_, sum)| *sum > 0.0)
        .map(|(document, sum)| (document, (floor + sum) as f32))
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(depth);
    bits(all)
}

fn bits(hits: Vec<(u32, f32)>) -> Vec<(u32, u32)> {
    hits.into_iter()
        .map(|(document, score)| (document, score.to_bits()))
        .collect()
}

const VARIANTS: [Variant; 6] = [
    Variant::Lucene,
    Variant::LuceneAccurate,
    Variant::Robertson,
    Variant::Atire,
    Variant::Bm25l,
    Variant::Bm25Plus,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Bit-equal scores and the same documents in the same order, over several windows and blocks, with and without
    /// fields, whatever is left out.
    #[test]
    fn pruned_search_is_exhaustive_search(
        seed in 0u64..1_000_000,
        count in prop::sample::select(vec![1usize, 130, 5_000, 13_000]),
        vocabulary in prop::sample::select(vec![4usize, 300, 8_000]),
        depth in prop::sample::select(vec![1usize, 2, 10, 300, 20_000]),
        variant in prop::sample::select(VARIANTS.to_vec()),
        constants in (0.1f32..2.0, 0.0f32..1.0),
        apart in any::<bool>(),
    ) {
        let Collection { documents, queries } = collection(seed, count, vocabulary);
        let bm25 = Bm25 { k1: constants.0, b: constants.1, variant, delta: 0.5 };
        let boosts = [2.5, 0.75];
        let title = |document: &Document| document.title.clone().unwrap_or_default();
        let texts: Vec<Vec<String>> = if apart {
            vec![documents.iter().map(title).collect(), documents.iter().map(|d| d.text.clone()).collect()]
        } else {
            vec![documents.iter().map(Document::full_text).collect()]
        };
        let fields = if apart { Fields::Apart } else { Fields::Together };
        let boosts = if apart { &boosts[..] } else { &[1.0] };
        let searcher = Searcher::new(index(&documents, fields), bm25, boosts);
        for (query, hits) in queries.iter().zip(searcher.search_texts(&queries, depth)) {
            let (mut sums, mut floor) = (BTreeMap::new(), 0.0);
            for (texts, boost) in texts.iter().zip(boosts) {
                floor += add_naive(texts, *boost, query, bm25, &mut sums);
            }
            let scores = searcher.scores(query);
            for (document, score) in &hits {
                prop_assert_eq!(score.to_bits(), scores[*document as usize].to_bits());
                prop_assert_eq!(score.to_bits(), searcher.score_of(query, *document).to_bits());
            }
            prop_assert_eq!(bits(hits), ranked(sums, floor, depth), "{}", query);
        }
    }
}
