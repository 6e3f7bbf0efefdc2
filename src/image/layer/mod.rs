//! # Layer: a diff that became a directory
//!
//! An image is a pile of layers, each the *difference* to the pile below it: files added, changed, deleted. On the wire a
//! layer is a compressed tar archive; on our disk it is a directory that overlayfs can stack, unpacked once and shared by
//! every image and container above it.
//!
//! ```text
//!   layer.tar.gz ──compression──► tar ──entries──► unpack ──one call at a time──► layers/<diff id>/diff
//!                                                    │ tree: never leaves its directory
//!                                                    │ whiteout: .wh.x → device 0:0
//!                                                    └ below: what the diff left unsaid, looked up in the pile
//!   container's upper directory ──diff──► A/C/D list    ──write──► layer.tar of a new image
//! ```
//!
//! * compression → [`tar`]: the bytes become entries ([`pax`] has the numbers and records).
//! * [`unpack`]: an entry becomes a file, below a root that [`tree`] guards.
//! * [`whiteout`]: how a diff says "deleted". [`owners`]: ids that mean others outside.
//! * [`below`]: folders and link targets that the archive takes for granted.
//! * [`diff`], [`pack`] and [`write`]: the same road backwards.
//!
//! Law: a directory under `layers/` is whole or absent; it is made in the scratch folder and renamed.
//! See: OCI image-spec layer.md. Next room: [`tar`]

pub mod below;
pub mod diff;
pub mod owners;
pub mod pack;
pub mod pax;
pub mod tar;
pub mod tree;
pub mod unpack;
pub mod whiteout;
pub mod write;
