//! What a server answers, as a row of the memo.

use ablate_core::RowValue;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::words;
use crate::spelling::{Token, within};

/// A text a server wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The text, its stop text cut off by the server.
    pub(crate) text: String,
    /// What a reasoning model wrote before it, where the server tells it apart.
    #[serde(default)]
    pub(crate) reasoning: Option<String>,
    /// Why it ended, in the server's words.
    pub(crate) finish: String,
    /// The tokens of the text, where the server tells their log-probabilities.
    pub(crate) tokens: Vec<Token>,
    /// Tokens read.
    pub(crate) prompt_tokens: u32,
    /// Tokens written.
    pub(crate) new_tokens: u32,
}

impl RowValue for Answer {
    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    message: Option<Message>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Value,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
    #[serde(default, alias = "reasoning")]
    reasoning_content: Option<String>,
}

impl Message {
    /// Its content, which is a text or parts of which some are texts.
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
            _ => String::new(),
        }
    }
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<u32>,
    #[serde(default)]
    completion_tokens: Option<u32>,
}

impl Answer {
    /// Reads the reply to a completion or a chat completion.
    ///
    /// # Errors
    /// What is missing in it, or what the server says instead.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let reply: Reply = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let Some(choice) = reply.choices.into_iter().next() else {
            return Err(format!("it has no choices: {}", words(body)));
        };
        let (text, reasoning) = match (choice.text, choice.message) {
            (Some(text), _) => (text, None),
            (None, Some(message)) => (message.text(), message.reasoning_content),
            (None, None) => return Err("its choice has neither a text nor a message".into()),
        };
        let usage = reply.usage.unwrap_or_default();
        Ok(Self {
            tokens: tokens(&choice.logprobs, &text),
            text,
            reasoning,
            finish: choice.finish_reason.unwrap_or_else(|| "unknown".into()),
            prompt_tokens: usage.prompt_tokens.unwrap_or(0),
            new_tokens: usage.completion_tokens.unwrap_or(0),
        })
    }
}

/// The tokens of a text. Servers tell others, too: a stop text and an end that the text has lost, and thinking before it.
fn tokens(logprobs: &Value, text: &str) -> Vec<Token> {
    let (mut spelt, mut tokens) = (Vec::new(), Vec::new());
    for (bytes, logprob) in told(logprobs) {
        spelt.extend(&bytes);
        // An end without a text.
        if !bytes.is_empty() {
            tokens.push(Token {
                end: spelt.len(),
                logprob,
            });
        }
    }
    let is_text = |window: &[u8]| window == text.as_bytes();
    // Where tokens do not spell the text, as where half characters are told as question marks, it begins with the first.
    let start = spelt.windows(text.len().max(1)).rposition(is_text).unwrap_or(0);
    within(&spelt, &tokens, &(start..start + text.len()))
}

/// The bytes of each token and its log-probability, as completions (`token_logprobs`) or chats (`content`) tell them.
fn told(logprobs: &Value) -> Vec<(Vec<u8>, f32)> {
    let pair = |bytes: Vec<u8>, logprob: &Value| Some((bytes, logprob.as_f64()? as f32));
    let text = |token: &Value| token.as_str().unwrap_or_default().as_bytes().to_vec();
    if let Some(tokens) = logprobs["content"].as_array() {
        let bytes = |token: &Value| serde_json::from_value(token["bytes"].clone());
        let bytes = |token: &Value| bytes(token).unwrap_or_else(|_| text(&token["token"]));
        let all = tokens.iter();
        return all
            .filter_map(|token| pair(bytes(token), &token["logprob"]))
            .collect();
    }
    let list = |name: &str| logprobs[name].as_array().into_iter().flatten();
    let all = list("tokens").zip(list("token_logprobs"));
    all.filter_map(|(token, logprob)| pair(text(token), logprob))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spelling::mean_logprob;

    fn read(reply: &Value) -> Result<Answer, String> {
        Answer::read(reply.to_string().as_bytes())
    }

    #[test]
    fn completions_and_chats_are_read() {
        let logprobs = json!({"tokens": [" a", " query"], "token_logprobs": [-0.5, -1.5]});
        let answer = read(&json!({
            "choices": [{"text": " a query", "finish_reason": "stop", "logprobs": logprobs}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2},
        }));
        let answer = answer.unwrap();
        assert_eq!(
            (answer.text.as_str(), mean_logprob(&answer.tokens)),
            (" a query", Some(-1.0))
        );
        assert_eq!((answer.prompt_tokens, answer.new_tokens), (9, 2));
        let answer = read(&json!({"choices": [{
            "message": {"role": "assistant", "content": "q", "reasoning_content": "hm"}, "finish_reason": "length",
            "logprobs": {"content": [{"token": "q", "logprob": -0.25}]},
        }]}));
        let answer = answer.unwrap();
        assert_eq!(
            (answer.reasoning.as_deref(), mean_logprob(&answer.tokens)),
            (Some("hm"), Some(-0.25))
        );
        assert_eq!(Answer::from_bytes(&answer.to_bytes()), Some(answer));
    }

    /// As vLLM tells the stop text, llama.cpp an end without a text, and reasoning models their thoughts.
    #[test]
    fn tokens_that_are_no_part_of_the_text_are_left_out() {
        let mean = |text: &str, tokens: &[(&str, f32)]| {
            let token = |(token, logprob): &(&str, f32)| json!({"token": token, "logprob": logprob});
            let logprobs = json!({"content": tokens.iter().map(token).collect::<Vec<_>>()});
            let choice = json!({"message": {"content": text}, "logprobs": logprobs});
            mean_logprob(&read(&json!({"choices": [choice]})).unwrap().tokens)
        };
        let asked = [(" how", -1.0), (" deep", -2.0)];
        assert_eq!(mean(" how deep", &[asked[0], asked[1], ("\n", -7.0)]), Some(-1.5));
        assert_eq!(mean(" how deep", &[asked[0], asked[1], ("", -7.0)]), Some(-1.5));
        assert_eq!(mean("how deep", &asked), Some(-1.5), "its first blank is gone");
        let thought = [("how", -9.0), ("</think>", -9.0), asked[0], asked[1]];
        assert_eq!(mean(" how deep", &thought), Some(-1.5));
        assert_eq!(mean("", &[("</s>", -7.0)]), None);
    }

    #[test]
    fn halves_of_characters_have_bytes() {
        let token = |bytes: &[u8]| json!({"token": "\u{fffd}", "bytes": bytes, "logprob": -1.0});
        let tokens = [
            token(b"h\xc3"),
            token(b"\xa9"),
            json!({"token": "!", "bytes": null, "logprob": -4.0}),
        ];
        let choice = json!({"message": {"content": "hé!"}, "logprobs": {"content": tokens}});
        let answer = read(&json!({"choices": [choice]})).unwrap();
        let ends: Vec<usize> = answer.tokens.iter().map(|token| token.end).collect();
        assert_eq!(ends, [2, 3, 4]);
    }

    /// Counts that are null, and a content in parts.
    #[test]
    fn unusual_replies_are_read() {
        let parts = json!([{"type": "text", "text": "why "}, {"type": "text", "text": "honey"}]);
        let answer = read(&json!({
            "choices": [{"message": {"content": parts}}], "usage": {"prompt_tokens": null, "completion_tokens": 3},
        }));
        let answer = answer.unwrap();
        assert_eq!((answer.text.as_str(), answer.new_tokens), ("why honey", 3));
        let refused = read(&json!({"choices": [{"message": {"content": null, "refusal": "no"}}]}));
        assert_eq!(refused.unwrap().text, "");
    }

    #[test]
    fn other_replies_say_what_they_lack() {
        let told = |reply: &str| Answer::read(reply.as_bytes()).unwrap_err();
        assert!(told(r#"{"choices": []}"#).starts_with("it has no choices"));
        assert_eq!(
            told(r#"{"error": {"message": "model overloaded"}}"#),
            "it has no choices: model overloaded"
        );
        assert!(told(r#"{"choices": [{}]}"#).starts_with("its choice has neither"));
        assert!(told(r#"{"choices": [{"te"#).starts_with("EOF"));
    }
}
