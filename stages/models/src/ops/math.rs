//! Elementary functions and row sums that compilers can vectorise, with results fixed by the operands alone.

use std::f32::consts::{FRAC_1_SQRT_2, LN_2, LOG2_E};

/// Rows a task works on at once.
pub(super) const ROWS_PER_TASK: usize = 64;
/// Elements a task works on at once, for operations without rows.
pub(super) const ELEMENTS_PER_TASK: usize = 16_384;
/// Independent partial sums of a row: fixed, so that the width of a machine's vectors cannot show.
const LANES: usize = 16;

/// Defines a function whose body is compiled for each instruction set and chosen at run time.
macro_rules! vectorized {
    ($(#[$doc:meta])* fn $name:ident<$life:lifetime>($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        pub(super) fn $name<$life>($($arg: $type),*) $(-> $out)? {
            struct Kernel<$life>($($type,)* std::marker::PhantomData<&$life ()>);
            impl<$life> pulp::WithSimd for Kernel<$life> {
                type Output = vectorized!(@ $($out)?);
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
                    let Self($($arg,)* _) = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Kernel($($arg,)* std::marker::PhantomData))
        }
    };
    (@ $out:ty) => { $out };
    (@) => { () };
}
pub(super) use vectorized;

/// e^x to about 1e-7 relative; 0 below −87, capped at e^88.
///
/// Cody and Waite's reduction x = n ln 2 + r with |r| ≤ ln 2 / 2, then the Taylor series of e^r to degree 7.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUNDING: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    debug_assert!((LN_2_HIGH + LN_2_LOW - LN_2).abs() < 1e-7);
    let inside = x.clamp(-87.0, 88.0);
    let shifted = inside.mul_add(LOG2_E, ROUNDING);
    let n = shifted - ROUNDING;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, inside));
    let series = r.mul_add(1.0 / 5040.0, 1.0 / 720.0);
    let series = r.mul_add(r.mul_add(series, 1.0 / 120.0), 1.0 / 24.0);
    let series = r
        .mul_add(r.mul_add(r.mul_add(series, 1.0 / 6.0), 0.5), 1.0)
        .mul_add(r, 1.0);
    // The low bits of `shifted` hold n in two's complement: as an exponent they make 2^n.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { series * power }
}

/// The standard normal distribution function, error below 2e-7: Abramowitz and Stegun 7.1.26 for erf.
#[inline(always)]
pub(super) fn normal_cdf(x: f32) -> f32 {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let p = t.mul_add(1.061_405_4, -1.453_152_1);
    let p = t.mul_add(t.mul_add(p, 1.421_413_8), -0.284_496_72);
    let half_erfc = 0.5 * t * t.mul_add(p, 0.254_829_6) * exp(-z * z);
    if x >= 0.0 { 1.0 - half_erfc } else { half_erfc }
}

/// Σ f(x, y) over two rows of equal length, in [`LANES`] partial sums folded in halves.
#[inline(always)]
pub(super) fn sum_of(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let (heads, tail) = x.as_chunks::<LANES>();
    let (other_heads, other_tail) = y.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (x, y) in heads.iter().zip(other_heads) {
        for lane in 0..LANES {
            sums[lane] += f(x[lane], y[lane]);
        }
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    tail.iter()
        .zip(other_tail)
        .fold(sums[0], |sum, (x, y)| sum + f(*x, *y))
}

/// The largest number of a row.
#[inline(always)]
pub(super) fn maximum(row: &[f32]) -> f32 {
    let (heads, tail) = row.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for head in heads {
        for lane in 0..LANES {
            most[lane] = if head[lane] > most[lane] {
                head[lane]
            } else {
                most[lane]
            };
        }
    }
    most.iter().chain(tail).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Adds up rows of `width` numbers by column: within fixed chunks of rows in order, then over the chunks in order.
pub(super) fn column_sums(rows: usize, width: usize, add: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    use rayon::prelude::*;
    const ROWS: usize = 256;
    let chunk = |chunk: usize| {
        let mut sums = vec![0.0; width];
        (chunk * ROWS..rows.min((chunk + 1) * ROWS)).for_each(|row| add(row, &mut sums));
        sums
    };
    let parts: Vec<Vec<f32>> = (0..rows.div_ceil(ROWS)).into_par_iter().map(chunk).collect();
    let mut total = vec![0.0; width];
    for part in &parts {
        total.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    total
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_exact_one() {
        for i in -8_700..8_800_i32 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "exp({x}) is off by {error}");
        }
        assert_eq!((exp(-1e30), exp(f32::NEG_INFINITY)), (0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn normal_cdf_meets_its_tables() {
        // Φ from statistical tables, ten digits.
        let table = [
            (0.0, 0.5),
            (0.5, 0.691_462_461_3),
            (1.0, 0.841_344_746_1),
            (-1.0, 0.158_655_253_9),
            (1.96, 0.975_002_104_9),
            (-2.5, 0.006_209_665_3),
            (4.0, 0.999_968_328_8),
        ];
        for (x, exact) in table {
            assert!((f64::from(normal_cdf(x)) - exact).abs() < 2e-7, "Φ({x})");
        }
    }
}
