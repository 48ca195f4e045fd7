//! Porter's stemmer (M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980), as Lucene's
//! PorterStemFilter has it. Not Snowball's English stemmer, which is Porter's second algorithm.

/// The stem of a lower-case word. Words with other than ASCII letters are left alone.
pub fn stem(word: &str) -> String {
    if word.len() <= 2 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let mut stem = Word(word.as_bytes().to_vec());
    stem.step_1a();
    stem.step_1b();
    stem.step_1c();
    stem.replace_first(STEP_2, 0);
    stem.replace_first(STEP_3, 0);
    stem.step_4();
    stem.step_5();
    stem.0.into_iter().map(char::from).collect()
}

/// Suffixes with what replaces them; the longest that fits counts, as the tables are ordered.
type Rules = &'static [(&'static str, &'static str)];

const STEP_2: Rules = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];

const STEP_3: Rules = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

const STEP_4: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism",
    "ate", "iti", "ous", "ive", "ize",
];

struct Word(Vec<u8>);

impl Word {
    fn is_consonant(&self, at: usize) -> bool {
        match self.0[at] {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => at == 0 || !self.is_consonant(at - 1),
            _ => true,
        }
    }

    /// The measure m of the first `length` letters: how often a vowel is followed by a consonant.
    fn measure(&self, length: usize) -> usize {
        (1..length)
            .filter(|at| self.is_consonant(*at) && !self.is_consonant(at - 1))
            .count()
    }

    fn has_vowel(&self, length: usize) -> bool {
        (0..length).any(|at| !self.is_consonant(at))
    }

    fn ends(&self, suffix: &str) -> Option<usize> {
        self.0
            .ends_with(suffix.as_bytes())
            .then(|| self.0.len() - suffix.len())
    }

    fn doubled(&self) -> bool {
        let n = self.0.len();
        n >= 2 && self.0[n - 1] == self.0[n - 2] && self.is_consonant(n - 1)
    }

    /// Consonant, vowel, consonant at the end of the first `length` letters, the last not w, x or y.
    fn is_cvc(&self, length: usize) -> bool {
        length >= 3
            && self.is_consonant(length - 1)
            && !self.is_consonant(length - 2)
            && self.is_consonant(length - 3)
            && !matches!(self.0[length - 1], b'w' | b'x' | b'y')
    }

    fn set(&mut self, length: usize, ending: &str) {
        self.0.truncate(length);
        self.0.extend(ending.bytes());
    }

    fn step_1a(&mut self) {
        if let Some(at) = self.ends("sses").or(self.ends("ies")) {
            self.0.truncate(at + self.0.len() - at - 2);
        } else if self.ends("ss").is_none() && self.ends("s").is_some() {
            self.0.pop();
        }
    }

    fn step_1b(&mut self) {
        if let Some(at) = self.ends("eed") {
            if self.measure(at) > 0 {
                self.0.pop();
            }
            return;
        }
        let Some(at) = self
            .ends("ed")
            .or(self.ends("ing"))
            .filter(|at| self.has_vowel(*at))
        else {
            return;
        };
        self.0.truncate(at);
        let n = self.0.len();
        if self.ends("at").or(self.ends("bl")).or(self.ends("iz")).is_some() {
            self.0.push(b'e');
        } else if self.doubled() && !matches!(self.0[n - 1], b'l' | b's' | b'z') {
            self.0.pop();
        } else if self.measure(n) == 1 && self.is_cvc(n) {
            self.0.push(b'e');
        }
    }

    fn step_1c(&mut self) {
        if let Some(at) = self.ends("y").filter(|at| self.has_vowel(*at)) {
            self.set(at, "i");
        }
    }

    /// Applies the rule of the longest fitting suffix if its stem's measure is above `above`.
    fn replace_first(&mut self, rules: Rules, above: usize) {
        let fitting = rules.iter().filter_map(|rule| Some((self.ends(rule.0)?, rule.1)));
        if let Some((at, ending)) = fitting.min_by_key(|(at, _)| *at)
            && self.measure(at) > above
        {
            self.set(at, ending);
        }
    }

    fn step_4(&mut self) {
        let fitting = STEP_4
            .iter()
            .filter_map(|suffix| Some((self.ends(suffix)?, *suffix)));
        let Some((at, suffix)) = fitting.min_by_key(|(at, _)| *at) else {
            return;
        };
        let ion = suffix != "ion" || (at > 0 && matches!(self.0[at - 1], b's' | b't'));
        if ion && self.measure(at) > 1 {
            self.0.truncate(at);
        }
    }

    fn step_5(&mut self) {
        if let Some(at) = self.ends("e") {
            let measure = self.measure(at);
            if measure > 1 || (measure == 1 && !self.is_cvc(at)) {
                self.0.pop();
            }
        }
        if self.doubled() && self.0.ends_with(b"l") && self.measure(self.0.len()) > 1 {
            self.0.pop();
        }
    }
}

#[cfg(test)]
#[allow(clippy::too_many_lines)]
mod tests {
    use super::stem;

    /// The examples of Porter's paper, step by step.
    #[test]
    fn the_papers_examples() {
        let pairs = [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("ties", "ti"),
            ("caress", "caress"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("troubled", "troubl"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("tanned", "tan"),
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("fizzed", "fizz"),
            ("failing", "fail"),
            ("filing", "file"),
            ("happy", "happi"),
            ("sky", "sky"),
            ("relational", "relat"),
            ("conditional", "condit"),
            ("rational", "ration"),
            ("valenci", "valenc"),
            ("digitizer", "digit"),
            ("operator", "oper"),
            ("feudalism", "feudal"),
            ("decisiveness", "decis"),
            ("hopefulness", "hope"),
            ("formaliti", "formal"),
            ("sensibiliti", "sensibl"),
            ("triplicate", "triplic"),
            ("formative", "form"),
            ("formalize", "formal"),
            ("electrical", "electr"),
            ("hopeful", "hope"),
            ("goodness", "good"),
            ("revival", "reviv"),
            ("allowance", "allow"),
            ("inference", "infer"),
            ("airliner", "airlin"),
            ("adjustable", "adjust"),
            ("defensible", "defens"),
            ("irritant", "irrit"),
            ("replacement", "replac"),
            ("adjustment", "adjust"),
            ("dependent", "depend"),
            ("adoption", "adopt"),
            ("communism", "commun"),
            ("activate", "activ"),
            ("effective", "effect"),
            ("bowdlerize", "bowdler"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("cease", "ceas"),
            ("controll", "control"),
            ("roll", "roll"),
        ];
        for (word, expected) in pairs {
            assert_eq!(stem(word), expected, "{word}");
        }
    }
}
