//! One connection: read a head, check it, answer, close.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    Request, Response,
    guard::Names,
    response::{HEADERS, reason},
    target,
};

/// The most bytes of a head.
const LONGEST_HEAD: usize = 16 * 1024;
/// The most header fields.
const MOST_FIELDS: usize = 64;
/// How long a head may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a single read or write may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long, and for how many bytes, a connection that was answered is read on.
const LINGER: Duration = Duration::from_millis(500);
const MOST_UNREAD: u64 = 256 * 1024;
/// How often a stream is asked for news.
const PACE: Duration = Duration::from_millis(500);
/// After so many times without news a stream sends a comment, to see whether anybody is there.
const SILENCE: usize = 20;

/// What a connection needs to know of its server.
pub(crate) struct Context<'a> {
    pub(crate) names: &'a Names,
    pub(crate) handler: &'a (dyn Fn(&Request) -> Response + Sync),
    pub(crate) stop: &'a AtomicBool,
}

/// A head that was understood.
struct Head {
    request: Request,
    is_head: bool,
}

/// Serves one request. That the other side went away is no error.
pub(crate) fn serve(mut stream: TcpStream, context: &Context<'_>) {
    stream.set_read_timeout(Some(TIMEOUT)).ok();
    stream.set_write_timeout(Some(TIMEOUT)).ok();
    let Ok(local) = stream.local_addr() else { return };
    let head = read(&mut stream).and_then(|bytes| check(&bytes, local.ip(), context.names));
    let (response, is_head) = match head {
        Ok(head) => (answer(&head.request, context), head.is_head),
        Err((status, text)) => (Response::text(status, text), false),
    };
    send(&mut stream, response, is_head, context.stop).ok();
    close(&mut stream);
}

/// Closes so that the answer arrives: to close on bytes that were not read is to reset the connection.
fn close(stream: &mut TcpStream) {
    stream.shutdown(Shutdown::Write).ok();
    stream.set_read_timeout(Some(LINGER)).ok();
    io::copy(&mut stream.take(MOST_UNREAD), &mut io::sink()).ok();
}

type Refusal = (u16, &'static str);

/// The bytes up to the empty line.
fn read(stream: &mut TcpStream) -> Result<Vec<u8>, Refusal> {
    let began = Instant::now();
    let mut head = Vec::new();
    let mut part = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD {
            return Err((431, "the head of the request is too long"));
        }
        if began.elapsed() > PATIENCE {
            return Err((408, "the request came too slowly"));
        }
        match stream.read(&mut part) {
            Ok(0) => return Err((400, "the request broke off")),
            Ok(count) => head.extend_from_slice(&part[..count]),
            Err(_) => return Err((408, "the request came too slowly")),
        }
    }
    Ok(head)
}

/// Refuses all but a GET or HEAD to this server, without a body.
fn check(bytes: &[u8], local: IpAddr, names: &Names) -> Result<Head, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err((431, "the request has too many header fields")),
        _ => return Err((400, "not an HTTP request")),
    }
    let values = |name: &str| {
        let named = parsed
            .headers
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value).collect::<Vec<_>>()
    };
    let [host] = values("host")[..] else {
        return Err((400, "a request needs one Host"));
    };
    if !str::from_utf8(host).is_ok_and(|host| names.allow(host, local)) {
        return Err((421, "this server is not the host that was asked for"));
    }
    let is_head = match parsed.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err((405, "only GET and HEAD")),
    };
    if !values("transfer-encoding").is_empty()
        || values("content-length").iter().any(|length| *length != b"0")
    {
        return Err((400, "a request here has no body"));
    }
    let request =
        target::parse(parsed.path.unwrap_or_default()).ok_or((400, "not an address of this server"))?;
    Ok(Head { request, is_head })
}

/// What the handler says; a panic in it is an answer, too.
fn answer(request: &Request, context: &Context<'_>) -> Response {
    let answered = catch_unwind(AssertUnwindSafe(|| (context.handler)(request)));
    answered.unwrap_or_else(|_| Response::text(500, "the page could not be made"))
}

fn send(stream: &mut TcpStream, response: Response, is_head: bool, stop: &AtomicBool) -> io::Result<()> {
    match response {
        Response::Page { status, kind, body } => {
            let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
            let head = format!(
                "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{allow}{HEADERS}\r\n",
                reason(status),
                body.len()
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(if is_head { &[] } else { &body })
        }
        Response::Events(events) => {
            stream.write_all(
                format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{HEADERS}\r\n").as_bytes(),
            )?;
            if is_head {
                Ok(())
            } else {
                send_events(stream, events, stop)
            }
        }
    }
}

fn send_events(
    stream: &mut TcpStream,
    events: Box<dyn Iterator<Item = Option<crate::Event>>>,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut silent = 0;
    for event in events {
        silent = if event.is_some() { 0 } else { silent + 1 };
        match event {
            Some(event) => {
                let mut text = format!("event: {}\n", event.name);
                event
                    .data
                    .lines()
                    .for_each(|line| text.push_str(&format!("data: {line}\n")));
                stream.write_all((text + "\n").as_bytes())?;
            }
            None if silent % SILENCE == 0 => stream.write_all(b": still here\n\n")?,
            None => {}
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        std::thread::sleep(PACE);
    }
    Ok(())
}
