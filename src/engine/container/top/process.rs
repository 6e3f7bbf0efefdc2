//! # Process: one line of `top`, before it is written
//!
//! Everything that `ps` shows comes from three files of `/proc/PID`. The awkward one is `stat`: its second field, the
//! name, is in brackets and may itself contain spaces and brackets, so what follows is counted from the *last* bracket.
//!
//! ```text
//!   stat     4711 (my) prog) S 1 4711 4711 34816 …     state, parent, group, session, tty, times, nice, start …
//!   status   Uid: 0 0 0 0   Gid: …                       real, effective, saved, filesystem
//!   cmdline  sleep\0100\0                                empty for kernel threads and zombies
//! ```
//!
//! *See:* proc_pid_stat(5). *Next room:* [`super::columns`]

use minidock_base::clock;
use std::{collections::HashMap, fs};

/// What `/proc` says of one process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    pub pid: i32,
    pub comm: String,
    pub state: char,
    pub ppid: i32,
    pub pgid: i32,
    pub sid: i32,
    pub tty: u32,
    pub tpgid: i32,
    pub flags: u32,
    /// CPU time in clock ticks.
    pub user_ticks: u64,
    pub system_ticks: u64,
    pub priority: i64,
    pub nice: i64,
    pub threads: u64,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    pub virtual_bytes: u64,
    pub resident_pages: u64,
    pub cpu: u32,
    pub rt_priority: u64,
    pub policy: u32,
    pub args: Vec<String>,
    pub ruid: u32,
    pub euid: u32,
    pub rgid: u32,
    pub egid: u32,
    pub locked: bool,
}

impl Process {
    /// Reads one process; `None` when it is gone.
    pub fn read(pid: i32) -> Option<Process> {
        let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
        let text = |name: &str| file(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mut process = Process::parse_stat(&text("stat")?)?;
        process.read_status(&text("status")?);
        let arguments = file("cmdline").unwrap_or_default();
        let arguments = arguments.strip_suffix(b"\0").unwrap_or(&arguments);
        if !arguments.is_empty() {
            process.args = arguments.split(|byte| *byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        }
        Some(process)
    }

    fn parse_stat(stat: &str) -> Option<Process> {
        let (before, after) = stat.rsplit_once(')')?;
        let (pid, comm) = before.split_once('(')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        // the man page counts from 1 and the state is field 3
        let at = |number: usize| fields.get(number - 3).copied().unwrap_or("0");
        let n = |number: usize| at(number).parse::<i64>().unwrap_or(0);
        let u = |number: usize| at(number).parse::<u64>().unwrap_or(0);
        Some(Process {
            pid: pid.trim().parse().ok()?,
            comm: comm.to_string(),
            state: at(3).chars().next()?,
            ppid: n(4) as i32,
            pgid: n(5) as i32,
            sid: n(6) as i32,
            tty: n(7) as u32,
            tpgid: n(8) as i32,
            flags: u(9) as u32,
            user_ticks: u(14),
            system_ticks: u(15),
            priority: n(18),
            nice: n(19),
            threads: u(20),
            start_ticks: u(22),
            virtual_bytes: u(23),
            resident_pages: u(24),
            cpu: u(39) as u32,
            rt_priority: u(40),
            policy: u(41) as u32,
            ..Process::default()
        })
    }

    fn read_status(&mut self, status: &str) {
        let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let ids = |key: &str| -> Vec<u32> { field(key).split_whitespace().filter_map(|id| id.parse().ok()).collect() };
        let (users, groups) = (ids("Uid:"), ids("Gid:"));
        let at = |list: &[u32], n: usize| list.get(n).copied().unwrap_or(0);
        (self.ruid, self.euid) = (at(&users, 0), at(&users, 1));
        (self.rgid, self.egid) = (at(&groups, 0), at(&groups, 1));
        self.locked = field("VmLck:").split_whitespace().next().is_some_and(|kib| kib != "0");
    }

    /// The command line; of those that have none, the name in brackets.
    pub fn command(&self) -> String {
        match (self.args.is_empty(), self.state) {
            (true, 'Z') => format!("[{}] <defunct>", self.comm),
            (true, _) => format!("[{}]", self.comm),
            // an argument may contain a line break, a table row must not
            (false, _) => self.args.join(" ").replace(['\n', '\t'], "?"),
        }
    }
}

/// What rows need to know about the machine.
#[derive(Debug, Default)]
pub struct Machine {
    /// Seconds since 1970 at boot, and now.
    pub boot: i64,
    pub now: i64,
    pub uptime_seconds: f64,
    pub memory_bytes: u64,
    pub users: HashMap<u32, String>,
    pub groups: HashMap<u32, String>,
}

impl Machine {
    pub fn look() -> Machine {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let number_after = |text: &str, key: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
        };
        Machine {
            boot: number_after(&text("/proc/stat"), "btime ").unwrap_or(0) as i64,
            now: clock::now().as_second(),
            uptime_seconds: text("/proc/uptime").split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0),
            memory_bytes: number_after(&text("/proc/meminfo"), "MemTotal:").unwrap_or(0) * 1024,
            users: names(&text("/etc/passwd")),
            groups: names(&text("/etc/group")),
        }
    }

    pub fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    pub fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
    }
}

/// Ids to names, from a text in the form of passwd or group; the first line of an id counts.
fn names(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1).and_then(|id| id.parse().ok())) {
            names.entry(id).or_insert_with(|| name.to_string());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_contain_spaces_and_brackets() {
        let stat = "4711 (my) (prog) S 1 4710 4709 34817 4711 4194560 1 2 3 4 50 60 0 0 20 5 3 0 12345 8192 2 \
            18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0";
        let process = Process::parse_stat(stat).expect("a line of /proc");
        assert_eq!((process.pid, process.comm.as_str(), process.state, process.ppid), (4711, "my) (prog", 'S', 1));
        assert_eq!((process.pgid, process.sid, process.tty, process.nice), (4710, 4709, 34817, 5));
        assert_eq!((process.user_ticks, process.system_ticks, process.start_ticks, process.threads), (50, 60, 12345, 3));
        assert_eq!(process.command(), "[my) (prog]");
    }

    #[test]
    fn ids_have_the_hosts_names() {
        let names = names("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\nbroken\nwww:x:33:33\n");
        assert_eq!((names[&0].as_str(), names[&33].as_str(), names.len()), ("root", "www", 2));
    }
}
