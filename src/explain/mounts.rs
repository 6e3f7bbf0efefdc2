//! # Mounts: the tree of a container, as commands of mount(8)
//!
//! `config.json` lists mounts with options of four kinds in one list: flags of the mount, data for the file system, how it
//! echoes, what kind of work it is. mount(8) wants them in separate commands: a bind mount takes no flags at birth, and must be
//! remounted for them.
//!
//! ```text
//!   {"destination":"/data","type":"bind","source":"/srv","options":["rbind","ro","rprivate"]}
//!        at /data folder ; mount --rbind /srv "$at" ; mount -o remount,bind,ro "$at" ; mount --make-rprivate "$at"
//! ```
//!
//! `at` is a function of the script: where a path lies below the new root, following links as if that root were `/`
//! already. Without it an image with a link `/data -> /etc` would have us mount on the host's.
//!
//! *See:* mount(8), runtime-spec config.md "Mounts". *Next room:* [`crate::script`]

use crate::{
    script::{Script, word},
    shell,
};
use minidock_linux::action::Action;
use serde_json::Value;

/// How a mount echoes, as mount(8) calls it.
const ECHOES: [(&str, &str); 8] = [
    ("private", "--make-private"),
    ("rprivate", "--make-rprivate"),
    ("slave", "--make-slave"),
    ("rslave", "--make-rslave"),
    ("shared", "--make-shared"),
    ("rshared", "--make-rshared"),
    ("unbindable", "--make-unbindable"),
    ("runbindable", "--make-runbindable"),
];
/// Flags of a mount, which a bind mount takes only when it is mounted again.
const FLAGS: [&str; 12] = [
    "ro",
    "nosuid",
    "nodev",
    "noexec",
    "noatime",
    "nodiratime",
    "relatime",
    "strictatime",
    "nosymfollow",
    "rro",
    "rnosuid",
    "rnodev",
];
/// Words that say what kind of work it is, or what is so anyway.
const WORK: [&str; 9] = ["bind", "rbind", "defaults", "rw", "suid", "dev", "exec", "tmpcopyup", "remount"];

/// The root: an overlay over the image's layers with a fresh upper layer, or a folder shown a second time.
pub fn root(script: &mut Script, config: &Value) {
    let overlay = entries(config).find(|entry| entry["destination"] == "/" && entry["type"] == "overlay");
    let Some(overlay) = overlay else {
        let path = config["root"]["path"].as_str().unwrap_or("rootfs");
        return script.run(&format!("mount --rbind {} \"$root\"", word(path)));
    };
    let options: Vec<&str> = options(overlay).collect();
    let lower = options.iter().find_map(|option| option.strip_prefix("lowerdir=")).unwrap_or_default();
    script.note("The image's layers, read-only and shared, the topmost first; above them a fresh folder for what changes.");
    script.note("Short names, for mount(2) takes at most a page of options.");
    script.run("mkdir \"$work/l\" && cd \"$work/l\"");
    let layers = layers(lower);
    for (n, layer) in layers.iter().enumerate() {
        script.run(&format!("ln -s {} {n}", word(layer)));
    }
    let numbers: Vec<String> = (0..layers.len()).map(|n| n.to_string()).collect();
    let more =
        options.iter().filter(|option| !["lowerdir=", "upperdir=", "workdir="].iter().any(|own| option.starts_with(own)));
    let more: String = more.map(|option| format!(",{option}")).collect();
    let data = format!("lowerdir={},upperdir=../upper,workdir=../work{more}", numbers.join(":"));
    script.run(&format!("mount -t overlay -o {} overlay \"$root\"", word(&data)));
}

/// A bind mount that shows something else than it did for the container.
#[derive(Clone, Copy, Debug)]
pub struct Substitute<'a> {
    pub destination: &'a str,
    /// As the shell is to see it.
    pub source: &'a str,
}

/// What is bound to this place.
pub fn source<'a>(config: &'a Value, destination: &str) -> Option<&'a str> {
    entries(config).find(|entry| entry["destination"] == destination)?["source"].as_str()
}

/// Everything below the root, in order.
pub fn below(script: &mut Script, config: &Value, actions: &[Action], substitutes: &[Substitute<'_>]) {
    for entry in entries(config) {
        let destination = entry["destination"].as_str().unwrap_or_default();
        let kind = entry["type"].as_str().unwrap_or("none");
        match kind {
            "overlay" if destination == "/" => {}
            "cgroup" | "cgroup2" => cgroups(script, destination, entry, config, actions),
            _ if options(entry).any(|option| option == "bind" || option == "rbind") || kind == "bind" => {
                let other = substitutes.iter().find(|one| one.destination == destination);
                let source = other
                    .map(|one| one.source.to_string())
                    .unwrap_or_else(|| word(entry["source"].as_str().unwrap_or_default()));
                bind(script, destination, &source, entry)
            }
            _ => new(script, destination, kind, entry),
        }
    }
}

fn new(script: &mut Script, destination: &str, kind: &str, entry: &Value) {
    let data: Vec<&str> =
        options(entry).filter(|option| !WORK.contains(option) && !ECHOES.iter().any(|(echo, _)| echo == option)).collect();
    let source = entry["source"].as_str().unwrap_or(kind);
    script.run(&format!("at {} folder", word(destination)));
    let options = if data.is_empty() { String::new() } else { format!(" -o {}", word(&data.join(","))) };
    script.run(&format!("mount -t {}{options} {} \"$at\"", word(kind), word(source)));
}

fn bind(script: &mut Script, destination: &str, source: &str, entry: &Value) {
    let how = if options(entry).any(|option| option == "rbind") { "--rbind" } else { "--bind" };
    script.run(&format!("if [ -d {source} ]; then at {0} folder; else at {0} file; fi", word(destination)));
    script.run(&format!("mount {how} {source} \"$at\""));
    // mount(8) of this age knows read-only for one mount, not for a tree
    let flags: Vec<&str> = options(entry)
        .filter(|option| FLAGS.contains(option))
        .map(|flag| flag.strip_prefix('r').filter(|rest| FLAGS.contains(rest)).unwrap_or(flag))
        .collect();
    if !flags.is_empty() {
        script.run(&format!("mount -o remount,bind,{} \"$at\"", flags.join(",")));
    }
    for (echo, option) in ECHOES {
        if options(entry).any(|word| word == echo) {
            script.run(&format!("mount {option} \"$at\""));
        }
    }
}

/// On a v1 machine one mount for each tree, as they were recorded; on v2 a single one.
fn cgroups(script: &mut Script, destination: &str, entry: &Value, config: &Value, actions: &[Action]) {
    let flags: Vec<&str> = options(entry).filter(|option| FLAGS.contains(option)).collect();
    let trees: Vec<Tree<'_>> = actions.iter().filter_map(|action| Tree::recorded(action, destination, config)).collect();
    script.run(&format!("at {} folder", word(destination)));
    if trees.is_empty() {
        return script.run(&format!("mount -t cgroup2 -o {} cgroup \"$at\"", word(&flags.join(","))));
    }
    let writable: Vec<&str> = flags.iter().filter(|flag| **flag != "ro").copied().collect();
    script.run(&format!("mount -t tmpfs -o {} tmpfs \"$at\"", word(&[&writable[..], &["mode=755"]].concat().join(","))));
    for Tree { name, from, controllers } in &trees {
        let target = format!("\"$at\"/{}", word(name));
        script.run(&match from {
            // without a cgroup namespace the container is shown its own group only
            Some(from) => format!(
                "mkdir {target}; mount --bind {}\"$group\" {target}; mount -o remount,bind,{} {target}",
                word(from),
                word(&flags.join(","))
            ),
            None => format!(
                "mkdir {target}; mount -t cgroup -o {} cgroup {target}",
                word(&[&flags[..], &[controllers]].concat().join(","))
            ),
        });
        for controller in controllers.split(',').filter(|one| one != name && !one.is_empty() && !one.starts_with("name=")) {
            script.run(&format!("ln -s {} \"$at\"/{}", word(name), word(controller)));
        }
    }
    if flags.contains(&"ro") {
        script.run("mount -o remount,bind,ro \"$at\"");
    }
}

/// One v1 tree as it was mounted for the container.
struct Tree<'a> {
    name: &'a str,
    /// Where the tree is on the host, when the container's group was shown by a bind mount.
    from: Option<&'a str>,
    controllers: &'a str,
}

impl<'a> Tree<'a> {
    fn recorded(action: &'a Action, destination: &str, config: &Value) -> Option<Tree<'a>> {
        let arg = |n: usize| action.args.get(n).map(|arg| arg.trim_matches('"'));
        let name = arg(1)?.strip_prefix(destination)?.strip_prefix('/').filter(|name| !name.contains('/'))?;
        match action.call.as_str() {
            "mount" if arg(2) == Some("cgroup") => Some(Tree { name, from: None, controllers: arg(4)? }),
            "move_mount" => Some(Tree { name, from: Some(arg(0)?.strip_suffix(shell::group(config)?)?), controllers: "" }),
            _ => None,
        }
    }
}

/// What nobody inside shall read, and what nobody shall write.
pub fn covers(script: &mut Script, config: &Value) {
    let paths = |key: &str| {
        config["linux"][key].as_array().into_iter().flatten().filter_map(Value::as_str).map(word).collect::<Vec<_>>()
    };
    let (masked, read_only) = (paths("maskedPaths"), paths("readonlyPaths"));
    if !read_only.is_empty() {
        script.note("These may be read, but not written: each is mounted on itself, and that mount is read-only.");
        script.run(&format!("for path in {}; do", read_only.join(" ")));
        script.run("    at \"$path\"\n    [ -e \"$at\" ] || continue\n    mount --rbind \"$at\" \"$at\"\n    mount -o remount,bind,ro \"$at\"\ndone");
    }
    if !masked.is_empty() {
        script.note("These are hidden: a folder by an empty one, a file by the null device.");
        script.run(&format!("for path in {}; do", masked.join(" ")));
        script.run("    at \"$path\"\n    if [ -d \"$at\" ]; then");
        script.run(
            "        mount -t tmpfs -o nosuid,nodev,noexec,size=0k,nr_inodes=2 tmpfs \"$at\"; mount -o remount,bind,ro \"$at\"",
        );
        script.run("    elif [ -e \"$at\" ]; then mount --bind \"$root/dev/null\" \"$at\"; fi\ndone");
    }
}

fn entries(config: &Value) -> impl Iterator<Item = &Value> {
    config["mounts"].as_array().into_iter().flatten()
}

fn options(entry: &Value) -> impl Iterator<Item = &str> {
    entry["options"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// `a:b` in overlayfs' notation, where `\:` belongs to a name.
fn layers(text: &str) -> Vec<String> {
    let (mut layers, mut escaped) = (vec![String::new()], false);
    for letter in text.chars() {
        match letter {
            '\\' if !escaped => escaped = true,
            ':' if !escaped => layers.push(String::new()),
            _ => {
                layers.last_mut().expect("it begins with one").push(letter);
                escaped = false;
            }
        }
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bind_mount_takes_three_commands_and_a_new_file_system_one() {
        let config = json!({ "mounts": [
            { "destination": "/data", "type": "bind", "source": "/srv/a b", "options": ["rbind", "rro", "rprivate"] },
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec"] },
        ] });
        let mut script = Script::default();
        below(&mut script, &config, &[], &[]);
        let want = "if [ -d '/srv/a b' ]; then at /data folder; else at /data file; fi\nmount --rbind '/srv/a b' \"$at\"\n\
                    mount -o remount,bind,ro \"$at\"\nmount --make-rprivate \"$at\"\nat /proc folder\nmount -t proc -o nosuid,noexec proc \"$at\"\n";
        assert_eq!(script.text(), want);
        assert_eq!(layers("/a:/b\\:c"), ["/a", "/b:c"]);
    }
}
