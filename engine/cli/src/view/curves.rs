//! Training curves, thinned.

use ablate_cache::{OutputRecord, Store};
use ablate_core::ArtifactKind;
use ablate_html::Curve;
use arrow::{
    array::cast::AsArray,
    datatypes::{Float64Type, UInt32Type},
};

use super::Traced;
use crate::error::CliError;

/// The most curves a page shows.
const MOST: usize = 60;
/// The most points of a curve: more than there are pixels help nobody.
const POINTS: usize = 400;

/// The loss of every training run.
pub(super) fn curves(traced: &Traced<'_>, store: &Store) -> Result<Vec<Curve>, CliError> {
    traced
        .outputs(store, ArtifactKind::Curve)
        .take(MOST)
        .map(|(node, output)| {
            Ok(Curve {
                node: node.name.clone(),
                loss: thinned(&loss(store, output)?),
            })
        })
        .collect()
}

fn loss(store: &Store, output: &OutputRecord) -> Result<Vec<(f64, f64)>, CliError> {
    let mut points = Vec::new();
    for batch in store.stream_rows(output, Some(&["step", "loss"]), 0)? {
        let batch = batch?;
        let (steps, losses) = (
            batch.column(0).as_primitive::<UInt32Type>(),
            batch.column(1).as_primitive::<Float64Type>(),
        );
        points.extend(
            steps
                .values()
                .iter()
                .zip(losses.values())
                .map(|(step, loss)| (f64::from(*step), *loss)),
        );
    }
    Ok(points)
}

/// Neighbours averaged until few enough are left.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let together = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum = part
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunks(together).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_is_thinned_and_a_short_one_stays() {
        let points: Vec<_> = (0..1000).map(|at| (f64::from(at), 2.0)).collect();
        let thin = thinned(&points);
        assert_eq!((thin.len(), thin[0]), (334, (1.0, 2.0)));
        assert_eq!(thinned(&points[..3]), points[..3]);
        assert!(thinned(&[]).is_empty());
    }
}
