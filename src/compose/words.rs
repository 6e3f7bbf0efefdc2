//! # Words: a command line in one text
//!
//! `command: sh -c 'echo hi'` is one text and three words. It is split as a shell splits, and nothing else is done to it: no variables,
//! no globs, no shell.
//!
//! ```text
//!   sh -c 'echo "hi" there'   ──►   sh · -c · echo "hi" there
//!   a\ b  "c $d"  # more      ──►   a b · c $d
//! ```
//!
//! *See:* google/shlex, which Docker uses; POSIX shell §2.2. *Next room:* [`crate::project`]

/// The words of a text.
///
/// # Errors
/// Quotes that do not close; a backslash at the end. In Docker's words.
pub fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => while letters.next().is_some_and(|c| c != '\n') {},
            '\\' => word.get_or_insert_default().push(letters.next().ok_or("EOF found after escape character")?),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or("EOF found when expecting closing quote")? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or("EOF found when expecting closing quote")? {
                        '"' => break,
                        '\\' => word.push(letters.next().ok_or("EOF found after escape character")?),
                        c => word.push(c),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_split_as_a_shell_splits() {
        assert_eq!(split("sh -c 'echo \"hi\" there'").expect("words"), ["sh", "-c", "echo \"hi\" there"]);
        assert_eq!(split(" a\\ b \"c $d\\\"\" e'f'g # more\n h").expect("words"), ["a b", "c $d\"", "efg", "h"]);
        assert_eq!(split("a ''").expect("words"), ["a", ""]);
        assert_eq!(split("a \"b"), Err("EOF found when expecting closing quote"));
        assert_eq!(split("a \\"), Err("EOF found after escape character"));
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[a-z $\"#\\\\\n]{0,6}", 0..5)) {
            let text: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            prop_assert_eq!(split(&text.join(" ")), Ok(words));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,30}") {
            let _ = split(&text);
        }
    }
}
