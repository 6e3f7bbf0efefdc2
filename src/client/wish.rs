//! # Wishes: one request before it is sent
//!
//! A method, a [`Route`], some headers and a body: nothing, a JSON value, or a stream that is sent as it comes (a tar from a
//! pipe). [`crate::Docker::send`] and [`crate::Docker::hijack`] fulfil it.
//!
//! ```text
//!   Wish::post(&route).json(&body)?                          a small document
//!   Wish::put(&route).stream("application/x-tar", pieces)    as large as it likes
//! ```
//!
//! Laws: a JSON body always says what it is, even an empty one, for Docker's daemon refuses others. *See:* Engine API.
//! *Next room:* [`crate::docker`]

use crate::Route;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::Method;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use minidock_base::{Doing, Result};
use serde::Serialize;
use std::io;

/// The body of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// One request before it is sent.
pub struct Wish {
    pub(crate) method: Method,
    pub(crate) route: Route,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

impl Wish {
    pub fn new(method: Method, route: &Route) -> Wish {
        Wish { method, route: route.clone(), content_type: None, headers: Vec::new(), body: whole(Bytes::new()) }
    }

    pub fn get(route: &Route) -> Wish {
        Wish::new(Method::GET, route)
    }

    pub fn head(route: &Route) -> Wish {
        Wish::new(Method::HEAD, route)
    }

    pub fn post(route: &Route) -> Wish {
        Wish::new(Method::POST, route)
    }

    pub fn put(route: &Route) -> Wish {
        Wish::new(Method::PUT, route)
    }

    pub fn delete(route: &Route) -> Wish {
        Wish::new(Method::DELETE, route)
    }

    /// Adds a header, such as `X-Registry-Auth`.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Wish {
        self.headers.push((name, value.into()));
        self
    }

    /// With `value` as its JSON body; `()` means an empty body.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    pub fn json(mut self, value: &impl Serialize) -> Result<Wish> {
        let text = serde_json::to_vec(value).doing(|| "encode a request")?;
        if text != b"null" {
            self.body = whole(text.into());
        }
        self.content_type = Some("application/json");
        Ok(self)
    }

    /// With a body that comes in pieces: a tar, say.
    pub fn stream(
        mut self,
        content_type: &'static str,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Wish {
        self.body = StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync();
        self.content_type = Some(content_type);
        self
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
