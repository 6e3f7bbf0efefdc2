//! # The graph, walked: side by side where nothing forbids it
//!
//! [`minidock_compose::local::order`] says who may begin; here it is done. A service begins as soon as those it depends on are through,
//! not when a whole layer is: a slow health check holds back only who waits for it.
//!
//! Laws: after a failure nothing new begins, and what has begun is waited for: no call is dropped half-way. *Next room:* [`super::images`]

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use minidock_base::Result;
use minidock_compose::local::{
    plan::Seen,
    project::{Project, Service},
};

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

/// Does `act` for containers in the order of their services, and then for those of no service that the files know.
///
/// # Errors
/// As for [`walk`].
pub async fn over<'a, F: Future<Output = Result<()>>>(
    project: Option<&Project>,
    containers: &'a [Seen],
    way: Way,
    act: impl Fn(&'a Seen) -> F,
) -> Result<()> {
    let services: Vec<&Service> =
        project.map(|project| project.services.iter().chain(&project.disabled).collect()).unwrap_or_default();
    let act = &act;
    walk(&services, way, |name| async move {
        join_all(containers.iter().filter(|one| one.service == name).map(act)).await.into_iter().collect()
    })
    .await?;
    let rest = containers.iter().filter(|one| !services.iter().any(|service| service.name == one.service));
    join_all(rest.map(act)).await.into_iter().collect()
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
