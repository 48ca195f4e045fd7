//! Which experts a token is sent to.

/// An expert's tokens and the weight of its answer for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sent<W = Vec<f32>> {
    pub(super) tokens: Vec<usize>,
    pub(super) weights: W,
}

/// How tokens choose their experts.
#[derive(Clone, Copy)]
pub(super) struct Routing {
    /// Experts there are.
    pub(super) count: usize,
    /// Experts of a token.
    pub(super) chosen: usize,
    /// Whether the weights of the chosen add up to 1.
    pub(super) renormalise: bool,
}

/// The `chosen` likeliest experts of each token by the softmax of its row of `logits`, `count` each; of equally likely
/// ones the first. A token's experts and weights depend on its row alone (Qwen3-MoE's top-k router).
pub(super) fn route(logits: &[f32], routing: Routing) -> Vec<Sent> {
    let Routing {
        count,
        chosen,
        renormalise,
    } = routing;
    let mut sent: Vec<Sent> = vec![Sent::default(); count];
    for (token, row) in logits.chunks_exact(count).enumerate() {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let likely: Vec<f32> = row.iter().map(|logit| (logit - top).exp()).collect();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]).then(a.cmp(b)));
        order.truncate(chosen);
        let total: f32 = match renormalise {
            true => order.iter().map(|expert| likely[*expert]).sum(),
            false => likely.iter().sum(),
        };
        for expert in order {
            sent[expert].tokens.push(token);
            sent[expert].weights.push(likely[expert] / total);
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_experts_share_the_weight() {
        let logits = [0.0, 2.0, 2.0, 1.0, 5.0, 0.0, 0.0, 0.0];
        let routing = |chosen, renormalise| Routing {
            count: 4,
            chosen,
            renormalise,
        };
        let sent = route(&logits, routing(2, true));
        assert_eq!(sent[0].tokens, [1]);
        // Of equally likely ones the first.
        assert_eq!(
            (sent[1].tokens.clone(), sent[2].tokens.clone()),
            (vec![0, 1], vec![0])
        );
        assert_eq!((sent[1].weights[0], sent[2].weights[0]), (0.5, 0.5));
        let all = route(&logits, routing(4, false));
        let total: f32 = all.iter().map(|sent| sent.weights[0]).sum();
        assert!((total - 1.0).abs() < 1e-6);
    }
}
