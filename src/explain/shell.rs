//! # Shell: the same container, by hand
//!
//! The proof that there is no magic: a plain `/bin/sh` script that builds what minidock built, from programs that every
//! distribution has. It is made from the bundle's `config.json` (what was wanted) and the recorded calls (what was done
//! about it: which knobs of which cgroup were set to what).
//!
//! ```text
//!   script ─┬─ mkdir, echo > knob                        limits         (outside)
//!           ├─ unshare --net, ip, nft                    network        (outside: the sandbox and its cables)
//!           └─ enter the group ─ unshare … ─► inside ─┬─ ip link, hostname, sysctls
//!                                                     ├─ mount, mknod   root filesystem, below $work/root
//!                                                     ├─ mount --move "$root" /
//!                                                     └─ capsh --chroot=. --drop=… --shell=PROGRAM
//! ```
//!
//! Where it differs, it says so: no tool loads a seccomp filter or (on cgroup v2) a device program; and since a shell that
//! calls pivot_root(2) loses all its tools, it moves the new root over the old one and enters it, as an initramfs does.
//!
//! Laws: nothing of the container's own is touched: other scratch folders, another cgroup; all is removed at the end.
//! Every word from outside is quoted ([`word`]). *See:* unshare(1), capsh(1), switch_root(8). *Next room:* [`crate::mounts`]

use crate::{
    mounts::{self, Substitute},
    network,
    script::{Script, word},
};
use minidock_base::{Error, Result};
use minidock_linux::{action::Action, caps};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

/// What a script is made of.
pub struct Wanted<'a> {
    pub name: &'a str,
    /// The bundle's `config.json`.
    pub config: &'a Value,
    pub actions: &'a [Action],
    /// What was there before the container: bridges, the firewall's table.
    pub ground: &'a network::Ground,
    /// Where the script may make its scratch folder: not on an overlay.
    pub scratch: &'a Path,
}

/// The script.
///
/// # Errors
/// A container with a user namespace: its maps need more than a script should do as root.
pub fn script(wanted: &Wanted<'_>) -> Result<String> {
    let config = wanted.config;
    if namespaces(config).any(|(kind, _)| kind == "user") {
        return Err(Error::not_implemented("a container in a user namespace cannot be told as a script"));
    }
    let mut script = Script::default();
    head(&mut script, wanted);
    let groups = limits(&mut script, wanted);
    let sandbox = network::outside(&mut script, wanted.name, wanted.ground, wanted.actions);
    script.chapter("inside: what happens in the new namespaces");
    let inside = inside(wanted, sandbox);
    // a word of somebody else's may hold line breaks: the mark of the end must not be among its lines
    let mut mark = String::from("END OF INSIDE");
    while inside.lines().any(|line| line == mark) {
        mark.push('.');
    }
    script.run(&format!("cat > \"$work/inside\" <<'{mark}'\n{inside}{mark}"));
    script.chapter("namespaces");
    script.note("First into the group, then into the namespaces: a cgroup namespace begins where its maker is.");
    script.run("export work root group net");
    script.run("status=0");
    let enter = "for one in $groups; do echo 0 > \"$one/cgroup.procs\"; done";
    let enter = if groups { format!("{enter}; ") } else { String::new() };
    script.run(&format!(
        "groups=\"$groups\" sh -c {} || status=$?",
        word(&format!("{enter}exec {} sh \"$work/inside\"", unshare(config, sandbox)))
    ));
    script.run("exit $status");
    Ok(script.text())
}

fn head(script: &mut Script, wanted: &Wanted<'_>) {
    script.run("#!/bin/sh");
    script.note(&format!(
        "Container {}, by hand: what minidock did for it, with other people's tools.",
        wanted.name.replace(['\n', '\r'], " ")
    ));
    script
        .note("Needs root and: util-linux (unshare, nsenter, mount, prlimit), coreutils, iproute2 (ip), libcap2-bin (capsh),");
    script.note("and for a container on a network nftables (nft).");
    if !wanted.config["linux"]["seccomp"].is_null() {
        script.note("Missing here: the seccomp filter. No common tool loads one; `minidock explain` shows where it belongs.");
    }
    script.run("set -eu");
    script.run(&format!("work=$(mktemp -d {}/by-hand.XXXXXX)", word(&wanted.scratch.to_string_lossy())));
    script.run("root=$work/root\ngroups= group= net=\nmkdir \"$root\" \"$work/upper\" \"$work/work\"");
    script.note("All mounts die with their namespace; what is left are folders, and what put_back knows.");
    script.run("put_back() { :; }");
    script.run("trap 'set +e; put_back; for one in $groups; do rmdir \"$one\"; done; rm -rf \"$work\"' EXIT");
    script.run("trap 'exit 130' INT TERM HUP");
}

/// The control group: the recorded knobs, in a group of our own. Whether there is one.
fn limits(script: &mut Script, wanted: &Wanted<'_>) -> bool {
    let Some(path) = group(wanted.config) else { return false };
    let (mut made, mut knobs) = (BTreeSet::new(), Vec::new());
    for action in wanted.actions.iter().filter(|action| action.errno.is_none()) {
        let Some(first) = action.args.first().map(|arg| arg.trim_matches('"')) else { continue };
        let Some((tree, rest)) = first.split_once(path) else { continue };
        let own_work = ["/tasks", "/cgroup.procs", "/cgroup.event_control"].iter().any(|file| rest.ends_with(file));
        match action.call.as_str() {
            "mkdir" if rest.is_empty() => drop(made.insert(tree.to_string())),
            "write" if rest.starts_with('/') && !own_work => {
                let value = action.args.get(1).map_or("", |value| value.trim_matches('"'));
                knobs.push(format!("echo {} > {}\"$group\"{}", word(value), word(tree), word(rest)));
            }
            _ => {}
        }
    }
    if made.is_empty() {
        return false;
    }
    script.chapter("limits: a control group");
    script.run(&format!("group={}-by-hand", word(path)));
    script.run(&format!("for tree in {}; do", made.iter().map(|tree| word(tree)).collect::<Vec<_>>().join(" ")));
    script.run("    mkdir -p \"$tree$group\"; groups=\"$groups $tree$group\"\ndone");
    knobs.iter().for_each(|line| script.run(line));
    true
}

/// The container's own group, counted from the top of each tree.
pub fn group(config: &Value) -> Option<&str> {
    config["linux"]["cgroupsPath"].as_str().filter(|path| path.starts_with('/'))
}

/// The program that makes (and joins) the namespaces.
fn unshare(config: &Value, sandbox: bool) -> String {
    let (mut join, mut make) = (Vec::new(), vec!["unshare".to_string(), "--propagation slave".into()]);
    for (kind, path) in namespaces(config) {
        let option = match kind {
            "network" if sandbox => {
                join.push("--net=\"$net\"".to_string());
                continue;
            }
            "network" => "net",
            "mount" | "uts" | "ipc" | "pid" | "cgroup" => kind,
            "time" => "time",
            _ => continue,
        };
        match path {
            Some(path) => join.push(format!("--{option}={}", word(path))),
            None => make.push(format!("--{option}")),
        }
        if kind == "pid" {
            make.push("--fork --kill-child".into());
        }
    }
    match join.is_empty() {
        true => make.join(" "),
        false => format!("nsenter {} {}", join.join(" "), make.join(" ")),
    }
}

fn namespaces(config: &Value) -> impl Iterator<Item = (&str, Option<&str>)> {
    let list = config["linux"]["namespaces"].as_array().into_iter().flatten();
    list.filter_map(|entry| Some((entry["type"].as_str()?, entry["path"].as_str())))
}

/// A function of the script: where a path lies below the new root.
const AT: &str = "\
# at PATH [folder|file]: sets $at to where PATH lies below $root, following links as if $root were / already, and makes it
at() {
    rest=$1 here='' links=0
    while [ -n \"$rest\" ]; do
        part=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
        case $part in
        '' | .) ;;
        ..) here=${here%/*} ;;
        *)
            if [ -L \"$root$here/$part\" ]; then
                links=$((links + 1))
                [ $links -lt 40 ] || exit 1
                link=$(readlink \"$root$here/$part\")
                case $link in /*) here='' ;; esac
                rest=$link/$rest
            else
                here=$here/$part
            fi ;;
        esac
    done
    at=$root$here
    case ${2-} in
    folder) mkdir -p \"$at\" ;;
    file) mkdir -p \"${at%/*}\"; [ -e \"$at\" ] || : > \"$at\" ;;
    esac
}";

fn inside(wanted: &Wanted<'_>, sandbox: bool) -> String {
    let config = wanted.config;
    let mut script = Script::default();
    script.run("set -eu");
    script.run(AT);
    let own = |wanted: &str| namespaces(config).any(|(kind, path)| kind == wanted && path.is_none());
    if own("network") && !sandbox {
        script.chapter("network");
        script.run("ip link set lo up");
    }
    script.chapter("host name and settings of these namespaces");
    if let Some(name) = config["hostname"].as_str().filter(|name| own("uts") && !name.is_empty()) {
        script.run(&format!("echo {} > /proc/sys/kernel/hostname", word(name)));
    }
    for (key, value) in config["linux"]["sysctl"].as_object().into_iter().flatten() {
        let file = word(&format!("/proc/sys/{}", key.replace('.', "/")));
        script.run(&format!("echo {} > {file}", word(value.as_str().unwrap_or_default())));
    }
    script.chapter("root filesystem");
    let ours = if sandbox { files(&mut script, wanted) } else { Vec::new() };
    mounts::root(&mut script, config);
    mounts::below(&mut script, config, wanted.actions, &ours);
    devices(&mut script, config);
    mounts::covers(&mut script, config);
    if config["root"]["readonly"] == true {
        script.run("mount -o remount,bind,ro \"$root\"");
    }
    limits_of_the_process(&mut script, &config["process"]);
    program(&mut script, config);
    script.text()
}

/// The files of a network that by hand must say something else.
fn files(script: &mut Script, wanted: &Wanted<'_>) -> Vec<Substitute<'static>> {
    let mut ours = Vec::new();
    if let Some(source) = mounts::source(wanted.config, "/etc/resolv.conf") {
        network::without_name_server(script, source);
        ours.push(Substitute { destination: "/etc/resolv.conf", source: "\"$work/resolv.conf\"" });
    }
    if let Some(source) = mounts::source(wanted.config, "/etc/hosts") {
        network::with_addresses(script, source, wanted.config, wanted.actions);
        ours.push(Substitute { destination: "/etc/hosts", source: "\"$work/hosts\"" });
    }
    ours
}

fn devices(script: &mut Script, config: &Value) {
    script.note("The devices every program expects.");
    script.run(
        "node() { at \"${1%/*}\" folder; [ -e \"$at/${1##*/}\" ] || mknod -m \"$2\" \"$at/${1##*/}\" \"$3\" \"$4\" \"$5\"; }",
    );
    for node in config["linux"]["devices"].as_array().into_iter().flatten() {
        let text = |key: &str| node[key].as_str().unwrap_or_default();
        let mode = node["fileMode"].as_u64().unwrap_or(0o666) & 0o7777;
        if matches!(text("type"), "c" | "b" | "u") {
            let kind = text("type");
            script.run(&format!("node {} {mode:o} {kind} {} {}", word(text("path")), node["major"], node["minor"]));
        }
    }
    for (name, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        script.run(&format!("node /dev/{name} 666 c {major} {minor}"));
    }
    script.run("ln -sf /proc/self/fd \"$root/dev/fd\"; ln -sf pts/ptmx \"$root/dev/ptmx\"");
    script.run("[ ! -e \"$root/proc/kcore\" ] || ln -sf /proc/kcore \"$root/dev/core\"");
    script.run("for n in 0:stdin 1:stdout 2:stderr; do ln -sf \"/proc/self/fd/${n%:*}\" \"$root/dev/${n#*:}\"; done");
}

fn limits_of_the_process(script: &mut Script, process: &Value) {
    script.chapter("limits of the process, identity, privileges");
    for limit in process["rlimits"].as_array().into_iter().flatten() {
        let name = limit["type"].as_str().unwrap_or_default().trim_start_matches("RLIMIT_").to_lowercase();
        let value = |key: &str| {
            limit[key].as_u64().map_or("unlimited".into(), |n| if n == u64::MAX { "unlimited".into() } else { n.to_string() })
        };
        script.run(&format!("prlimit --pid $$ {}", word(&format!("--{name}={}:{}", value("soft"), value("hard")))));
    }
    if let Some(score) = process["oomScoreAdj"].as_i64() {
        script.run(&format!("echo {score} > /proc/self/oom_score_adj"));
    }
    script.run("umask 022");
}

/// The last line: a new root, less power, another program.
fn program(script: &mut Script, config: &Value) {
    let process = &config["process"];
    let args: Vec<&str> = process["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let env: Vec<&str> = process["env"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (first, rest) = args.split_first().map_or(("/bin/sh", &[][..]), |(first, rest)| (*first, rest));
    script.run("capsh=$(command -v capsh)");
    script.note("The program, where the container's own PATH has it.");
    if first.contains('/') {
        script.run(&format!("program={}", word(first)));
    } else {
        let path = env
            .iter()
            .find_map(|entry| entry.strip_prefix("PATH="))
            .unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        script.run(&format!("program=\nfor folder in {}; do", path.split(':').map(word).collect::<Vec<_>>().join(" ")));
        script.run(&format!("    name={}; at \"$folder\"; if [ -e \"$at/$name\" ] || [ -L \"$at/$name\" ]; then program=$folder/$name; break; fi\ndone", word(first)));
        script.run(&format!("[ -n \"$program\" ] || {{ echo {}: not found >&2; exit 127; }}", word(first)));
    }
    script.note("pivot_root(2) would take our own tools away; so the new root is moved over the old one, and capsh enters it.");
    script.run("cd \"$root\"\nmount --move \"$root\" /");
    let mut command = vec!["exec".to_string(), "env".into(), "-i".into()];
    command.extend(env.iter().map(|entry| word(entry)));
    command.extend(["\"$capsh\"".into(), "--chroot=.".into()]);
    command.extend(privileges(process));
    let cwd = process["cwd"].as_str().unwrap_or("/");
    if cwd == "/" {
        command.push("--shell=\"$program\" --".into());
    } else {
        // capsh ends up in /; the container's own shell goes on from there, and leaves no trace in the environment
        let own = ["OLDPWD", "PWD", "SHLVL"]
            .into_iter()
            .filter(|name| !env.iter().any(|entry| entry.starts_with(&format!("{name}="))));
        let unset = own.map(|name| format!("unset {name}; ")).collect::<String>();
        command.push(format!(
            "--shell=/bin/sh -- -c 'cd \"$1\" || exit; shift; {unset}exec \"$@\"' sh {} \"$program\"",
            word(cwd)
        ));
    }
    command.extend(rest.iter().map(|arg| word(arg)));
    script.run(&command.join(" \\\n    ").replacen("exec \\\n    env \\\n    -i", "exec env -i", 1));
}

/// What capsh is told, in the order in which it must happen.
fn privileges(process: &Value) -> Vec<String> {
    let list = |set: &str| -> BTreeSet<String> {
        process["capabilities"][set].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_lowercase).collect()
    };
    let mut words = Vec::new();
    let bounding = list("bounding");
    let dropped: Vec<String> = all_capabilities().into_iter().filter(|name| !bounding.contains(name)).collect();
    if !dropped.is_empty() {
        words.push(format!("--drop={}", dropped.join(",")));
    }
    if process["noNewPrivileges"] == true {
        words.push("--no-new-privs".into());
    }
    let user = &process["user"];
    let groups: Vec<String> = user["additionalGids"].as_array().into_iter().flatten().map(Value::to_string).collect();
    words.push(format!("--groups={}", groups.join(",")));
    words.push(format!("--gid={}", user["gid"].as_u64().unwrap_or(0)));
    words.push(format!("--uid={}", user["uid"].as_u64().unwrap_or(0)));
    let ambient: Vec<String> = list("ambient").into_iter().collect();
    if !ambient.is_empty() {
        words.push(format!("--inh={0} --addamb={0}", ambient.join(",")));
    }
    words
}

fn all_capabilities() -> Vec<String> {
    (0..64).map_while(caps::name).map(|name| name.to_lowercase()).collect()
}
