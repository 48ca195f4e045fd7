//! One AdamW step (Loshchilov and Hutter, 2019) over a parameter, in place.

use candle_core::{CpuStorage, DType, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var};
use rayon::prelude::*;

use super::{
    math::{ELEMENTS_PER_TASK, vectorized},
    storage::numbers,
};

/// The constants of a step.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Step, counted from 1: corrects the bias of the moments.
    pub step: u32,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay: `learning_rate · weight_decay` of the parameter is taken off.
    pub weight_decay: f64,
    /// What the gradient is multiplied by first: below 1 where its norm is clipped.
    pub gradient_scale: f64,
}

/// Running moments of one parameter's gradient.
#[derive(Clone, Debug)]
pub struct Moments {
    first: Var,
    second: Var,
}

impl Moments {
    /// Zeros of the parameter's shape.
    pub fn new(parameter: &Var) -> Result<Self> {
        let zeros = || Var::zeros(parameter.shape(), DType::F32, parameter.device());
        Ok(Self {
            first: zeros()?,
            second: zeros()?,
        })
    }

    /// Moments as they were before.
    pub fn from_values(first: &Tensor, second: &Tensor) -> Result<Self> {
        Ok(Self {
            first: Var::from_tensor(first)?,
            second: Var::from_tensor(second)?,
        })
    }

    /// The running mean of the gradient.
    pub fn first(&self) -> &Tensor {
        &self.first
    }

    /// The running mean of the gradient's square.
    pub fn second(&self) -> &Tensor {
        &self.second
    }
}

impl AdamW {
    /// Moves `parameter` against `gradient`.
    pub fn apply(&self, parameter: &Var, gradient: &Tensor, moments: &Moments) -> Result<()> {
        let (first, second) = (&moments.first, &moments.second);
        if !parameter.device().is_cpu() {
            return self.composed(parameter, gradient, moments);
        }
        let gradient = gradient.contiguous()?;
        let scale = self.gradient_scale as f32;
        first.inplace_op2(
            &gradient,
            &Average {
                beta: self.beta1,
                scale,
                square: false,
            },
        )?;
        second.inplace_op2(
            &gradient,
            &Average {
                beta: self.beta2,
                scale,
                square: true,
            },
        )?;
        parameter.inplace_op3(first, second, &Update(*self))
    }

    /// `1 − βᵗ`.
    fn correction(&self, beta: f64) -> f64 {
        1.0 - beta.powi(self.step as i32)
    }

    fn composed(&self, parameter: &Var, gradient: &Tensor, moments: &Moments) -> Result<()> {
        let gradient = (gradient * self.gradient_scale)?;
        let average = |moment: &Var, beta: f64, gradient: Tensor| {
            moment.set(&((moment.as_tensor() * beta)? + (gradient * (1.0 - beta))?)?)
        };
        average(&moments.first, self.beta1, gradient.clone())?;
        average(&moments.second, self.beta2, gradient.sqr()?)?;
        let mean = (moments.first.as_tensor() / self.correction(self.beta1))?;
        let spread = ((moments.second.as_tensor() / self.correction(self.beta2))?.sqrt()? + self.epsilon)?;
        let kept = (parameter.as_tensor() * (1.0 - self.learning_rate * self.weight_decay))?;
        parameter.set(&(kept - ((mean / spread)? * self.learning_rate)?)?)
    }
}

/// A moving average of the gradient or of its square.
struct Average {
    beta: f64,
    scale: f32,
    square: bool,
}

vectorized! {
    fn average<'a>(moment: &'a mut [f32], gradient: &'a [f32], kept: f32, taken: f32, scale: f32, square: bool) {
        for (moment, gradient) in moment.iter_mut().zip(gradient) {
            let gradient = gradient * scale;
            let sample = if square { gradient * gradient } else { gradient };
            *moment = kept.mul_add(*moment, taken * sample);
        }
    }
}

/// The numbers an in-place operation writes.
fn written<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(all), Some((from, to))) => Ok(&mut all[from..to]),
        _ => candle_core::bail!("a parameter must be contiguous f32"),
    }
}

impl InplaceOp2 for Average {
    fn name(&self) -> &'static str {
        "adamw-moment"
    }

    fn cpu_fwd(
        &self,
        moment: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        // 1 − β of a β in f32 is off by 5e-5 of itself where β is .999.
        let (kept, taken) = (self.beta as f32, (1.0 - self.beta) as f32);
        written(moment, layout)?
            .par_chunks_mut(ELEMENTS_PER_TASK)
            .zip(numbers(gradient, gradient_layout)?.par_chunks(ELEMENTS_PER_TASK))
            .for_each(|(moment, gradient)| {
                average(moment, gradient, kept, taken, self.scale, self.square);
            });
        Ok(())
    }
}

struct Update(AdamW);

vectorized! {
    fn update<'a>(
        parameter: &'a mut [f32],
        first: &'a [f32],
        second: &'a [f32],
        kept: f32,
        rate: f32,
        correction: f32,
        epsilon: f32,
    ) {
        for ((parameter, first), second) in parameter.iter_mut().zip(first).zip(second) {
            *parameter = *parameter * kept - rate * first / (second.sqrt() / correction + epsilon);
        }
    }
}

impl InplaceOp3 for Update {
    fn name(&self) -> &'static str {
        "adamw-update"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        layout: &Layout,
        first: &CpuStorage,
        first_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
    ) -> Result<()> {
        let constants = &self.0;
        let kept = (1.0 - constants.learning_rate * constants.weight_decay) as f32;
        let rate = (constants.learning_rate / constants.correction(constants.beta1)) as f32;
        let correction = constants.correction(constants.beta2).sqrt() as f32;
        let epsilon = constants.epsilon as f32;
        written(parameter, layout)?
            .par_chunks_mut(ELEMENTS_PER_TASK)
            .zip(numbers(first, first_layout)?.par_chunks(ELEMENTS_PER_TASK))
            .zip(numbers(second, second_layout)?.par_chunks(ELEMENTS_PER_TASK))
            .for_each(|((parameter, first), second)| {
                update(parameter, first, second, kept, rate, correction, epsilon);
            });
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ops::agreement::random;

    fn constants(step: u32, learning_rate: f64, weight_decay: f64, gradient_scale: f64) -> AdamW {
        AdamW {
            step,
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay,
            gradient_scale,
        }
    }

    #[test]
    fn the_kernel_and_the_composition_agree() {
        let start = random((70, 300), "parameter");
        let (kernel, composed) = (
            Var::from_tensor(&start).unwrap(),
            Var::from_tensor(&start).unwrap(),
        );
        let (moments, other) = (Moments::new(&kernel).unwrap(), Moments::new(&composed).unwrap());
        for step in 1..=3 {
            let gradient = random((70, 300), &format!("gradient {step}"));
            let constants = constants(step, 0.01, 0.1, 0.5);
            constants.apply(&kernel, &gradient, &moments).unwrap();
            constants.composed(&composed, &gradient, &other).unwrap();
        }
        let difference = (kernel.as_tensor() - composed.as_tensor()).unwrap();
        let most = difference
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(most < 1e-6, "{most}");
    }

    /// A new moment is (1 − β) times the sample, to the rounding of an f32.
    #[test]
    fn moments_take_the_share_that_is_left() {
        let parameter = Var::new(&[1.0_f32], &candle_core::Device::Cpu).unwrap();
        let gradient = Tensor::new(&[1.0_f32], &candle_core::Device::Cpu).unwrap();
        let moments = Moments::new(&parameter).unwrap();
        constants(1, 0.125, 0.0, 1.0)
            .apply(&parameter, &gradient, &moments)
            .unwrap();
        let number = |moment: &Tensor| f64::from(moment.to_vec1::<f32>().unwrap()[0]);
        assert!((number(moments.first()) / 0.1 - 1.0).abs() < 1e-7);
        assert!((number(moments.second()) / 0.001 - 1.0).abs() < 1e-7);
    }

    #[test]
    fn the_first_step_moves_by_the_learning_rate() {
        // At step 1 the corrected moments are g and g², so the move is the learning rate against the sign of g.
        let parameter = Var::new(&[1.0_f32, 1.0], &candle_core::Device::Cpu).unwrap();
        let gradient = Tensor::new(&[4.0_f32, -0.25], &candle_core::Device::Cpu).unwrap();
        constants(1, 0.125, 0.0, 1.0)
            .apply(&parameter, &gradient, &Moments::new(&parameter).unwrap())
            .unwrap();
        let moved = parameter.to_vec1::<f32>().unwrap();
        assert!(
            (moved[0] - 0.875).abs() < 1e-6 && (moved[1] - 1.125).abs() < 1e-6,
            "{moved:?}"
        );
    }
}
