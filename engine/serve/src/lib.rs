//! A small HTTP server for one person on one machine: GET and HEAD, one answer a connection, everything bounded.
//!
//! It knows nothing of what it serves. A [`Server`] hands each [`Request`] to a function and sends its [`Response`].
//! Before that it refuses what a browser on this machine must not be talked into: a Host header that names another
//! machine (DNS rebinding), a path with `..` or hidden separators, a head that is too long or too slow, a body.

mod connection;
mod guard;
mod request;
mod response;
mod server;
mod target;

pub use request::Request;
pub use response::{Event, Response};
pub use server::Server;
