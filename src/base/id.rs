//! # Ids and names: how a container is called
//!
//! A container has three names: a 64-digit hexadecimal id that is never used twice, the first twelve digits of it (which
//! are also its hostname), and a name a person can say. A network, an exec and a volume without a name get the same kind
//! of id. On the command line any *unambiguous* beginning of an id will do.
//!
//! * [`random_id`] draws 256 bits from the kernel and refuses an id whose first twelve characters are all digits, as
//!   Docker does: such a hostname would look like a number.
//! * [`resolve`] is the prefix rule: exact id, then name, then unique prefix; two matches are a refusal that says so.
//! * [`random_name`] draws `adjective_scientist`.
//!
//! See: moby `pkg/stringid`, `pkg/namesgenerator`. Next room: [`crate::units`]

use crate::{Error, Result};
use rand::RngExt;

/// A fresh id: 64 lower-case hexadecimal digits.
pub fn random_id() -> String {
    loop {
        let bytes: [u8; 32] = rand::rng().random();
        let id: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        if id[..12].bytes().any(|c| !c.is_ascii_digit()) {
            return id;
        }
    }
}

/// The twelve digits that people see; shorter texts are given back whole.
pub fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

/// Finds what `wanted` means among `(id, name)` pairs: exact id, exact name (a leading `/` is ignored), unique id prefix.
///
/// # Errors
/// [`crate::Kind::NotFound`] with `No such {noun}: {wanted}`; [`crate::Kind::InvalidParameter`] when two ids begin so.
pub fn resolve<'a>(noun: &str, wanted: &str, all: impl Iterator<Item = (&'a str, &'a str)>) -> Result<&'a str> {
    let name = wanted.strip_prefix('/').unwrap_or(wanted);
    let (mut by_name, mut by_prefix, mut many) = (None, None, false);
    for (id, its_name) in all {
        if id == wanted {
            return Ok(id);
        }
        if !name.is_empty() && its_name.strip_prefix('/').unwrap_or(its_name) == name {
            by_name = Some(id);
        }
        if !wanted.is_empty() && id.starts_with(wanted) {
            many |= by_prefix.is_some();
            by_prefix = Some(id);
        }
    }
    match (by_name, by_prefix) {
        (Some(id), _) => Ok(id),
        (None, Some(_)) if many => {
            Err(Error::invalid(format!("multiple IDs found with provided prefix: {wanted}")).hint("type more of the id"))
        }
        (None, Some(id)) => Ok(id),
        (None, None) => Err(Error::not_found(format!("No such {noun}: {wanted}"))),
    }
}

/// Whether `name` may be given to a container, volume or network: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub fn is_valid_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() >= 2
        && bytes.all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'))
}

/// A name to say: `adjective_scientist`; from the second `attempt` on with a digit behind it.
pub fn random_name(attempt: u32) -> String {
    let mut rng = rand::rng();
    let adjective = ADJECTIVES[rng.random_range(0..ADJECTIVES.len())];
    let scientist = SCIENTISTS[rng.random_range(0..SCIENTISTS.len())];
    match attempt {
        0 => format!("{adjective}_{scientist}"),
        _ => format!("{adjective}_{scientist}{}", rng.random_range(0..10u8)),
    }
}

const ADJECTIVES: &[&str] = &[
    "amber",
    "ample",
    "apt",
    "attentive",
    "awake",
    "balanced",
    "bold",
    "brave",
    "bright",
    "brisk",
    "calm",
    "candid",
    "careful",
    "cheerful",
    "clear",
    "clever",
    "cordial",
    "curious",
    "daring",
    "deft",
    "diligent",
    "eager",
    "earnest",
    "easy",
    "fair",
    "fearless",
    "fluent",
    "fond",
    "frank",
    "free",
    "gentle",
    "glad",
    "graceful",
    "grand",
    "happy",
    "hardy",
    "honest",
    "hopeful",
    "humble",
    "jolly",
    "keen",
    "kind",
    "lively",
    "lucid",
    "merry",
    "mighty",
    "mindful",
    "modest",
    "neat",
    "nimble",
    "noble",
    "open",
    "patient",
    "placid",
    "playful",
    "polite",
    "prompt",
    "proud",
    "quick",
    "quiet",
    "ready",
    "serene",
    "sharp",
    "silent",
    "sincere",
    "sober",
    "steady",
    "stoic",
    "sunny",
    "swift",
    "tender",
    "tidy",
    "trusty",
    "upbeat",
    "vivid",
    "warm",
    "wise",
    "witty",
    "zealous",
    "zen",
];

const SCIENTISTS: &[&str] = &[
    "alhazen",
    "archimedes",
    "babbage",
    "banach",
    "bartik",
    "bell",
    "blackwell",
    "bohr",
    "boole",
    "borg",
    "brahmagupta",
    "carson",
    "cerf",
    "chandrasekhar",
    "church",
    "clarke",
    "cori",
    "curie",
    "darwin",
    "dijkstra",
    "einstein",
    "elion",
    "engelbart",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "franklin",
    "galileo",
    "gauss",
    "germain",
    "goodall",
    "hamilton",
    "hawking",
    "heisenberg",
    "hertz",
    "hodgkin",
    "hopper",
    "hypatia",
    "jackson",
    "jang",
    "johnson",
    "kalam",
    "keller",
    "kepler",
    "khayyam",
    "knuth",
    "kowalevski",
    "lamarr",
    "lamport",
    "leavitt",
    "lederberg",
    "lehmann",
    "liskov",
    "lovelace",
    "matsumoto",
    "maxwell",
    "mcclintock",
    "meitner",
    "mendel",
    "mirzakhani",
    "morse",
    "neumann",
    "newton",
    "nobel",
    "noether",
    "pascal",
    "pasteur",
    "perlman",
    "pike",
    "poincare",
    "ptolemy",
    "raman",
    "ramanujan",
    "ride",
    "ritchie",
    "rubin",
    "sammet",
    "shannon",
    "shaw",
    "tesla",
    "thompson",
    "torvalds",
    "turing",
    "villani",
    "wescoff",
    "wiles",
    "wilson",
    "wing",
    "wozniak",
    "wright",
    "yalow",
    "yonath",
    "zhukovsky",
];

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(&str, &str); 3] = [("abc123", "/web"), ("abd456", "/abc"), ("ffe", "/db")];

    #[test]
    fn an_unambiguous_beginning_is_enough() {
        assert_eq!(resolve("container", "abd", ALL.into_iter()).expect("one id begins so"), "abd456");
        assert_eq!(resolve("container", "/db", ALL.into_iter()).expect("a name"), "ffe");
        assert_eq!(resolve("container", "abc", ALL.into_iter()).expect("a name beats a prefix"), "abd456");
        assert!(resolve("container", "ab", ALL.into_iter()).unwrap_err().message().contains("multiple IDs"));
        assert_eq!(resolve("container", "zz", ALL.into_iter()).unwrap_err().message(), "No such container: zz");
    }

    #[test]
    fn ids_are_64_hex_digits_and_names_are_two_words() {
        let id = random_id();
        assert!(id.len() == 64 && id.bytes().all(|c| c.is_ascii_hexdigit()));
        assert_eq!(random_name(0).split('_').count(), 2);
        assert!(is_valid_name("a_b-c.d") && !is_valid_name("-a") && !is_valid_name("a") && !is_valid_name("a b"));
    }
}
