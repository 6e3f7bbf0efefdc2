//! # Hijack: the request becomes a bare connection
//!
//! `attach` and `exec start` carry keystrokes one way and output the other, for as long as the process lives. HTTP/1.1 has
//! a door for that: the client says `Connection: Upgrade`, `Upgrade: tcp`, the server answers `101 UPGRADED`, and from then on the
//! connection belongs to the two of them.
//!
//! ```text
//!   POST /exec/…/start  Upgrade: tcp ─►
//!                                    ◄─ 101 UPGRADED, Content-Type: …raw-stream | …multiplexed-stream
//!   keystrokes ──────────────────────►
//!              ◄────────────────────── output: frames, or raw with a terminal
//!   half-close: no more input ───────►   the output goes on
//! ```
//!
//! * The answer must leave before the connection can be had, so the pumping is a task of its own: a handler that waited
//!   for it would wait for itself.
//! * Old clients do not ask for the upgrade and expect `200 OK` with a body that ends when the connection does. The web server
//!   has no such thing; [`crate::door`] turns their request into an upgrade with a mark ([`RAW`]), and our 101 back into
//!   a 200.
//!
//! See: RFC 9110 §7.8 · Engine API v1.45, "Hijacking" of attach. Next room: [`crate::door`]

use crate::{
    answer::{Answer, empty},
    call::Call,
};
use http::{HeaderValue, StatusCode, header};
use hyper::{ext::ReasonPhrase, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use minidock_base::{Error, Result};

/// What [`crate::door`] writes into the `Upgrade` header of a client that did not send one.
pub const RAW: &str = "minidock-raw-stream";

/// Answers that the connection is the client's from now on, and lets `pump` have it.
///
/// # Errors
/// 400 when the connection cannot be had: a second request on a connection of an old client.
pub fn hijack<F>(call: &mut Call, tty: bool, pump: impl FnOnce(TokioIo<Upgraded>) -> F + Send + 'static) -> Result<Answer>
where
    F: Future<Output = ()> + Send + 'static,
{
    let old = call.header("upgrade").eq_ignore_ascii_case(RAW);
    let Some(connection) = call.upgrade() else {
        return Err(Error::invalid("this call needs a connection of its own")
            .hint("send it first on a new connection, or with the headers Connection: Upgrade and Upgrade: tcp"));
    };
    tokio::spawn(async move {
        match connection.await {
            Ok(io) => pump(TokioIo::new(io)).await,
            Err(error) => tracing::debug!(%error, "the client went before the stream began"),
        }
    });
    let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
    answer.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
    let kind = match tty || old || call.minor < 42 {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    };
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if !old {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    }
    Ok(answer)
}
