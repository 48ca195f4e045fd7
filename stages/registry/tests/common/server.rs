//! A server of chats and completions, standing in for a model.

use std::{
    io::BufReader,
    net::TcpStream,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

#[path = "../../../../tests/src/http.rs"]
#[allow(dead_code, unreachable_pub)]
mod http;

/// Bodies of the requests a server has seen.
pub(crate) type Asked = Arc<Mutex<Vec<Value>>>;

/// A server that answers `answer(prompt, how many it has answered)`; gives its address.
pub(crate) fn serve(answer: fn(&str, usize) -> String) -> (Asked, String) {
    serve_replies(move |body, at| {
        let said = body["messages"][0]["content"].as_str();
        let choice = match said {
            Some(said) => json!({"message": {"role": "assistant", "content": answer(said, at)}}),
            None => json!({"text": answer(body["prompt"].as_str().unwrap(), at)}),
        };
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 5});
        (200, json!({"choices": [choice], "usage": usage}))
    })
}

/// A server that replies to a body with the status and the object of `reply(body, how many it has seen)`.
pub(crate) fn serve_replies(
    reply: impl Fn(&Value, usize) -> (u16, Value) + Send + Sync + 'static,
) -> (Asked, String) {
    let asked = Asked::default();
    let own = Arc::clone(&asked);
    let address = http::listen(move |stream| replies(&stream, &own, &reply));
    (asked, address)
}

fn replies(stream: &TcpStream, asked: &Asked, reply: &impl Fn(&Value, usize) -> (u16, Value)) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::Request::read(&mut reader) {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let mut asked = asked.lock().unwrap();
        let (status, text) = reply(&body, asked.len());
        asked.push(body);
        drop(asked);
        if http::answer(stream, status, "", &text.to_string()).is_none() {
            return;
        }
    }
}
