//! Row-wise functions with a memory: a row computed once is never computed again, whichever stage asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use crate::{Digest, Host, Part, StageError, canon};

/// Values by the digest of the row they were computed from, as a store keeps them.
pub trait RowStore: Sync {
    /// What is known of each key.
    fn recall(&self, keys: &[Digest]) -> Result<Vec<Option<Vec<u8>>>, StageError>;
    /// Keeps a value; written with others when it is time.
    fn keep(&self, key: Digest, value: Vec<u8>) -> Result<(), StageError>;
    /// Writes what waits.
    fn flush(&self) -> Result<(), StageError>;
}

impl<T: RowStore> RowStore for &T {
    fn recall(&self, keys: &[Digest]) -> Result<Vec<Option<Vec<u8>>>, StageError> {
        (**self).recall(keys)
    }
    fn keep(&self, key: Digest, value: Vec<u8>) -> Result<(), StageError> {
        (**self).keep(key, value)
    }
    fn flush(&self) -> Result<(), StageError> {
        (**self).flush()
    }
}

/// A function of rows. Its version is apart from the stage's, so that a change in how a stage puts its output together
/// does not throw away what was computed of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFunction {
    /// Its name; stages that share a function share its rows.
    pub name: &'static str,
    /// Raise when equal rows give other values.
    pub version: u32,
}

/// A value a memo can hold.
pub trait RowValue: Clone + Send + Sync {
    /// As bytes.
    fn to_bytes(&self) -> Vec<u8>;
    /// From bytes; `None` if they are no such value.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// A vector, as little-endian numbers.
impl RowValue for Vec<f32> {
    fn to_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        rest.is_empty()
            .then(|| numbers.iter().map(|x| f32::from_le_bytes(*x)).collect())
    }
}

/// The memo of one [`RowFunction`] under one meaning: the model, the parameters and whatever else its rows have in
/// common. A row's key is the digest of all that sets it apart.
pub struct Memo<'a> {
    rows: Box<dyn RowStore + 'a>,
    host: &'a dyn Host,
    /// Whether its rows stand in the report of the run.
    counted: bool,
}

/// Takes the value of the row at a place of the list of missing rows.
pub type Sink<'s, V> = &'s (dyn Fn(usize, V) -> Result<(), StageError> + Sync);

impl<'a> Memo<'a> {
    pub(crate) fn open(
        host: &'a dyn Host,
        function: RowFunction,
        meaning: canon::Value,
    ) -> Result<Self, StageError> {
        let namespace = canon::Value::map([
            ("function", canon::Value::text(function.name)),
            ("version", canon::Value::Int(function.version.into())),
            ("meaning", meaning),
        ]);
        let rows = host.memo(&namespace)?;
        Ok(Self {
            rows,
            host,
            counted: true,
        })
    }

    /// The same for what is kept beside the rows of a stage: the report of the run does not count it.
    #[must_use]
    pub fn aside(self) -> Self {
        Self {
            counted: false,
            ..self
        }
    }

    /// The value of every key. `usable` says whether a known value will do; `compute` is called with the places of
    /// keys that have none, each key once, and gives their values to the sink as they come: what the sink took is
    /// not lost when the run is killed. It is called again for what other processes left undone of
    /// their parts.
    pub fn map<V: RowValue>(
        &self,
        keys: &[Digest],
        usable: impl Fn(&V) -> bool,
        compute: impl Fn(&[usize], Sink<'_, V>) -> Result<(), StageError>,
    ) -> Result<Vec<V>, StageError> {
        let mut values = self.recall(keys, &usable)?;
        let missing = missing(keys, &values);
        if self.counted {
            self.host
                .count_rows(missing.len() as u64, (keys.len() - missing.len()) as u64);
        }
        let part = self.part(missing.len())?;
        let own: Vec<usize> = missing
            .iter()
            .copied()
            .filter(|at| part.holds(&keys[*at]))
            .collect();
        self.fill(keys, &own, &compute, &mut values)?;
        if part != Part::ALL {
            self.host.join()?;
            let others: Vec<Digest> = missing.iter().map(|at| keys[*at]).collect();
            values.extend(self.recall(&others, &usable)?);
            let left = self::missing(keys, &values);
            self.fill(keys, &left, &compute, &mut values)?;
        }
        let value = |key| values.get(key).cloned();
        keys.iter()
            .map(|key| value(key).ok_or_else(|| StageError::new("a row was left without a value")))
            .collect()
    }

    /// The rows of a stage may be shared with other processes, what is kept beside them never.
    fn part(&self, missing: usize) -> Result<Part, StageError> {
        match self.counted {
            true => self.host.share(missing),
            false => Ok(Part::ALL),
        }
    }

    fn recall<V: RowValue>(
        &self,
        keys: &[Digest],
        usable: impl Fn(&V) -> bool,
    ) -> Result<BTreeMap<Digest, V>, StageError> {
        let recalled = self.rows.recall(keys)?;
        let known = recalled
            .into_iter()
            .map(|bytes| bytes.and_then(|bytes| V::from_bytes(&bytes)).filter(&usable));
        let known = keys.iter().zip(known);
        Ok(known.filter_map(|(key, value)| Some((*key, value?))).collect())
    }

    /// Computes and keeps the values of the keys at `places`.
    fn fill<V: RowValue>(
        &self,
        keys: &[Digest],
        places: &[usize],
        compute: impl Fn(&[usize], Sink<'_, V>) -> Result<(), StageError>,
        values: &mut BTreeMap<Digest, V>,
    ) -> Result<(), StageError> {
        if places.is_empty() {
            return Ok(());
        }
        let computed = Mutex::new(values);
        let sink = |at: usize, value: V| {
            let key = keys[places[at]];
            self.rows.keep(key, value.to_bytes())?;
            computed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, value);
            Ok(())
        };
        compute(places, &sink)?;
        self.rows.flush()
    }
}

/// The first place of every key without a value, in their order.
fn missing<V>(keys: &[Digest], values: &BTreeMap<Digest, V>) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let new = |at: &usize| !values.contains_key(&keys[*at]) && seen.insert(keys[*at]);
    (0..keys.len()).filter(new).collect()
}

/// Rows in memory, for hosts without a store.
#[derive(Debug, Default)]
pub struct MemoryRows(Mutex<BTreeMap<Digest, Vec<u8>>>);

impl RowStore for MemoryRows {
    fn recall(&self, keys: &[Digest]) -> Result<Vec<Option<Vec<u8>>>, StageError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
    }
    fn keep(&self, key: Digest, value: Vec<u8>) -> Result<(), StageError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, value);
        Ok(())
    }
    fn flush(&self) -> Result<(), StageError> {
        Ok(())
    }
}
