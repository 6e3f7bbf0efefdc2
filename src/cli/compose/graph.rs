//! # The graph, walked: side by side where nothing forbids it
//!
//! [`minidock_compose::local::order`] says who may begin; here it is done. A service begins as soon as those it depends on are through,
//! not when a whole layer is: a slow health check holds back only who waits for it.
//!
//! Laws: after a failure nothing new begins, and what has begun is waited for: no call is dropped half-way. *Next room:* [`super::images`]

use futures_util::{StreamExt, stream::FuturesUnordered};
use minidock_base::Result;
use minidock_compose::local::project::Service;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// First those that are depended on.
    Up,
    /// Last those.
    Down,
}

/// Does `act` for every service, in order.
///
/// # Errors
/// The first failure, when everything that had begun is through.
pub async fn walk<F: Future<Output = Result<()>>>(services: &[&Service], way: Way, act: impl Fn(String) -> F) -> Result<()> {
    let (mut begun, mut done): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let (mut running, mut failure) = (FuturesUnordered::new(), None);
    loop {
        if failure.is_none() {
            let next: Vec<String> = services
                .iter()
                .filter(|service| {
                    !begun.contains(&service.name) && before(services, service, way).all(|name| done.contains(&name))
                })
                .map(|service| service.name.clone())
                .collect();
            for name in next {
                begun.push(name.clone());
                let work = act(name.clone());
                running.push(async move { (name, work.await) });
            }
        }
        match running.next().await {
            Some((name, Ok(()))) => done.push(name),
            Some((_, Err(error))) => drop(failure.get_or_insert(error)),
            None => return failure.map_or(Ok(()), Err),
        }
    }
}

/// Who must be through before `service` may begin.
fn before<'a>(services: &'a [&Service], service: &'a Service, way: Way) -> impl Iterator<Item = String> + 'a {
    let waits = |who: &Service, whom: &Service| who.depends_on.iter().any(|dependency| dependency.service == whom.name);
    let comes_first = move |other: &&&Service| match way {
        Way::Up => waits(service, other),
        Way::Down => waits(other, service),
    };
    services.iter().filter(comes_first).map(|other| other.name.clone())
}
