//! The log of which recipe led to which key here: tells `reused` from `cutoff`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use ablate_core::{ActionKey, RecipeId};

use crate::{Store, StoreError, files};

impl Store {
    /// Every pair of the log. Lines cut by a kill are passed over: they only cost the word `reused`.
    pub fn recipes(&self) -> Result<BTreeMap<RecipeId, BTreeSet<ActionKey>>, StoreError> {
        let mut known: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let bytes = match fs_err::read(self.root().join("recipes.log")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(known),
            Err(error) => return Err(error.into()),
        };
        let text = String::from_utf8_lossy(&bytes);
        for (recipe, key) in text.lines().filter_map(files::unsealed_line).filter_map(pair) {
            known.entry(recipe).or_default().insert(key);
        }
        Ok(known)
    }

    /// Adds pairs to the log, in one append.
    pub fn record_recipes(&self, pairs: &[(RecipeId, ActionKey)]) -> Result<(), StoreError> {
        if pairs.is_empty() || self.is_read_only() {
            return Ok(());
        }
        let lines: String = pairs
            .iter()
            .map(|(recipe, key)| files::sealed_line(&format!("{recipe} {key}")))
            .collect();
        let path = self.root().join("recipes.log");
        self.gate.pass(&path)?;
        let mut log = fs_err::OpenOptions::new().create(true).append(true).open(&path)?;
        // A line break first: the line before may have been cut by a kill.
        log.write_all(format!("\n{lines}").as_bytes())?;
        Ok(())
    }
}

fn pair(line: &str) -> Option<(RecipeId, ActionKey)> {
    let (recipe, key) = line.split_once(' ')?;
    Some((RecipeId(recipe.parse().ok()?), ActionKey(key.parse().ok()?)))
}
