//! # Did you mean …?
//!
//! A wrong word is most often a right word with one slip: a letter too many, too few, another, or two swapped. Sometimes it
//! is the right word of another program: `delete` for `rm`, `ssh` for `exec`. [`closest`] finds what was meant.
//!
//! ```text
//!   imabe    ──1 slip──────▶ image          execute ──begins with──▶ exec
//!   datach   ──1 slip──────▶ detach         det     ──beginning of─▶ detach
//!   remove   ──other word──▶ rm             xyzzy   ──▶ nothing: a bad guess is worse than none
//! ```
//!
//! The slips are counted by [`distance`].
//!
//! Laws: a word of three letters may have one slip, and one more for each four letters; among equals the one that begins alike
//! wins, then the one of the same length.
//! *See:* Damerau–Levenshtein distance · acceptance.md block A2. *Next room:* [`crate::words`]

use minidock_compose::finding::distance;

/// Words that people bring from elsewhere, and what they mean here, best first.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("delete", &["rm"]),
    ("del", &["rm"]),
    ("remove", &["rm"]),
    ("destroy", &["rm"]),
    ("list", &["ls", "ps"]),
    ("ls", &["ps"]),
    ("show", &["inspect"]),
    ("describe", &["inspect"]),
    ("status", &["ps", "stats"]),
    ("ssh", &["exec"]),
    ("shell", &["exec"]),
    ("enter", &["exec"]),
    ("bash", &["exec"]),
    ("download", &["pull"]),
    ("upload", &["push"]),
    ("suspend", &["pause"]),
    ("resume", &["unpause"]),
    ("halt", &["stop"]),
    ("terminate", &["kill"]),
    ("log", &["logs"]),
    ("copy", &["cp"]),
    ("prune", &["system prune"]),
    ("cleanup", &["prune", "system prune"]),
    ("clean", &["prune", "system prune"]),
    ("gc", &["prune", "system prune"]),
];

/// The known word that `typed` most likely means, if any is near enough.
pub fn closest(typed: &str, known: &[&str]) -> Option<String> {
    let typed = typed.to_lowercase();
    if typed.is_empty() {
        return None;
    }
    let length = typed.chars().count();
    let is_known = |words: &&&str| words.split(' ').next().is_some_and(|first| known.contains(&first));
    let elsewhere = || ELSEWHERE.iter().find(|(word, _)| *word == typed)?.1.iter().find(is_known);
    let slip = || {
        let near = known.iter().map(|word| (distance(&typed, word), word));
        let near = near.filter(|(slips, word)| *slips <= allowed(length.max(word.chars().count())) && *slips < length);
        near.min_by_key(|(slips, word)| (*slips, !begins_alike(&typed, word), typed.len().abs_diff(word.len())))
            .map(|(_, word)| word)
    };
    let beginning = || known.iter().filter(|word| length > 1 && word.starts_with(&typed)).min_by_key(|word| word.len());
    let begins = || known.iter().filter(|word| word.len() > 2 && typed.starts_with(**word)).max_by_key(|word| word.len());
    elsewhere().or_else(slip).or_else(beginning).or_else(begins).map(|word| word.to_string())
}

/// How many slips a word of this length may have.
fn allowed(length: usize) -> usize {
    match length {
        0..=2 => 0,
        _ => 1 + (length - 3) / 4,
    }
}

fn begins_alike(a: &str, b: &str) -> bool {
    a.chars().next() == b.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;
    use proptest::prelude::*;

    fn commands() -> Vec<&'static str> {
        let words = command::all().flat_map(|c| std::iter::once(c.path).chain(c.also.iter().copied()));
        words.filter(|word| !word.contains(' ')).chain(command::GROUPS.iter().map(|group| group.name)).collect()
    }

    fn verbs(group: &str) -> Vec<&'static str> {
        command::GROUPS.iter().filter(|g| g.name == group).flat_map(|g| g.commands).map(|c| c.verb()).collect()
    }

    fn flags(path: &str) -> Vec<String> {
        let command = command::all().find(|c| c.path == path).expect("a command");
        (command.build)().get_arguments().filter_map(|arg| arg.get_long().map(str::to_string)).collect()
    }

    #[test]
    fn the_slips_of_the_students_notes_are_understood() {
        assert_eq!(closest("imabe", &commands()).as_deref(), Some("image"));
        assert_eq!(closest("execute", &verbs("container")).as_deref(), Some("exec"));
        let build = flags("image build");
        assert_eq!(closest("tage", &build.iter().map(String::as_str).collect::<Vec<_>>()).as_deref(), Some("tag"));
        let run = flags("container run");
        assert_eq!(closest("datach", &run.iter().map(String::as_str).collect::<Vec<_>>()).as_deref(), Some("detach"));
    }

    #[test]
    fn common_slips_and_words_from_elsewhere_are_understood() {
        let commands = commands();
        for (typed, meant) in [
            ("rnu", "run"),
            ("rum", "run"),
            ("inspet", "inspect"),
            ("contianer", "container"),
            ("containers", "container"),
            ("vol", "volume"),
            ("volumes", "volume"),
            ("IMAGES", "images"),
            ("delete", "rm"),
            ("ssh", "exec"),
            ("ls", "ps"),
            ("log", "logs"),
            ("prune", "system prune"),
            ("attatch", "attach"),
        ] {
            assert_eq!(closest(typed, &commands).as_deref(), Some(meant), "{typed}");
        }
        assert_eq!(closest("list", &["ls", "rm"]).as_deref(), Some("ls"));
    }

    #[test]
    fn a_bad_guess_is_worse_than_none() {
        let commands = commands();
        for typed in ["xyzzy", "kubernetes", "foo", "x", "", "zz"] {
            assert_eq!(closest(typed, &commands), None, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn a_known_word_is_itself_and_distance_is_a_distance(a in "[a-z]{0,8}", b in "[a-z]{0,8}") {
            prop_assert_eq!(distance(&a, &a), 0);
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert!(distance(&a, &b) <= a.len().max(b.len()));
            let _ = closest(&a, &[&b]);
        }
    }
}
