//! A server of chats, standing in for a model.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

/// Bodies of the requests a server has answered.
pub(crate) type Asked = Arc<Mutex<Vec<Value>>>;

/// A server of chats that answers `answer(prompt, how many it has answered)`; gives its address.
pub(crate) fn serve(answer: fn(&str, usize) -> String) -> (Asked, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let asked = Asked::default();
    let own = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let own = Arc::clone(&own);
            std::thread::spawn(move || while reply(stream.as_ref().unwrap(), &own, answer).is_some() {});
        }
    });
    (asked, address)
}

fn reply(mut stream: &TcpStream, asked: &Asked, answer: fn(&str, usize) -> String) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        match line.trim().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            _ if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let prompt = body["messages"][0]["content"].as_str().unwrap().to_owned();
    let mut asked = asked.lock().unwrap();
    let message = json!({"role": "assistant", "content": answer(&prompt, asked.len())});
    asked.push(body);
    drop(asked);
    let choice = json!({"message": message, "finish_reason": "stop"});
    let text =
        json!({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all((head + &text).as_bytes()).ok()
}
