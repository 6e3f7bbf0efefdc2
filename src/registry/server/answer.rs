//! # Answers: what goes back to a client
//!
//! A document, a blob's bytes, a status alone, or a refusal with one of the specification's codes. Here is how each is made.
//!
//! * [`Refusal`] is a refusal before it is sent; handlers give `Result<Answer, Refusal>`.
//! * [`file`] streams a part of a file, a few pieces ahead of the network; [`read_all`] reads a short body with a limit.
//!
//! See: distribution-spec "Error Codes". Next room: [`super::shelf`]

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use serde_json::json;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};
use tokio::sync::mpsc;

/// A response of the registry.
pub type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Bytes read from a file at once.
const PIECE: usize = 256 << 10;

/// Why not.
#[derive(Debug)]
pub struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    headers: Vec<(header::HeaderName, String)>,
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), headers: Vec::new() }
    }

    /// 401, and how to do better.
    pub fn unauthorized() -> Refusal {
        Refusal::new(401, "UNAUTHORIZED", "authentication required")
            .with(header::WWW_AUTHENTICATE, "Basic realm=\"minidock registry\"")
    }

    pub fn with(mut self, name: header::HeaderName, value: impl Into<String>) -> Refusal {
        self.headers.push((name, value.into()));
        self
    }

    /// The refusal as an answer; to a HEAD it has no body.
    pub fn answer(self, head: bool) -> Answer {
        let body = json!({"errors": [{"code": self.code, "message": self.message}]});
        let mut answer = match head {
            true => empty(self.status),
            false => document(self.status, "application/json", body.to_string()),
        };
        for (name, value) in self.headers {
            set(&mut answer, name, value);
        }
        answer
    }
}

/// A status and nothing else.
pub fn empty(status: u16) -> Answer {
    with_status(status, Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// A document.
pub fn document(status: u16, media_type: &str, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = with_status(status, Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync());
    set(&mut answer, header::CONTENT_TYPE, media_type);
    answer
}

/// `length` bytes of a file from `from` on.
pub fn file(status: u16, mut file: File, from: u64, length: u64) -> Answer {
    let (pieces, incoming) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let mut read = || -> io::Result<()> {
            file.seek(SeekFrom::Start(from))?;
            let mut left = (&mut file).take(length);
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                (&mut left).take(PIECE as u64).read_to_end(&mut piece)?;
                if piece.is_empty() || pieces.blocking_send(Ok(piece.into())).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(error) = read() {
            let _ = pieces.blocking_send(Err(error)); // the head has left: the connection is cut
        }
    });
    let pieces = stream::unfold(incoming, |mut incoming| async move { incoming.recv().await.map(|piece| (piece, incoming)) });
    let mut answer = with_status(status, StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync());
    set(&mut answer, header::CONTENT_LENGTH, length.to_string());
    answer
}

/// Puts a header on; what cannot be one is left out.
pub fn set(answer: &mut Answer, name: header::HeaderName, value: impl Into<String>) {
    if let Ok(value) = HeaderValue::from_str(&value.into()) {
        answer.headers_mut().insert(name, value);
    }
}

/// The header that every answer carries: by it clients know a registry.
pub fn dress(mut answer: Answer) -> Answer {
    answer.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    answer
}

/// A whole body of at most `most` bytes.
///
/// # Errors
/// 413 for a longer one, 400 for one that broke off.
pub async fn read_all(body: Incoming, most: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, most).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Refusal::new(413, "SIZE_INVALID", format!("more than {most} bytes")))
        }
        Err(error) => Err(Refusal::new(400, "SIZE_INVALID", format!("the body broke off: {error}"))),
    }
}

fn with_status(status: u16, body: UnsyncBoxBody<Bytes, io::Error>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}
