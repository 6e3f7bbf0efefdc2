//! # Top: its processes, seen from outside
//!
//! `top` shows the container's processes as the *host* sees them: host pids, users by the host's names. Docker runs the
//! machine's `ps` and keeps the lines whose pid is in the container. We read `/proc` ourselves, for no `ps` need be
//! installed and none is started; the options that people give (`top web aux`, `top web -o pid,comm`) mean what they mean
//! to `ps`.
//!
//! ```text
//!   ps_args "-ef"        ──► columns: UID PID PPID C STIME TTY TIME CMD     (columns.rs)
//!   cgroup → pids        ──► /proc/PID/{stat,status,cmdline}                (process.rs)
//!                               └──► one row each
//! ```
//!
//! * [`Wish`] is the command line understood: which columns, by which headings. Options that select processes (`-e`, `a`,
//!   `x`) are accepted and mean nothing, for the container selects. What we do not know is refused by name.
//!
//! Laws: a process that ends while we look is left out. *See:* ps(1), moby `daemon/top_unix.go`.
//! *Next room:* [`crate::container::stats`]

pub mod columns;
pub mod process;

use crate::{
    Engine,
    container::{bundle, publish, record::Phase, stats},
};
use columns::Column;
use minidock_base::{Error, Result, error::Doing};
use minidock_linux::cgroup::Hierarchy;
use minidock_spec::engine::container::Top;
use process::{Machine, Process};
use std::{fs, path::Path, sync::Arc};

/// The processes of a container; `ps_args` as for ps(1), `-ef` when empty.
///
/// # Errors
/// It does not run (409); an option that we do not know (400).
pub async fn top(engine: &Arc<Engine>, id: &str, ps_args: &str) -> Result<Top> {
    let wish = Wish::parse(if ps_args.trim().is_empty() { "-ef" } else { ps_args })?;
    let record = engine.containers.find(id)?.record();
    if record.state.phase == Phase::Restarting {
        return Err(Error::conflict(format!("container {} is restarting, wait until the container is running", record.id)));
    }
    stats::must_run(&record)?;
    let (path, first) = (bundle::cgroups_path(engine, &record), record.state.pid);
    let look = move || {
        let hierarchy = Hierarchy::detect().doing(|| "find the cgroups of this machine")?;
        let pids = hierarchy.cgroup(Path::new(&path)).procs().doing(|| "list its processes")?;
        Ok(wish.table(&if pids.is_empty() { beside(first) } else { pids }))
    };
    let table = tokio::task::spawn_blocking(look).await.map_err(|e| Error::system(e.to_string()))??;
    publish(engine, &record, "top", &[]);
    Ok(table)
}

/// The processes in the pid namespace of its first one: without root there may be no cgroup for it.
fn beside(first: i32) -> Vec<i32> {
    let world = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(its) = world(first) else { return Vec::new() };
    let pids =
        fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<i32> = pids.filter(|pid| world(*pid).as_ref() == Some(&its)).collect();
    pids.sort_unstable();
    pids
}

/// A command line of `ps`, understood.
#[derive(Debug, PartialEq)]
struct Wish {
    columns: Vec<(String, Column)>,
}

const FULL: &[&str] = &["uid_name", "pid", "ppid", "c", "stime", "tname", "time", "cmd"];
const EXTRA_FULL: &[&str] = &["uid_name", "pid", "ppid", "c", "sz", "rss", "psr", "stime", "tname", "time", "cmd"];
const LONG: &[&str] = &["f", "s", "uid", "pid", "ppid", "c", "pri", "ni", "addr", "sz", "wchan", "tname", "time", "ucmd"];
const LONG_FULL: &[&str] =
    &["f", "s", "uid_name", "pid", "ppid", "c", "pri", "ni", "addr", "sz", "wchan", "stime", "tname", "time", "cmd"];
const JOBS: &[&str] = &["pid", "pgid", "sid", "tname", "time", "ucmd"];
const SIMPLE: &[&str] = &["pid", "tname", "time", "ucmd"];
const BSD: &[&str] = &["pid", "tname", "stat", "bsdtime", "args"];
const BSD_USER: &[&str] = &["user", "pid", "%cpu", "%mem", "vsz", "rss", "tname", "stat", "start_time", "bsdtime", "args"];
const BSD_LONG: &[&str] = &["f", "uid", "pid", "ppid", "pri", "ni", "vsz", "rss", "wchan", "stat", "tname", "bsdtime", "args"];
const BSD_JOBS: &[&str] = &["ppid", "pid", "pgid", "sid", "tname", "tpgid", "stat", "uid", "bsdtime", "args"];

impl Wish {
    fn parse(text: &str) -> Result<Wish> {
        let mut custom: Vec<(String, Column)> = Vec::new();
        let mut format: Option<&[&str]> = None;
        let mut full_and_long = (false, false);
        let mut words = text.split_whitespace().peekable();
        while let Some(word) = words.next() {
            if let Some(long) = word.strip_prefix("--") {
                match long.split_once('=') {
                    Some(("format", list)) => custom.extend(columns::parse_list(list)?),
                    None if long == "format" => {
                        custom.extend(columns::parse_list(words.next().ok_or_else(|| lacking("--format"))?)?);
                    }
                    None if long == "headers" || long == "forest" => {}
                    _ => return Err(unknown(word)),
                }
                continue;
            }
            let (is_bsd, letters) = match word.strip_prefix('-') {
                Some(letters) => (false, letters),
                None => (true, word),
            };
            for (at, letter) in letters.char_indices() {
                match (is_bsd, letter) {
                    (_, 'o') | (_, 'O') => {
                        let rest = &letters[at + 1..];
                        let list = if rest.is_empty() { words.next().ok_or_else(|| lacking("-o"))? } else { rest };
                        custom.extend(columns::parse_list(list)?);
                        break;
                    }
                    (false, 'e' | 'A' | 'a' | 'd' | 'N' | 'w' | 'y' | 'H' | 'x')
                    | (true, 'a' | 'x' | 'w' | 'e' | 'f' | 'r' | 'g') => {
                        if is_bsd && format.is_none() {
                            format = Some(BSD);
                        }
                    }
                    (false, 'f') => full_and_long.0 = true,
                    (false, 'l') => full_and_long.1 = true,
                    (false, 'F') => format = Some(EXTRA_FULL),
                    (false, 'j') => format = Some(JOBS),
                    (true, 'u') | (false, 'u') => format = Some(BSD_USER),
                    (true, 'l') => format = Some(BSD_LONG),
                    (true, 'j') => format = Some(BSD_JOBS),
                    _ => return Err(unknown(word)),
                }
            }
        }
        let format = match full_and_long {
            (true, true) => LONG_FULL,
            (true, false) => format.unwrap_or(FULL),
            (false, true) => LONG,
            (false, false) => format.unwrap_or(SIMPLE),
        };
        let columns = match custom.is_empty() {
            true => format.iter().map(|name| columns::by_name(name)).collect::<Result<_>>()?,
            false => custom,
        };
        // Docker finds its lines by this column, so people's scripts rely on there being one
        if columns.iter().all(|(title, _)| title != "PID") {
            return Err(Error::system("Couldn't find PID field in ps output").hint("add it to the columns: -o pid,user,comm"));
        }
        Ok(Wish { columns })
    }

    fn table(&self, pids: &[i32]) -> Top {
        let machine = Machine::look();
        let titles = self.columns.iter().map(|(title, _)| title.clone()).collect();
        let row = |process: &Process| self.columns.iter().map(|(_, column)| column.show(process, &machine)).collect();
        let processes = pids.iter().filter_map(|pid| Process::read(*pid)).map(|process| row(&process)).collect();
        Top { titles, processes }
    }
}

fn unknown(word: &str) -> Error {
    Error::invalid(format!("ps: unsupported option '{word}'")).hint("such as -ef, aux, or -o pid,user,comm,args")
}

fn lacking(option: &str) -> Error {
    Error::invalid(format!("ps: list of columns must follow {option}")).hint("such as -o pid,user,comm,args")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(args: &str) -> String {
        Wish::parse(args).expect("good options").columns.iter().map(|(title, _)| title.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_mean_what_they_mean_to_ps() {
        assert_eq!(titles("-ef"), "UID PID PPID C STIME TTY TIME CMD");
        assert_eq!(titles("aux"), "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
        assert_eq!(titles("-e"), "PID TTY TIME CMD");
        assert_eq!(titles("-o pid,comm"), "PID COMMAND");
        assert_eq!(titles("-eo pid,user=WHO,args"), "PID WHO COMMAND");
        assert_eq!(titles("-axo pid -o rss"), "PID RSS");
        assert_eq!(titles("-opid,ppid"), "PID PPID");
        assert_eq!(titles("--format=pid,etime"), "PID ELAPSED");
        assert_eq!(titles("ax"), "PID TTY STAT TIME COMMAND");
        assert_eq!(titles("-efl"), "F S UID PID PPID C PRI NI ADDR SZ WCHAN STIME TTY TIME CMD");
        for bad in ["-Z", "--sort=pid", "-o", "-o nosuch", "-eT", "1234", "-o comm"] {
            assert!(Wish::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn our_own_process_is_shown_as_ps_shows_it() {
        let pid = std::process::id() as i32;
        let table =
            Wish::parse("-o pid,ppid,comm,pgid,sid,ni,nlwp,uid,user,args,tname").expect("good options").table(&[pid, -7]);
        assert_eq!(table.processes.len(), 1, "who is not there is left out");
        let ps = std::process::Command::new("ps")
            .args(["-ww", "-o", "pid=,ppid=,comm=,pgid=,sid=,ni=", "-p", &pid.to_string()])
            .output();
        let Ok(ps) = ps else {
            eprintln!("SKIP: no ps on this machine");
            return;
        };
        let theirs = String::from_utf8_lossy(&ps.stdout);
        let theirs: Vec<&str> = theirs.split_whitespace().collect();
        assert_eq!(table.processes[0][..6], theirs[..], "{table:?}");
    }
}
