//! How the rows of two tables of one kind differ: what was added, dropped and changed.

use std::cmp::Ordering;

use ablate_core::{
    ArtifactKind, Record, RowsError,
    rows::{Document, Judgement, Pair, Query, Triple},
};
use arrow::array::RecordBatch;
use serde::Serialize;
use serde_json::Value;

/// How many rows of each sort are shown.
const SHOWN: usize = 3;

/// The rows of a table beside those of another one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowChanges {
    /// Rows of the first table.
    pub before: usize,
    /// Rows of the second table.
    pub after: usize,
    /// Rows whose key only the second has.
    pub added: usize,
    /// Rows whose key only the first has.
    pub dropped: usize,
    /// Rows of both whose other columns differ.
    pub changed: usize,
    /// A few of them, the first of each sort: the row before and after; null where there is none.
    pub examples: Vec<(Value, Value)>,
}

/// Compares two tables of `kind`, each in its sort order. `None` for kinds whose rows nobody reads one by one.
///
/// # Errors
/// If a table is not of `kind`.
pub fn row_changes(
    kind: ArtifactKind,
    before: &RecordBatch,
    after: &RecordBatch,
) -> Result<Option<RowChanges>, RowsError> {
    fn of<R: Record + PartialEq + Serialize>(
        before: &RecordBatch,
        after: &RecordBatch,
    ) -> Result<RowChanges, RowsError> {
        Ok(merge(&R::decode(before)?, &R::decode(after)?))
    }
    Ok(Some(match kind {
        ArtifactKind::Corpus => of::<Document>(before, after)?,
        ArtifactKind::Queries => of::<Query>(before, after)?,
        ArtifactKind::Qrels => of::<Judgement>(before, after)?,
        ArtifactKind::Pairs => of::<Pair>(before, after)?,
        ArtifactKind::Triples => of::<Triple>(before, after)?,
        _ => return Ok(None),
    }))
}

/// Walks both tables at once.
fn merge<R: Record + PartialEq + Serialize>(before: &[R], after: &[R]) -> RowChanges {
    let mut found = RowChanges {
        before: before.len(),
        after: after.len(),
        ..RowChanges::default()
    };
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.compare(b),
        };
        let (a, b) = (old.next_if(|_| order.is_le()), new.next_if(|_| order.is_ge()));
        let count = match order {
            Ordering::Less => &mut found.dropped,
            Ordering::Greater => &mut found.added,
            Ordering::Equal if a == b => continue,
            Ordering::Equal => &mut found.changed,
        };
        *count += 1;
        if *count <= SHOWN {
            found.examples.push((json(a), json(b)));
        }
    }
}

fn json<R: Serialize>(row: Option<&R>) -> Value {
    row.and_then(|row| serde_json::to_value(row).ok())
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn queries(rows: &[(&str, &str)]) -> RecordBatch {
        let row = |(query_id, text): &(&str, &str)| Query {
            query_id: (*query_id).into(),
            text: (*text).into(),
        };
        Query::encode(&rows.iter().map(row).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn added_dropped_and_changed_rows() {
        let before = queries(&[("a", "one"), ("b", "two"), ("c", "three"), ("d", "four")]);
        let after = queries(&[("0", "new"), ("b", "TWO"), ("c", "three"), ("d", "four")]);
        let found = row_changes(ArtifactKind::Queries, &before, &after)
            .unwrap()
            .unwrap();
        assert_eq!((found.added, found.dropped, found.changed), (1, 1, 1));
        let expected = [
            (json!(null), json!({"query_id": "0", "text": "new"})),
            (json!({"query_id": "a", "text": "one"}), json!(null)),
            (
                json!({"query_id": "b", "text": "two"}),
                json!({"query_id": "b", "text": "TWO"}),
            ),
        ];
        assert_eq!(found.examples, expected);
    }

    #[test]
    fn equal_tables_do_not_differ_and_runs_are_not_read_row_by_row() {
        let one = queries(&[("a", "one")]);
        let found = row_changes(ArtifactKind::Queries, &one, &one).unwrap().unwrap();
        assert_eq!((found.before, found.after, found.examples.len()), (1, 1, 0));
        assert_eq!(row_changes(ArtifactKind::Run, &one, &one).unwrap(), None);
        assert!(row_changes(ArtifactKind::Pairs, &one, &one).is_err());
    }
}
