//! The only place that prints. Results go to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};

use serde::Serialize;

/// A message to standard error. A closed pipe is no error.
pub(crate) fn message(text: &str) {
    writeln!(std::io::stderr(), "{}", text.trim_end()).ok();
}

/// A result to standard output. A closed pipe is no error.
pub(crate) fn result(text: &str) {
    writeln!(std::io::stdout(), "{}", text.trim_end()).ok();
}

/// A result that need not be text.
pub(crate) fn bytes(bytes: &[u8]) {
    std::io::stdout().write_all(bytes).ok();
}

/// A result as one line of JSON.
pub(crate) fn json(value: &impl Serialize) {
    result(&serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")));
}

/// Whether results are read by a person who sees colours.
pub(crate) fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Whether standard error is a terminal that can redraw lines.
pub(crate) fn live() -> bool {
    std::io::stderr().is_terminal()
}
