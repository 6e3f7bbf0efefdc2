//! # Clean path: a path as text, without detours
//!
//! Dockerfiles, `-v` and image configurations name places in a tree that is not there yet, or not here. Their paths are tidied as text,
//! as Go's `path.Clean` does: no `.`, no double slash, no `..` that leads above the root. Whoever *opens* such a path must still
//! refuse links on the way (`linux::files`); this room only makes two spellings of one place the same.
//!
//! See: Go `path.Clean`. Next room: [`crate::state_file`]

/// `/a/./b//../c/` → `/a/c`. A path without a slash in front is taken from the root.
pub fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `path` as seen from the folder `before`.
pub fn clean_from(before: &str, path: &str) -> String {
    match path.starts_with('/') {
        true => clean(path),
        false => clean(&format!("{before}/{path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_place_become_one() {
        for (before, path, wanted) in [
            ("/a", "b", "/a/b"),
            ("/a", "../c", "/c"),
            ("", "x/y/", "/x/y"),
            ("/a", "/z", "/z"),
            ("/a", "../../..", "/"),
            ("/a", ".//b/./", "/a/b"),
        ] {
            assert_eq!(clean_from(before, path), wanted);
        }
        assert_eq!(clean("/a/./b//../c/"), "/a/c");
    }
}
