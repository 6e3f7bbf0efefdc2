//! # Record: kernel calls written down, within bounds
//!
//! Daemon, shim, runtime and init append what they did for a container to one file, for `minidock explain`. A start is a
//! hundred kilobytes, an exec thirty; a container with a health check has an exec every thirty seconds, for years. So the
//! file has an end.
//!
//! ```text
//!   at launch   more than 1 MiB of earlier lives?   keep the last 64 KiB: the daemon's preparations for this one
//!   later       more than 4 MiB?                    write no more; the story of the birth is in it
//! ```
//!
//! Laws: an explanation is not worth a container: what cannot be written is dropped in silence.
//! *See:* design.md section 6. *Next room:* [`crate::log_file`]

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Beyond this, earlier lives are forgotten at the next launch.
const LIVES: u64 = 1 << 20;
/// What is kept then.
const KEPT: u64 = 64 << 10;
/// Beyond this nothing is written any more.
const FULL: u64 = 4 << 20;

/// Forgets earlier lives when they have become many.
pub fn trim(path: &Path) {
    let _ = try_trim(path); // it goes on growing, up to its end
}

fn try_trim(path: &Path) -> io::Result<()> {
    let mut file = match File::open(path) {
        Ok(file) if file.metadata()?.len() > LIVES => file,
        _ => return Ok(()),
    };
    file.seek(SeekFrom::End(-(KEPT as i64)))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    let beside = path.with_extension("tmp");
    create(&beside)?.write_all(&text[whole..])?;
    fs::rename(&beside, path)
}

/// Whether more may be written.
pub fn has_room(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |file| file.len() < FULL)
}

/// Appends actions, one JSON object a line.
pub fn append(path: &Path, lines: &[u8]) {
    if lines.is_empty() || !has_room(path) {
        return;
    }
    let _ = create(path).and_then(|mut file| file.write_all(lines)); // see the essay
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lives_are_forgotten_but_for_the_last_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("actions.jsonl");
        trim(&path);
        let text: String = (0..60_000).map(|n| format!("{{\"line\":{n:020}}}\n")).collect();
        fs::write(&path, &text).expect("room");
        trim(&path);
        let left = fs::read_to_string(&path).expect("it is there");
        assert!(left.len() as u64 <= KEPT && left.starts_with("{\"line\"") && text.ends_with(&left), "{}", left.len());
        trim(&path);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), left);
        fs::write(&path, vec![b'x'; FULL as usize]).expect("room");
        assert!(!has_room(&path) && has_room(&folder.path().join("none")));
    }
}
