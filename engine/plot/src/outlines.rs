//! How values of several groups are spread, beside one another.

use crate::{Line, Lines, Plot, plot::empty, scale::extent};

const BINS: usize = 24;

/// Outlines of histograms over one axis, one a group, each of the share of its own values.
#[derive(Clone, Debug, Default)]
pub struct Outlines {
    /// What is shown.
    pub title: String,
    /// What the values are.
    pub axis: String,
    /// The groups by name.
    pub groups: Vec<(String, Vec<f64>)>,
}

impl Outlines {
    /// Draws them.
    pub fn plot(&self) -> Plot {
        let values = self.groups.iter().flat_map(|(_, values)| values);
        let Some((low, high)) = extent(values.copied()) else {
            return empty(&self.title);
        };
        let line = |(name, values): &(String, Vec<f64>)| Line {
            label: format!("{name} ({})", values.len()),
            points: outline(values, low, high),
        };
        let lines = Lines {
            title: self.title.clone(),
            across: self.axis.clone(),
            up: "share".into(),
            lines: self.groups.iter().map(line).collect(),
        };
        Plot {
            about: self.about(),
            ..lines.plot()
        }
    }

    fn about(&self) -> String {
        let told = |(name, values): &(String, Vec<f64>)| format!("{} values of {name}", values.len());
        self.groups.iter().map(told).collect::<Vec<_>>().join(", ")
    }
}

/// Up and down each bin's sides, from the axis to the axis.
fn outline(values: &[f64], low: f64, high: f64) -> Vec<(f64, f64)> {
    let step = (high - low) / BINS as f64;
    let mut counts = [0_usize; BINS];
    for value in values.iter().filter(|value| value.is_finite()) {
        let at = if step > 0.0 {
            ((value - low) / step) as usize
        } else {
            0
        };
        counts[at.min(BINS - 1)] += 1;
    }
    let all = counts.iter().sum::<usize>().max(1) as f64;
    let bins = counts.iter().enumerate().flat_map(|(at, count)| {
        let (left, share) = (low + step * at as f64, *count as f64 / all);
        [(left, share), (left + step, share)]
    });
    let ends = [(low, 0.0), (high, 0.0)];
    ends[..1]
        .iter()
        .copied()
        .chain(bins)
        .chain(ends[1..].iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_holds_the_share_of_every_value() {
        let points = outline(&[0.0, 1.0, 1.0, 24.0, f64::NAN], 0.0, 24.0);
        let area: f64 = points
            .windows(2)
            .map(|two| (two[1].0 - two[0].0) * two[0].1)
            .sum();
        assert!((area - 1.0).abs() < 1e-9, "{area}");
        assert_eq!((points[0], points[3].1), ((0.0, 0.0), 0.5));
        assert_eq!(outline(&[2.0; 3], 2.0, 2.0)[1], (2.0, 1.0));
    }

    #[test]
    fn groups_are_named_with_their_size() {
        let groups = vec![
            ("bm25".to_owned(), vec![0.0, 1.0]),
            ("random".to_owned(), vec![3.0]),
        ];
        let plot = Outlines {
            groups,
            ..Outlines::default()
        };
        let text = plot.plot().svg();
        assert!(text.contains("bm25 (2)") && text.contains("2 values of bm25, 1 values of random"));
        assert!(Outlines::default().plot().svg().contains("svg"));
    }
}
