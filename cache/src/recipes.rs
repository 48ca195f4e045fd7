//! The log of which recipe led to which key here: tells `reused` from `cutoff`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Seek, SeekFrom, Write},
};

use ablate_core::{ActionKey, RecipeId};

use crate::{Store, StoreError, files};

/// What the log holds, as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct Recipes {
    keys: BTreeMap<RecipeId, BTreeSet<ActionKey>>,
    /// Bytes of the log that were read.
    read: u64,
}

impl Recipes {
    /// Whether a recipe led to a key.
    pub fn lead(&self, recipe: RecipeId, key: ActionKey) -> bool {
        self.keys.get(&recipe).is_some_and(|keys| keys.contains(&key))
    }
}

impl Store {
    /// Every pair of the log. Lines cut by a kill are passed over: they only cost the word `reused`.
    pub fn recipes(&self) -> Result<Recipes, StoreError> {
        let mut recipes = Recipes::default();
        self.read_recipes(&mut recipes)?;
        Ok(recipes)
    }

    /// Adds what was written since: the log only grows.
    pub fn read_recipes(&self, recipes: &mut Recipes) -> Result<(), StoreError> {
        let mut log = match fs_err::File::open(self.root().join("recipes.log")) {
            Ok(log) => log,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        log.seek(SeekFrom::Start(recipes.read))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        // The last line may be half written yet.
        bytes.truncate(
            bytes
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1),
        );
        recipes.read += bytes.len() as u64;
        let text = String::from_utf8_lossy(&bytes);
        for (recipe, key) in text.lines().filter_map(files::unsealed_line).filter_map(pair) {
            recipes.keys.entry(recipe).or_default().insert(key);
        }
        Ok(())
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
