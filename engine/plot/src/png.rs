//! From SVG to PNG, with a font of our own, so that a plot looks the same on every machine.

use std::sync::Arc;

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

/// Latin, Greek, Cyrillic and signs; see `font/README.md`.
const FONT: &[u8] = include_bytes!("../font/OpenSans-Regular-subset.ttf");

/// Its family.
const FAMILY: &str = "Open Sans";

/// The most pixels a side may have.
const LARGEST: f32 = 16_000.0;

/// Why there is no PNG.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// The plot is too large, or the scale is no size.
    #[error("a PNG of {width:.0} × {height:.0} pixels is not made: choose a smaller scale, or SVG")]
    Size {
        /// Pixels across.
        width: f32,
        /// Pixels down.
        height: f32,
    },
    /// The drawing failed.
    #[error("the plot could not be drawn as PNG ({0}): choose SVG")]
    Drawing(String),
}

/// Draws `svg`, `scale` pixels for each of its own.
pub(crate) fn render(svg: &str, scale: f32) -> Result<Vec<u8>, PngError> {
    let tree = Tree::from_str(svg, &options()).map_err(|error| PngError::Drawing(error.to_string()))?;
    let (width, height) = (
        (tree.size().width() * scale).ceil(),
        (tree.size().height() * scale).ceil(),
    );
    let fits = |side: f32| (1.0..=LARGEST).contains(&side);
    let canvas = (fits(width) && fits(height)).then(|| Pixmap::new(width as u32, height as u32));
    let mut canvas = canvas.flatten().ok_or(PngError::Size { width, height })?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut canvas.as_mut());
    canvas
        .encode_png()
        .map_err(|error| PngError::Drawing(error.to_string()))
}

fn options() -> Options<'static> {
    let mut fonts = Database::new();
    fonts.load_font_data(FONT.to_vec());
    for set in [Database::set_sans_serif_family, Database::set_serif_family] {
        set(&mut fonts, FAMILY);
    }
    Options {
        fontdb: Arc::new(fonts),
        font_family: FAMILY.into(),
        ..Options::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BLANK: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"></svg>"#;

    fn inked(svg: &str) -> usize {
        let png = render(svg, 2.0).unwrap();
        let canvas = Pixmap::decode_png(&png).unwrap();
        assert_eq!((canvas.width(), canvas.height()), (180, 60));
        canvas.pixels().iter().filter(|pixel| pixel.alpha() > 0).count()
    }

    #[test]
    fn text_is_drawn_without_fonts_of_the_machine() {
        let text = r#"<text x="5" y="20" font-family="system-ui, sans-serif">±0.5</text></svg>"#;
        assert_eq!(inked(BLANK), 0);
        assert!(inked(&BLANK.replace("</svg>", text)) > 100);
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        for scale in [0.0, -1.0, f32::NAN, 1e9] {
            assert!(
                matches!(render(BLANK, scale), Err(PngError::Size { .. })),
                "{scale}"
            );
        }
        assert!(matches!(render("<svg", 1.0), Err(PngError::Drawing(_))));
    }
}
