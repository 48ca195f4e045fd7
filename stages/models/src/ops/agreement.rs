//! Checks that two ways to compute the same agree, gradients included.

use ablate_core::Seed;
use candle_core::{Device, Result, Shape, Tensor, Var};

/// Standard normal numbers from the stream `name`.
pub(crate) fn random(shape: impl Into<Shape>, name: &str) -> Tensor {
    let shape = shape.into();
    let mut stream = Seed::root(5).child(name).stream();
    let numbers: Vec<f32> = (0..shape.elem_count()).map(|_| stream.normal() as f32).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap_or_else(|error| panic!("{error}"))
}

/// Asserts that `one` and `other` give equal values of `inputs`, and equal gradients of each of them, for a random
/// linear function of the result; within `tolerance` of the largest number.
pub(crate) fn agree(
    inputs: &[Tensor],
    one: impl Fn(&[Tensor]) -> Result<Tensor>,
    other: impl Fn(&[Tensor]) -> Result<Tensor>,
    tolerance: f32,
) {
    let (first, second) = (evaluate(inputs, &one), evaluate(inputs, &other));
    let (first, second) = (
        first.unwrap_or_else(|e| panic!("{e}")),
        second.unwrap_or_else(|e| panic!("{e}")),
    );
    for (part, (a, b)) in first.iter().zip(&second).enumerate() {
        let scale = b.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
        assert_eq!(a.len(), b.len(), "part {part}");
        for (at, (a, b)) in a.iter().zip(b).enumerate() {
            assert!(
                (a - b).abs() <= tolerance * scale,
                "part {part}, number {at}: {a} and {b}"
            );
        }
    }
}

/// The value, then the gradient of each input.
fn evaluate(inputs: &[Tensor], f: &impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<Vec<Vec<f32>>> {
    let variables: Vec<Var> = inputs.iter().map(Var::from_tensor).collect::<Result<_>>()?;
    let tensors: Vec<Tensor> = variables
        .iter()
        .map(|variable| variable.as_tensor().clone())
        .collect();
    let value = f(&tensors)?;
    let weights = random(value.shape(), "weights");
    let gradients = (&value * weights)?.sum_all()?.backward()?;
    let mut parts = vec![crate::params::to_vec(&value)?];
    for variable in &variables {
        let gradient = gradients
            .get(variable)
            .unwrap_or_else(|| panic!("an input has no gradient"));
        parts.push(crate::params::to_vec(gradient)?);
    }
    Ok(parts)
}
