//! # Whiteout: how a diff says "deleted"
//!
//! A layer only adds, so a deletion is added as a file whose *name* says it: `.wh.passwd` deletes `passwd` of the layers
//! below, `.wh..wh..opq` in a folder deletes everything in it. In the directory that overlayfs stacks the same is said
//! with a device 0:0 and an attribute ([`minidock_linux::overlayfs`]). [`Mark::of`] reads the tar's way, and refuses the
//! three names that would delete the folder itself or its parent *before* anything is touched: unpackers have obeyed them.
//!
//! See: OCI image-spec layer.md "Whiteouts" · umoci CVE notes. Next room: [`super::below`]

use minidock_base::{Error, Result};

const PREFIX: &[u8] = b".wh.";

/// What a name in a layer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    /// An ordinary file.
    None,
    /// The named file of the layers below is deleted.
    Deleted(&'a [u8]),
    /// Everything in this folder of the layers below is deleted.
    Opaque,
    /// Book-keeping of AUFS that belongs to no file system: skipped.
    Bookkeeping,
}

impl Mark<'_> {
    /// Reads the last component of a path.
    ///
    /// # Errors
    /// `.wh.`, `.wh..` and `.wh...`: they would name the folder itself or its parent.
    pub fn of(name: &[u8]) -> Result<Mark<'_>> {
        let Some(deleted) = name.strip_prefix(PREFIX) else { return Ok(Mark::None) };
        match deleted {
            b"" | b"." | b".." => Err(Error::invalid(format!(
                "malformed whiteout {:?}: it names no file that could be deleted",
                String::from_utf8_lossy(name)
            ))),
            b".wh..opq" => Ok(Mark::Opaque),
            _ if deleted.starts_with(PREFIX) => Ok(Mark::Bookkeeping),
            _ => Ok(Mark::Deleted(deleted)),
        }
    }
}

/// The name that deletes `name`.
pub fn deleting(name: &[u8]) -> Vec<u8> {
    [PREFIX, name].concat()
}

/// The name that deletes everything in a folder.
pub const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whiteout_names_a_file_and_never_its_folder() {
        assert_eq!(Mark::of(b".wh.passwd").expect("fine"), Mark::Deleted(b"passwd"));
        assert_eq!(Mark::of(b".wh..bashrc").expect("fine"), Mark::Deleted(b".bashrc"));
        assert_eq!(Mark::of(b".wh....").expect("fine"), Mark::Deleted(b"..."));
        assert_eq!(Mark::of(OPAQUE_NAME).expect("fine"), Mark::Opaque);
        assert_eq!(Mark::of(b".wh..wh.plnk").expect("fine"), Mark::Bookkeeping);
        assert_eq!(Mark::of(b"x.wh.y").expect("fine"), Mark::None);
        for bad in [&b".wh."[..], b".wh..", b".wh..."] {
            assert!(Mark::of(bad).is_err(), "{bad:?}");
        }
    }
}
