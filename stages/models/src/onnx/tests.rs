use super::*;

fn tensor(name: &str, shape: &[usize], data: &[f32]) -> Tensor<'static> {
    Tensor {
        shape: shape.to_vec(),
        data_type: 1,
        floats: data.to_vec(),
        name: name.into(),
        ..Tensor::default()
    }
}

fn bytes(name: &str, shape: &[usize], data: &'static [u8]) -> Tensor<'static> {
    Tensor {
        shape: shape.to_vec(),
        data_type: 2,
        raw: data,
        name: name.into(),
        ..Tensor::default()
    }
}

fn node(kind: &str, input: &[&str], output: &str) -> Node {
    Node {
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.into()],
        kind: kind.into(),
        numbers: vec![],
    }
}

fn parameters(
    nodes: Vec<Node>,
    initialisers: Vec<Tensor<'static>>,
) -> Result<BTreeMap<String, Parameter>, String> {
    Graph::new(&Model { nodes, initialisers }).parameters()
}

#[test]
fn a_float_layer_is_named_after_its_bias_and_transposed() {
    let nodes = vec![
        node("MatMul", &["x", "onnx::MatMul_1"], "y"),
        node("Add", &["a.bias", "y"], "z"),
    ];
    let tensors = vec![
        tensor("onnx::MatMul_1", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        tensor("a.bias", &[3], &[7.0, 8.0, 9.0]),
    ];
    let found = parameters(nodes, tensors).unwrap();
    assert_eq!(
        found["a.weight"],
        (vec![3, 2], vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0])
    );
    assert_eq!(found["a.bias"].1, [7.0, 8.0, 9.0]);
    assert_eq!(found.len(), 2);
}

#[test]
fn gemm_keeps_what_is_transposed_already() {
    let mut gemm = node("Gemm", &["x", "a.weight", "a.bias"], "y");
    gemm.numbers.push(("transB".into(), 1));
    let tensors = vec![
        tensor("a.weight", &[1, 2], &[1.0, 2.0]),
        tensor("a.bias", &[1], &[3.0]),
    ];
    assert_eq!(
        parameters(vec![gemm], tensors).unwrap()["a.weight"],
        (vec![1, 2], vec![1.0, 2.0])
    );
}

/// Dynamic quantisation with a scale and a zero point for each output.
#[test]
fn an_integer_product_is_dequantised_by_column() {
    let nodes = vec![
        node(
            "MatMulInteger",
            &["x", "w_quantized", "x_zero_point", "w_zero_point"],
            "y",
        ),
        node("Cast", &["y"], "cast"),
        node("Mul", &["x_scale", "w_scale"], "scales"),
        node("Mul", &["cast", "scales"], "scaled"),
        node("Add", &["scaled", "a.bias"], "out"),
    ];
    let tensors = vec![
        bytes("w_quantized", &[2, 2], &[130, 10, 126, 30]),
        tensor("w_scale", &[2], &[0.5, 0.25]),
        bytes("w_zero_point", &[2], &[128, 20]),
        tensor("a.bias", &[2], &[0.0, 0.0]),
    ];
    let found = parameters(nodes, tensors).unwrap();
    assert_eq!(found["a.weight"], (vec![2, 2], vec![1.0, -1.0, -2.5, 2.5]));
}

#[test]
fn an_embedding_is_dequantised_behind_its_gather() {
    let nodes = vec![
        node("Gather", &["e.weight_quantized", "ids"], "rows"),
        node(
            "DequantizeLinear",
            &["rows", "e.weight_scale", "e.weight_zero_point"],
            "out",
        ),
    ];
    let tensors = vec![
        bytes("e.weight_quantized", &[2, 2], &[1, 2, 3, 4]),
        tensor("e.weight_scale", &[], &[2.0]),
        bytes("e.weight_zero_point", &[], &[1]),
    ];
    let found = parameters(nodes, tensors).unwrap();
    assert_eq!(found["e.weight"], (vec![2, 2], vec![0.0, 2.0, 4.0, 6.0]));
    assert_eq!(found.len(), 1);
}

/// Static quantisation: the product's input and output are quantised too, the weight through `DequantizeLinear`.
#[test]
fn a_statically_quantised_layer_is_found_through_its_quantisers() {
    let nodes = vec![
        node("DequantizeLinear", &["onnx::MatMul_1_quantized", "s", "z"], "w"),
        node("MatMul", &["x", "w"], "y"),
        node("QuantizeLinear", &["y", "s", "z"], "q"),
        node("DequantizeLinear", &["q", "s", "z"], "d"),
        node("DequantizeLinear", &["a.bias_quantized", "s"], "b"),
        node("Add", &["b", "d"], "out"),
    ];
    let tensors = vec![
        bytes("onnx::MatMul_1_quantized", &[1, 2], &[3, 5]),
        tensor("s", &[], &[0.5]),
        bytes("z", &[], &[1]),
        bytes("a.bias_quantized", &[2], &[4, 6]),
    ];
    let found = parameters(nodes, tensors).unwrap();
    assert_eq!(found["a.weight"], (vec![2, 1], vec![1.0, 2.0]));
    assert_eq!(found["a.bias"].1, [2.0, 3.0]);
}

#[test]
fn damage_is_named() {
    let short = vec![tensor("a.bias", &[3], &[1.0])];
    let message = parameters(vec![], short).unwrap_err();
    assert_eq!(message, "`a.bias` has 1 numbers, its shape asks for 3");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), b"\x3a\xff\xff not a model").unwrap();
    let message = read(file.path()).unwrap_err().to_string();
    assert!(message.contains("cannot be read as an ONNX model"), "{message}");
}
