//! Differences query by query, sorted: who gains, who loses, and how much.

use maud::html;

use crate::{
    Plot,
    axis::{Frame, WIDTH, beside},
    plot::empty,
    scale::{Scale, extent},
    words::{px, signed},
};

const HEIGHT: f64 = 200.0;

/// A system minus another, one value a query.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// What is compared.
    pub title: String,
    /// The measure.
    pub measure: String,
    /// In any order.
    pub values: Vec<f64>,
    /// The largest difference to make room for, so that several plots have one scale; at least the largest of `values`.
    pub reach: f64,
}

impl Differences {
    /// Draws them, best first.
    pub fn plot(&self) -> Plot {
        let mut values: Vec<f64> = self
            .values
            .iter()
            .copied()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(|a, b| b.total_cmp(a));
        let Some((low, high)) = extent(values.iter().copied()) else {
            return empty(&self.title);
        };
        let reach = self.reach.max(high).max(-low).max(1e-6);
        let frame = Frame {
            left: 46.0,
            right: WIDTH - 8.0,
            top: 32.0,
            bottom: HEIGHT - 24.0,
        };
        let scale = Scale::new((-reach, reach), (frame.bottom, frame.top));
        let zero = px(scale.at(0.0));
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let (wins, losses) = (count(&values, |v| v > 0.0), count(&values, |v| v < 0.0));
        let told = format!(
            "{wins} better · {} equal · {losses} worse · mean {}",
            values.len() - wins - losses,
            signed(mean)
        );
        Plot {
            title: self.title.clone(),
            about: told.clone(),
            width: WIDTH,
            height: HEIGHT,
            body: html! {
                (beside(frame, &scale, 4, &format!("difference in {}", self.measure)))
                path.up d=(skyline(&values, |v| v.max(0.0), frame, &scale)) {}
                path.down d=(skyline(&values, |v| v.min(0.0), frame, &scale)) {}
                line.axis x1=(px(frame.left)) x2=(px(frame.right)) y1=(zero) y2=(zero) {}
                text.quiet.end x=(px(frame.right)) y=(px(HEIGHT - 8.0)) { (told) }
            },
        }
    }
}

fn count(values: &[f64], is: impl Fn(f64) -> bool) -> usize {
    values.iter().filter(|value| is(**value)).count()
}

/// One path for all bars of a side: three hundred queries of thirty systems are many bars.
fn skyline(values: &[f64], side: impl Fn(f64) -> f64, frame: Frame, scale: &Scale) -> String {
    let step = (frame.right - frame.left) / values.len() as f64;
    let gap = if step > 4.0 { 1.0 } else { 0.0 };
    let zero = px(scale.at(0.0));
    let mut path = String::new();
    for (at, value) in values
        .iter()
        .enumerate()
        .filter(|(_, value)| side(**value) != 0.0)
    {
        let from = frame.left + step * at as f64;
        let (from, to) = (px(from), px(from + step - gap));
        path.push_str(&format!(
            "M{from} {zero}V{}H{to}V{zero}z",
            px(scale.at(side(*value)))
        ));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(text: &str, class: &str) -> usize {
        let path = text
            .split(&format!("class=\"{class}\" d=\""))
            .nth(1)
            .unwrap_or_default();
        path.split('"').next().unwrap_or_default().matches('z').count()
    }

    #[test]
    fn gains_and_losses_are_counted_and_drawn_apart() {
        let values = vec![0.5, -0.25, 0.0, 0.1];
        let text = Differences {
            values,
            ..Differences::default()
        }
        .plot()
        .svg();
        assert!(
            text.contains("2 better · 1 equal · 1 worse · mean +0.0875"),
            "{text}"
        );
        assert_eq!((bars(&text, "up"), bars(&text, "down")), (2, 1));
        assert!(Differences::default().plot().svg().contains("nothing to draw"));
    }
}
