//! # Completion: what could stand here?
//!
//! `minidock completion bash` prints a few lines of shell which, when Tab is pressed, ask minidock itself: the words typed
//! so far go to the hidden command `__complete`, and the possible next words come back, one a line, each with what it is.
//! So the three shells share one brain, flags can never be out of date, and names of containers and images are real.
//!
//! ```text
//!   $ minidock rm we<Tab>                          zsh, fish and bash are told the same
//!        └──▶ minidock __complete -- rm we         web        Up 3 minutes
//!                                                  webcache   Exited (0) 2 hours ago
//! ```
//!
//! * [`command`], [`run`]: the scripts. [`asked_command`], [`ask`]: the question. [`answer`] is the brain: a function from words to
//!   candidates, which says [`Wanted`] where only the daemon knows.
//!
//! Laws: a daemon is asked only if one is there (Tab starts nothing); whatever goes wrong is silence, for a message in the
//! middle of a line helps nobody; no candidate ever contains a tab or a new line.
//! *See:* bash(1) Programmable Completion, zshcompsys(1), fish `complete`. *Next room:* [`crate::manpages`]

use crate::{
    command::{self, Command, Found, GROUPS},
    flag,
    session::{Globals, Session},
    swarm::offers::{self, Things},
    terminal,
};
use clap::{Arg, ArgAction, ArgMatches};
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::engine::API_VERSION;
use serde_json::Value as Json;

const BASH: &str = r#"# bash completion for minidock: source it, or put it in /usr/share/bash-completion/completions/minidock
_minidock() {
    local line
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        if [ "$line" = ":files" ]; then
            compopt -o default 2>/dev/null
        else
            COMPREPLY+=("$line")
        fi
    done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [ "${#COMPREPLY[@]}" -eq 1 ] && [[ "${COMPREPLY[0]}" == *[=:] ]] && compopt -o nospace 2>/dev/null
    return 0
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}
complete -F _minidock minidock
"#;

const ZSH: &str = r#"#compdef minidock
# zsh completion for minidock: put it as _minidock in a folder of $fpath
_minidock() {
    local line word about files=0
    local -a candidates
    while IFS=$'\t' read -r word about; do
        if [[ "$word" == ":files" ]]; then
            files=1
        else
            candidates+=("${word//:/\\:}${about:+:$about}")
        fi
    done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( ${#candidates} )) && _describe -V 'minidock' candidates
    (( files )) && _files
    return 0
}
compdef _minidock minidock
# autoloaded, this file is itself the function, and has just been asked
if [[ "${funcstack[1]}" == "_minidock" ]]; then
    _minidock
fi
"#;

const FISH: &str = r#"# fish completion for minidock: put it in ~/.config/fish/completions/minidock.fish
function __minidock_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c minidock -f -a '(__minidock_complete)'
"#;

/// The arguments of `completion`.
pub fn command() -> clap::Command {
    flag::command("completion", "bash|zsh|fish", "Print the completion script for a shell").arg(flag::name("SHELL"))
}

/// Prints the script of a shell.
///
/// # Errors
/// A shell that is not known.
pub async fn run(m: &ArgMatches, _: &mut Session) -> Result<i32> {
    let script = match flag::text_of(m, "SHELL").unwrap_or_default() {
        "bash" => BASH,
        "zsh" => ZSH,
        "fish" => FISH,
        other => return Err(Error::invalid(format!("no completion for {other}")).hint("minidock completion bash, zsh or fish")),
    };
    terminal::print(script);
    Ok(0)
}

/// The arguments of `__complete`.
pub fn asked_command() -> clap::Command {
    flag::command("__complete", "WORD...", "Answer what could stand at the end of a command line")
        .arg(flag::program("WORD"))
        .hide(true)
}

/// Prints the candidates for the last word.
///
/// # Errors
/// Never: what is not known is not printed.
pub async fn ask(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let words = flag::list_of(m, "WORD");
    let answer = answer(&words);
    let mut lines = answer.candidates;
    if let Some(wanted) = &answer.wanted {
        lines.extend(names(wanted, &answer.globals, session).await.unwrap_or_default());
    }
    let typed = words.last().map(String::as_str).unwrap_or_default();
    let mut text = String::new();
    for (word, about) in lines.iter().filter(|(word, _)| word.starts_with(typed) && !word.contains(['\t', '\n'])) {
        text.push_str(&format!("{word}\t{}\n", about.lines().next().unwrap_or_default().replace('\t', " ")));
    }
    if answer.files {
        text.push_str(":files\n");
    }
    terminal::print(&text);
    Ok(0)
}

/// What only a daemon can name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Running,
    Containers,
    Images,
    Volumes,
    Networks,
    Anything,
    Swarm(Things),
}

/// Candidates that are known here, and what else could be asked for.
#[derive(Default)]
struct Answer {
    candidates: Vec<(String, String)>,
    wanted: Option<Wanted>,
    files: bool,
    globals: Globals,
}

/// The candidates for the last of `words`.
fn answer(words: &[String]) -> Answer {
    let Some((last, before)) = words.split_last() else { return Answer::default() };
    let mut answer = Answer::default();
    let mut rest = before;
    while let Some(word) = rest.first().filter(|word| word.starts_with('-')) {
        let takes = matches!(word.as_str(), "-H" | "--host" | "-c" | "--context" | "--config");
        match (takes, rest.get(1)) {
            (true, None) => return answer,
            (true, Some(value)) if word.ends_with("host") || word == "-H" => answer.globals.hosts.push(value.clone()),
            (true, Some(value)) if word.ends_with("context") || word == "-c" => answer.globals.context = Some(value.clone()),
            _ => {}
        }
        rest = &rest[(1 + usize::from(takes)).min(rest.len())..];
    }
    match rest {
        [] if last.starts_with('-') => answer.candidates = flags(&crate::root()),
        [] => answer.candidates = top(),
        words => match command::find(words) {
            Found::One { command, rest, .. } => inside(&mut answer, command, rest, last),
            Found::Whole { group, .. } => answer.candidates = group.commands.iter().filter_map(verb).collect(),
            Found::Unknown { .. } => {}
        },
    }
    answer
}

fn verb(command: &Command) -> Option<(String, String)> {
    let built = (command.build)();
    (!built.is_hide_set()).then(|| (command.verb().to_string(), about(&built)))
}

fn about(built: &clap::Command) -> String {
    built.get_about().map(ToString::to_string).unwrap_or_default()
}

/// Everything that may be the first word.
fn top() -> Vec<(String, String)> {
    let groups = GROUPS.iter().map(|group| (group.name.to_string(), group.about.to_string()));
    let singles = command::all().flat_map(|command| {
        let built = (command.build)();
        let words = std::iter::once(command.path).chain(command.also.iter().copied()).filter(|word| !word.contains(' '));
        let words = words.filter(|_| !built.is_hide_set()).map(|word| (word.to_string(), about(&built)));
        words.collect::<Vec<_>>()
    });
    groups.chain(singles).collect()
}

fn flags(built: &clap::Command) -> Vec<(String, String)> {
    let shown = built.get_arguments().filter(|arg| !arg.is_hide_set());
    let long =
        |arg: &Arg| Some((format!("--{}", arg.get_long()?), arg.get_help().map(ToString::to_string).unwrap_or_default()));
    shown.filter_map(long).chain([("--help".to_string(), "Print usage".to_string())]).collect()
}

/// Inside a command: a flag, a flag's value, or a positional.
fn inside(answer: &mut Answer, command: &Command, before: &[String], last: &str) {
    let built = (command.build)();
    let mut positionals = 0;
    let mut value_of: Option<&Arg> = None;
    let program = built.get_positionals().any(Arg::is_trailing_var_arg_set);
    for word in before {
        if value_of.take().is_some() {
            continue;
        }
        match word.strip_prefix('-') {
            Some(_) if !(program && positionals > 0) => value_of = flag_of(&built, word).filter(|arg| takes_value(arg, word)),
            _ => positionals += 1,
        }
    }
    let in_program = program && positionals > 0 && built.get_positionals().count() <= positionals + 1;
    if let Some(arg) = value_of {
        return value(answer, command.path, arg);
    }
    if last.starts_with('-') && !in_program {
        answer.candidates = flags(&built);
        return;
    }
    positional(answer, command.path, positionals);
}

fn flag_of<'a>(built: &'a clap::Command, word: &str) -> Option<&'a Arg> {
    match word.strip_prefix("--") {
        Some(long) => built.get_arguments().find(|arg| arg.get_long() == Some(long)),
        None => {
            let letter = word.chars().last()?;
            built.get_arguments().find(|arg| arg.get_short() == Some(letter))
        }
    }
}

fn takes_value(arg: &Arg, word: &str) -> bool {
    !matches!(arg.get_action(), ArgAction::SetTrue)
        && !word.contains('=')
        && arg.get_num_args().is_none_or(|n| n.min_values() > 0)
}

/// What `-o` of a bridge network knows.
const BRIDGE_OPTIONS: &[&str] = &[
    "com.docker.network.bridge.name=",
    "com.docker.network.bridge.enable_icc=",
    "com.docker.network.bridge.enable_ip_masquerade=",
    "com.docker.network.bridge.host_binding_ipv4=",
    "com.docker.network.driver.mtu=",
];

/// The values of a flag, where they can be known.
fn value(answer: &mut Answer, path: &str, arg: &Arg) {
    if let Some((known, things)) = offers::values(path, arg.get_long().unwrap_or_default()) {
        answer.candidates.extend(known.iter().map(|word| (word.to_string(), String::new())));
        answer.wanted = things.map(Wanted::Swarm);
        return;
    }
    let known: &[&str] = match arg.get_long().unwrap_or_default() {
        "network-add" | "network-rm" => {
            answer.wanted = Some(Wanted::Networks);
            &[]
        }
        "network" => {
            answer.wanted = Some(Wanted::Networks);
            &["container:"]
        }
        "restart" => &["no", "on-failure", "always", "unless-stopped"],
        "pull" => &["always", "missing", "never"],
        "format" => &["json", "table", "table {{", "{{"],
        "type" => &["container", "image", "network", "volume", "service", "task", "node", "secret", "config"],
        "log-driver" => &["gelf", "json-file", "local", "none", "syslog"],
        "ipc" => &["private", "shareable", "host", "none", "container:"],
        "pid" => &["host", "container:"],
        "uts" | "userns" => &["host"],
        "cgroupns" => &["host", "private"],
        "driver" if path.starts_with("network") => &["bridge"],
        "driver" => &["local"],
        "opt" if path.starts_with("network") => BRIDGE_OPTIONS,
        "signal" | "stop-signal" => &["HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2", "STOP", "CONT"],
        "security-opt" => &["no-new-privileges", "seccomp=unconfined", "seccomp="],
        "filter" if path == "network ls" => {
            &["driver=", "dangling=true", "id=", "label=", "name=", "scope=local", "type=custom"]
        }
        "filter" => &["name=", "label=", "status=", "id=", "ancestor=", "reference=", "dangling=true"],
        "volumes-from" | "link" => {
            answer.wanted = Some(Wanted::Containers);
            &[]
        }
        "volume" | "mount" => {
            (answer.wanted, answer.files) = (Some(Wanted::Volumes), true);
            &[]
        }
        "env-file" | "cidfile" | "input" | "output" | "file" | "device" | "label-file" => {
            answer.files = true;
            &[]
        }
        _ => &[],
    };
    answer.candidates.extend(known.iter().map(|word| (word.to_string(), String::new())));
}

/// What the positional at `at` names.
fn positional(answer: &mut Answer, path: &str, at: usize) {
    use Wanted::{Anything, Containers, Images, Networks, Running, Volumes};
    let wanted = match (path, at) {
        ("container attach" | "container exec" | "container top", 0) => Some(Running),
        ("container stop" | "container kill" | "container pause" | "container unpause" | "container stats", _) => Some(Running),
        ("container run" | "container create", 0) => Some(Images),
        (
            "container commit" | "container rename" | "container logs" | "container diff" | "container port"
            | "container export",
            0,
        ) => Some(Containers),
        ("container rm" | "container start" | "container restart" | "container wait" | "container update", _) => {
            Some(Containers)
        }
        ("container inspect", _) | ("explain" | "why reach", 0) | ("why reach", 1) => Some(Containers),
        ("image history" | "image tag" | "image push" | "image ls", 0) => Some(Images),
        ("image rm" | "image save" | "image inspect", _) => Some(Images),
        ("volume rm" | "volume inspect", _) => Some(Volumes),
        ("network inspect" | "network rm", _) | ("network connect" | "network disconnect", 0) => Some(Networks),
        ("network connect" | "network disconnect", 1) => Some(Containers),
        ("inspect", _) => Some(Anything),
        ("service create", 0) => Some(Images),
        _ => offers::named(path, at).map(Wanted::Swarm),
    };
    answer.wanted = wanted;
    match (path, at) {
        ("container cp", _) => (answer.wanted, answer.files) = (Some(Containers), true),
        ("image import", 0) | ("image build", 0) => answer.files = true,
        ("completion", 0) => {
            answer.candidates = ["bash", "zsh", "fish"].iter().map(|shell| (shell.to_string(), String::new())).collect();
        }
        _ => {}
    }
}

/// Names from the daemon, if there is one.
async fn names(wanted: &Wanted, globals: &Globals, session: &Session) -> Option<Vec<(String, String)>> {
    let named = !globals.hosts.is_empty() || globals.context.is_some();
    let found = if named { Session::new(globals).ok()?.address().ok().cloned() } else { session.address().ok().cloned() };
    let address = found?;
    let version = if named { None } else { Some(API_VERSION) };
    let docker = Docker::connect(address, version).await.ok()?;
    let mut names = Vec::new();
    if matches!(wanted, Wanted::Running | Wanted::Containers | Wanted::Anything) {
        let route = Route::new("/containers/json", []).flag("all", *wanted != Wanted::Running);
        for container in docker.get::<Vec<Json>>(&route).await.ok()? {
            let about = format!("{} {}", text(&container["Image"]), text(&container["Status"]));
            let own = container["Names"].as_array()?.iter().map(|name| text(name).trim_start_matches('/').to_string());
            names.extend(own.map(|name| (name, about.clone())));
        }
    }
    if matches!(wanted, Wanted::Images | Wanted::Anything) {
        for image in docker.get::<Vec<Json>>(&Route::new("/images/json", [])).await.ok()? {
            for tag in image["RepoTags"].as_array().into_iter().flatten() {
                names.push((text(tag).trim_end_matches(":latest").to_string(), "image".into()));
            }
        }
    }
    if matches!(wanted, Wanted::Volumes | Wanted::Anything) {
        let list: Json = docker.get(&Route::new("/volumes", [])).await.ok()?;
        names.extend(list["Volumes"].as_array().into_iter().flatten().map(|v| (text(&v["Name"]).to_string(), "volume".into())));
    }
    if *wanted == Wanted::Networks {
        let list: Vec<Json> = docker.get(&Route::new("/networks", [])).await.ok()?;
        names.extend(list.iter().map(|network| (text(&network["Name"]).to_string(), "network".into())));
    }
    if let Wanted::Swarm(things) = wanted {
        names.extend(offers::names(&docker, *things).await?);
    }
    Some(names)
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Answer {
        answer(&line.split(' ').map(str::to_string).collect::<Vec<_>>())
    }

    fn words(line: &str) -> Vec<String> {
        asked(line).candidates.into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn commands_verbs_and_flags_are_offered() {
        assert!(["container", "ps", "images", "run"].iter().all(|word| words("").contains(&word.to_string())));
        assert!(!words("").iter().any(|word| word.starts_with("__")));
        assert!(words("container ").contains(&"ls".to_string()) && words("image ").contains(&"prune".to_string()));
        assert!(words("ps --").contains(&"--no-trunc".to_string()) && words("container ls -").contains(&"--all".to_string()));
        assert!(words("-H unix:///x ").contains(&"ps".to_string()) && words("--d").contains(&"--debug".to_string()));
        assert_eq!(words("completion "), ["bash", "zsh", "fish"]);
    }

    #[test]
    fn values_and_names_are_asked_for_where_they_stand() {
        assert_eq!(
            (asked("run --network ").wanted, words("run --network ")),
            (Some(Wanted::Networks), vec!["container:".into()])
        );
        assert_eq!((words("network create -d "), words("volume create -d ")), (vec!["bridge".into()], vec!["local".into()]));
        assert_eq!(asked("network connect ").wanted, Some(Wanted::Networks));
        assert_eq!(asked("network connect n1 ").wanted, Some(Wanted::Containers));
        assert_eq!(asked("run -it --name x ").wanted, Some(Wanted::Images));
        assert_eq!(asked("run -itv ").wanted, Some(Wanted::Volumes));
        assert_eq!(asked("rm -f ").wanted, Some(Wanted::Containers));
        assert_eq!(asked("exec -it ").wanted, Some(Wanted::Running));
        assert_eq!(asked("exec web ").wanted, None);
        assert!(words("run alpine ls -").is_empty());
        assert_eq!(asked("inspect ").wanted, Some(Wanted::Anything));
        assert!(asked("load -i ").files && asked("cp ").files);
        assert_eq!(asked("-H unix:///x rm ").globals.hosts, ["unix:///x"]);
        assert!(words("nosuch ").is_empty());
        assert_eq!(asked("service scale ").wanted, Some(Wanted::Swarm(Things::Scales)));
        assert_eq!(asked("service create --network ").wanted, Some(Wanted::Networks));
        assert_eq!(words("node update --role "), ["worker", "manager"]);
    }
}
