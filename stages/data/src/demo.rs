//! The embedded collection: our own writing, in BEIR layout.

/// Its files, by name.
pub(crate) const FILES: [(&str, &[u8]); 4] = [
    ("corpus.jsonl", include_bytes!("../demo/corpus.jsonl")),
    ("queries.jsonl", include_bytes!("../demo/queries.jsonl")),
    ("qrels/test.tsv", include_bytes!("../demo/qrels/test.tsv")),
    ("qrels/train.tsv", include_bytes!("../demo/qrels/train.tsv")),
];
