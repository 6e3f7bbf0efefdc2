//! # Engine: the bodies of the Docker Engine API, version 1.45
//!
//! The client tower and the daemon tower meet only here. One file per tag of that API; field names are Docker's
//! (`PascalCase` on the wire), values its encodings: sizes in bytes, durations in nanoseconds, times RFC 3339.
//!
//! How absence is written is part of the contract: `Option` without `skip_serializing_if` is `null`, a plain `Vec` or map is
//! never absent, and every request body accepts missing fields (`#[serde(default)]`) and `null` in place of a list
//! ([`null_is_default`]).
//!
//! See: moby `api/swagger.yaml` v1.45. Next room: [`container`]

pub mod body;
pub mod container;
pub mod event;
pub mod exec;
pub mod filters;
pub mod image;
pub mod network;
pub mod reach;
pub mod stream;
pub mod system;
pub mod volume;

use serde::{Deserialize, Deserializer};

/// The newest API version that we speak.
pub const API_VERSION: &str = "1.45";
/// The oldest one.
pub const MIN_API_VERSION: &str = "1.24";

/// Reads `null` as the default value: Go clients send `null` for every empty list and map.
pub fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Every refusal of the API: Docker's `message`, and beside it our own four answers.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct ErrorBody {
    pub message: String,
    /// What, why, what to try, what to read; absent when a real Docker answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minidock: Option<minidock_base::error::Wire>,
}
