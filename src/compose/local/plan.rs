//! # The plan: from what is to what shall be
//!
//! `up` looks at the containers that carry the project's labels, compares, and does only the difference. The comparison is here, as a
//! value; who does it is elsewhere.
//!
//! ```text
//!   wanted  web ×2, hash A        Keep      app-web-1     it is as the file says
//!   seen    app-web-1  hash A ──► Recreate  app-web-2     hash B: the new one takes its name and its volumes
//!           app-web-2  hash B     Remove    app-web-3     one too many
//!           app-web-3  hash A     Create    …             if there were too few: the next numbers
//!           app-old-1             orphan                  a service that the files do not know
//! ```
//!
//! * [`plan`] decides, service by service in the order of their dependencies; a service that lives in another's namespace is made anew
//!   with it.
//!
//! Laws: what is done and planned again is kept (tested with any wish); of those that must go, the outdated and the youngest go first.
//! *See:* docker/compose `pkg/compose/reconcile.go`. *Next room:* `src/cli/compose/mod.rs`

use super::{
    body::Peer,
    hash, order,
    project::{Project, Service},
};
use minidock_base::Result;
use minidock_spec::engine::container::MountPoint;
use std::collections::BTreeSet;

/// A container of the project, as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub id: String,
    pub name: String,
    pub service: String,
    pub number: u32,
    pub oneoff: bool,
    pub hash: String,
    /// `sha256:…`
    pub image_id: String,
    /// `running`, `exited`, `created`, …
    pub state: String,
    pub networks: Vec<String>,
    pub mounts: Vec<MountPoint>,
}

impl Seen {
    pub fn is_running(&self) -> bool {
        matches!(self.state.as_str(), "running" | "restarting" | "paused")
    }

    pub fn peer(&self) -> Peer {
        Peer { id: self.id.clone(), name: self.name.clone(), number: self.number }
    }
}

/// When a container is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recreate {
    /// If it is not as the file says.
    Diverged,
    Always,
    Never,
}

/// How to plan.
#[derive(Clone, Debug)]
pub struct How {
    pub recreate: Recreate,
    /// The same for services that are only depended on.
    pub dependencies: Recreate,
    /// The services that were named; all if none was.
    pub named: Vec<String>,
}

/// What is done with one container.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    Keep(Seen),
    Create {
        number: u32,
    },
    /// The new one takes the old one's number, name and volumes.
    Recreate(Seen),
    Remove(Seen),
}

/// What is done with one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub service: String,
    pub deeds: Vec<Deed>,
}

impl Part {
    /// Whether one of its containers is made anew.
    pub fn recreates(&self) -> bool {
        self.deeds.iter().any(|deed| matches!(deed, Deed::Recreate(_)))
    }
}

/// Compares; `image_id` gives the id of an image by its name, if it is here.
///
/// # Errors
/// A circle of dependencies.
pub fn plan(
    project: &Project,
    chosen: &[&Service],
    seen: &[Seen],
    how: &How,
    image_id: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    for name in order::order(&project.services)? {
        let Some(service) = chosen.iter().find(|service| service.name == name) else { continue };
        let meant = how.named.is_empty() || how.named.contains(&name);
        let recreate = if meant { how.recreate } else { how.dependencies };
        let moved = shares(service).iter().any(|other| parts.iter().any(|part| part.service == *other && part.recreates()));
        let networks: Vec<String> = service
            .networks()
            .iter()
            .filter_map(|key| project.outer("networks", key))
            .map(|outer| outer.name.clone())
            .collect();
        let wanted = Made { hash: hash::service(service), image_id: image_id(&service.image), networks };
        let own: Vec<&Seen> = seen.iter().filter(|one| one.service == name && !one.oneoff).collect();
        parts.push(Part { deeds: deeds(service.scale, &wanted, &own, recreate, moved), service: name });
    }
    Ok(parts)
}

/// What a container would be made of now.
struct Made {
    hash: String,
    image_id: Option<String>,
    networks: Vec<String>,
}

impl Made {
    fn is_outdated(&self, seen: &Seen) -> bool {
        let other_image = self.image_id.as_ref().is_some_and(|id| !seen.image_id.is_empty() && *id != seen.image_id);
        let away = self.networks.iter().any(|network| !seen.networks.contains(network));
        seen.hash != self.hash || other_image || away
    }
}

fn deeds(scale: u32, wanted: &Made, seen: &[&Seen], recreate: Recreate, moved: bool) -> Vec<Deed> {
    let mut seen: Vec<&Seen> = seen.to_vec();
    seen.sort_by_key(|one| (wanted.is_outdated(one), one.number));
    let anew = |one: &Seen| match recreate {
        Recreate::Never => false,
        Recreate::Always => true,
        Recreate::Diverged => moved || wanted.is_outdated(one) || one.state == "dead",
    };
    let scale = scale as usize;
    let mut deeds: Vec<Deed> = seen
        .iter()
        .enumerate()
        .map(|(n, one)| match n < scale {
            false => Deed::Remove((*one).clone()),
            true if anew(one) => Deed::Recreate((*one).clone()),
            true => Deed::Keep((*one).clone()),
        })
        .collect();
    let highest = seen.iter().map(|one| one.number).max().unwrap_or(0);
    let missing = u32::try_from(scale.saturating_sub(seen.len())).unwrap_or(0);
    deeds.extend((1..=missing).map(|n| Deed::Create { number: highest + n }));
    deeds
}

/// The services in whose namespaces it lives.
fn shares(service: &Service) -> Vec<String> {
    let shared = ["network_mode", "ipc", "pid"]
        .iter()
        .filter_map(|key| service.node.text(key).strip_prefix("service:").map(str::to_string));
    let volumes =
        service.node.texts("volumes_from").into_iter().map(|from| from.split(':').next().unwrap_or_default().to_string());
    shared.chain(volumes).collect()
}

/// The services that are started anew because one they depend on is made anew (`restart: true`).
pub fn restarted<'a>(project: &'a Project, parts: &[Part]) -> BTreeSet<&'a str> {
    let recreated = |name: &str| parts.iter().any(|part| part.service == name && part.recreates());
    let waits = |service: &&Service| {
        let restarts = service.node.get("depends_on").is_some();
        restarts && service.depends_on.iter().any(|d| d.restart && recreated(&d.service))
    };
    project.services.iter().filter(waits).map(|service| service.name.as_str()).collect()
}

/// Containers whose service is in no file.
pub fn orphans<'a>(project: &Project, seen: &'a [Seen]) -> Vec<&'a Seen> {
    seen.iter().filter(|one| !one.oneoff && !project.knows(&one.service)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn made() -> Made {
        Made { hash: "A".into(), image_id: Some("i".into()), networks: vec!["n".into()] }
    }

    fn seen(number: u32, hash: &str) -> Seen {
        Seen { number, hash: hash.into(), image_id: "i".into(), networks: vec!["n".into()], ..Seen::default() }
    }

    fn shown(deeds: &[Deed]) -> Vec<String> {
        let one = |deed: &Deed| match deed {
            Deed::Keep(seen) => format!("keep {}", seen.number),
            Deed::Create { number } => format!("create {number}"),
            Deed::Recreate(seen) => format!("recreate {}", seen.number),
            Deed::Remove(seen) => format!("remove {}", seen.number),
        };
        deeds.iter().map(one).collect()
    }

    fn planned(scale: u32, seen: &[Seen], recreate: Recreate) -> Vec<String> {
        shown(&deeds(scale, &made(), &seen.iter().collect::<Vec<_>>(), recreate, false))
    }

    #[test]
    fn only_the_difference_is_done() {
        let there = [seen(1, "A"), seen(2, "B"), seen(3, "A")];
        assert_eq!(planned(3, &there, Recreate::Diverged), ["keep 1", "keep 3", "recreate 2"]);
        assert_eq!(planned(2, &there, Recreate::Diverged), ["keep 1", "keep 3", "remove 2"]);
        assert_eq!(planned(5, &there, Recreate::Never), ["keep 1", "keep 3", "keep 2", "create 4", "create 5"]);
        assert_eq!(planned(1, &there, Recreate::Always), ["recreate 1", "remove 3", "remove 2"]);
        assert_eq!(planned(0, &there, Recreate::Diverged), ["remove 1", "remove 3", "remove 2"]);
        assert_eq!(planned(2, &[], Recreate::Diverged), ["create 1", "create 2"]);
    }

    #[test]
    fn another_image_another_network_or_another_house_make_it_anew() {
        let mut one = seen(1, "A");
        one.image_id = "other".into();
        assert_eq!(planned(1, &[one.clone()], Recreate::Diverged), ["recreate 1"]);
        one = seen(1, "A");
        one.networks.clear();
        assert_eq!(planned(1, &[one], Recreate::Diverged), ["recreate 1"]);
        assert_eq!(shown(&deeds(1, &made(), &[&seen(1, "A")], Recreate::Diverged, true)), ["recreate 1"]);
    }

    proptest! {
        #[test]
        fn what_is_done_and_planned_again_is_kept(scale in 0u32..6, hashes in prop::collection::vec("[AB]", 0..6), always in any::<bool>()) {
            let there: Vec<Seen> = hashes.iter().enumerate().map(|(n, hash)| seen(n as u32 * 2 + 1, hash)).collect();
            let recreate = if always { Recreate::Always } else { Recreate::Diverged };
            let after: Vec<Seen> = deeds(scale, &made(), &there.iter().collect::<Vec<_>>(), recreate, false).into_iter().filter_map(|deed| match deed {
                Deed::Keep(one) => Some(one),
                Deed::Create { number } => Some(seen(number, "A")),
                Deed::Recreate(old) => Some(seen(old.number, "A")),
                Deed::Remove(_) => None,
            }).collect();
            prop_assert_eq!(after.len(), scale as usize);
            let numbers: BTreeSet<u32> = after.iter().map(|one| one.number).collect();
            prop_assert_eq!(numbers.len(), after.len(), "no number twice");
            let again = deeds(scale, &made(), &after.iter().collect::<Vec<_>>(), Recreate::Diverged, false);
            prop_assert!(again.iter().all(|deed| matches!(deed, Deed::Keep(_))), "{:?}", again);
        }
    }
}
