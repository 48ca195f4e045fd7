//! The grammar of ir_measures' names: `Family(parameter=value,…)@cutoff`.

use std::collections::BTreeMap;

use ablate_core::similar;

/// A name in its parts, each parameter still to be taken.
#[derive(Debug)]
pub(crate) struct Name<'a> {
    /// The family, as in `nDCG`.
    pub(crate) family: &'a str,
    parameters: BTreeMap<&'a str, &'a str>,
    /// What follows `@`.
    pub(crate) at: Option<&'a str>,
}

impl<'a> Name<'a> {
    /// Takes a name apart; the message says what is wrong with its form.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let (head, at) = match text.rsplit_once('@') {
            Some((head, at)) => (head, Some(at.trim())),
            None => (text, None),
        };
        let (family, inside) = match head.split_once('(') {
            None => (head, ""),
            Some((family, rest)) => {
                let inside = rest
                    .trim_end()
                    .strip_suffix(')')
                    .ok_or("a closing parenthesis is missing, as in `P(rel=2)@10`")?;
                (family, inside)
            }
        };
        let mut parameters = BTreeMap::new();
        for part in split(inside) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("write a parameter as `name=value`, not `{part}`"))?;
            if parameters.insert(key.trim(), value.trim()).is_some() {
                return Err(format!("`{}` stands twice", key.trim()));
            }
        }
        Ok(Self {
            family: family.trim(),
            parameters,
            at,
        })
    }

    /// Refuses parameters the family does not have.
    pub(crate) fn allow(&self, known: &[&str]) -> Result<(), String> {
        let Some(unknown) = self.parameters.keys().find(|key| !known.contains(key)) else {
            return Ok(());
        };
        Err(match similar(unknown, known.iter().copied()).first() {
            Some(best) => format!("it has no parameter `{unknown}`: did you mean `{best}`?"),
            None if known.is_empty() => "it has no parameters".into(),
            None => format!("it has no parameter `{unknown}`, only {}", known.join(", ")),
        })
    }

    /// A parameter read by `read`; `None` where it is not given.
    pub(crate) fn take<T>(
        &self,
        key: &str,
        form: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(text) = self.parameters.get(key) else {
            return Ok(None);
        };
        read(text)
            .map(Some)
            .ok_or_else(|| format!("`{key}` must be {form}, not `{text}`"))
    }

    /// A whole number.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i32>, String> {
        self.take(key, "a whole number", |text| text.parse().ok())
    }

    /// `True` or `False`; false where it is not given.
    pub(crate) fn truth(&self, key: &str) -> Result<bool, String> {
        let read = |text: &str| match text {
            "True" | "true" => Some(true),
            "False" | "false" => Some(false),
            _ => None,
        };
        Ok(self.take(key, "True or False", read)?.unwrap_or(false))
    }
}

/// A string literal without its quotes.
pub(crate) fn unquoted(text: &str) -> Option<&str> {
    ['\'', '"']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

/// A map literal of whole numbers, as in `{1:0,2:1}`.
pub(crate) fn integer_map(text: &str) -> Option<BTreeMap<i32, i32>> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let pair = |part: &str| {
        let (key, value) = part.split_once(':')?;
        Some((key.trim().parse().ok()?, value.trim().parse().ok()?))
    };
    split(inside).into_iter().map(pair).collect()
}

/// Splits at the commas outside of braces; nothing for an empty text.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0usize;
    let parts = text.split(|letter: char| {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}
