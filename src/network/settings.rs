//! # Settings: the host's knobs, turned only when needed and turned back
//!
//! For a container to reach the world the host must *forward* packets, which most machines do not do. That is a knob of
//! the whole host (or of the whole namespace that the daemon lives in), so it belongs to the user, not to us: it is turned when
//! the first network needs it, the value it had is kept in a file, `info` lists it, and [`Settings::restore`] puts it back.
//!
//! ```text
//!   need("net/ipv4/ip_forward", "1")    is it 1? nothing happens : remember "0", write "1"
//!   restore()                           still "1"? write "0" : somebody else has changed it since, so leave it
//! ```
//!
//! * Knobs of a link of our own ([`of_link`]) vanish with the link: nothing to remember.
//! * `/proc/sys/net` shows the network namespace of the thread that *looks*: call from a thread of the daemon's own namespace.
//!
//! Laws: remembered on disk before it is written, so that a daemon killed in between leaves a note too many rather than one too
//! few; the first value is the one that counts. See: proc_sys_net(5), sysctl(8). Next room: [`crate::ipam`]

use minidock_base::{Doing, Error, Result, state_file};
use minidock_linux::action;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// One knob that we turned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turned {
    pub was: String,
    pub now: String,
}

/// The knobs that we turned, and the file that remembers them.
pub struct Settings {
    file: PathBuf,
    turned: Mutex<BTreeMap<String, Turned>>,
}

impl Settings {
    /// As remembered in `file`; nothing if there is none.
    ///
    /// # Errors
    /// A file that cannot be read; it is left alone.
    pub fn load(file: &Path) -> Result<Settings> {
        let turned = state_file::load(file)?.unwrap_or_default();
        Ok(Settings { file: file.to_path_buf(), turned: Mutex::new(turned) })
    }

    /// Lets packets pass from link to link; `v6` for IPv6 as well. A link that takes its IPv6 address from a router's advertisements
    /// stops doing so on a host that forwards, unless `accept_ra` is 2: such links are told.
    ///
    /// # Errors
    /// EROFS or EACCES where `/proc/sys` may not be written.
    pub fn forward(&self, v6: bool) -> Result<()> {
        self.need("net/ipv4/ip_forward", "1")?;
        if v6 {
            for link in listening_links() {
                self.need(&format!("net/ipv6/conf/{link}/accept_ra"), "2")?;
            }
            self.need("net/ipv6/conf/all/forwarding", "1")?;
        }
        Ok(())
    }

    /// Makes sure that the knob (a path below `/proc/sys`) stands at `value`.
    ///
    /// # Errors
    /// ENOENT for a knob that this kernel has not; EROFS or EACCES.
    pub fn need(&self, knob: &str, value: &str) -> Result<()> {
        let mut turned = self.turned.lock().expect("no holder panics");
        let was = read(knob).doing(|| format!("read the setting {knob}"))?;
        if was == value {
            return Ok(());
        }
        let first = turned.get(knob).map_or(was, |known| known.was.clone());
        turned.insert(knob.to_string(), Turned { was: first, now: value.to_string() });
        state_file::save_durably(&self.file, &*turned)?;
        let by_hand = || format!("ask whoever may: sysctl -w {}={value}", knob.replace('/', "."));
        write(knob, value).doing(|| format!("set {knob} to {value}")).map_err(|e| e.hint(by_hand()))
    }

    /// What we turned: knob (as sysctl(8) writes it), value before, value now.
    pub fn changed(&self) -> Vec<(String, Turned)> {
        let turned = self.turned.lock().expect("no holder panics");
        turned.iter().map(|(knob, turned)| (knob.replace('/', "."), turned.clone())).collect()
    }

    /// Puts every knob back that still stands where we left it, and forgets them all.
    ///
    /// # Errors
    /// The first knob that could not be put back; the others are, and this one stays remembered.
    pub fn restore(&self) -> Result<()> {
        let mut turned = self.turned.lock().expect("no holder panics");
        let mut failed = None;
        turned.retain(|knob, Turned { was, now }| {
            let back = match read(knob) {
                Ok(value) if value == *now => write(knob, was).map_err(io::Error::from),
                // changed by somebody else since, or gone with its link
                Ok(_) => Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(e) => Err(e),
            };
            let kept = back.is_err();
            if let Err(e) = back {
                failed.get_or_insert(Error::system(e.to_string()).during(format!("set {knob} back to {was}")));
            }
            kept
        });
        match turned.is_empty() {
            true => match fs::remove_file(&self.file) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).doing(|| format!("remove {}", self.file.display()))?,
                _ => {}
            },
            false => state_file::save(&self.file, &*turned)?,
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Turns a knob of a link of our own: `net.ipv4.conf.<link>.<knob>`. A knob that this kernel has not is left alone.
///
/// # Errors
/// EROFS or EACCES where `/proc/sys` may not be written.
#[track_caller]
pub(crate) fn of_link(version: u8, link: &str, knob: &str, value: &str) -> Result<()> {
    let path = format!("net/ipv{version}/conf/{link}/{knob}");
    match read(&path) {
        Ok(now) if now == value => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        _ => {}
    }
    write(&path, value).doing(|| format!("set {path} to {value}"))
}

/// Links that take their address from a router and would stop when the host forwards.
fn listening_links() -> Vec<String> {
    let names = fs::read_dir("/proc/sys/net/ipv6/conf").into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|n| n != "all" && n != "lo");
    names
        .filter(|n| n != "default" && read(&format!("net/ipv6/conf/{n}/accept_ra")).is_ok_and(|v| v == "1") && has_router(n))
        .collect()
}

/// Whether the link has a default route that a router announced (RTF_ADDRCONF | RTF_GATEWAY in `/proc/net/ipv6_route`).
fn has_router(link: &str) -> bool {
    const ANNOUNCED: u32 = 0x0004_0002;
    let table = fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap_or_default();
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = words.get(8).and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or(0);
        words.get(9) == Some(&link) && words.get(1) == Some(&"00") && flags & ANNOUNCED == ANNOUNCED
    })
}

fn path_of(knob: &str) -> PathBuf {
    Path::new("/proc/sys").join(knob)
}

fn read(knob: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path_of(knob))?.trim().to_string())
}

#[track_caller]
fn write(knob: &str, value: &str) -> Result<(), minidock_linux::errno::CallFailed> {
    let path = path_of(knob);
    action::call("write", || vec![action::quoted(&path), action::quoted(value)], || fs::write(&path, value))
}
