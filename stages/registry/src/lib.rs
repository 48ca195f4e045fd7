//! The slice of every stage kind. A new kind is one file in its crate and one line here.

use ablate_core::{Of, StageKind};

/// Every stage kind, by name.
pub const STAGES: &[&dyn StageKind] = &[
    &Of::<ablate_data::Collection>::NEW,
    &Of::<ablate_command::Command>::NEW,
    &Of::<ablate_rank::Embed>::NEW,
    &Of::<ablate_measure::Evaluate>::NEW,
    &Of::<ablate_generate::EvaluatePairs>::NEW,
    &Of::<ablate_generate::Filter>::NEW,
    &Of::<ablate_rank::Fuse>::NEW,
    &Of::<ablate_generate::Generate>::NEW,
    &Of::<ablate_rank::Hardness>::NEW,
    &Of::<ablate_rank::IndexBm25>::NEW,
    &Of::<ablate_rank::Negatives>::NEW,
    &Of::<ablate_rank::DenoiseNegatives>::NEW,
    &Of::<ablate_generate::WriteNegatives>::NEW,
    &Of::<ablate_rank::MixNegatives>::NEW,
    &Of::<ablate_data::Pairs>::NEW,
    &Of::<ablate_train::Preferences>::NEW,
    &Of::<ablate_generate::Prompt>::NEW,
    &Of::<ablate_generate::OptimisePrompt>::NEW,
    &Of::<ablate_generate::Queries>::NEW,
    &Of::<ablate_rank::Rerank>::NEW,
    &Of::<ablate_rank::RetrieveBm25>::NEW,
    &Of::<ablate_rank::RetrieveDense>::NEW,
    &Of::<ablate_measure::Run>::NEW,
    &Of::<ablate_data::Sample>::NEW,
    &Of::<ablate_rank::Score>::NEW,
    &Of::<ablate_rank::Teacher>::NEW,
    &Of::<ablate_train::TrainBiencoder>::NEW,
    &Of::<ablate_train::TrainCpo>::NEW,
    &Of::<ablate_train::TrainCrossencoder>::NEW,
    &Of::<ablate_train::TrainDistillation>::NEW,
    &Of::<ablate_train::TrainMonoT5>::NEW,
    &Of::<ablate_train::TrainSft>::NEW,
];
