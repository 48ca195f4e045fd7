//! AdamW over the parameters of a model, with clipping, and the learning rate's schedule.

use std::{collections::BTreeMap, f64::consts::PI};

use ablate_models::{
    ops::{AdamW, Moments, squared_norm},
    params::ParamStore,
};
use candle_core::{Result, Tensor, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Gradients;

/// What the learning rate does after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// It falls linearly to 0.
    #[default]
    Linear,
    /// It falls to 0 along half a cosine.
    Cosine,
    /// It stays.
    Constant,
}

/// Linear warm-up from 0, then decay (transformers' `get_linear_schedule_with_warmup` and its likes).
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f64,
    /// After the warm-up.
    pub decay: Decay,
    /// Steps of the warm-up.
    pub warmup: usize,
    /// Steps in all.
    pub steps: usize,
}

impl Schedule {
    /// The schedule whose warm-up takes the share `warmup` of `steps`, rounded up.
    pub fn new(peak: f64, decay: Decay, warmup: f64, steps: usize) -> Self {
        Self {
            peak,
            decay,
            warmup: (warmup * steps as f64).ceil() as usize,
            steps,
        }
    }

    /// The learning rate of `step`, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step as f64 / self.warmup as f64);
        }
        let left = self.steps.saturating_sub(step) as f64 / (self.steps - self.warmup).max(1) as f64;
        self.peak
            * match self.decay {
                Decay::Linear => left,
                Decay::Cosine => f64::midpoint(1.0, (PI * (1.0 - left)).cos()),
                Decay::Constant => 1.0,
            }
    }
}

/// AdamW with β 0.9 and 0.999 and ε 1e-8, PyTorch's defaults.
pub struct Optimizer {
    weight_decay: f64,
    /// The gradient's norm is cut to this; 0 for never.
    max_gradient_norm: f64,
    moments: BTreeMap<String, Moments>,
    step: u32,
}

impl Optimizer {
    /// An optimiser at its first step.
    pub fn new(weight_decay: f64, max_gradient_norm: f64) -> Self {
        Self {
            weight_decay,
            max_gradient_norm,
            moments: BTreeMap::new(),
            step: 0,
        }
    }

    /// Moves every trainable parameter that has a gradient; returns the gradient's global norm before clipping.
    ///
    /// Parameters the loss does not reach (a pooler that is not used) stay as they are, decay included. Those it has reached before, as
    /// experts that no token of this batch is sent to, go on by their moments, as if their gradient were 0.
    pub fn step(&mut self, store: &ParamStore, gradients: &Gradients, learning_rate: f64) -> Result<f64> {
        self.step += 1;
        let gradient = |name: &str, variable: &Var| match gradients.get(name) {
            Some(gradient) => Some(Ok(gradient.clone())),
            None => self.moments.contains_key(name).then(|| variable.zeros_like()),
        };
        let reached = store
            .trainable()
            .filter_map(|(name, variable)| Some((name, variable, gradient(name, variable)?)));
        let reached: Vec<(&str, &Var, Tensor)> = reached
            .map(|(name, variable, gradient)| Ok((name, variable, gradient?)))
            .collect::<Result<_>>()?;
        let mut squares = 0.0;
        for (_, _, gradient) in &reached {
            squares += squared_norm(gradient)?;
        }
        let norm = squares.sqrt();
        for (name, variable, gradient) in reached {
            if !self.moments.contains_key(name) {
                self.moments.insert(name.to_owned(), Moments::new(variable)?);
            }
            let weight_decay = if decays(name) { self.weight_decay } else { 0.0 };
            self.constants(learning_rate, weight_decay, norm).apply(
                variable,
                &gradient,
                &self.moments[name],
            )?;
        }
        Ok(norm)
    }

    /// The moments of every parameter that was moved, as `first.NAME` and `second.NAME`.
    pub fn moments(&self) -> Result<ParamStore> {
        let mut store = ParamStore::default();
        for (name, moments) in &self.moments {
            store.insert(&format!("first.{name}"), moments.first())?;
            store.insert(&format!("second.{name}"), moments.second())?;
        }
        Ok(store)
    }

    /// Goes on behind `step` steps with the moments that [`Self::moments`] gave then.
    pub fn restore(&mut self, store: &ParamStore, moments: &ParamStore, step: u32) -> Result<()> {
        self.step = step;
        self.moments.clear();
        for (name, variable) in store.iter() {
            let of = |which: &str| moments.get(&format!("{which}.{name}"));
            if let (Some(first), Some(second)) = (of("first"), of("second")) {
                let device = variable.device();
                let moments = Moments::from_values(&first.to_device(device)?, &second.to_device(device)?)?;
                self.moments.insert(name.to_owned(), moments);
            }
        }
        Ok(())
    }

    fn constants(&self, learning_rate: f64, weight_decay: f64, norm: f64) -> AdamW {
        let clip = self.max_gradient_norm > 0.0;
        AdamW {
            step: self.step,
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay,
            // The small number is PyTorch's `clip_grad_norm_`.
            gradient_scale: if clip {
                (self.max_gradient_norm / (norm + 1e-6)).min(1.0)
            } else {
                1.0
            },
        }
    }
}

/// Whether a parameter is decayed: biases and normalisations are not, as in sentence-transformers and transformers.
fn decays(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.ends_with("bias") && !name.contains("norm") && !name.contains(".ln_")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use super::*;
    use ablate_models::Mode;
    use candle_core::Device;

    #[test]
    fn the_schedule_rises_and_falls_linearly() {
        let schedule = Schedule::new(2e-5, Decay::Linear, 0.1, 20);
        let rates: Vec<f64> = (0..20).map(|step| schedule.rate(step)).collect();
        for (step, expected) in [(0, 0.0), (1, 1e-5), (2, 2e-5), (11, 1e-5), (19, 2e-5 / 18.0)] {
            assert!(
                (rates[step] - expected).abs() < 1e-18,
                "step {step}: {}",
                rates[step]
            );
        }
    }

    #[test]
    fn a_schedule_without_warmup_begins_at_its_peak() {
        assert_eq!(Schedule::new(1.0, Decay::Linear, 0.0, 4).rate(0), 1.0);
        assert_eq!(Schedule::new(1.0, Decay::Linear, 1.0, 1).rate(0), 0.0);
    }

    /// transformers' `get_cosine_schedule_with_warmup` and `get_constant_schedule_with_warmup`.
    #[test]
    fn other_schedules_end_elsewhere() {
        let cosine = Schedule::new(1.0, Decay::Cosine, 0.5, 8);
        for (step, expected) in [(2, 0.5), (4, 1.0), (6, 0.5), (7, 0.146_446_6)] {
            assert!((cosine.rate(step) - expected).abs() < 1e-7, "{step}");
        }
        let constant = Schedule::new(1.0, Decay::Constant, 0.25, 8);
        assert_eq!([1, 2, 7].map(|step| constant.rate(step)), [0.5, 1.0, 1.0]);
    }

    #[test]
    fn biases_and_normalisations_do_not_decay() {
        let names = [
            "a.bias",
            "a.LayerNorm.weight",
            "a.sa_layer_norm.weight",
            "a.weight",
        ];
        assert_eq!(names.map(decays), [false, false, false, true]);
    }

    #[test]
    fn clipping_scales_all_gradients_by_one_factor() {
        let mut store = ParamStore::default();
        let start = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        store.insert("a.weight", &start(&[1.0])).unwrap();
        store.insert("b.weight", &start(&[1.0])).unwrap();
        store.insert("unreached.weight", &start(&[1.0])).unwrap();
        let value = |name| store.value(name, true).unwrap();
        let loss = ((value("a.weight") * 3.0).unwrap() + (value("b.weight") * 4.0).unwrap()).unwrap();
        let gradients = Gradients::of(&loss.sum_all().unwrap(), &store, Mode::Inference).unwrap();
        let mut optimizer = Optimizer::new(0.5, 1.0);
        assert_eq!(optimizer.step(&store, &gradients, 0.125).unwrap(), 5.0);
        let scale = optimizer.constants(0.1, 0.0, 5.0).gradient_scale;
        assert!((scale - 0.2).abs() < 1e-6);
        // Decay by 0.125 · 0.5, then the first step moves by the learning rate.
        let moved = store.get("a.weight").unwrap().to_vec1::<f32>().unwrap()[0];
        assert!((moved - (1.0 - 0.0625 - 0.125)).abs() < 1e-6, "{moved}");
        assert_eq!(
            store.get("unreached.weight").unwrap().to_vec1::<f32>().unwrap(),
            [1.0]
        );
    }
}
