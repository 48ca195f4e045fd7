//! A finished plot.

use maud::{Markup, PreEscaped, html};

use crate::{png, png::PngError, theme, words::px};

/// A plot of any kind.
#[derive(Clone, Debug)]
pub struct Plot {
    pub(crate) title: String,
    /// What a reader sees who does not see it.
    pub(crate) about: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) body: Markup,
}

impl Plot {
    /// For a page that has [`crate::PLOT_STYLE`] and the colours of [`crate::variables`].
    pub fn inline(&self) -> Markup {
        self.element(&html! {})
    }

    /// A file of its own, on light paper.
    pub fn svg(&self) -> String {
        let paper = html! {
            style { (PreEscaped(theme::standalone())) }
            rect width=(px(self.width)) height=(px(self.height)) fill=(theme::PAPER) {}
        };
        self.element(&paper).into_string()
    }

    /// Pixels, `scale` of them for each of the SVG.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>, PngError> {
        png::render(&self.svg(), scale)
    }

    fn element(&self, paper: &Markup) -> Markup {
        let (width, height) = (px(self.width), px(self.height));
        html! {
            svg.plot xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) }
                width=(width) height=(height) role="img" aria-label={ (self.title) ": " (self.about) } {
                title { (self.title) }
                desc { (self.about) }
                (paper)
                (self.body)
            }
        }
    }
}

/// What is drawn before there is anything to draw.
pub(crate) fn empty(title: &str) -> Plot {
    Plot {
        title: title.to_owned(),
        about: "nothing to draw".into(),
        width: crate::axis::WIDTH,
        height: 60.0,
        body: html! { text.quiet x="12" y="34" { "nothing to draw" } },
    }
}
