//! # Answers: one response, read whole or as it comes
//!
//! Most answers are a small JSON document: [`Answer::json`]. Some never end (logs, events, an image's tar) and are read in
//! pieces as they arrive: [`Answer::chunk`]. Progress and events are JSON objects one after the other, which the network
//! may cut anywhere: [`Answer::objects`] puts them together again.
//!
//! Laws: a body is never collected unless the caller asks for the whole; a stream that breaks off in the middle is an
//! error, not an end. *See:* RFC 9112 §7.1 (chunked). *Next room:* [`crate::hijack`]

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use minidock_base::{Doing, Error, Result};
use serde::de::DeserializeOwned;

/// One response below 400.
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The next piece of the body as it arrives; `None` at its end.
    ///
    /// # Errors
    /// The connection broke before the body's end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => continue,
                },
                Some(Err(e)) => return Err(broken(&e)),
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// The connection broke before the body's end.
    pub async fn bytes(mut self) -> Result<Bytes> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let mut whole: Option<BytesMut> = None;
        while let Some(piece) = self.chunk().await? {
            whole.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&piece);
        }
        Ok(whole.map_or(first, BytesMut::freeze))
    }

    /// The whole body as a value.
    ///
    /// # Errors
    /// The connection broke, or the body is not the JSON that the API promises.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes().await?;
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes).doing(|| "read the daemon's answer")
    }

    /// The body as JSON objects one after the other.
    pub fn objects(self) -> Objects {
        Objects { answer: self, buffer: BytesMut::new(), ended: false }
    }
}

fn broken(error: &hyper::Error) -> Error {
    Error::unavailable(format!("the daemon broke the connection off in the middle of its answer: {error}"))
        .hint("see its log; containers go on without it, and `minidock wait` still brings their status")
}

/// JSON objects that follow each other in a body.
pub struct Objects {
    answer: Answer,
    buffer: BytesMut,
    ended: bool,
}

impl Objects {
    /// The next object; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or what came is not JSON of this shape.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        loop {
            if let Some((value, used)) = first_object(&self.buffer)? {
                let _ = self.buffer.split_to(used);
                return Ok(Some(value));
            }
            if self.ended {
                return match self.buffer.iter().all(u8::is_ascii_whitespace) {
                    true => Ok(None),
                    false => Err(Error::system("the daemon's answer ends in the middle of a JSON object")),
                };
            }
            match self.answer.chunk().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None => self.ended = true,
            }
        }
    }
}

/// The first complete object of `bytes` and how many bytes it took; `None` if it has not arrived whole.
fn first_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<(T, usize)>> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    match values.next() {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some((value, values.byte_offset()))),
        Some(Err(e)) if e.is_eof() => Ok(None),
        Some(Err(e)) => Err(e).doing(|| "read the daemon's answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    proptest! {
        #[test]
        fn objects_survive_any_cutting(count in 0usize..6, cut in 1usize..9) {
            let wanted: Vec<Value> = (0..count).map(|n| json!({"status": format!("{n} \"}}{{"), "id": n})).collect();
            let wire: Vec<u8> = wanted.iter().flat_map(|v| format!("{v}\r\n").into_bytes()).collect();
            let (mut buffer, mut got) = (Vec::new(), Vec::new());
            for piece in wire.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some((value, used)) = first_object::<Value>(&buffer).expect("JSON") {
                    got.push(value);
                    buffer.drain(..used);
                }
            }
            prop_assert_eq!(got, wanted);
        }
    }

    #[test]
    fn what_is_not_json_is_an_error_and_not_an_endless_wait() {
        assert!(first_object::<Value>(b"<html>").is_err());
    }
}
