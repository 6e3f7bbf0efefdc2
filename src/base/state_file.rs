//! # State files: written beside, renamed, never half
//!
//! The daemon may be killed at any line, so a record on disk must be either the old one or the new one. [`save`] writes
//! the JSON beside the file, and renames it over; [`save_durably`] also waits for the disk (fsync of file and folder),
//! for what an acknowledged command has promised. [`load`] says which file is broken and where; [`set_aside`] moves a
//! broken one out of the way under a name that says so: unreadable state is reported, never destroyed, and never stops
//! the daemon from starting.
//!
//! See: rename(2), fsync(2). Next room: [`crate::clock`]

use crate::{Doing, Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Replaces the JSON file at `path` (mode 0600) atomically.
///
/// # Errors
/// [`crate::Kind::System`] naming the file, when the folder is missing, full or read-only.
pub fn save<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write(path, value, false)
}

/// The same, and returns only once the disk has it.
pub fn save_durably<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write(path, value, true)
}

fn write<T: Serialize>(path: &Path, value: &T, durably: bool) -> Result<()> {
    let text = serde_json::to_vec(value).doing(|| format!("encode {}", path.display()))?;
    let beside = path.with_extension(format!("{}-{}.tmp", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
    let attempt = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&text)?;
        if durably {
            file.sync_all()?;
        }
        fs::rename(&beside, path)?;
        if let (true, Some(folder)) = (durably, path.parent()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    attempt().inspect_err(|_| drop(fs::remove_file(&beside))).doing(|| format!("write {}", path.display()))
}

/// Reads the JSON file at `path`; `None` if there is none.
///
/// # Errors
/// A file that cannot be read or is not what it should be, with its name, line and column.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.doing(|| format!("read {}", path.display()))?,
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(value)),
        Err(e) => Err(Error::system(format!("{}:{}:{}: {e}", path.display(), e.line(), e.column()))
            .during(format!("read {}", path.display()))),
    }
}

/// Moves a broken file out of the way, beside itself, and says where it lies now.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let aside = path.with_file_name(format!("{name}.broken-{}", SERIAL.fetch_add(1, Ordering::Relaxed)));
    fs::rename(path, &aside).doing(|| format!("set aside {}", path.display()))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_truncated_at_any_byte_is_reported_by_name_and_never_misread() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record.json");
        save_durably(&path, &vec!["a".to_string(), "b".to_string()]).expect("room on the disk");
        let whole = fs::read(&path).expect("just written");
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).expect("room on the disk");
            let error = load::<Vec<String>>(&path).expect_err("half a record is no record");
            assert!(error.message().contains("record.json"), "{error}");
        }
        let aside = set_aside(&path).expect("same folder");
        assert!(aside.exists() && load::<Vec<String>>(&path).expect("absent is fine").is_none());
    }
}
