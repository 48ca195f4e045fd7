//! As much of HTTP as a server that stands in for another one needs.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// A request as it came.
pub struct Request {
    /// `GET`, `POST`.
    pub method: String,
    /// With its query.
    pub path: String,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// The next one on a connection; none where it has ended.
    pub fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|count| *count > 0)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mut words = first.split_whitespace().map(str::to_owned);
        Some(Self {
            method: words.next()?,
            path: words.next()?,
            headers,
            body,
        })
    }
}

/// What stands before a body of so many bytes, `more` header lines among it.
pub fn head(status: u16, more: &str, length: usize) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n")
}

/// Sends a whole answer; none where the connection has broken.
pub fn answer(mut stream: impl Write, status: u16, more: &str, body: &str) -> Option<()> {
    let text = head(status, more, body.len()) + body;
    stream.write_all(text.as_bytes()).ok()
}

/// Hands every connection to `serve`, each in a thread of its own, and gives the address of version 1.
pub fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}
