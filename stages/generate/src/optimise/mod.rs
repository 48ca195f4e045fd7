//! The `prompt/optimise` stage: a search for an instruction and demonstrations whose queries find their documents.
//!
//! As in DSPy (Khattab et al. 2023), the model's own queries that score well become demonstrations (`BootstrapFewShot`), and prompts
//! of an instruction and some demonstrations are compared on other documents, first on few and then on more, as MIPRO does (Opsahl-Ong
//! et al. 2024). Which prompts are tried is left to chance (DSPy's `BootstrapFewShotWithRandomSearch`), and which go on is settled by
//! successive halving (Karnin et al. 2013; Jamieson and Talwalkar 2016). A surrogate model as MIPRO's would choose later trials by the
//! scores of earlier ones; for the few dozen trials that generation affords, draws by chance come close to it, can be told in a
//! sentence, and stay what they are when more are asked for: a search that grows pays for what is new.

mod candidates;
mod demonstrations;
mod halving;
mod proposals;
mod trying;

use ablate_core::{
    ArtifactKind, Input, Io, Memory, Output, Ports, Problems, Seed, Slot as Place, Stage, StageError,
    rows::{Document, Trial},
};
use ablate_models::source::{GENERATOR, MODEL_SOURCE, require_role};
use ablate_rank::round_trip::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    asking::Asking,
    prompt::{PROMPT_SOURCE, at_port},
    query_writing::QueryWriting,
    template::{Slot, Template},
    writer::{ADAPTED, WRITER},
    writing::WRITING,
};
use candidates::{Candidate, Space};
use demonstrations::{Demonstration, pool};
use halving::{Outcome, Step, rungs, search, texts};
use proposals::proposals;
use trying::Trying;

/// A prompt whose instruction and demonstrations are chosen by how well its queries find their documents.
pub struct OptimisePrompt;

/// Parameters of `prompt/optimise`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Params {
    /// How queries are written: as by the `generate` that is to take the prompt.
    #[serde(flatten)]
    queries: QueryWriting,
    /// Texts to try in place of what the prompt says before its examples; what it says itself is tried, too.
    #[serde(default)]
    #[schemars(inner(length(min = 1)), example = ["Write a question that the document answers."])]
    instructions: Vec<String>,
    /// Instructions that the model itself writes to be tried, too, each from demonstrations and one of the `train` documents.
    #[serde(default)]
    proposals: u32,
    /// Demonstrations of a prompt at most; with 0, only instructions are compared.
    #[serde(default = "max_demonstrations")]
    max_demonstrations: u32,
    /// Tokens of a prompt at most, its document among them (words, for a model behind a server): demonstrations that do not
    /// fit are left out. What the model takes is kept to in any case.
    #[serde(default = "max_prompt_tokens")]
    #[schemars(range(min = 1))]
    max_prompt_tokens: u32,
    /// Prompts that are tried, the one given among them. More contain the fewer.
    #[serde(default = "trials")]
    #[schemars(range(min = 2))]
    trials: u32,
    /// Documents whose queries may become demonstrations; of `examples`, as many are taken.
    #[serde(default = "documents")]
    #[schemars(range(min = 1))]
    train: u32,
    /// Other documents, on whose queries prompts are compared.
    #[serde(default = "documents")]
    #[schemars(range(min = 1))]
    dev: u32,
    /// Of these, the ones that every prompt is tried on. The better half goes on to twice as many, and so on to all.
    #[serde(default = "minibatch")]
    #[schemars(range(min = 1))]
    minibatch: u32,
    /// What the query of a demonstration is worth at least.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 1))]
    threshold: f64,
    /// What a query is worth.
    #[serde(default)]
    metric: Metric,
    /// Ranks in which a query may find its document.
    #[serde(default = "depth")]
    #[schemars(range(min = 1))]
    depth: u32,
    /// A query of whose runs of three words a larger share stands in its document is a copy and worth nothing; 1 allows all.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 1))]
    max_overlap: f64,
}

fn max_demonstrations() -> u32 {
    3
}
fn max_prompt_tokens() -> u32 {
    2048
}
fn trials() -> u32 {
    16
}
fn documents() -> u32 {
    32
}
fn minibatch() -> u32 {
    8
}
fn half() -> f64 {
    0.5
}
fn depth() -> u32 {
    100
}

impl Stage for OptimisePrompt {
    const NAME: &'static str = "prompt/optimise";
    const VERSION: u32 = 4;
    const ABOUT: &'static str = "a prompt for `generate`, its instruction and demonstrations chosen by how well the queries find their documents";
    const EXAMPLE: &'static str = "searched: {use: prompt/optimise, documents: docs, corpus: data.corpus, model: smollm2-135m-instruct, prompt: \
         ablate/vanilla, instructions: [Write a question that the document answers.], decoding: {max_new_tokens: 32}}";
    const INPUTS: &'static [Input] = &[
        Input::of("documents", ArtifactKind::Corpus).about("the documents to try prompts on"),
        Input::of("corpus", ArtifactKind::Corpus).about("what queries must find their documents in"),
        WRITER,
        Input::of("prompt", ArtifactKind::Prompt)
            .or_source(&PROMPT_SOURCE)
            .about("the prompt to begin with; it has a place for examples, and what stands before them is its instruction"),
        ADAPTED,
        Input::of("examples", ArtifactKind::Pairs)
            .optional()
            .about("people's queries with their documents, which may be demonstrations, too"),
        Input::of("scorer", ArtifactKind::Model)
            .optional()
            .or_source(&MODEL_SOURCE)
            .about("a sentence encoder for `metric: dense`, a reranker for `metric: reranker`"),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output::of("prompt", ArtifactKind::Prompt).about("the best prompt, ready for `generate`"),
        Output::of("trials", ArtifactKind::Trials).about("every prompt on every rung it came to"),
        Output::of("bootstrapped", ArtifactKind::Pairs).about(
            "what the given prompt wrote for the `train` documents, each query with its worth as score",
        ),
    ];
    const EXECUTION: &'static [&'static str] = &["decoding.batch"];
    const SLOT: Place = Place::Device;
    const MEMORY: Memory = WRITING;
    const NUMERIC: &'static str = "f32";
    type Params = Params;

    fn check(params: &Params, problems: &mut Problems) {
        params.queries.check(problems);
        for (at, instruction) in params.instructions.iter().enumerate() {
            let is_plain = Template::parse(instruction, &[]).is_ok();
            let why = "is plain text: the places for the document and the examples are those of `prompt`";
            problems.require(is_plain, &format!("instructions.{at}"), why);
        }
        let ordered = params.minibatch <= params.dev;
        problems.require(ordered, "minibatch", "is larger than dev");
    }

    fn check_ports(_: &Params, ports: &Ports<'_>, problems: &mut Problems) {
        require_role(GENERATOR, "model", ports, problems);
    }

    fn run(params: &Params, io: &Io<'_>) -> Result<(), StageError> {
        let base = base(io)?;
        let given = base.shown(base.shots().to_vec())?;
        given.require(Self::NAME, &[], &[(Slot::Query, "{query}")])?;
        let params = &Params {
            queries: params.queries.settled(base.manner()),
            ..params.clone()
        };
        let Split { train, dev } = split(params, io.rows("documents")?)?;
        let mut trying = Trying::open(params, io)?;
        let shape = |trials| rungs(trials, dev.len(), params.minibatch as usize);
        let first = train.len() + params.proposals as usize;
        trying.expect(first + texts(&shape(params.trials as usize)));
        let bootstrapped = trying.queries(&given, &train)?;
        let pool = pool(params, &base, &bootstrapped, &dev, &trying)?;
        let mut instructions = params.instructions.clone();
        instructions.extend(proposals(params, &base, &pool, &train, &mut trying)?);
        let tried = Space::new(params, &base, &instructions, &pool, &trying)?.candidates()?;
        let rungs = shape(tried.len());
        trying.expect(first + texts(&rungs));
        let tokens: Vec<usize> = tried.iter().map(|candidate| candidate.tokens).collect();
        let steps = search(&tokens, &rungs, |at, new| {
            let queries = trying.queries(&tried[at].asking, &dev[new])?;
            Ok(queries.into_iter().map(|query| query.worth).collect())
        })?;
        trying.tell_spent();
        let chosen = &tried[tell(params, base.shots().len(), &tried, &steps, &trying)];
        io.put("prompt", chosen.asking.rows()?)?;
        io.put("trials", rows(&tried, &pool, &steps)?)?;
        let pairs = bootstrapped.into_iter().filter_map(|query| query.pair);
        io.put("bootstrapped", pairs.collect())
    }
}

/// The prompt at the port, if it can be searched from.
fn base(io: &Io<'_>) -> Result<Asking, StageError> {
    let base = at_port(io)?.ok_or_else(|| StageError::new("no input at port `prompt`"))?;
    let refuse = |what: &str, help: &str| Err(StageError::with_help(what, help));
    if base.draws() {
        return refuse(
            "the prompt draws its examples anew for each document, and a searched one has the same for all",
            "connect the pairs it draws from as `examples`, and leave out its `shots_from`",
        );
    }
    if base.lays_out(Slot::Poor) {
        return refuse(
            "the examples of the prompt have a poorer query beside the good one, which a model's own queries lack",
            "begin with another prompt, such as ablate/vanilla",
        );
    }
    if base.instruction().is_none() {
        return refuse(
            "the prompt has no place for examples",
            "begin with one that has {examples}, such as ablate/vanilla, or a `prompt` of your own",
        );
    }
    match base.lays_out(Slot::Document) && base.lays_out(Slot::Query) {
        true => Ok(base),
        false => refuse(
            "the examples of the prompt are laid out without {document} or {query}",
            "give the `prompt` a `layout` with both",
        ),
    }
}

/// Documents to take demonstrations from, and others to compare prompts on.
struct Split {
    train: Vec<Document>,
    dev: Vec<Document>,
}

/// In an order by chance, `dev` documents from the beginning and `train` from the end: asking for more of either keeps those that were
/// there.
fn split(params: &Params, mut documents: Vec<Document>) -> Result<Split, StageError> {
    let train = match (params.max_demonstrations, params.proposals) {
        (0, 0) => 0,
        _ => params.train as usize,
    };
    let (dev, all) = (params.dev as usize, documents.len());
    if all < train + dev {
        return Err(StageError::with_help(
            format!(
                "there are {all} documents, and `train` and `dev` ask for {}",
                train + dev
            ),
            "give more documents, or lower `train` or `dev`",
        ));
    }
    let seed = Seed::root(params.queries.seed).child("prompt/optimise");
    documents.sort_by_cached_key(|document| (seed.child(&document.doc_id).number(), document.doc_id.clone()));
    let train = documents.split_off(all - train);
    documents.truncate(dev);
    Ok(Split {
        train,
        dev: documents,
    })
}

/// What all are compared with: the prompt given, if its examples fit.
fn baseline(examples: usize, first: &Candidate) -> String {
    match examples - first.demonstrations.len() {
        0 => "the prompt given".to_owned(),
        left_out => {
            format!(
                "the prompt given without {left_out} of its {examples} examples, for which there is no room"
            )
        }
    }
}

/// The candidate that is chosen, and a word on how it compares; `examples` are those of the prompt given.
fn tell(params: &Params, examples: usize, tried: &[Candidate], steps: &[Step], trying: &Trying<'_>) -> usize {
    let last = |wanted: usize| steps.iter().rfind(|step| step.candidate == wanted);
    let chosen = steps.iter().rfind(|step| step.outcome == Outcome::Chosen);
    let chosen = chosen.map_or(0, |step| step.candidate);
    let [best, given] = [chosen, 0].map(|at| last(at).map_or(0.0, |step| step.score));
    let (count, dev) = (tried.len(), params.dev);
    trying.io().note(format!(
        "of {count} prompts trial {chosen} is chosen, with {} demonstrations and {} {}: its queries are worth {best:.4} on {dev} \
         documents, those of {} {given:.4}",
        tried[chosen].demonstrations.len(),
        tried[chosen].tokens,
        trying.unit(),
        baseline(examples, &tried[0]),
    ));
    if chosen == 0 {
        let what = baseline(examples, &tried[0]);
        trying.io().warn(format!(
            "no prompt is better than {what}: the search found nothing"
        ));
    }
    if count < params.trials as usize {
        trying.io().note(format!(
            "there are {count} different prompts to try, not {}",
            params.trials
        ));
    }
    chosen
}

/// The search as a table.
fn rows(tried: &[Candidate], pool: &[Demonstration], steps: &[Step]) -> Result<Vec<Trial>, StageError> {
    let row = |step: &Step| {
        let candidate = &tried[step.candidate];
        let names = candidate.demonstrations.iter().map(|at| &pool[*at].name);
        Ok(Trial {
            trial: step.candidate as u32,
            rung: step.rung as u32,
            instruction: candidate.instruction.clone(),
            demonstrations: serde_json::to_string(&names.collect::<Vec<_>>())?,
            prompt_tokens: candidate.tokens as u32,
            documents: step.documents as u32,
            score: step.score,
            outcome: step.outcome.word().into(),
        })
    };
    steps.iter().map(row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_all_are_compared_with_is_told_from_the_prompt_given() {
        let first = |demonstrations: Vec<usize>| Candidate {
            instruction: String::new(),
            demonstrations,
            asking: Asking::new("{document}", "", vec![], None).unwrap(),
            tokens: 1,
        };
        assert_eq!(baseline(2, &first(vec![0, 1])), "the prompt given");
        assert_eq!(baseline(0, &first(vec![])), "the prompt given");
        assert!(baseline(3, &first(vec![0])).starts_with("the prompt given without 2 of its 3 examples"));
    }
}
