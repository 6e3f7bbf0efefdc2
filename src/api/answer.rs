//! # Answer: values and streams become responses
//!
//! What a handler gives back is one of four things: nothing but a status, one JSON value, a stream of JSON lines, or a
//! stream of bytes. Each has one function here; the headers that every response carries are put on in [`dress`].
//!
//! * A stream's head is sent at once, before there is anything to say: `wait` depends on it (the client starts the
//!   container only after it has seen it).
//! * A refusal is [`refusal`]: Docker's `{"message": …}`, our own four answers beside it, and the status that belongs to the
//!   error's kind. 304 has no body.
//!
//! See: Engine API v1.45, "Errors" · moby `api/server/httpstatus`. Next room: [`crate::hijack`]

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use minidock_base::{Error, Kind, Result};
use minidock_spec::engine::{API_VERSION, ErrorBody};
use serde::Serialize;

/// What goes out: whole, or piece by piece.
pub type Body = UnsyncBoxBody<Bytes, Error>;
/// A response of this house.
pub type Answer = Response<Body>;

/// A status and nothing else.
pub fn empty(status: StatusCode) -> Answer {
    with(status, Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// 204: done.
pub fn done() -> Result<Answer> {
    Ok(empty(StatusCode::NO_CONTENT))
}

/// 200 and a value.
///
/// # Errors
/// A value that cannot be written as JSON.
pub fn json(value: &impl Serialize) -> Result<Answer> {
    json_with(StatusCode::OK, value)
}

/// A status and a value.
///
/// # Errors
/// As [`json`].
pub fn json_with(status: StatusCode, value: &impl Serialize) -> Result<Answer> {
    let mut answer = with(status, whole(line(value)?));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}

/// 200 and a short text.
pub fn text(text: &'static str) -> Answer {
    let mut answer = with(StatusCode::OK, whole(Bytes::from_static(text.as_bytes())));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// 200 and bytes as they come.
pub fn bytes(content_type: &'static str, pieces: BoxStream<'static, Result<Bytes>>) -> Answer {
    let frames = pieces.map(|piece| match piece {
        Ok(piece) => Ok(Frame::data(piece)),
        Err(error) => {
            // the head has left already: all that can be done is to cut the connection, and to say here why
            tracing::warn!("a stream broke off: {}", error.message());
            Err(error)
        }
    });
    let mut answer = with(StatusCode::OK, StreamBody::new(frames).boxed_unsync());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// The same, but what fails before the first byte is still an ordinary refusal.
///
/// # Errors
/// That failure.
pub async fn bytes_once_begun(content_type: &'static str, mut pieces: BoxStream<'static, Result<Bytes>>) -> Result<Answer> {
    match pieces.next().await {
        Some(first) => Ok(bytes(content_type, stream::once(std::future::ready(Ok(first?))).chain(pieces).boxed())),
        None => Ok(bytes(content_type, stream::empty().boxed())),
    }
}

/// 200 and one JSON value a line, as they come.
pub fn json_lines<T: Serialize + 'static>(values: BoxStream<'static, Result<T>>) -> Answer {
    bytes("application/json", values.map(|value| value.and_then(|v| line(&v))).boxed())
}

/// 200 at once, and one JSON value when it is there.
pub fn json_later<T: Serialize + 'static>(value: impl Future<Output = T> + Send + 'static) -> Answer {
    json_lines(stream::once(async move { Ok(value.await) }).boxed())
}

/// `{…}` and a line feed.
///
/// # Errors
/// As [`json`].
pub fn line(value: &impl Serialize) -> Result<Bytes> {
    let mut text = serde_json::to_vec(value).map_err(|e| Error::system(format!("cannot write the answer: {e}")))?;
    text.push(b'\n');
    Ok(text.into())
}

/// An error as Docker's clients expect it, and our own four answers beside.
pub fn refusal(error: &Error) -> Answer {
    let status = match error.kind() {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::InvalidParameter => StatusCode::BAD_REQUEST,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::NotModified => return empty(StatusCode::NOT_MODIFIED),
        Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::System => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let body = ErrorBody { message: error.message(), minidock: Some(error.to_wire()) };
    json_with(status, &body).unwrap_or_else(|_| empty(status))
}

/// The headers that every response carries.
pub fn dress(answer: &mut Answer) {
    let headers = answer.headers_mut();
    headers.insert("api-version", HeaderValue::from_static(API_VERSION));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers.insert("docker-experimental", HeaderValue::from_static("false"));
    headers.insert(header::SERVER, HeaderValue::from_static(concat!("Minidock/", env!("CARGO_PKG_VERSION"), " (linux)")));
}

fn whole(text: Bytes) -> Body {
    Full::new(text).map_err(|never| match never {}).boxed_unsync()
}

fn with(status: StatusCode, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}
