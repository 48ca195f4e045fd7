//! A tiny generator in one GGUF file.
#![allow(clippy::unwrap_used)]

#[path = "gguf_file.rs"]
mod gguf_file;

use ablate_core::Seed;
use gguf_file::{I32, STRING, Tensor, array, number, real, text, word, write};

/// Tokens: one a byte, the end of a text, and a few pairs.
const MERGES: [[&str; 2]; 4] = [["t", "h"], ["th", "e"], ["i", "n"], ["Ġ", "a"]];
/// The control token that ends a text.
const END: usize = 256;
/// Width of states, of the feed-forward layer, and of keys and values.
const WIDTHS: [usize; 3] = [32, 64, 16];

/// A folder with a random Llama of 2 layers, 32 dimensions, 4 query and 2 key-value heads over the bytes.
///
/// Its weights are uniform numbers: products of integers alone, so that they are the same on every machine.
pub(crate) fn tiny_generator() -> tempfile::TempDir {
    of("smollm", &MERGES, random, vec![], None)
}

/// The same, tuned to answer: what is said stands between marks.
#[allow(dead_code)]
pub(crate) fn tiny_chat() -> tempfile::TempDir {
    let template = "{% for message in messages %}<{{ message.content }}>{% endfor %}";
    of("smollm", &MERGES, random, vec![], Some(template))
}

/// The same with the factors of a rotation as llama.cpp's converter keeps those of Llama 3.
#[allow(dead_code)]
pub(crate) fn tiny_llama3() -> tempfile::TempDir {
    let factors = Tensor::of_f32("rope_freqs.weight".into(), &[4], &[1.0, 1.0, 3.5, 8.0]);
    of("smollm", &MERGES, random, vec![factors], None)
}

/// The same with weights that are no numbers.
#[allow(dead_code)]
pub(crate) fn tiny_nan() -> tempfile::TempDir {
    let nan = |_: &str, shape: &[usize]| vec![f32::NAN; shape.iter().product()];
    of("smollm", &MERGES, nan, vec![], None)
}

/// The same over a text that is split as Qwen's are, with a token for a full stop that ends a line.
#[allow(dead_code)]
pub(crate) fn tiny_qwen() -> tempfile::TempDir {
    of("qwen2", &[[".", "Ċ"]], random, vec![], None)
}

/// A model with these numbers and more tensors, whose tokenizer splits a text as `pre` says, and then merges; and how a conversation is
/// written, if it was tuned for one.
fn of(
    pre: &str,
    merges: &[[&str; 2]],
    numbers: fn(&str, &[usize]) -> Vec<f32>,
    more: Vec<Tensor>,
    template: Option<&str>,
) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tokens = tokens(merges);
    let tensors = tensors(tokens.len()).into_iter().map(|(name, shape)| {
        let numbers = numbers(&name, &shape);
        Tensor::of_f32(format!("{name}.weight"), &shape, &numbers)
    });
    let tensors: Vec<Tensor> = tensors.chain(more).collect();
    let mut metadata = metadata(&tokens, pre, merges);
    metadata.extend(template.map(|template| ("tokenizer.chat_template".to_owned(), word(template))));
    write(&folder.path().join("tiny.gguf"), &metadata, &tensors);
    folder
}

/// The texts of the tokens, bytes as GPT-2 writes them: those that print as they are, the others from U+0100 on.
fn tokens(merges: &[[&str; 2]]) -> Vec<String> {
    let prints = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut hidden = 0x100..;
    let mut character = |byte: u32| {
        if prints(byte) {
            byte
        } else {
            hidden.next().unwrap()
        }
    };
    let bytes: Vec<String> = (0..256)
        .map(|byte| char::from_u32(character(byte)).unwrap().into())
        .collect();
    let pairs = merges.iter().map(|pair| pair.concat());
    bytes
        .into_iter()
        .chain(["<|endoftext|>".to_owned()])
        .chain(pairs)
        .collect()
}

fn metadata(tokens: &[String], pre: &str, merges: &[[&str; 2]]) -> Vec<(String, Vec<u8>)> {
    let kind = |at: usize| if at == END { 3_i32 } else { 1 }.to_le_bytes().to_vec();
    let [hidden, inner, _] = WIDTHS;
    let all = vec![
        ("general.architecture", word("llama")),
        ("llama.embedding_length", number(hidden)),
        ("llama.feed_forward_length", number(inner)),
        ("llama.attention.head_count", number(4)),
        ("llama.attention.head_count_kv", number(2)),
        ("llama.block_count", number(2)),
        ("llama.context_length", number(512)),
        ("llama.attention.layer_norm_rms_epsilon", real(1e-5)),
        ("llama.rope.freq_base", real(10_000.0)),
        ("tokenizer.ggml.model", word("gpt2")),
        ("tokenizer.ggml.pre", word(pre)),
        (
            "tokenizer.ggml.tokens",
            array(STRING, tokens.iter().map(|token| text(token))),
        ),
        (
            "tokenizer.ggml.token_type",
            array(I32, (0..tokens.len()).map(kind)),
        ),
        (
            "tokenizer.ggml.merges",
            array(STRING, merges.iter().map(|pair| text(&pair.join(" ")))),
        ),
        ("tokenizer.ggml.eos_token_id", number(END)),
    ];
    all.into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// The tensors by llama.cpp's names; the head is tied to the embeddings.
fn tensors(vocabulary: usize) -> Vec<(String, Vec<usize>)> {
    let [hidden, inner, kv] = WIDTHS;
    let mut shapes = vec![
        ("token_embd".to_owned(), vec![vocabulary, hidden]),
        ("output_norm".into(), vec![hidden]),
    ];
    for layer in 0..2 {
        let parts = [
            ("attn_norm", vec![hidden]),
            ("attn_q", vec![hidden, hidden]),
            ("attn_k", vec![kv, hidden]),
            ("attn_v", vec![kv, hidden]),
            ("attn_output", vec![hidden, hidden]),
            ("ffn_norm", vec![hidden]),
            ("ffn_gate", vec![inner, hidden]),
            ("ffn_up", vec![inner, hidden]),
            ("ffn_down", vec![hidden, inner]),
        ];
        shapes.extend(parts.map(|(part, shape)| (format!("blk.{layer}.{part}"), shape)));
    }
    shapes
}

fn random(name: &str, shape: &[usize]) -> Vec<f32> {
    let mut stream = Seed::root(13).child(name).stream();
    let centre = if name.ends_with("norm") { 1.0 } else { 0.0 };
    (0..shape.iter().product())
        .map(|_| (centre + stream.uniform() - 0.5) as f32)
        .collect()
}
