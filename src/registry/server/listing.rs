//! # Listing: tags and repositories, page by page
//!
//! Both lists are sorted, and a page begins behind the name with which the one before ended. So a client can go on after anything,
//! a restart of the registry or new names in between.
//!
//! * [`page`] cuts one out: pure.
//!
//! See: distribution-spec "Listing Tags". Next room: [`super::passwords`]

use super::{
    Server,
    answer::{Answer, Refusal, document, set},
    route::Query,
    shelf::on_disk,
};
use crate::client::headers::encode;
use http::header;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A page when nobody says how long it should be, and the longest there is.
const LONGEST: usize = 10_000;

/// `GET /v2/_catalog?n=&last=`.
///
/// # Errors
/// A page length that is no number.
pub async fn catalogue(server: &Server, query: &Query) -> Result<Answer, Refusal> {
    let (shelf, layout) = (server.shelf.clone(), server.layout.clone());
    let all = on_disk(move || {
        let mut all = shelf.repositories()?;
        all.extend(layout.iter().flat_map(|layout| layout.repositories()));
        Ok(all)
    });
    answer(all.await?, query, "/v2/_catalog", |page| json!({"repositories": page}))
}

/// `GET /v2/<name>/tags/list?n=&last=`.
///
/// # Errors
/// No such repository; a page length that is no number.
pub async fn tags(server: &Server, name: String, query: &Query) -> Result<Answer, Refusal> {
    let (shelf, layout, wanted) = (server.shelf.clone(), server.layout.clone(), name.clone());
    let (known, all) = on_disk(move || {
        let mut all = shelf.tags(&wanted)?;
        all.extend(layout.iter().flat_map(|layout| layout.tags(&wanted)));
        Ok((shelf.has_repository(&wanted) || !all.is_empty(), all))
    })
    .await?;
    match known {
        true => answer(all, query, &format!("/v2/{name}/tags/list"), |page| json!({"name": name, "tags": page})),
        false => Err(Refusal::new(404, "NAME_UNKNOWN", format!("repository name not known to registry: {name}"))),
    }
}

fn answer(all: BTreeSet<String>, query: &Query, path: &str, body: impl FnOnce(&[String]) -> Value) -> Result<Answer, Refusal> {
    let wanted = match query.get("n") {
        None => LONGEST,
        Some(text) => text
            .parse()
            .map_err(|_| Refusal::new(400, "PAGINATION_NUMBER_INVALID", format!("{text:?} is no number of results")))?,
    };
    let (page, more) = page(&all, query.get("last"), wanted.min(LONGEST));
    let mut answer = document(200, "application/json", body(&page).to_string());
    if let (true, Some(last)) = (more, page.last()) {
        set(&mut answer, header::LINK, format!("<{path}?last={}&n={wanted}>; rel=\"next\"", encode(last)));
    }
    Ok(answer)
}

/// At most `wanted` names behind `last`, and whether there are more.
fn page(all: &BTreeSet<String>, last: Option<&str>, wanted: usize) -> (Vec<String>, bool) {
    let mut behind = all.iter().filter(|name| last.is_none_or(|last| name.as_str() > last));
    let page: Vec<String> = behind.by_ref().take(wanted).cloned().collect();
    (page, behind.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pages_together_are_the_whole_list(names in proptest::collection::btree_set("[a-c]{1,3}", 0..20), wanted in 1usize..5) {
            let (mut got, mut last) = (Vec::new(), None);
            loop {
                let (names, more) = page(&names, last.as_deref(), wanted);
                got.extend(names);
                last = got.last().cloned();
                if !more {
                    break;
                }
            }
            prop_assert_eq!(got, names.into_iter().collect::<Vec<_>>());
        }
    }
}
