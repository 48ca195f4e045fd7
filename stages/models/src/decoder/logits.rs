//! What logits say of the next token.

/// The likeliest token; of equals the first.
pub fn likeliest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (at, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = at;
        }
    }
    best as u32
}

/// `ln softmax(logits)[token]`, summed in f64.
pub fn log_probability(logits: &[f32], token: u32) -> f32 {
    let top = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let total: f64 = logits.iter().map(|logit| (f64::from(*logit) - top).exp()).sum();
    (f64::from(logits[token as usize]) - top - total.ln()) as f32
}
