//! # A project's name: what stands in front of everything it makes
//!
//! Two copies of a file in two folders are two projects: their containers, networks and volumes differ by the name in front. It is said
//! (`-p`, COMPOSE_PROJECT_NAME, `name:`), or it is the folder's, in letters that every name may have.
//!
//! ```text
//!   /home/ann/My App  ──►  myapp  ──►  myapp-web-1 · myapp_default · myapp_data
//! ```
//!
//! *See:* compose-go `loader.NormalizeProjectName`. *Next room:* [`super::project`]

use minidock_base::{Error, Result};

/// A folder's name, without what no name may have.
pub fn normalised(folder: &str) -> String {
    let lower = folder.to_lowercase();
    let kept: String = lower.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
    kept.trim_start_matches(['_', '-']).to_string()
}

/// A name that somebody has said.
///
/// # Errors
/// Docker's `invalid project name`.
pub fn checked(name: &str) -> Result<&str> {
    match !name.is_empty() && name == normalised(name) {
        true => Ok(name),
        false => Err(Error::invalid(format!(
            "invalid project name {name:?}: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_folder_gives_a_name_and_a_wrong_name_is_refused() {
        assert_eq!(normalised("My App.v2"), "myappv2");
        assert_eq!(normalised("_-x_y"), "x_y");
        assert!(checked("My").is_err() && checked("").is_err() && checked("-a").is_err());
        assert_eq!(checked("a-b_1").expect("a name"), "a-b_1");
    }

    proptest! {
        #[test]
        fn what_is_normalised_is_a_name_or_nothing(text in "\\PC{0,20}") {
            let name = normalised(&text);
            prop_assert!(name.is_empty() || checked(&name).is_ok());
        }
    }
}
