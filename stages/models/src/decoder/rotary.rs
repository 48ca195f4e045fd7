//! Rotary positions (Su et al. 2021) and the ways to stretch them over longer texts.
//!
//! Reference: transformers' modeling_rope_utils.py.

use std::f64::consts::TAU;

use serde_json::Value;

use super::Settings;

/// How positions turn pairs of numbers of a head.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    /// Radians a position turns each pair by; what lies behind the pairs is not turned.
    pub inverse_frequencies: Vec<f64>,
    /// Factor of cosines and sines.
    pub magnitude: f64,
}

/// Cosines and sines of positions, a row of [`Rotary::pairs`] each.
pub(super) struct Angles {
    pub(super) cos: Vec<f32>,
    pub(super) sin: Vec<f32>,
}

impl Rotary {
    /// Plain rotation of the first `width` numbers of a head.
    pub fn plain(theta: f64, width: usize) -> Self {
        let frequency = |i: usize| theta.powf(-2.0 * i as f64 / width as f64);
        Self {
            inverse_frequencies: (0..width / 2).map(frequency).collect(),
            magnitude: 1.0,
        }
    }

    /// As `rope` asks for it over heads of `head_width`; with the longest sequence it is good for, `context` by
    /// default. Where short and long texts are turned differently (longrope), it is the short way: another would turn
    /// the tokens of a row by what comes after them.
    pub(super) fn read(
        settings: &Settings,
        rope: &Settings,
        head_width: usize,
        context: usize,
    ) -> (Self, usize) {
        let share = rope.real_or("partial_rotary_factor", 1.0).clamp(0.0, 1.0);
        let width = settings.number_or("rotary_dim", (head_width as f64 * share) as usize);
        let mut rotary = Self::plain(rope.real_or("rope_theta", 10_000.0), width);
        let mut longest = context;
        match rope
            .value("rope_type")
            .and_then(Value::as_str)
            .unwrap_or("default")
        {
            "default" => (),
            "linear" => rotary.divide(&[rope.real_or("factor", 1.0)]),
            "llama3" => rotary.llama3(rope),
            "longrope" | "su" => longest = rotary.longrope(rope, context),
            other => rope.problem(format!(
                "has the rotary scaling `{other}`, which is not known: linear, llama3 and longrope are"
            )),
        }
        settings.adopt(rope);
        (rotary, longest)
    }

    /// Pairs that are turned.
    pub fn pairs(&self) -> usize {
        self.inverse_frequencies.len()
    }

    /// Slows the pairs down; one factor is for all.
    fn divide(&mut self, factors: &[f64]) {
        let factors = factors.iter().cycle();
        for (frequency, factor) in self.inverse_frequencies.iter_mut().zip(factors) {
            *frequency /= factor;
        }
    }

    /// Llama 3.1: slow pairs are slowed down further, fast ones kept, those between blended.
    fn llama3(&mut self, rope: &Settings) {
        let factor = rope.real_or("factor", 8.0);
        let (low, high) = (
            rope.real_or("low_freq_factor", 1.0),
            rope.real_or("high_freq_factor", 4.0),
        );
        let original = rope.real_or("original_max_position_embeddings", 8192.0);
        for frequency in &mut self.inverse_frequencies {
            let turns = original * *frequency / TAU;
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            *frequency *= kept + (1.0 - kept) / factor;
        }
    }

    /// LongRoPE (Ding et al. 2024): a factor a pair; gives the longest sequence they are for.
    fn longrope(&mut self, rope: &Settings, context: usize) -> usize {
        self.divide(&factors(rope, "short_factor", self.pairs()));
        let original = rope.number_or("original_max_position_embeddings", context).max(2);
        let stretch = rope.real_or("factor", context as f64 / original as f64);
        let by_default = match stretch > 1.0 {
            true => (1.0 + stretch.ln() / (original as f64).ln()).sqrt(),
            false => 1.0,
        };
        self.magnitude = rope.real_or("attention_factor", by_default);
        original.min(context)
    }

    /// Cosines and sines of `positions`.
    pub(super) fn angles(&self, positions: &[usize]) -> Angles {
        let table = |f: fn(f64) -> f64| -> Vec<f32> {
            let turn = |position: &usize| {
                let position = *position as f64;
                let frequencies = self.inverse_frequencies.iter();
                frequencies.map(move |frequency| (self.magnitude * f(position * frequency)) as f32)
            };
            positions.iter().flat_map(turn).collect()
        };
        Angles {
            cos: table(f64::cos),
            sin: table(f64::sin),
        }
    }
}

/// A list of one positive number a pair.
fn factors(rope: &Settings, name: &str, pairs: usize) -> Vec<f64> {
    let listed = rope.value(name).and_then(Value::as_array);
    let numbers = |all: &Vec<Value>| all.iter().map(Value::as_f64).collect::<Option<Vec<_>>>();
    match listed.and_then(numbers) {
        Some(factors) if factors.len() == pairs => factors,
        _ => {
            rope.problem(format!("needs {pairs} numbers as `{name}` of its rotary scaling"));
            vec![1.0]
        }
    }
}

impl Angles {
    /// Cosines and sines of one token's `pairs`.
    pub(super) fn of(&self, token: usize, pairs: usize) -> (&[f32], &[f32]) {
        let range = token * pairs..(token + 1) * pairs;
        (&self.cos[range.clone()], &self.sin[range])
    }
}
