//! # Size: what a container and a folder take on disk
//!
//! A container's own share is its writable layer; what `ls -l /` inside would add up to is that and its image. Both are asked
//! for rarely (`ps -s`, `system df`), and asking means to walk the folder, so nothing is kept: a walk on a thread for
//! blocking work, one `lstat` a file.
//!
//! Laws: a file with several names counts once; what disappears during the walk counts nothing; symbolic links are not
//! followed, for the files are the container's and may lie.
//! See: du(1) · moby `pkg/directory`. Next room: [`crate::container::health`]

use crate::{Engine, container::record::Record};
use minidock_base::{Error, Result};
use std::{
    collections::HashSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Bytes: of the writable layer, and of everything that is seen inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    pub rw: i64,
    pub root_fs: i64,
}

/// What one container takes.
///
/// # Errors
/// The walk was given up.
pub async fn of_container(engine: &Arc<Engine>, record: &Record) -> Result<Sizes> {
    let rw = of_folder(engine.paths.container_diff(&record.id)).await?;
    let image = engine.images.store.by_id(&record.image).map_or(0, |image| image.size as i64);
    Ok(Sizes { rw, root_fs: rw + image })
}

/// What the files below a folder add up to; 0 when there is none.
///
/// # Errors
/// The walk was given up.
pub async fn of_folder(folder: PathBuf) -> Result<i64> {
    tokio::task::spawn_blocking(move || walk(&folder)).await.map_err(|e| Error::system(format!("the walk was given up: {e}")))
}

fn walk(folder: &Path) -> i64 {
    let (mut bytes, mut linked, mut left) = (0i64, HashSet::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(facts) = entry.metadata() else { continue };
            if facts.is_dir() {
                left.push(entry.path());
            } else if facts.nlink() == 1 || linked.insert((facts.dev(), facts.ino())) {
                bytes += facts.size() as i64;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once_and_links_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("a")).expect("room");
        fs::write(folder.path().join("a/x"), [0u8; 1000]).expect("room");
        fs::hard_link(folder.path().join("a/x"), folder.path().join("y")).expect("same disk");
        std::os::unix::fs::symlink("/", folder.path().join("root")).expect("room");
        assert_eq!(walk(folder.path()), 1001);
        assert_eq!(walk(Path::new("/nowhere")), 0);
    }
}
