//! What is sent back.

/// An event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub data: String,
}

/// An answer.
pub enum Response {
    /// A whole document.
    Page {
        /// 200, 404, …
        status: u16,
        /// `text/html; charset=utf-8`, …
        kind: &'static str,
        /// The bytes.
        body: Vec<u8>,
    },
    /// Events as they come: asked about twice a second, `Some(None)` being nothing new and `None` the end.
    Events(Box<dyn Iterator<Item = Option<Event>>>),
}

impl Response {
    /// An HTML page.
    pub fn html(status: u16, page: String) -> Self {
        Self::Page {
            status,
            kind: "text/html; charset=utf-8",
            body: page.into_bytes(),
        }
    }

    /// A line of text.
    pub(crate) fn text(status: u16, text: &str) -> Self {
        Self::Page {
            status,
            kind: "text/plain; charset=utf-8",
            body: format!("{text}\n").into_bytes(),
        }
    }
}

/// The words for a status.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

/// What every answer says: nothing is kept, framed, guessed at or shared.
pub(crate) const HEADERS: &str = "Cache-Control: no-store\r\n\
    Connection: close\r\n\
    Content-Security-Policy: frame-ancestors 'none'\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Referrer-Policy: no-referrer\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n";
