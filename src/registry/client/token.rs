//! # Token: a name and a password traded for something that expires
//!
//! A registry that answers `Bearer` names a server and a scope; that server gives a token for just this scope, valid for some
//! minutes. Three ways lead to one: nobody in particular asks (anonymous, enough to pull what is public), a name and a password
//! (basic authentication), or an identity token from an earlier login.
//!
//! ```text
//!   GET  realm?service=…&scope=repository:team/app:pull          [Authorization: Basic …]      ─► {"token": …, "expires_in": 300}
//!   POST realm  grant_type=refresh_token&refresh_token=…&…                                     ─► {"access_token": …}
//! ```
//!
//! * [`Token`] remembers until when it is good; [`request`] and [`read`] are the two halves of asking, without the wire.
//!
//! Laws: a password is never sent in the clear to a token server unless the registry itself is spoken to in the clear; a
//! token is thrown away a little before it expires, for clocks differ. See: distribution `spec/auth/{token,oauth}.md`.
//! Next room: [`super::session`]

use super::headers::encode;
use crate::{credentials::Credentials, settings::Endpoint};
use minidock_base::{Error, Result};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// Who we say we are.
pub const CLIENT_ID: &str = "minidock";

/// What the specification takes for granted when a server says nothing.
const LEAST: Duration = Duration::from_secs(60);

/// A token and how long it is good.
#[derive(Clone)]
pub struct Token {
    pub value: String,
    /// What a login is for: traded for tokens later.
    pub identity: Option<String>,
    until: Instant,
}

impl Token {
    pub fn is_good(&self) -> bool {
        Instant::now() < self.until
    }

    /// One that was given to us ready.
    pub fn given(value: &str) -> Token {
        Token { value: value.into(), identity: None, until: Instant::now() + Duration::from_secs(24 * 3600) }
    }
}

/// How to ask a token server.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub endpoint: Endpoint,
    /// Path and query.
    pub target: String,
    pub authorization: Option<String>,
    /// A form to post; without one it is a GET.
    pub form: Option<String>,
}

/// The request for a token. `login` asks for an identity token, too.
///
/// # Errors
/// A realm that is no address, or one in the clear although the registry is not.
pub fn request(
    registry: &Endpoint,
    realm: &str,
    service: Option<&str>,
    scopes: &[String],
    credentials: &Credentials,
    login: bool,
) -> Result<Request> {
    let (address, own_query) = realm.split_once('?').unwrap_or((realm, ""));
    let mut endpoint = Endpoint::parse(address, registry.verify)?;
    if !endpoint.secure && registry.secure && registry.verify {
        return Err(Error::forbidden(format!(
            "the registry sends us to {realm} for a token: in the clear, although it is not itself"
        )));
    }
    if endpoint.host != registry.host {
        endpoint.verify = true;
    }
    let path = if endpoint.prefix.is_empty() { "/".to_string() } else { std::mem::take(&mut endpoint.prefix) };
    if !credentials.identity_token.is_empty() {
        let mut form =
            format!("grant_type=refresh_token&client_id={CLIENT_ID}&refresh_token={}", encode(&credentials.identity_token));
        form += &service.map(|s| format!("&service={}", encode(s))).unwrap_or_default();
        if !scopes.is_empty() {
            form += &format!("&scope={}", encode(&scopes.join(" ")));
        }
        let query = if own_query.is_empty() { String::new() } else { format!("?{own_query}") };
        return Ok(Request { endpoint, target: format!("{path}{query}"), authorization: None, form: Some(form) });
    }
    let mut query: Vec<String> = Some(own_query).filter(|q| !q.is_empty()).map(str::to_string).into_iter().collect();
    query.extend(service.map(|s| format!("service={}", encode(s))));
    query.extend(scopes.iter().map(|scope| format!("scope={}", encode(scope))));
    if login {
        query.push(format!("offline_token=true&client_id={CLIENT_ID}"));
    }
    if !credentials.username.is_empty() {
        query.push(format!("account={}", encode(&credentials.username)));
    }
    Ok(Request {
        endpoint,
        target: format!("{path}?{}", query.join("&")),
        authorization: credentials.basic_header(),
        form: None,
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<f64>,
}

/// Reads a token server's answer.
///
/// # Errors
/// JSON that is none, or has no token in it.
pub fn read(body: &[u8], asked: Instant) -> Result<Token> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|e| Error::system(format!("the token server's answer is odd: {e}")))?;
    let value = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let value = value.ok_or_else(|| Error::system("authorization server did not include a token in the response"))?;
    if !value.bytes().all(|c| (33..127).contains(&c)) {
        return Err(Error::system("the token server's token has characters that no token has"));
    }
    let seconds =
        answer.expires_in.filter(|s| s.is_finite() && *s > 0.0).map_or(LEAST, |s| Duration::from_secs_f64(s.min(1e6)));
    let life = seconds.saturating_sub(seconds.min(LEAST) / 6);
    Ok(Token { value, identity: answer.refresh_token.filter(|t| !t.is_empty()), until: asked + life })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn registry(address: &str, verify: bool) -> Endpoint {
        Endpoint::parse(address, verify).expect("an address")
    }

    #[test]
    fn each_way_to_a_token_has_its_request() {
        let scope = ["repository:a/b:pull".to_string()];
        let at = registry("https://r", true);
        let anonymous =
            request(&at, "https://auth.example/token?x=1", Some("r e"), &scope, &Credentials::default(), false).expect("good");
        assert_eq!(anonymous.target, "/token?x=1&service=r%20e&scope=repository%3Aa%2Fb%3Apull");
        assert_eq!((anonymous.authorization, anonymous.form), (None, None));
        let known =
            request(&at, "https://auth.example/token", None, &[], &Credentials::basic("ann", "pw"), true).expect("good");
        assert_eq!(known.target, "/token?offline_token=true&client_id=minidock&account=ann");
        assert_eq!(known.authorization.as_deref(), Some("Basic YW5uOnB3"));
        let identity = Credentials { identity_token: "a+b".into(), ..Credentials::default() };
        let traded = request(&at, "https://auth.example", Some("s"), &scope, &identity, false).expect("good");
        assert_eq!(traded.target, "/");
        assert!(traded.form.is_some_and(|form| form.contains("refresh_token=a%2Bb&service=s&scope=repository%3Aa%2Fb%3Apull")));
    }

    #[test]
    fn a_password_is_not_sent_in_the_clear_because_somebody_says_so() {
        let ann = Credentials::basic("ann", "pw");
        assert!(request(&registry("https://r", true), "http://evil/token", None, &[], &ann, false).is_err());
        assert!(
            request(&registry("http://127.0.0.1:5000", false), "http://127.0.0.1:5001/token", None, &[], &ann, false).is_ok()
        );
        assert!(request(&registry("https://r", true), "file:///etc/passwd", None, &[], &ann, false).is_err());
    }

    #[test]
    fn a_token_is_good_until_a_little_before_its_end() {
        let now = Instant::now();
        assert!(read(br#"{"access_token":"x","expires_in":300}"#, now).expect("a token").is_good());
        assert!(!read(br#"{"token":"x","expires_in":300}"#, now - Duration::from_secs(295)).expect("a token").is_good());
        assert!(read(br#"{"token":"x"}"#, now - Duration::from_secs(45)).expect("a token").is_good());
        for bad in ["{}", "[]", r#"{"token":""}"#, r#"{"token":"a b"}"#, "x"] {
            assert!(read(bad.as_bytes(), now).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_and_no_realm_makes_it_panic(body in "\\PC{0,60}", realm in "\\PC{0,40}", seconds in any::<f64>()) {
            let _ = read(body.as_bytes(), Instant::now());
            let _ = read(format!("{{\"token\":\"t\",\"expires_in\":{seconds}}}").as_bytes(), Instant::now());
            let _ = request(&registry("https://r", true), &realm, None, &[], &Credentials::default(), false);
        }
    }
}
