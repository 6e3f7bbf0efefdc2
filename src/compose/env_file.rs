//! # Environment files: `NAME=value`, line by line
//!
//! `env_file: common.env` gives a service the variables of a file, beneath those of `environment`. It is no shell: a value is what stands
//! behind the first `=`, quotes included; a name alone takes its value from whoever deploys.
//!
//! *See:* docker/cli `opts/file.go`. *Next room:* [`crate::load`]

use crate::interpolate::Lookup;

/// The variables of a file.
///
/// # Errors
/// A line without a name, a name with spaces, bytes that are no text; in Docker's words.
pub fn read(bytes: &[u8], lookup: Lookup) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "env file contains invalid utf8 bytes".to_string())?;
    let mut variables = Vec::new();
    for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_string())),
            None => (line.trim_end(), None),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        variables.extend(value.or_else(|| lookup(name)).map(|value| (name.to_string(), value)));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".into())
    }

    #[test]
    fn a_value_is_what_stands_behind_the_first_equals_sign() {
        let read = |text: &str| read(text.as_bytes(), &lookup);
        let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
        let text = "# c\n\n A=1\nB=\"q w\"\nHOME\nNOPE\nE=a=b #c\r\n";
        assert_eq!(read(text), Ok(vec![pair("A", "1"), pair("B", "\"q w\""), pair("HOME", "/root"), pair("E", "a=b #c")]));
        assert_eq!(read("=x"), Err("no variable name on line '=x'".into()));
        assert_eq!(read("B = 2"), Err("variable 'B ' contains whitespaces".into()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&bytes, &lookup);
        }
    }
}
