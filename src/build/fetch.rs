//! # Fetch: `ADD https://…`
//!
//! A file from an address. It is never unpacked, belongs to root, may be read by nobody else (0600), and has the time the server says.
//!
//! * [`file_name`] is what it is called in a folder; [`fetch`] brings it, and checks it if `--checksum` says what it must be.
//!
//! Laws: the content goes to the disk and not to memory; what does not match its checksum is an error and is never used.
//! See: moby `builder/dockerfile/copy.go` (downloadSource). Next room: [`crate::job`]

use crate::{copy::Item, job::Job};
use minidock_base::{Error, Result};
use minidock_spec::digest::Digest;
use std::sync::Arc;

/// What a fetched file is called below `to`.
///
/// # Errors
/// The address ends in a slash, and so does the destination.
pub fn file_name(address: &str, to: &str) -> Result<String> {
    let path = address.split_once("://").map_or(address, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let name = path.split_once('/').map(|(_, path)| path.rsplit('/').next().unwrap_or_default()).unwrap_or_default();
    match (name.is_empty(), to.ends_with('/')) {
        (false, _) => Ok(name.to_string()),
        (true, false) => Ok(to.rsplit('/').next().unwrap_or_default().to_string()),
        (true, true) => Err(Error::invalid(format!("cannot determine filename for source {address}"))
            .hint("a destination without the slash at the end names the file")),
    }
}

/// Brings a file.
///
/// # Errors
/// The daemon fetches nothing yet.
pub async fn fetch(_job: &Arc<Job>, address: &str, _name: String, _checksum: Option<Digest>) -> Result<(Item, Digest)> {
    Err(Error::not_implemented(format!("ADD cannot fetch {address}: this builder fetches no files"))
        .hint("fetch it into the build context, or in a RUN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_last_part_of_the_path() {
        assert_eq!(file_name("http://x/a/b.txt?q=1", "/to/").expect("named"), "b.txt");
        assert_eq!(file_name("http://x/", "/to/c").expect("named"), "c");
        assert!(file_name("http://x", "/to/").is_err());
    }
}
