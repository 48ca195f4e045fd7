use proptest::prelude::*;

use super::*;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|i| Value::Int(i.into())),
        any::<f64>()
            .prop_filter("NaN is refused", |x| !x.is_nan())
            .prop_map(|x| Value::Float(x + 0.0)),
        ".{0,6}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(".{0,3}", inner, 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn encoding_is_injective(a in values(), b in values()) {
        prop_assert_eq!(a == b, a.encode() == b.encode());
    }

    #[test]
    fn a_changed_leaf_changes_the_encoding(v in values(), w in values()) {
        let pair = |x: &Value| Value::List(vec![x.clone(), Value::Int(0)]).encode();
        prop_assert_eq!(v == w, pair(&v) == pair(&w));
    }

    #[test]
    fn finite_values_survive_json(v in values()) {
        prop_assume!(!format!("{v:?}").contains("inf"));
        let text = serde_json::to_string(&v).unwrap();
        let back: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(back.encode(), v.encode());
    }
}

#[derive(Serialize)]
struct A {
    x: f64,
    y: u8,
}
#[derive(Serialize)]
struct B {
    y: u64,
    z: Option<u8>,
    x: f32,
}

#[test]
fn meaning_not_spelling() {
    let a = Value::of(&A { x: -0.0, y: 3 }).unwrap();
    let b = Value::of(&B {
        y: 3,
        z: None,
        x: 0.0,
    })
    .unwrap();
    assert_eq!(a.encode(), b.encode());
    assert_ne!(
        Value::of(&vec!["ab", "c"]).unwrap().encode(),
        Value::of(&vec!["a", "bc"]).unwrap().encode()
    );
    assert_ne!(
        Value::of(&vec![None, Some(1)]).unwrap().encode(),
        Value::of(&vec![Some(1), None]).unwrap().encode()
    );
    assert!(Value::of(&f64::NAN).is_err());
}
