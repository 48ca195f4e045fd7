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

/// Bodies of the requests a server has answered.
pub(crate) type Asked = Arc<Mutex<Vec<Value>>>;

/// A server that answers `answer(prompt, how many it has answered)`; gives its address.
pub(crate) fn serve(answer: fn(&str, usize) -> String) -> (Asked, String) {
    let asked = Asked::default();
    let own = Arc::clone(&asked);
    let address = http::listen(move |stream| replies(&stream, &own, answer));
    (asked, address)
}

fn replies(stream: &TcpStream, asked: &Asked, answer: fn(&str, usize) -> String) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::Request::read(&mut reader) {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let said = body["messages"][0]["content"].as_str().map(str::to_owned);
        let mut asked = asked.lock().unwrap();
        let choice = match (said, body["prompt"].as_str()) {
            (Some(said), _) => {
                json!({"message": {"role": "assistant", "content": answer(&said, asked.len())}})
            }
            (None, prompt) => json!({"text": answer(prompt.unwrap(), asked.len())}),
        };
        asked.push(body);
        drop(asked);
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 5});
        let text = json!({"choices": [choice], "usage": usage}).to_string();
        if http::answer(stream, 200, "", &text).is_none() {
            return;
        }
    }
}
