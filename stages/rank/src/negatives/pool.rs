//! The documents that negatives are taken from, and those of them that never are.

use std::collections::{BTreeMap, BTreeSet};

use ablate_core::rows::{Document, Pair};

/// A corpus, sorted by ids, and the positives of its queries.
pub(super) struct Pool<'a> {
    pub(super) corpus: &'a [Document],
    /// Of each query's text the places of the documents that some pair has for it, and of all that read the same.
    positives: BTreeMap<&'a str, BTreeSet<usize>>,
}

impl<'a> Pool<'a> {
    pub(super) fn of(corpus: &'a [Document], pairs: &'a [Pair]) -> Self {
        let copies = copies(corpus, pairs);
        let mut positives: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for pair in pairs {
            let own = corpus.binary_search_by(|document| document.doc_id.cmp(&pair.doc_id));
            let places = positives.entry(&pair.query).or_default();
            places.extend(own.ok());
            places.extend(copies.get(pair.text.as_str()).into_iter().flatten());
        }
        Self { corpus, positives }
    }

    /// Whether a document may be a negative: it is no positive of any pair with the same query, nor a copy of one.
    pub(super) fn allows(&self, pair: &Pair, at: usize) -> bool {
        let own = self.positives.get(pair.query.as_str());
        !own.is_some_and(|own| own.contains(&at))
    }

    /// The most positives that a query has.
    pub(super) fn most_positives(&self) -> usize {
        self.positives.values().map(BTreeSet::len).max().unwrap_or(0)
    }

    /// Where a query's positives are.
    pub(super) fn positives(&self, pair: &Pair) -> impl Iterator<Item = usize> {
        let own = self.positives.get(pair.query.as_str());
        own.into_iter().flatten().copied()
    }
}

/// Of each positive's text the places of the documents that read so.
fn copies<'a>(corpus: &[Document], pairs: &'a [Pair]) -> BTreeMap<&'a str, Vec<usize>> {
    let mut copies: BTreeMap<&str, Vec<usize>> =
        pairs.iter().map(|pair| (pair.text.as_str(), vec![])).collect();
    for (at, document) in corpus.iter().enumerate() {
        if let Some(places) = copies.get_mut(document.full_text().as_str()) {
            places.push(at);
        }
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(id: &str) -> Document {
        Document {
            doc_id: id.into(),
            title: None,
            text: id.into(),
        }
    }

    fn pair(id: &str, query: &str, document: &str) -> Pair {
        Pair {
            query_id: id.into(),
            query: query.into(),
            doc_id: document.into(),
            text: document.into(),
            mean_logprob: None,
            score: None,
            reasoning: None,
            prompt_tokens: 0,
            new_tokens: 0,
            finish: "judged".into(),
        }
    }

    #[test]
    fn a_positive_of_any_pair_of_a_query_is_none_of_its_negatives() {
        let corpus = ["a", "b", "c"].map(document);
        let pairs = [
            pair("1#a", "one", "a"),
            pair("1#c", "one", "c"),
            pair("2#b", "two", "b"),
        ];
        let pool = Pool::of(&corpus, &pairs);
        let allowed = |pair| [0, 1, 2].map(|at| pool.allows(pair, at));
        assert_eq!(allowed(&pairs[0]), [false, true, false]);
        assert_eq!(allowed(&pairs[1]), [false, true, false]);
        assert_eq!(allowed(&pairs[2]), [true, false, true]);
        assert_eq!(pool.positives(&pairs[1]).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(pool.most_positives(), 2);
    }

    #[test]
    fn a_copy_of_a_positive_is_none_of_its_negatives() {
        let mut corpus = ["a", "b", "c"].map(document);
        corpus[2].text = "a".into();
        let pairs = [pair("1#a", "one", "a"), pair("2#b", "two", "b")];
        let pool = Pool::of(&corpus, &pairs);
        let allowed = |pair| [0, 1, 2].map(|at| pool.allows(pair, at));
        assert_eq!(allowed(&pairs[0]), [false, true, false]);
        assert_eq!(allowed(&pairs[1]), [true, false, true]);
        assert_eq!(pool.positives(&pairs[0]).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(pool.most_positives(), 2);
    }
}
