//! A tiny generator in one GGUF file (version 3), written here byte by byte: readers are tested against the format.
#![allow(clippy::unwrap_used)]

use ablate_core::Seed;

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
    let folder = tempfile::tempdir().unwrap();
    let tokens = tokens();
    let (tensors, metadata) = (tensors(tokens.len()), metadata(&tokens));
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((metadata.len() as u64).to_le_bytes());
    for (name, value) in &metadata {
        file.extend(text(name));
        file.extend(value);
    }
    let mut numbers = Vec::new();
    for (name, shape) in &tensors {
        file.extend(text(&format!("{name}.weight")));
        file.extend((shape.len() as u32).to_le_bytes());
        // The innermost dimension first; 0 is f32. Every tensor fills whole blocks of 32 bytes, so none needs padding.
        (shape.iter().rev()).for_each(|n| file.extend((*n as u64).to_le_bytes()));
        file.extend(0_u32.to_le_bytes());
        file.extend((numbers.len() as u64).to_le_bytes());
        numbers.extend(random(name, shape).iter().flat_map(|x| x.to_le_bytes()));
    }
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(numbers);
    fs_err::write(folder.path().join("tiny.gguf"), file).unwrap();
    folder
}

/// A text as GGUF writes it: its length, then its bytes.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A value after its type.
fn value(kind: u32, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), bytes].concat()
}

/// An array of values of one type.
fn array(kind: u32, items: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let count = (items.len() as u64).to_le_bytes();
    let head = [&kind.to_le_bytes()[..], &count].concat();
    value(ARRAY, &items.fold(head, |all, item| [all, item].concat()))
}

/// The texts of the tokens, bytes as GPT-2 writes them: those that print as they are, the others from U+0100 on.
fn tokens() -> Vec<String> {
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
    let pairs = MERGES.map(|pair| pair.concat());
    bytes
        .into_iter()
        .chain(["<|endoftext|>".to_owned()])
        .chain(pairs)
        .collect()
}

/// The types of values used here, by their numbers in the format.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

fn metadata(tokens: &[String]) -> Vec<(&'static str, Vec<u8>)> {
    let word = |word: &str| value(STRING, &text(word));
    let number = |number: usize| value(U32, &(number as u32).to_le_bytes());
    let real = |real: f32| value(F32, &real.to_le_bytes());
    let kind = |at: usize| if at == END { 3_i32 } else { 1 }.to_le_bytes().to_vec();
    let [hidden, inner, _] = WIDTHS;
    vec![
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
        ("tokenizer.ggml.pre", word("smollm")),
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
            array(STRING, MERGES.iter().map(|pair| text(&pair.join(" ")))),
        ),
        ("tokenizer.ggml.eos_token_id", number(END)),
    ]
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
