//! # Challenge: what a registry asks of those it does not know
//!
//! A registry that wants to know who asks answers 401 and says in `WWW-Authenticate` how: `Basic`, or `Bearer` with the
//! address of a server that hands out tokens. One header may hold several challenges, values may be quoted or not, and all
//! of it is a stranger's word.
//!
//! ```text
//!   Bearer realm="https://auth.example/token",service="registry.example",scope="repository:team/app:pull"
//!   Basic realm="Registry Realm", Bearer realm=…
//! ```
//!
//! * [`parse`] reads a header's value; [`choose`] takes the challenge we can answer, tokens before passwords.
//!
//! See: RFC 9110 §11.6.1 · distribution `spec/auth/token.md`. Next room: [`super::token`]

/// How the registry wants to be convinced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// All challenges of one header that make sense, in order. Schemes that nobody here can answer are left out.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut reader = Reader { text: header.as_bytes(), at: 0 };
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    loop {
        reader.skip(|c| c == b',' || c.is_ascii_whitespace());
        let word = reader.token();
        if word.is_empty() {
            break;
        }
        reader.skip(|c| c == b' ' || c == b'\t');
        match (reader.peek(), found.last_mut()) {
            (Some(b'='), Some((_, parameters))) => {
                reader.at += 1;
                reader.skip(|c| c == b' ' || c == b'\t');
                let Some(value) = reader.value() else { break };
                parameters.push((word.to_ascii_lowercase(), value));
            }
            (Some(b'='), None) => break,
            _ => found.push((word.to_ascii_lowercase(), Vec::new())),
        }
    }
    found.into_iter().filter_map(|(scheme, parameters)| understood(&scheme, &parameters)).collect()
}

fn understood(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") }),
        _ => None,
    }
}

/// The challenge to answer: a token is worth less to a thief than a password.
pub fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let all: Vec<Challenge> = headers.flat_map(parse).collect();
    let bearer = all.iter().find(|c| matches!(c, Challenge::Bearer { .. }));
    bearer.or(all.first()).cloned()
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&which) {
            self.at += 1;
        }
    }

    /// A token of RFC 9110, with the few characters more that careless servers put into bare values.
    fn token(&mut self) -> String {
        let from = self.at;
        self.skip(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&c));
        String::from_utf8_lossy(&self.text[from..self.at]).into_owned()
    }

    /// A token or a quoted string; `None` when the quote is never closed.
    fn value(&mut self) -> Option<String> {
        if self.peek() != Some(b'"') {
            return Some(self.token());
        }
        self.at += 1;
        let mut value = Vec::new();
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(String::from_utf8_lossy(&value).into_owned());
                }
                b'\\' => {
                    self.at += 1;
                    value.push(self.peek()?);
                }
                byte => value.push(byte),
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bearer(realm: &str, service: &str, scope: &str) -> Challenge {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_string());
        Challenge::Bearer { realm: realm.into(), service: some(service), scope: some(scope) }
    }

    #[test]
    fn the_headers_of_real_registries_are_understood() {
        assert_eq!(
            parse(
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#
            ),
            [bearer("https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull,push")]
        );
        assert_eq!(
            parse(r#"Basic realm="Registry \"Realm\"", Bearer realm=https://a/t"#),
            [Challenge::Basic, bearer("https://a/t", "", "")]
        );
        assert_eq!(parse(r#"Negotiate, BASIC realm=x"#), [Challenge::Basic]);
        assert_eq!(choose(["Basic realm=x", "Bearer realm=\"y\""].into_iter()), Some(bearer("y", "", "")));
        assert_eq!(choose(["Negotiate"].into_iter()), None);
        assert_eq!(parse("Bearer service=x"), [], "a token server without an address is none");
        assert_eq!(parse(r#"Bearer realm="never closed"#), []);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_go_on_for_ever(text in "\\PC{0,80}") {
            prop_assert!(parse(&text).len() <= text.len());
        }

        #[test]
        fn what_is_quoted_comes_out_as_it_went_in(realm in "[ -~]{1,30}") {
            let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(parse(&format!("Bearer realm=\"{quoted}\"")), [bearer(&realm, "", "")]);
        }
    }
}
