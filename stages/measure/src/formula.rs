//! What the measures compute. The source of a formula is trec_eval's file of its name, gdeval for exponential gains and ERR,
//! and ir_measures for `Judged`.

mod trec_only;

use std::collections::BTreeMap;

/// How a grade becomes a gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dcg {
    /// The grade itself (Järvelin and Kekäläinen 2002).
    Linear,
    /// 2^grade - 1 (Burges et al. 2005).
    Exponential,
}

/// One formula with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    Ndcg { dcg: Dcg, gains: BTreeMap<i32, i32> },
    AveragePrecision,
    ReciprocalRank,
    Precision,
    Recall,
    RPrecision,
    Bpref,
    InferredAp,
    Success,
    InterpolatedPrecision { recall: f64 },
    SetPrecision { relative: bool },
    SetRecall,
    SetF { beta: f64 },
    SetAp,
    RankBiasedPrecision { persistence: f64 },
    ExpectedReciprocalRank,
    Judged,
    Queries,
    Relevant,
    RelevantRetrieved,
    Retrieved,
    RelativePrecision,
    PrecisionAtMultiple { multiple: f64 },
    ElevenPoints,
    Utility,
    BinaryG,
    NormalisedGain,
    NdcgAtRelevant,
    NdcgAtLevels,
    RankBiasedResidual,
    Unjudged,
    OthersJudgedRetrieved,
}

/// One query's ranking as one measure sees it.
pub(crate) struct Ranking<'a> {
    /// The grade at each rank; `None` where the document is not in the judgements.
    pub(crate) grades: &'a [Option<i32>],
    /// All grades of the query's judgements, best first.
    pub(crate) pool: &'a [i32],
    /// The least relevant grade.
    pub(crate) level: i32,
    /// Whether the measure's name gives the level.
    pub(crate) level_named: bool,
    pub(crate) cutoff: Option<usize>,
}

impl Formula {
    pub(crate) fn value(&self, ranking: &Ranking<'_>) -> f64 {
        let (all, top) = (ranking.grades, ranking.top());
        let relevant = ranking.relevant();
        let found = ranking.hits(top);
        match self {
            Self::Ndcg { dcg, gains } => ndcg(ranking, *dcg, gains),
            Self::AveragePrecision => ratio(precisions(ranking), relevant),
            Self::ReciprocalRank => ranking.first_hit().map_or(0.0, |rank| 1.0 / rank as f64),
            Self::Precision => ratio(found, ranking.cutoff.unwrap_or(1) as f64),
            Self::Recall | Self::SetRecall => ratio(found, relevant),
            Self::RPrecision => ratio(ranking.hits(&all[..all.len().min(relevant as usize)]), relevant),
            Self::Bpref => bpref(ranking),
            Self::InferredAp => inferred_ap(ranking),
            Self::Success => f64::from(u8::from(found > 0.0)),
            Self::InterpolatedPrecision { recall } => interpolated(ranking, *recall),
            Self::SetPrecision { relative: false } => ratio(found, all.len() as f64),
            Self::SetPrecision { relative: true } => ratio(found, relevant.min(all.len() as f64)),
            Self::SetF { beta } => set_f(ratio(found, all.len() as f64), ratio(found, relevant), *beta),
            Self::SetAp => ratio(found, all.len() as f64) * ratio(found, relevant),
            Self::RankBiasedPrecision { persistence } => rank_biased(ranking, *persistence),
            Self::ExpectedReciprocalRank => expected_reciprocal_rank(top),
            Self::Judged => ratio(top.iter().flatten().count() as f64, top.len() as f64),
            Self::Queries => 1.0,
            Self::Relevant => relevant,
            Self::RelevantRetrieved => found,
            Self::Retrieved => all.len() as f64,
            Self::RelativePrecision => ratio(found, relevant.min(ranking.cutoff.unwrap_or(1) as f64)),
            Self::OthersJudgedRetrieved => {
                all.iter().flatten().filter(|grade| **grade >= 0).count() as f64 - found
            }
            _ => self.of_trec_eval(ranking),
        }
    }

    /// Those that trec_eval alone has.
    fn of_trec_eval(&self, ranking: &Ranking<'_>) -> f64 {
        match self {
            Self::PrecisionAtMultiple { multiple } => trec_only::precision_at_multiple(ranking, *multiple),
            Self::ElevenPoints => trec_only::eleven_points(ranking),
            Self::Utility => trec_only::utility(ranking),
            Self::BinaryG => trec_only::binary_g(ranking),
            Self::NormalisedGain => trec_only::normalised_gain(ranking),
            Self::NdcgAtRelevant => trec_only::ndcg_at_relevant(ranking),
            Self::NdcgAtLevels => trec_only::ndcg_at_levels(ranking),
            Self::RankBiasedResidual => trec_only::rank_biased_residual(ranking),
            _ => trec_only::unjudged(ranking),
        }
    }

    pub(crate) fn is_count(&self) -> bool {
        matches!(
            self,
            Self::Queries
                | Self::Relevant
                | Self::RelevantRetrieved
                | Self::Retrieved
                | Self::OthersJudgedRetrieved
        )
    }
}

impl<'a> Ranking<'a> {
    fn top(&self) -> &'a [Option<i32>] {
        &self.grades[..self.cutoff.unwrap_or(usize::MAX).min(self.grades.len())]
    }

    /// A grade below 0 says that a document was in the pool and not judged.
    fn is_hit(&self, grade: Option<i32>) -> bool {
        grade.is_some_and(|grade| grade >= 0 && grade >= self.level)
    }

    fn hits(&self, grades: &[Option<i32>]) -> f64 {
        grades.iter().filter(|grade| self.is_hit(**grade)).count() as f64
    }

    fn first_hit(&self) -> Option<usize> {
        self.top()
            .iter()
            .position(|grade| self.is_hit(*grade))
            .map(|at| at + 1)
    }

    fn relevant(&self) -> f64 {
        self.pool
            .iter()
            .filter(|grade| self.is_hit(Some(**grade)))
            .count() as f64
    }

    /// How many documents are judged and not relevant.
    fn not_relevant(&self) -> f64 {
        self.pool.iter().filter(|grade| **grade >= 0).count() as f64 - self.relevant()
    }
}

/// 0 where nothing was found or there is nothing to find; the sum of no numbers is -0.0 in Rust.
fn ratio(part: f64, whole: f64) -> f64 {
    if part == 0.0 || whole == 0.0 {
        0.0
    } else {
        part / whole
    }
}

/// m_ndcg.c, m_ndcg_cut.c.
fn ndcg(ranking: &Ranking<'_>, dcg: Dcg, gains: &BTreeMap<i32, i32>) -> f64 {
    let gain = |grade: i32| {
        let grade = f64::from(gains.get(&grade).copied().unwrap_or(grade).max(0));
        match dcg {
            Dcg::Linear => grade,
            Dcg::Exponential => grade.exp2() - 1.0,
        }
    };
    let mut ideal: Vec<f64> = ranking.pool.iter().map(|grade| gain(*grade)).collect();
    // Mapped gains may stand in another order than grades.
    ideal.sort_unstable_by(|a, b| b.total_cmp(a));
    ideal.truncate(ranking.cutoff.unwrap_or(usize::MAX));
    let found = ranking.top().iter().map(|grade| grade.map_or(0.0, gain));
    ratio(discounted(found), discounted(ideal.into_iter()))
}

/// Gain over log2(rank + 1), summed.
fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains
        .enumerate()
        .filter(|(_, gain)| *gain != 0.0)
        .map(|(at, gain)| gain / ((at + 2) as f64).log2())
        .sum()
}

/// The sum of the precisions at each relevant rank.
fn precisions(ranking: &Ranking<'_>) -> f64 {
    let ranks = ranking
        .top()
        .iter()
        .enumerate()
        .filter(|(_, grade)| ranking.is_hit(**grade))
        .map(|(at, _)| at + 1);
    ranks
        .enumerate()
        .map(|(seen, rank)| (seen + 1) as f64 / rank as f64)
        .sum()
}

/// Buckley and Voorhees 2004, as m_bpref.c: judged non-relevant above each relevant, bounded by min(R, N).
fn bpref(ranking: &Ranking<'_>) -> f64 {
    let relevant = ranking.relevant();
    let bound = relevant.min(ranking.not_relevant());
    let (mut above, mut sum) = (0.0f64, 0.0);
    for grade in ranking.grades.iter().flatten().filter(|grade| **grade >= 0) {
        if ranking.is_hit(Some(*grade)) {
            sum += 1.0 - ratio(above.min(relevant), bound);
        } else {
            above += 1.0;
        }
    }
    ratio(sum, relevant)
}

/// Yilmaz and Aslam 2006, as m_infap.c: documents of the pool without a judgement are taken to be as relevant as the others.
fn inferred_ap(ranking: &Ranking<'_>) -> f64 {
    const EPSILON: f64 = 0.00001;
    let (mut relevant, mut other, mut unjudged, mut sum) = (0.0, 0.0, 0.0, 0.0);
    for (at, grade) in ranking.grades.iter().enumerate() {
        let above = at as f64;
        match grade {
            None => {}
            Some(grade) if *grade < 0 => unjudged += 1.0,
            Some(grade) if !ranking.is_hit(Some(*grade)) => other += 1.0,
            Some(_) => {
                let pooled = ratio(relevant + other + unjudged, above);
                let precise = (relevant + EPSILON) / (relevant + other + 2.0 * EPSILON);
                sum += 1.0 / (above + 1.0) + above / (above + 1.0) * pooled * precise;
                relevant += 1.0;
            }
        }
    }
    ratio(sum, ranking.relevant())
}

/// m_iprec_at_recall.c: the best precision from the rank on that reaches `recall`.
fn interpolated(ranking: &Ranking<'_>, recall: f64) -> f64 {
    // As trec_eval 10; version 9, and with it pytrec_eval, adds .9 and cuts.
    let wanted = (recall * ranking.relevant()).round() as usize;
    let (mut seen, mut best) = (0usize, 0.0f64);
    for (at, grade) in ranking.grades.iter().enumerate() {
        seen += usize::from(ranking.is_hit(*grade));
        if seen >= wanted {
            best = best.max(seen as f64 / (at + 1) as f64);
        }
    }
    best
}

/// m_set_F.c: `beta` weights recall.
fn set_f(precision: f64, recall: f64, beta: f64) -> f64 {
    ratio((beta + 1.0) * precision * recall, recall + beta * precision)
}

/// Moffat and Zobel 2008; gains are the grades over the query's highest, as m_rbp.c, unless a level makes them 0 and 1.
fn rank_biased(ranking: &Ranking<'_>, persistence: f64) -> f64 {
    let highest = ranking.pool.first().copied().unwrap_or(0).max(1);
    let gain = |grade: &Option<i32>| match grade {
        _ if ranking.level_named => f64::from(u8::from(ranking.is_hit(*grade))),
        Some(grade) => f64::from((*grade).max(0)) / f64::from(highest),
        None => 0.0,
    };
    let mut weight = 1.0 - persistence;
    let mut sum = 0.0;
    for grade in ranking.top() {
        sum += gain(grade) * weight;
        weight *= persistence;
    }
    sum
}

/// Chapelle et al. 2009 as gdeval computes it: the highest grade is 4 whatever the judgements hold.
fn expected_reciprocal_rank(top: &[Option<i32>]) -> f64 {
    const HIGHEST: i32 = 4;
    let (mut reaching, mut sum) = (1.0, 0.0);
    for (at, grade) in top.iter().enumerate() {
        let grade = grade.unwrap_or(0).clamp(0, HIGHEST);
        let stopping = (f64::from(grade).exp2() - 1.0) / f64::from(HIGHEST).exp2();
        sum += reaching * stopping / (at + 1) as f64;
        reaching *= 1.0 - stopping;
    }
    sum
}
