//! The few-shot examples of the `ablate/*` prompts: our own passages and queries.

/// A passage with a query it answers, and a poorer one.
pub(crate) struct Shot {
    pub(crate) document: &'static str,
    pub(crate) query: &'static str,
    pub(crate) poor: &'static str,
}

pub(crate) const SHOTS: [Shot; 3] = [
    Shot {
        document: "Swifts spend almost their whole lives on the wing. They feed, drink and even sleep in the air, gliding at \
            height while one half of the brain rests at a time. Young birds that leave the nest may not land again for two or \
            three years, until they are old enough to breed and look for a hole under a roof of their own.",
        query: "do swifts ever stop flying to sleep",
        poor: "swifts and roofs",
    },
    Shot {
        document: "Concrete does not dry, it cures. Cement reacts with water and grows crystals that lock sand and gravel \
            together, and the reaction goes on for weeks. If the surface loses its water too soon, in sun or wind, the crystals \
            stop growing and the slab stays weak and dusty. This is why fresh concrete is kept wet or covered for at least a week.",
        query: "why should new concrete be kept wet",
        poor: "what is sand used for",
    },
    Shot {
        document: "In a trial with 212 adults who slept badly, half were told to stay out of bed except when sleepy and to get up \
            at the same hour every day. After eight weeks they fell asleep nineteen minutes sooner than the others and woke less \
            often. The gain was still there a year later, and was largest in people over sixty.",
        query: "does restricting time in bed improve insomnia in older adults",
        poor: "how many adults took part",
    },
];
