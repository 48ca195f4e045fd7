//! How a collection is named: `demo`, `beir/NAME[/SPLIT]`, `hf:OWNER/NAME`, a folder, a file.

use ablate_core::similar;
use ablate_fetch::hub;

use crate::{
    archives,
    layout::{SPLITS, split_of},
};

/// A source as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The embedded collection.
    Demo,
    /// A folder below those of the user, else one of BEIR's archives; of all splits or of one.
    Beir {
        name: String,
        split: Option<&'static str>,
    },
    /// A dataset of the hub.
    Hub(hub::Name),
    /// A folder, or a file of documents.
    Path(String),
}

/// What ir_datasets names first of all, without the sets that BEIR has under the same name.
const IR_DATASETS: [&str; 53] = [
    "antique",
    "aol-ia",
    "aquaint",
    "argsme",
    "c4",
    "car",
    "clinicaltrials",
    "clirmatrix",
    "clueweb09",
    "clueweb12",
    "clueweb22",
    "codec",
    "codesearchnet",
    "cord19",
    "cranfield",
    "disks45",
    "dpr-w100",
    "gov",
    "gov2",
    "hc4",
    "highwire",
    "istella22",
    "kilt",
    "lotte",
    "medline",
    "miracl",
    "mmarco",
    "mr-tydi",
    "msmarco-document",
    "msmarco-document-v2",
    "msmarco-passage",
    "msmarco-passage-v2",
    "msmarco-qna",
    "nano-beir",
    "natural-questions",
    "neuclir",
    "neumarco",
    "nyt",
    "pmc",
    "sara",
    "touche",
    "touche-image",
    "trec-arabic",
    "trec-cast",
    "trec-fair",
    "trec-mandarin",
    "trec-robust04",
    "trec-spanish",
    "trec-tot",
    "tripclick",
    "tweets2013-ia",
    "vaswani",
    "wapo",
];

/// Those of which BEIR has documents and judgements, and its name for them.
const IN_BEIR: [(&str, &str); 4] = [
    ("msmarco-passage", "msmarco"),
    ("natural-questions", "nq"),
    ("cord19", "trec-covid"),
    ("touche", "webis-touche2020"),
];

impl Name {
    /// Reads a source.
    ///
    /// # Errors
    /// What to write instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "demo" {
            return Ok(Self::Demo);
        }
        if let Some(name) = hub::Name::parse(text) {
            return match name? {
                name if name.file.is_some() => Err("a collection is a repository, not a file of one".into()),
                name if !name.repository.contains('/') => {
                    Err("a dataset of the hub is `hf:OWNER/NAME`".into())
                }
                name => Ok(Self::Hub(name)),
            };
        }
        if let Some(name) = text.strip_prefix("beir/") {
            return beir(name);
        }
        let first = text.split('/').next().unwrap_or_default();
        match text.contains(['/', '.']) && !is_of_ir_datasets(text) {
            true => Ok(Self::Path(text.into())),
            false => Err(instead(first)),
        }
    }
}

/// A folder or an archive with its split. Of BEIR's own archives it is known which parts they have.
fn beir(text: &str) -> Result<Name, String> {
    let (name, split) = match text.rsplit_once('/') {
        Some((name, last)) if split_of(last).is_some() => (name, split_of(last)),
        _ => (text, None),
    };
    let has_parts = name.starts_with("cqadupstack/");
    match name.split_once('/') {
        Some((archive, part)) if archives::known(archive) && !has_parts => {
            let split = similar(part, SPLITS).first().copied().unwrap_or("test");
            Err(format!(
                "`{part}` is no split of `{archive}`: did you mean `beir/{archive}/{split}`?"
            ))
        }
        _ => Ok(Name::Beir {
            name: name.into(),
            split,
        }),
    }
}

fn is_of_ir_datasets(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    IR_DATASETS.contains(&first) || archives::known(first)
}

/// What to write where `first` begins no name of ours.
fn instead(first: &str) -> String {
    if archives::known(first) {
        return format!("write `beir/{first}`");
    }
    if let Some((_, name)) = IN_BEIR.iter().find(|(theirs, _)| *theirs == first) {
        return format!("of the names of ir_datasets this has those of BEIR: did you mean `beir/{name}`?");
    }
    if IR_DATASETS.contains(&first) {
        return format!(
            "`{first}` of ir_datasets is not served: put it in BEIR layout into a folder `{first}` below ABLATE_DATA and \
             write `beir/{first}`; a folder of your own is `./{first}`"
        );
    }
    match similar(first, archives::names()).first() {
        Some(best) => format!("did you mean `beir/{best}`?"),
        None => "a collection is `demo`, `beir/NAME`, `hf:OWNER/NAME`, or a folder, as `./NAME`".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_ir_datasets_mean_a_split() {
        let name = |name: &str, split| Name::Beir {
            name: name.into(),
            split,
        };
        assert_eq!(Name::parse("beir/scifact").unwrap(), name("scifact", None));
        assert_eq!(
            Name::parse("beir/scifact/test").unwrap(),
            name("scifact", Some("test"))
        );
        assert_eq!(
            Name::parse("beir/cqadupstack/android").unwrap(),
            name("cqadupstack/android", None)
        );
        assert_eq!(Name::parse("data/mine").unwrap(), Name::Path("data/mine".into()));
    }

    #[test]
    fn what_is_not_served_says_what_to_write() {
        for (written, told) in [
            ("scifact", "write `beir/scifact`"),
            ("nfcorpus/test", "write `beir/nfcorpus`"),
            ("scifatc", "did you mean `beir/scifact`?"),
            (
                "msmarco-passage/trec-dl-2019/judged",
                "did you mean `beir/msmarco`?",
            ),
            ("cranfield", "write `beir/cranfield`"),
            ("vaswani", "`vaswani` of ir_datasets is not served"),
            ("mine", "a folder, as `./NAME`"),
            ("hf:a/b#x.zip", "not a file"),
            ("hf:scifact", "`hf:OWNER/NAME`"),
            ("beir/scifact/tset", "did you mean `beir/scifact/test`?"),
        ] {
            let error = Name::parse(written).unwrap_err();
            assert!(error.contains(told), "{written}: {error}");
        }
    }
}
