//! # The building inspector: the laws of the house, as tests
//!
//! Cargo holds the direction of the floors (a crate cannot use what its Cargo.toml does not name), so what is checked is
//! the table itself: which floor may name which, and through which door a large dependency may come in. And what no compiler
//! knows: essays at the head of every room, the size of rooms, no `util`, unsafe only in `src/linux`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Which floors a floor may lean on (src/README.md, "Floors").
const MAY_USE: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("spec", &["base"]),
    ("linux", &["base"]),
    ("explain", &["base", "spec", "linux"]),
    ("runtime", &["base", "spec", "linux"]),
    ("shim", &["base", "spec", "linux"]),
    ("client", &["base", "spec"]),
    ("compose", &["base", "spec"]),
    ("image", &["base", "spec", "linux"]),
    ("network", &["base", "spec", "linux"]),
    ("consensus", &["base"]),
    ("swarm", &["base", "spec", "consensus", "network"]),
    ("engine", &["base", "spec", "linux", "explain", "image", "network", "shim"]),
    ("registry", &["base", "spec", "image"]),
    ("executor", &["base", "spec", "linux", "image", "network", "registry", "engine", "swarm"]),
    ("build", &["base", "spec", "linux", "image", "engine", "registry"]),
    ("cluster", &["base", "spec", "linux", "network", "client"]),
    ("api", &["base", "spec", "engine", "registry", "build", "swarm", "cluster"]),
    (
        "daemon",
        &["base", "spec", "linux", "image", "shim", "engine", "registry", "build", "swarm", "executor", "api", "cluster"],
    ),
    ("cli", &["base", "spec", "explain", "client", "compose"]),
];

/// Large dependencies and the floors whose door they may use.
const DOORS: &[(&str, &[&str])] = &[
    ("libc", &["linux"]),
    ("rustix", &["linux", "cli"]),
    ("oci-spec", &["spec", "runtime", "engine"]),
    ("ruzstd", &["image"]),
    ("bzip2", &["image"]),
    ("lzma-rust2", &["image"]),
    ("granit-parser", &["compose"]),
    ("openraft", &["consensus"]),
    ("redb", &["consensus"]),
    ("clap", &["cli", "daemon"]),
    ("hickory-proto", &["network"]),
    ("hyper", &["client", "api", "registry"]),
    ("tokio-rustls", &["registry", "swarm"]),
    ("bcrypt", &["registry"]),
    (
        "tokio",
        &[
            "client",
            "network",
            "engine",
            "api",
            "daemon",
            "cli",
            "consensus",
            "swarm",
            "build",
            "registry",
            "executor",
            "cluster",
        ],
    ),
];

/// Rooms that may be longer than the wall of 450 lines, each with its reason.
const LONG_ROOMS: &[(&str, &str)] = &[("src/spec/engine/container.rs", "a table of fields, read by looking up")];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn rooms() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![top().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the house").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(top()).expect("below the top").display().to_string();
                found.push((name, fs::read_to_string(&path).expect("a readable room")));
            }
        }
    }
    found.sort();
    assert!(found.len() > 50, "the inspector found only {} rooms", found.len());
    found
}

/// The lines in front of the inline tests.
fn production(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn dependencies(floor: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(top().join(format!("src/{floor}/Cargo.toml"))).expect("each floor is a crate");
    let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|w| !w.is_empty())
        .map(str::to_string)
        .collect()
}

#[test]
fn floors_lean_only_downward() {
    for (floor, allowed) in MAY_USE {
        for dependency in dependencies(floor) {
            if let Some(used) = dependency.strip_prefix("minidock-") {
                assert!(allowed.contains(&used), "src/{floor} may not lean on src/{used}");
            }
        }
    }
}

#[test]
fn large_dependencies_come_in_by_their_own_door() {
    let used: BTreeMap<&str, BTreeSet<String>> = MAY_USE.iter().map(|(floor, _)| (*floor, dependencies(floor))).collect();
    for (library, doors) in DOORS {
        for (floor, dependencies) in &used {
            assert!(!dependencies.contains(*library) || doors.contains(floor), "{library} may not come in through src/{floor}");
        }
    }
    for single_threaded in ["runtime", "shim", "linux"] {
        assert!(!used[single_threaded].contains("tokio"), "src/{single_threaded} must stay single-threaded");
    }
}

#[test]
fn every_room_begins_with_an_essay() {
    let bare: Vec<String> = rooms().into_iter().filter(|(_, text)| !text.starts_with("//! # ")).map(|(name, _)| name).collect();
    assert!(bare.is_empty(), "rooms without an essay (//! # Title …): {bare:#?}");
}

#[test]
fn no_room_is_longer_than_the_wall() {
    let long: Vec<String> = rooms()
        .into_iter()
        .map(|(name, text)| (production(&text).lines().count(), name))
        .filter(|(lines, name)| *lines > 450 && !LONG_ROOMS.iter().any(|(room, _)| room == name))
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "rooms beyond the wall of 450 lines: {long:#?}");
}

#[test]
fn nothing_is_called_util_and_nobody_climbs_two_floors() {
    for (name, text) in rooms() {
        let stem = Path::new(&name).file_stem().expect("a file").to_string_lossy().to_string();
        assert!(
            !["util", "utils", "common", "helpers", "misc", "types", "core"].contains(&stem.as_str()),
            "{name}: a thing without a name has no room"
        );
        assert!(!text.contains("super::super"), "{name} reaches through two floors with super::super");
    }
}

#[test]
fn unsafe_lives_in_linux_only_and_nothing_is_left_unfinished() {
    for (name, text) in rooms() {
        let code: String =
            production(&text).lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        if !name.starts_with("src/linux/") {
            assert!(!code.contains("unsafe {") && !code.contains("unsafe fn"), "{name}: unsafe lives in src/linux only");
            assert!(!code.contains("allow(unsafe_code)"), "{name}: unsafe lives in src/linux only");
        }
        for word in ["todo!(", "unimplemented!("] {
            assert!(!code.contains(word), "{name} holds a {word}…)");
        }
    }
}

#[test]
fn no_bare_unwrap_outside_tests() {
    let found: Vec<String> = rooms()
        .into_iter()
        .flat_map(|(name, text)| {
            production(&text)
                .lines()
                .enumerate()
                .filter(|(_, line)| line.contains(".unwrap()") && !line.trim_start().starts_with("//"))
                .map(|(n, line)| format!("{name}:{}: {}", n + 1, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "unwrap on what may fail: {found:#?}");
}

/// Clap knows which flags a command has in debug builds only: in a release, asking whether it has one always says yes.
#[test]
fn nobody_asks_whether_a_command_has_a_flag() {
    let found: Vec<String> =
        rooms().into_iter().filter(|(_, text)| text.contains(concat!("try_contains", "_id"))).map(|(name, _)| name).collect();
    assert!(found.is_empty(), "take `try_get_one(id).ok().flatten()`: {found:?}");
}
