//! # Capabilities of a service: added, dropped, forgotten
//!
//! A task has the capabilities every container has, and some more or fewer. On an update the two lists meet those that the service
//! has already, and each word undoes its opposite first: to add what was dropped only takes the drop back.
//!
//! ```text
//!   before            word          after
//!   drop NET_RAW      --cap-add     (nothing: as every container)       once more: add NET_RAW
//!   add  NET_ADMIN    --cap-drop    (nothing)                           once more: drop NET_ADMIN
//!                     --cap-add RESET / --cap-drop RESET: that list is emptied first
//! ```
//!
//! * [`capabilities`]: of a new service. [`changed`]: of one that there is.
//!
//! *See:* capabilities(7) · docker/cli `cli/command/service/update.go` updateCapabilities. *Next room:* [`super::change`]

use std::collections::BTreeSet;

/// Forgets what was said before.
const RESET: &str = "RESET";

/// What is added and what is taken away: adding wins, `ALL` is more than any other.
pub fn capabilities(add: &[String], drop: &[String]) -> (Vec<String>, Vec<String>) {
    let (add, drop) = (list(&set(add)), list(&set(drop)));
    let drop = drop.into_iter().filter(|name| !add.contains(name)).collect();
    (add, drop)
}

/// The names as the kernel's headers have them: `CAP_NET_ADMIN`.
fn set(names: &[String]) -> BTreeSet<String> {
    let name = |text: &String| {
        let name = text.trim().to_uppercase();
        match name.as_str() {
            "ALL" | RESET => name,
            _ if name.starts_with("CAP_") => name,
            _ => format!("CAP_{name}"),
        }
    };
    names.iter().map(name).collect()
}

/// A set as the API wants it.
fn list(names: &BTreeSet<String>) -> Vec<String> {
    match names.contains("ALL") {
        true => vec!["ALL".into()],
        false => names.iter().filter(|name| *name != RESET).cloned().collect(),
    }
}

/// The lists of a service that has some already; both sides of `--cap-add` and `--cap-drop`.
pub fn changed(before: (&[String], &[String]), add: &[String], drop: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut added, mut dropped) = (set(before.0), set(before.1));
    let (mut add, mut drop) = (set(add), set(drop));
    if add.remove(RESET) {
        added.clear();
    }
    if drop.remove(RESET) {
        dropped.clear();
    }
    for name in drop.difference(&add) {
        if !added.remove(name) {
            dropped.insert(name.clone());
        }
    }
    for name in &add {
        if !dropped.remove(name) {
            added.insert(name.clone());
        }
    }
    (list(&added), list(&dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_string).collect()
    }

    fn after(before: (&str, &str), add: &str, drop: &str) -> (String, String) {
        let (a, d) = changed((&texts(before.0), &texts(before.1)), &texts(add), &texts(drop));
        (a.join(" "), d.join(" "))
    }

    #[test]
    fn each_word_undoes_its_opposite_first() {
        let pair = |a: &str, d: &str| (a.to_string(), d.to_string());
        assert_eq!(after(("", "CAP_NET_RAW"), "net_raw", ""), pair("", ""));
        assert_eq!(after(("", ""), "net_raw", ""), pair("CAP_NET_RAW", ""));
        assert_eq!(after(("CAP_NET_ADMIN", ""), "", "cap_net_admin"), pair("", ""));
        assert_eq!(after(("CAP_A CAP_B", "CAP_C"), "reset", "RESET"), pair("", ""));
        assert_eq!(after(("CAP_A", ""), "all", ""), pair("ALL", ""));
        assert_eq!(after(("", ""), "a", "a"), pair("CAP_A", ""));
    }

    #[test]
    fn adding_wins_and_all_is_more_than_any_other() {
        assert_eq!(capabilities(&texts("sys_time ALL"), &texts("ALL chown")), (texts("ALL"), texts("")));
        assert_eq!(capabilities(&texts("b a"), &texts("a c RESET")), (texts("CAP_A CAP_B"), texts("CAP_C")));
    }
}
