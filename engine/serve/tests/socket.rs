//! What the server answers over a real socket.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use ablate_serve::{Event, Request, Response, Server};

/// Sends each request to a server of its own; answers with the answers, and with what reached the handler.
fn ask(requests: &[&[u8]]) -> (Vec<String>, Vec<Request>) {
    let server = Server::bind("127.0.0.1".parse().unwrap(), 0, &[]).unwrap();
    let (stop, seen) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let handler = |request: &Request| {
        seen.lock().unwrap().push(request.clone());
        match request.path.first().map(String::as_str) {
            Some("panic") => panic!("a page that panics"),
            Some("events") => Response::Events(Box::new(
                [Some(Event {
                    name: "part",
                    data: "one\ntwo".into(),
                })]
                .into_iter(),
            )),
            _ => Response::html(200, "<p>hello</p>".into()),
        }
    };
    let answers = std::thread::scope(|scope| {
        scope.spawn(|| server.run(&handler, &stop));
        let answers = requests
            .iter()
            .map(|request| exchange(server.address(), request))
            .collect();
        stop.store(true, Ordering::Relaxed);
        answers
    });
    (answers, seen.into_inner().unwrap())
}

fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A server that refused may close before all was sent.
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(target: &str, host: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[test]
fn pages_come_with_headers_that_lock_them_in() {
    let (answers, seen) = ask(&[
        &get("/run/x?name=a%20b", "localhost:1"),
        b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]);
    assert!(answers[0].starts_with("HTTP/1.1 200 OK\r\n") && answers[0].ends_with("\r\n\r\n<p>hello</p>"));
    for header in [
        "Content-Length: 12\r\n",
        "X-Frame-Options: DENY",
        "nosniff",
        "no-store",
        "frame-ancestors 'none'",
        "Referrer-Policy: no-referrer",
    ] {
        assert!(answers[0].contains(header), "{header}");
    }
    assert!(
        answers[1].contains("Content-Length: 12\r\n") && answers[1].ends_with("\r\n\r\n"),
        "{}",
        answers[1]
    );
    assert_eq!(
        (seen[0].path.join("/"), seen[0].value("name")),
        ("run/x".into(), "a b")
    );
}

#[test]
fn what_must_not_reach_a_page_is_refused() {
    let long = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".as_slice(),
        &vec![b'a'; 40_000],
        b"\r\n\r\n",
    ]
    .concat();
    let many = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X: y\r\n".repeat(100)
    );
    let requests: [(&[u8], &str); 13] = [
        (&get("/", "evil.example"), "421"),
        (&get("/", "127.0.0.1.nip.io:80"), "421"),
        (b"GET / HTTP/1.1\r\n\r\n", "400"),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
            "400",
        ),
        (&get("/run/../../etc/passwd", "localhost"), "400"),
        (&get("/run/%2e%2e/x", "localhost"), "400"),
        (&get("http://localhost/", "localhost"), "400"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        (b"DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        (
            b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
            "400",
        ),
        (b"\x16\x03\x01 not http\r\n\r\n", "400"),
        (&long, "431"),
        (many.as_bytes(), "431"),
    ];
    let (answers, seen) = ask(&requests.map(|(request, _)| request));
    for ((request, expected), answer) in requests.iter().zip(&answers) {
        let told = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        assert_eq!(status(answer), *expected, "{told}");
    }
    assert_eq!(seen, [], "none reached the handler");
}

#[test]
fn a_page_that_panics_is_an_error_and_the_server_goes_on() {
    let (answers, _) = ask(&[&get("/panic", "localhost"), &get("/", "localhost")]);
    assert_eq!((status(&answers[0]), status(&answers[1])), ("500", "200"));
}

#[test]
fn events_are_streamed_line_by_line() {
    let (answers, _) = ask(&[&get("/events", "localhost")]);
    assert!(answers[0].contains("text/event-stream"));
    assert!(
        answers[0].ends_with("event: part\ndata: one\ndata: two\n\n"),
        "{}",
        answers[0]
    );
}
