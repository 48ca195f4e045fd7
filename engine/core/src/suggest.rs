//! Did-you-mean, one function for every name lookup.

/// The candidates that look like `word`, best first, at most three.
///
/// The threshold (Jaro similarity over 0.7) is the one clap and jj use. Case tells only those apart that are as like
/// without it.
pub fn similar<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = word.to_lowercase();
    let mut scored: Vec<_> = candidates
        .into_iter()
        .map(|candidate| {
            let alike = strsim::jaro(&lower, &candidate.to_lowercase());
            (alike, strsim::jaro(word, candidate), candidate)
        })
        .filter(|(alike, ..)| *alike > 0.7)
        .collect();
    scored.sort_by(|a, b| (b.0.total_cmp(&a.0)).then(b.1.total_cmp(&a.1)).then(a.2.cmp(b.2)));
    scored.dedup();
    scored
        .into_iter()
        .take(3)
        .map(|(.., candidate)| candidate)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_tells_apart_only_what_is_as_like_without_it() {
        let names = ["NDCG", "nDCG", "AP", "P"];
        assert_eq!(similar("ndcg", names), ["nDCG", "NDCG"]);
        assert_eq!(similar("p", names)[0], "P");
        assert_eq!(similar("xyz", names), [""; 0]);
    }
}
