//! The figures as CSV (RFC 4180, long form): what a data frame wants.

use crate::{
    Table,
    long::{Value, long},
};

/// One line per row and measure in full precision; empty where there is none.
pub fn csv(table: &Table) -> String {
    let (names, lines) = long(table);
    let header = line(names.iter().map(|name| field(name)));
    let lines = lines.iter().map(|values| line(values.iter().map(text)));
    header + &lines.collect::<String>()
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.as_deref().map(field).unwrap_or_default(),
        Value::Number(number) => optional(*number),
        Value::Count(count) => optional(*count),
        Value::Flag(flag) => optional(*flag),
    }
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn line(fields: impl Iterator<Item = String>) -> String {
    fields.collect::<Vec<_>>().join(",") + "\n"
}

/// Quoted where it must be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Options, arm::samples::arm, table};

    #[test]
    fn one_line_per_row_and_measure() {
        let arms = [
            arm("bm25", &[], None, "AP", &[0.5, 0.25]),
            arm("s", &[("size", "8,\"b\"")], Some("1"), "AP", &[0.5, 0.5]),
            arm("s", &[("size", "8,\"b\"")], Some("2"), "AP", &[0.5, 0.0]),
        ];
        let table = table(&arms, &Options::default()).unwrap();
        let expected = "system,collection,size,measure,mean,sd,n,n_queries,delta,p,se,method,ci_low,ci_high,effect,wins,\
                        ties,losses,p_equivalence,equivalent,detectable,queries_needed,seeds_needed,p_seeds,within_seed_noise\n\
                        bm25,demo,,AP,0.375,,1,2,,,0.125,,,,,,,,,,,,,,\n\
                        s,demo,\"8,\"\"b\"\"\",AP,0.375,0.1767766952966369,2,2,,,0.125,,,,,,,,,,,,,,\n";
        assert_eq!(csv(&table), expected);
    }
}
