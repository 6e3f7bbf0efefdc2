//! # Mount options: one list of words, four kinds of meaning
//!
//! `"options": ["rbind", "ro", "nosuid", "rslave", "size=64k"]`. The specification puts into one list what the kernel
//! takes in four places, and this room sorts it:
//!
//! ```text
//!   ro, nosuid, noatime …        flags of this mount             [`Options::set`] / [`Options::clear`] (mount(2)'s bits)
//!   rro, rnosuid …               flags of the whole tree          [`Options::recursive`] (mount_setattr(2)'s bits)
//!   rslave, private …            how it echoes other mounts       [`Options::propagation`]
//!   size=64k, mode=755 …         text for the file system         [`Options::data`]
//!   bind, rbind; tmpcopyup; idmap, ridmap                        what kind of work it is
//! ```
//!
//! See: runtime-spec config.md#linux-mount-options, mount(8). Next room: [`crate::mounts`]

use minidock_base::{Error, Result};
use minidock_linux::mount::{
    self, MOUNT_ATTR_ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME, MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE,
};

pub const MS_RDONLY: u64 = 1;
pub const MS_NOSUID: u64 = 2;
pub const MS_NODEV: u64 = 4;
pub const MS_NOEXEC: u64 = 8;
const MS_SYNCHRONOUS: u64 = 16;
const MS_MANDLOCK: u64 = 64;
const MS_DIRSYNC: u64 = 128;
const MS_NOSYMFOLLOW: u64 = 256;
const MS_NOATIME: u64 = 1024;
const MS_NODIRATIME: u64 = 2048;
const MS_SILENT: u64 = 1 << 15;
const MS_RELATIME: u64 = 1 << 21;
const MS_I_VERSION: u64 = 1 << 23;
const MS_STRICTATIME: u64 = 1 << 24;
const MS_LAZYTIME: u64 = 1 << 25;

/// Words for one mount: what is set, what is cleared.
const FLAGS: &[(&str, bool, u64)] = &[
    ("async", false, MS_SYNCHRONOUS),
    ("atime", false, MS_NOATIME),
    ("dev", false, MS_NODEV),
    ("diratime", false, MS_NODIRATIME),
    ("dirsync", true, MS_DIRSYNC),
    ("exec", false, MS_NOEXEC),
    ("iversion", true, MS_I_VERSION),
    ("lazytime", true, MS_LAZYTIME),
    ("loud", false, MS_SILENT),
    ("mand", true, MS_MANDLOCK),
    ("noatime", true, MS_NOATIME),
    ("nodev", true, MS_NODEV),
    ("nodiratime", true, MS_NODIRATIME),
    ("noexec", true, MS_NOEXEC),
    ("noiversion", false, MS_I_VERSION),
    ("nolazytime", false, MS_LAZYTIME),
    ("nomand", false, MS_MANDLOCK),
    ("norelatime", false, MS_RELATIME),
    ("nostrictatime", false, MS_STRICTATIME),
    ("nosuid", true, MS_NOSUID),
    ("nosymfollow", true, MS_NOSYMFOLLOW),
    ("relatime", true, MS_RELATIME),
    ("ro", true, MS_RDONLY),
    ("rw", false, MS_RDONLY),
    ("silent", true, MS_SILENT),
    ("strictatime", true, MS_STRICTATIME),
    ("suid", false, MS_NOSUID),
    ("symfollow", false, MS_NOSYMFOLLOW),
    ("sync", true, MS_SYNCHRONOUS),
];

const PROPAGATION: &[(&str, u64)] = &[
    ("private", MS_PRIVATE),
    ("rprivate", MS_PRIVATE | MS_REC),
    ("rshared", MS_SHARED | MS_REC),
    ("rslave", MS_SLAVE | MS_REC),
    ("runbindable", MS_UNBINDABLE | MS_REC),
    ("shared", MS_SHARED),
    ("slave", MS_SLAVE),
    ("unbindable", MS_UNBINDABLE),
];

/// Words for the whole tree: what is set, what is cleared. The access times are one field of three values.
const RECURSIVE: &[(&str, u64, u64)] = &[
    ("ratime", 0, MOUNT_ATTR_ATIME),
    ("rdev", 0, MOUNT_ATTR_NODEV),
    ("rdiratime", 0, MOUNT_ATTR_NODIRATIME),
    ("rexec", 0, MOUNT_ATTR_NOEXEC),
    ("rnoatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR_ATIME),
    ("rnodev", MOUNT_ATTR_NODEV, 0),
    ("rnodiratime", MOUNT_ATTR_NODIRATIME, 0),
    ("rnoexec", MOUNT_ATTR_NOEXEC, 0),
    ("rnorelatime", 0, MOUNT_ATTR_ATIME),
    ("rnostrictatime", 0, MOUNT_ATTR_ATIME),
    ("rnosuid", MOUNT_ATTR_NOSUID, 0),
    ("rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0),
    ("rrelatime", 0, MOUNT_ATTR_ATIME),
    ("rro", MOUNT_ATTR_RDONLY, 0),
    ("rrw", 0, MOUNT_ATTR_RDONLY),
    ("rstrictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR_ATIME),
    ("rsuid", 0, MOUNT_ATTR_NOSUID),
    ("rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW),
];

/// What root of a user namespace may not take from a mount that it was given.
const LOCKABLE: u64 = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
const TIMES: u64 = MOUNT_ATTR_ATIME | MOUNT_ATTR_NODIRATIME;

const WORK: [&str; 7] = ["bind", "rbind", "remount", "defaults", "tmpcopyup", "idmap", "ridmap"];

/// The list, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// mount(2)'s flags to set, and those said to be off.
    pub set: u64,
    pub clear: u64,
    /// Bits of mount_setattr(2) for the tree: set, clear.
    pub recursive: (u64, u64),
    /// In the order given.
    pub propagation: Vec<u64>,
    pub data: Vec<String>,
    pub bind: bool,
    pub bind_recursive: bool,
    pub copy_up: bool,
    pub idmap: bool,
    pub idmap_recursive: bool,
}

impl Options {
    /// Sorts a list. A word that is none of ours is the file system's.
    pub fn parse(words: &[String]) -> Options {
        let mut options = Options::default();
        for word in words {
            options.add(word);
        }
        options
    }

    fn add(&mut self, word: &str) {
        if let Some((_, on, bit)) = FLAGS.iter().find(|(name, _, _)| *name == word) {
            let (to, from) = if *on { (&mut self.set, &mut self.clear) } else { (&mut self.clear, &mut self.set) };
            *to |= bit;
            *from &= !bit;
        } else if let Some((_, bits)) = PROPAGATION.iter().find(|(name, _)| *name == word) {
            self.propagation.push(*bits);
        } else if let Some((_, set, clear)) = RECURSIVE.iter().find(|(name, _, _)| *name == word) {
            self.recursive.0 = (self.recursive.0 & !clear) | set;
            self.recursive.1 = (self.recursive.1 & !set) | clear;
        } else {
            match word {
                "bind" => self.bind = true,
                "rbind" => (self.bind, self.bind_recursive) = (true, true),
                "tmpcopyup" => self.copy_up = true,
                "idmap" => self.idmap = true,
                "ridmap" => (self.idmap, self.idmap_recursive) = (true, true),
                "defaults" | "remount" | "" => {}
                _ => self.data.push(word.to_string()),
            }
        }
    }

    /// What is said to be on, as mount_setattr(2) takes it: (set, clear).
    pub fn attributes(&self) -> (u64, u64) {
        let mut set = attributes(self.set);
        let mut clear = 0;
        // Access times are one field of three values: naming one of them means clearing the field first.
        if self.set & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME) != 0 {
            clear = MOUNT_ATTR_ATIME;
            set |= match self.set {
                flags if flags & MS_NOATIME != 0 => MOUNT_ATTR_NOATIME,
                flags if flags & MS_STRICTATIME != 0 => MOUNT_ATTR_STRICTATIME,
                _ => 0,
            };
        }
        (set, clear)
    }

    /// The flags of a bind mount as mount_setattr(2) takes them: (set, clear). A list that has no word of the kind keeps what the
    /// source has. With one it is the whole truth, as `mount --bind -o` means it: what is not named is off. Access times are
    /// what they were, unless one of their words is on.
    ///
    /// `locked`: there is a user namespace, and what its root finds (`source`, in the same bits) is not its to take away. What is not
    /// named stays then.
    ///
    /// # Errors
    /// Forbidden: a locked flag is to be taken away, or the access times to be changed.
    pub fn bind_attributes(&self, source: u64, locked: bool) -> Result<(u64, u64)> {
        if self.set == 0 && self.clear == 0 {
            return Ok((0, 0));
        }
        let (mut set, mut clear) = self.attributes();
        clear |= (LOCKABLE | MOUNT_ATTR_NOSYMFOLLOW) & !set;
        if self.set & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME) != 0 {
            clear |= TIMES;
            if locked && set & TIMES != source & TIMES {
                return Err(Error::forbidden("cannot change locked atime flags: operation not permitted"));
            }
        }
        if locked {
            let torn = attributes(self.clear) & source & LOCKABLE;
            if torn != 0 {
                let names = mount::attribute_names(torn);
                return Err(Error::forbidden(format!("cannot clear locked flags {names}: operation not permitted"))
                    .hint("the mount it comes from has them, and a user namespace may not take them away"));
            }
            set |= source & LOCKABLE;
            clear &= !(source & LOCKABLE);
        }
        Ok((set, clear))
    }

    /// Whether a `key=` is among the data.
    pub fn has_data(&self, key: &str) -> bool {
        self.data.iter().any(|word| word.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))
    }
}

/// The kernel's newer bits of mount(2)'s flags, but for those of access times.
fn attributes(flags: u64) -> u64 {
    let pairs = [
        (MS_RDONLY, MOUNT_ATTR_RDONLY),
        (MS_NOSUID, MOUNT_ATTR_NOSUID),
        (MS_NODEV, MOUNT_ATTR_NODEV),
        (MS_NOEXEC, MOUNT_ATTR_NOEXEC),
        (MS_NODIRATIME, MOUNT_ATTR_NODIRATIME),
        (MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW),
    ];
    pairs.iter().filter(|(flag, _)| flags & flag != 0).fold(0, |bits, (_, bit)| bits | bit)
}

/// The propagation of `linux.rootfsPropagation`.
pub fn propagation(word: &str) -> Option<u64> {
    PROPAGATION.iter().find(|(name, _)| *name == word).map(|(_, bits)| *bits)
}

/// Every word we know, for `features`.
pub fn all() -> Vec<&'static str> {
    let mut words: Vec<&str> = FLAGS.iter().map(|(word, _, _)| *word).collect();
    words.extend(PROPAGATION.iter().map(|(word, _)| *word));
    words.extend(RECURSIVE.iter().map(|(word, _, _)| *word));
    words.extend(WORK);
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Options {
        Options::parse(&words.split(' ').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_list_is_sorted_into_its_four_kinds() {
        let options = parse("rbind ro nosuid rslave size=64k rro");
        assert!(options.bind && options.bind_recursive);
        assert_eq!(options.set, MS_RDONLY | MS_NOSUID);
        assert_eq!(options.propagation, [MS_SLAVE | MS_REC]);
        assert_eq!(options.data, ["size=64k"]);
        assert_eq!(options.recursive, (MOUNT_ATTR_RDONLY, 0));
        assert!(options.has_data("size") && !options.has_data("mode"));
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(parse("ro rw").set, 0);
        assert_eq!(parse("rw ro").set, MS_RDONLY);
        assert_eq!(parse("rro rrw").recursive, (0, MOUNT_ATTR_RDONLY));
    }

    #[test]
    fn a_bind_mount_keeps_the_flags_of_its_source_until_one_is_named() {
        let plain = |words: &str| parse(words).bind_attributes(LOCKABLE, false).expect("nothing is locked");
        assert_eq!(plain("rbind rprivate"), (0, 0));
        assert_eq!(plain("rbind rro"), (0, 0), "that is said of the tree");
        let all = LOCKABLE | MOUNT_ATTR_NOSYMFOLLOW;
        assert_eq!(plain("bind rw"), (0, all));
        assert_eq!(plain("bind ro"), (MOUNT_ATTR_RDONLY, all & !MOUNT_ATTR_RDONLY));
        assert_eq!(plain("bind noatime"), (MOUNT_ATTR_NOATIME, all | TIMES));
        assert_eq!(plain("bind nodiratime"), (MOUNT_ATTR_NODIRATIME, all | TIMES));
    }

    #[test]
    fn a_user_namespace_takes_nothing_away_from_what_it_was_given() {
        let source = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSYMFOLLOW | MOUNT_ATTR_NOATIME;
        let walled = |words: &str| parse(words).bind_attributes(source, true);
        let (set, clear) = walled("bind nosuid").expect("more is fine");
        assert_eq!(set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID);
        assert_eq!(
            clear & (LOCKABLE | TIMES | MOUNT_ATTR_NOSYMFOLLOW),
            MOUNT_ATTR_NOSUID ^ LOCKABLE ^ MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSYMFOLLOW
        );
        let refused = walled("bind rw").expect_err("it is locked").message();
        assert!(refused.contains("MOUNT_ATTR_RDONLY: operation not permitted"), "{refused}");
        assert!(walled("bind relatime").is_err() && walled("bind noatime").is_ok() && walled("bind atime").is_ok());
    }
}
