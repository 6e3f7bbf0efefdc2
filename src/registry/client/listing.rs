//! # Listing: the catalogue, the tags, and what search makes of them
//!
//! A registry lists its repositories (`_catalog`) and a repository its tags, a page at a time; `Link` says where the next page
//! is. The Hub has no catalogue; it has a search of its own, older than the protocol.
//!
//! * [`Repository::tags`] and [`catalogue`] read to the end, within limits; [`search`] is `GET /images/search`.
//!
//! Law: a list without an end, or that links to itself, is given up. See: distribution-spec "Listing Tags" · moby
//! `registry/search.go`. Next room: [`crate::pull`]

use super::{
    Client, Purpose, headers,
    manifest::Repository,
    refusal::Refusal,
    session::{Ask, Session},
    wire::Failure,
};
use crate::{credentials::Credentials, settings::Endpoint};
use minidock_base::{Doing, Error, Result};
use minidock_spec::reference::{HUB, Reference};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

const MOST_PAGES: usize = 200;
const LARGEST_PAGE: usize = 8 << 20;
const PAGE: usize = 1000;

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalogue {
    repositories: Option<Vec<String>>,
}

/// One row of a search, in the words of the Hub and of the Engine API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    pub star_count: i64,
    pub is_official: bool,
    pub name: String,
    pub is_automated: bool,
    pub description: String,
}

#[derive(Deserialize)]
struct Results {
    results: Option<Vec<Found>>,
}

impl Repository {
    /// All tags, in the registry's order.
    ///
    /// # Errors
    /// The registry's refusal.
    pub async fn tags(&self) -> Result<Vec<String>> {
        let first = self.session.target(&format!("/v2/{}/tags/list?n={PAGE}", self.name));
        pages(&self.session, first, |page: Tags| page.tags).await
    }
}

/// All repositories of a registry.
///
/// # Errors
/// The registry's refusal; many give no catalogue to anybody.
pub async fn catalogue(session: &Session) -> Result<Vec<String>> {
    pages(session, session.target(&format!("/v2/_catalog?n={PAGE}")), |page: Catalogue| page.repositories).await
}

async fn pages<T: DeserializeOwned>(
    session: &Session,
    first: String,
    items: impl Fn(T) -> Option<Vec<String>>,
) -> Result<Vec<String>> {
    let (mut all, mut target) = (Vec::new(), first);
    for _ in 0..MOST_PAGES {
        let reply = session.send(&Ask::get(target.clone())).await?;
        if !reply.status.is_success() {
            return Err(Refusal::read(reply).await.error());
        }
        let next = reply.header("link").and_then(headers::next_page);
        let body = reply.bytes(LARGEST_PAGE).await.map_err(Failure::error)?;
        all.extend(items(serde_json::from_slice(&body).doing(|| "read the registry's list")?).unwrap_or_default());
        match next {
            None => return Ok(all),
            Some(next) if next == target => break,
            // a link without a path means this list with another query
            Some(next) if next.starts_with('?') => target = format!("{}{next}", target.split('?').next().unwrap_or_default()),
            Some(next) => target = next,
        }
    }
    Err(Error::system("the registry's list does not come to an end"))
}

/// Looks for images: `term` may begin with a registry, whose catalogue is then looked through; without one the Hub is
/// asked, or the catalogues of its mirrors where it does not answer.
///
/// # Errors
/// Nobody can be asked.
pub async fn search(client: &Arc<Client>, term: &str, limit: usize, credentials: &Credentials) -> Result<Vec<Found>> {
    if term.is_empty() || term.contains("://") {
        return Err(Error::invalid(format!(
            "invalid repository name ({term}): a term to look for is needed, without a scheme"
        )));
    }
    let (domain, wanted) = match term.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':', '[']) || first == "localhost" => (first, rest),
        _ if term.contains(':') => (term, ""),
        _ => (HUB, term),
    };
    if domain != HUB {
        let session = open_catalogue(client, domain, credentials).await?;
        return Ok(matching(&catalogue(&session).await?, wanted, Some(domain), limit));
    }
    let asked = search_hub(client, wanted, limit, credentials).await;
    let Err(error) = asked else { return asked };
    for mirror in client.config().endpoints(HUB, false)?.into_iter().filter(|e| e.mirror_of.is_some()) {
        let opened =
            Session::open(client.wire.clone(), client.config.clone(), mirror, Credentials::default(), Vec::new()).await;
        if let Ok(session) = opened
            && let Ok(names) = catalogue(&session).await
        {
            return Ok(matching(&names, wanted, None, limit));
        }
    }
    Err(error.hint("a registry of your own is searched by its name: minidock search localhost:5000/TERM"))
}

async fn open_catalogue(client: &Arc<Client>, domain: &str, credentials: &Credentials) -> Result<Session> {
    let place = Reference { domain: domain.into(), path: String::new(), tag: None, digest: None };
    Ok(client.repository(&place, &Purpose::Catalogue, credentials).await?.session)
}

async fn search_hub(client: &Arc<Client>, term: &str, limit: usize, credentials: &Credentials) -> Result<Vec<Found>> {
    let hub = Endpoint::parse("https://index.docker.io", true)?;
    let ask = Ask::get(format!("/v1/search?q={}&n={limit}", headers::encode(term)));
    let session = Session::bare(client.wire.clone(), client.config.clone(), hub, credentials.clone());
    let reply = session.send_once(&ask, super::session::nothing()).await.map_err(Failure::error)?;
    if !reply.status.is_success() {
        return Err(Refusal::read(reply).await.error());
    }
    let body = reply.bytes(LARGEST_PAGE).await.map_err(Failure::error)?;
    let results: Results = serde_json::from_slice(&body).doing(|| "read what the Hub found")?;
    Ok(results.results.unwrap_or_default())
}

/// The names that hold the term; the nearest first.
fn matching(names: &[String], term: &str, domain: Option<&str>, limit: usize) -> Vec<Found> {
    let term = term.to_ascii_lowercase();
    let mut found: Vec<&String> = names.iter().filter(|name| name.contains(&term)).collect();
    found.sort_by_key(|name| (name.rsplit('/').next() != Some(term.as_str()), (*name).clone()));
    let shown = |name: &String| domain.map_or_else(|| name.clone(), |domain| format!("{domain}/{name}"));
    found.into_iter().take(limit).map(|name| Found { name: shown(name), ..Found::default() }).collect()
}

/// `catalog` and `tags` of the command line: all repositories of the registry at `domain`.
///
/// # Errors
/// As [`catalogue`].
pub async fn repositories(client: &Arc<Client>, domain: &str, credentials: &Credentials) -> Result<Vec<String>> {
    catalogue(&open_catalogue(client, domain, credentials).await?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first_and_the_limit_holds() {
        let names: Vec<String> = ["zz/redis", "redis-tools", "redis", "nginx"].map(str::to_string).to_vec();
        let found: Vec<String> = matching(&names, "redis", Some("x:5"), 2).into_iter().map(|f| f.name).collect();
        assert_eq!(found, ["x:5/redis", "x:5/zz/redis"]);
        assert_eq!(matching(&names, "", None, 9).len(), 4);
    }
}
