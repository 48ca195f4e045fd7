//! A finished plot.

use maud::{Markup, PreEscaped, html};

use crate::{
    png,
    png::PngError,
    theme,
    words::{fit, px},
};

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

/// Room for the title where no page tells it.
const HEADING: f64 = 30.0;

impl Plot {
    /// What is shown.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// For a page that has [`crate::PLOT_STYLE`] and the colours of [`crate::variables`], and tells the title itself.
    pub fn inline(&self) -> Markup {
        self.element(self.height, &self.body)
    }

    /// A file of its own, on light paper, its title above.
    pub fn svg(&self) -> String {
        let height = self.height + HEADING;
        let all = html! {
            style { (PreEscaped(theme::standalone())) }
            rect width=(px(self.width)) height=(px(height)) fill=(theme::PAPER) {}
            text.strong x="8" y="20" { (fit(&self.title, self.width - 16.0)) }
            g transform={ "translate(0 " (px(HEADING)) ")" } { (self.body) }
        };
        self.element(height, &all).into_string()
    }

    /// Pixels, `scale` of them for each of the SVG.
    pub fn png(&self, scale: f32) -> Result<Vec<u8>, PngError> {
        png::render(&self.svg(), scale)
    }

    fn element(&self, height: f64, body: &Markup) -> Markup {
        let (width, height) = (px(self.width), px(height));
        html! {
            svg.plot xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (width) " " (height) }
                width=(width) height=(height) role="img" aria-label={ (self.title) ": " (self.about) } {
                title { (self.title) }
                desc { (self.about) }
                (body)
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
