//! # Columns: what `ps` can show, by name
//!
//! A column has a name by which it is asked for (`-o pid,user=WHO`), a heading, and a way to write itself. The headings and
//! the small conventions (`00:00:03`, `Nov27`, `Ssl+`) are those of procps, for scripts read them.
//!
//! ```text
//!   STIME   09:14 today · Nov26 this year · 2025 before
//!   STAT    S sleeping, R, D, T, Z …   then < N L s l +     high, low priority, locked, session leader, threads, foreground
//!   TTY     136:0 is pts/0; none is ?
//! ```
//!
//! *See:* ps(1), "STANDARD FORMAT SPECIFIERS". *Next room:* [`super`]

use super::process::{Machine, Process};
use jiff::{Timestamp, tz::TimeZone};
use minidock_base::{Error, Result};

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Pid,
    Ppid,
    Pgid,
    Sid,
    Tpgid,
    Euid,
    Ruid,
    Egid,
    Rgid,
    User,
    RealUser,
    Group,
    RealGroup,
    Name,
    Command,
    State,
    Stat,
    Tty,
    Time,
    BsdTime,
    Seconds,
    Elapsed,
    ElapsedSeconds,
    Started,
    LongStarted,
    StartTime,
    CpuWhole,
    Cpu,
    Memory,
    VirtualKib,
    ResidentKib,
    Pages,
    Nice,
    Priority,
    Processor,
    Threads,
    Flags,
    Class,
    RtPriority,
    WaitChannel,
    Address,
    Cgroup,
}

/// All names, each with its heading.
const NAMES: &[(&str, &str, Column)] = &[
    ("pid", "PID", Column::Pid),
    ("tgid", "TGID", Column::Pid),
    ("ppid", "PPID", Column::Ppid),
    ("pgid", "PGID", Column::Pgid),
    ("pgrp", "PGRP", Column::Pgid),
    ("sid", "SID", Column::Sid),
    ("sess", "SESS", Column::Sid),
    ("session", "SESS", Column::Sid),
    ("tpgid", "TPGID", Column::Tpgid),
    ("uid", "UID", Column::Euid),
    ("euid", "EUID", Column::Euid),
    ("ruid", "RUID", Column::Ruid),
    ("gid", "GID", Column::Egid),
    ("egid", "EGID", Column::Egid),
    ("rgid", "RGID", Column::Rgid),
    // -f's UID is a name
    ("uid_name", "UID", Column::User),
    ("user", "USER", Column::User),
    ("uname", "USER", Column::User),
    ("euser", "EUSER", Column::User),
    ("ruser", "RUSER", Column::RealUser),
    ("group", "GROUP", Column::Group),
    ("egroup", "EGROUP", Column::Group),
    ("rgroup", "RGROUP", Column::RealGroup),
    ("comm", "COMMAND", Column::Name),
    ("ucomm", "COMMAND", Column::Name),
    ("ucmd", "CMD", Column::Name),
    ("exe", "EXE", Column::Name),
    ("args", "COMMAND", Column::Command),
    ("command", "COMMAND", Column::Command),
    ("cmd", "CMD", Column::Command),
    ("s", "S", Column::State),
    ("state", "S", Column::State),
    ("stat", "STAT", Column::Stat),
    ("tty", "TT", Column::Tty),
    ("tt", "TT", Column::Tty),
    ("tname", "TTY", Column::Tty),
    ("time", "TIME", Column::Time),
    ("cputime", "TIME", Column::Time),
    ("bsdtime", "TIME", Column::BsdTime),
    ("cputimes", "TIME", Column::Seconds),
    ("times", "TIME", Column::Seconds),
    ("etime", "ELAPSED", Column::Elapsed),
    ("etimes", "ELAPSED", Column::ElapsedSeconds),
    ("start", "STARTED", Column::Started),
    ("lstart", "STARTED", Column::LongStarted),
    ("stime", "STIME", Column::StartTime),
    ("start_time", "START", Column::StartTime),
    ("bsdstart", "START", Column::StartTime),
    ("c", "C", Column::CpuWhole),
    ("pcpu", "%CPU", Column::Cpu),
    ("%cpu", "%CPU", Column::Cpu),
    ("pmem", "%MEM", Column::Memory),
    ("%mem", "%MEM", Column::Memory),
    ("vsz", "VSZ", Column::VirtualKib),
    ("vsize", "VSZ", Column::VirtualKib),
    ("rss", "RSS", Column::ResidentKib),
    ("rssize", "RSS", Column::ResidentKib),
    ("rsz", "RSZ", Column::ResidentKib),
    ("sz", "SZ", Column::Pages),
    ("ni", "NI", Column::Nice),
    ("nice", "NI", Column::Nice),
    ("pri", "PRI", Column::Priority),
    ("psr", "PSR", Column::Processor),
    ("nlwp", "NLWP", Column::Threads),
    ("thcount", "THCNT", Column::Threads),
    ("f", "F", Column::Flags),
    ("flag", "F", Column::Flags),
    ("flags", "F", Column::Flags),
    ("cls", "CLS", Column::Class),
    ("class", "CLS", Column::Class),
    ("rtprio", "RTPRIO", Column::RtPriority),
    ("wchan", "WCHAN", Column::WaitChannel),
    ("addr", "ADDR", Column::Address),
    ("cgroup", "CGROUP", Column::Cgroup),
];

/// A column by its name, with its usual heading.
///
/// # Errors
/// `ps: unknown column …`.
pub fn by_name(name: &str) -> Result<(String, Column)> {
    match NAMES.iter().find(|(known, _, _)| *known == name) {
        Some((_, title, column)) => Ok((title.to_string(), *column)),
        None => Err(Error::invalid(format!("ps: unknown user-defined format specifier \"{name}\""))
            .hint("such as pid, ppid, user, comm, args, stat, time, etime, pcpu, pmem, rss")),
    }
}

/// `pid,user=WHO`; behind `=` everything to the end is the heading.
///
/// # Errors
/// As [`by_name`].
pub fn parse_list(list: &str) -> Result<Vec<(String, Column)>> {
    let mut columns = Vec::new();
    for word in list.split(',').filter(|word| !word.is_empty()) {
        let (name, title) = match word.split_once('=') {
            Some((name, title)) => (name, Some(title)),
            None => (word, None),
        };
        let (usual, column) = by_name(name)?;
        columns.push((title.map_or(usual, String::from), column));
    }
    Ok(columns)
}

const TICKS: u64 = 100;

impl Column {
    /// The cell for one process.
    pub fn show(self, process: &Process, machine: &Machine) -> String {
        let ticks = process.user_ticks + process.system_ticks;
        let elapsed = (machine.uptime_seconds - process.start_ticks as f64 / TICKS as f64).max(0.0);
        match self {
            Column::Pid => process.pid.to_string(),
            Column::Ppid => process.ppid.to_string(),
            Column::Pgid => process.pgid.to_string(),
            Column::Sid => process.sid.to_string(),
            Column::Tpgid => process.tpgid.to_string(),
            Column::Euid => process.euid.to_string(),
            Column::Ruid => process.ruid.to_string(),
            Column::Egid => process.egid.to_string(),
            Column::Rgid => process.rgid.to_string(),
            Column::User => machine.user(process.euid),
            Column::RealUser => machine.user(process.ruid),
            Column::Group => machine.group(process.egid),
            Column::RealGroup => machine.group(process.rgid),
            Column::Name if process.state == 'Z' => format!("{} <defunct>", process.comm),
            Column::Name => process.comm.clone(),
            Column::Command => process.command(),
            Column::State => process.state.to_string(),
            Column::Stat => stat(process),
            Column::Tty => tty(process.tty),
            Column::Time => clock(ticks / TICKS, true),
            Column::BsdTime => format!("{}:{:02}", ticks / TICKS / 60, ticks / TICKS % 60),
            Column::Seconds => (ticks / TICKS).to_string(),
            Column::Elapsed => clock(elapsed as u64, false),
            Column::ElapsedSeconds => (elapsed as u64).to_string(),
            Column::Started => started(process, machine, "%H:%M:%S", "%b %d"),
            Column::LongStarted => started(process, machine, "%a %b %e %H:%M:%S %Y", "%a %b %e %H:%M:%S %Y"),
            Column::StartTime => started(process, machine, "%H:%M", "%b%d"),
            Column::CpuWhole => (percent_of(ticks as f64 / TICKS as f64, elapsed) as u64).min(99).to_string(),
            Column::Cpu => format!("{:.1}", percent_of(ticks as f64 / TICKS as f64, elapsed)),
            Column::Memory => format!("{:.1}", percent_of(resident(process) as f64, machine.memory_bytes as f64)),
            Column::VirtualKib => (process.virtual_bytes / 1024).to_string(),
            Column::ResidentKib => (resident(process) / 1024).to_string(),
            Column::Pages => (process.virtual_bytes / PAGE).to_string(),
            Column::Nice if process.policy == 0 || process.policy == 3 => process.nice.to_string(),
            Column::Nice => "-".into(),
            Column::Priority => (39 - process.priority).to_string(),
            Column::Processor => process.cpu.to_string(),
            Column::Threads => process.threads.to_string(),
            // bit 6: forked but did not exec, and bit 8: used superuser privileges, moved to 1 and 4
            Column::Flags => (process.flags >> 6 & 7).to_string(),
            Column::Class => class(process.policy).into(),
            Column::RtPriority if process.rt_priority == 0 => "-".into(),
            Column::RtPriority => process.rt_priority.to_string(),
            Column::WaitChannel => wait_channel(process.pid),
            Column::Address => "-".into(),
            Column::Cgroup => cgroup(process.pid),
        }
    }
}

const PAGE: u64 = 4096;

fn resident(process: &Process) -> u64 {
    process.resident_pages * PAGE
}

fn percent_of(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole * 100.0 } else { 0.0 }
}

fn stat(process: &Process) -> String {
    let mut text = process.state.to_string();
    let mut add = |holds: bool, letter: char| {
        if holds {
            text.push(letter);
        }
    };
    add(process.nice < 0, '<');
    add(process.nice > 0, 'N');
    add(process.locked, 'L');
    add(process.sid == process.pid, 's');
    add(process.threads > 1, 'l');
    add(process.pgid == process.tpgid, '+');
    text
}

/// A device number as the terminal's name: the kernel puts the minor's upper bits above the major.
fn tty(number: u32) -> String {
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
    match (major, minor) {
        (0, 0) => "?".into(),
        (136..=143, minor) => format!("pts/{}", minor + (major - 136) * 256),
        (4, minor) if minor < 64 => format!("tty{minor}"),
        (4, minor) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".into(),
        (229, minor) => format!("hvc{minor}"),
        _ => "?".into(),
    }
}

/// `[DD-]hh:mm:ss`; elapsed time leaves out the hours when there are none.
fn clock(seconds: u64, with_hours: bool) -> String {
    let (days, hours, minutes, seconds) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) if !with_hours => format!("{minutes:02}:{seconds:02}"),
        (0, _) => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// The moment of its start, in local time: `today` within the last 24 hours, `later` within the year, else the year.
fn started(process: &Process, machine: &Machine, today: &str, later: &str) -> String {
    let at = machine.boot + (process.start_ticks / TICKS) as i64;
    let zone = TimeZone::system();
    let Ok(start) = Timestamp::from_second(at).map(|moment| moment.to_zoned(zone.clone())) else { return "?".into() };
    let now = Timestamp::from_second(machine.now).map(|moment| moment.to_zoned(zone)).unwrap_or_else(|_| start.clone());
    let format = match (start.date() == now.date(), start.year() == now.year()) {
        (true, _) => today,
        (false, true) => later,
        (false, false) if later.len() > 8 => later,
        (false, false) => "%Y",
    };
    start.strftime(format).to_string()
}

fn class(policy: u32) -> &'static str {
    match policy {
        0 => "TS",
        1 => "FF",
        2 => "RR",
        3 => "B",
        5 => "IDL",
        6 => "DLN",
        _ => "?",
    }
}

fn wait_channel(pid: i32) -> String {
    match std::fs::read_to_string(format!("/proc/{pid}/wchan")) {
        Ok(name) if !name.is_empty() && name != "0" => name,
        _ => "-".into(),
    }
}

fn cgroup(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_ps_writes_them() {
        assert_eq!(
            (clock(3, true), clock(3, false), clock(90_061, true)),
            ("00:00:03".into(), "00:03".into(), "1-01:01:01".into())
        );
        let machine = Machine { boot: 1_000_000_000, now: 1_000_000_100, uptime_seconds: 100.0, ..Machine::default() };
        let process = Process { start_ticks: 5_000, user_ticks: 1_000, system_ticks: 500, ..Process::default() };
        assert_eq!(Column::CpuWhole.show(&process, &machine), "30");
        assert_eq!(Column::Cpu.show(&process, &machine), "30.0");
        assert_eq!(Column::BsdTime.show(&process, &machine), "0:15");
        assert_eq!(Column::Elapsed.show(&process, &machine), "00:50");
        let next_year = Machine { now: 1_040_000_000, ..machine };
        assert_eq!(Column::StartTime.show(&process, &next_year), "2001");
    }

    #[test]
    fn terminals_and_states_have_their_usual_names() {
        assert_eq!((tty(0), tty(34817), tty(0x401), tty(0x501)), ("?".into(), "pts/1".into(), "tty1".into(), "console".into()));
        let process = Process { state: 'S', pid: 7, sid: 7, pgid: 7, tpgid: 7, threads: 2, nice: -5, ..Process::default() };
        assert_eq!(stat(&process), "S<sl+");
    }
}
