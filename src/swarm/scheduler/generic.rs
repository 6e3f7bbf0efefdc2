//! # Generic: who has which of the things that only some machines have
//!
//! A node says what it offers, each task knows what it was given ([`Task::generic_resources`](minidock_spec::swarm::task::Task)); what is free is the
//! difference. Where things have names, a task is given the first ones that nobody has, so that two programs never
//! hold the same graphics card.
//!
//! Laws: of what a node does not offer any more nothing is free, and who has it keeps it until its end; the same tasks
//! make the same [`Given`], in whichever order they came and went. *See:* swarmkit `api/genericresource`. *Next room:* [`super::filter`]

use minidock_spec::swarm::generic::{GenericResource, counts};
use std::collections::BTreeMap;

/// What of a machine's things its tasks have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    numbers: BTreeMap<String, i64>,
    /// By kind and name: how many tasks hold it (one, unless a restored table says otherwise).
    names: BTreeMap<(String, String), i64>,
}

impl Given {
    /// A task has these from now on, or has them no more.
    pub fn count(&mut self, resources: &[GenericResource], is_there: bool) {
        let sign = if is_there { 1 } else { -1 };
        for resource in resources {
            match resource {
                GenericResource::Discrete(some) => add(&mut self.numbers, some.kind.clone(), sign * some.value),
                GenericResource::Named(one) => add(&mut self.names, (one.kind.clone(), one.value.clone()), sign),
            }
        }
    }

    /// How many of a kind are free on a machine that offers `offered`.
    pub fn free(&self, offered: &[GenericResource], kind: &str) -> i64 {
        let of_kind = offered.iter().filter(|resource| resource.kind() == kind);
        let free = |resource: &GenericResource| match resource {
            GenericResource::Discrete(some) => some.value - self.numbers.get(kind).copied().unwrap_or(0),
            GenericResource::Named(one) => i64::from(!self.has(&one.kind, &one.value)),
        };
        of_kind.map(free).sum::<i64>().max(0)
    }

    /// Is there enough for `needs`?
    pub fn leaves(&self, offered: &[GenericResource], needs: &[GenericResource]) -> bool {
        needs.is_empty() || counts(needs).into_iter().all(|(kind, count)| count <= self.free(offered, kind))
    }

    /// What a task with these needs is given; nobody has it yet.
    pub fn choose(&self, offered: &[GenericResource], needs: &[GenericResource]) -> Vec<GenericResource> {
        let mut chosen = Vec::new();
        for (kind, count) in counts(needs).into_iter().filter(|(_, count)| *count > 0) {
            let names = offered.iter().filter(|resource| match resource {
                GenericResource::Named(one) => one.kind == kind && !self.has(kind, &one.value),
                GenericResource::Discrete(_) => false,
            });
            let before = chosen.len();
            chosen.extend(names.take(usize::try_from(count).unwrap_or(usize::MAX)).cloned());
            if chosen.len() == before {
                chosen.push(GenericResource::discrete(kind, count));
            }
        }
        chosen
    }

    fn has(&self, kind: &str, name: &str) -> bool {
        !self.names.is_empty() && self.names.contains_key(&(kind.to_string(), name.to_string()))
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, i64>, key: K, number: i64) {
    let count = counts.entry(key).or_default();
    *count += number;
    if *count == 0 {
        counts.retain(|_, count| *count != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_to_one_each_and_numbers_until_there_is_none_left() {
        let offered =
            [GenericResource::discrete("ssd", 3), GenericResource::named("gpu", "a"), GenericResource::named("gpu", "b")];
        let needs = [GenericResource::discrete("gpu", 1), GenericResource::discrete("ssd", 2)];
        let mut given = Given::default();
        assert!(given.leaves(&offered, &needs));
        let first = given.choose(&offered, &needs);
        assert_eq!(first, [GenericResource::named("gpu", "a"), GenericResource::discrete("ssd", 2)]);
        given.count(&first, true);
        assert_eq!((given.free(&offered, "gpu"), given.free(&offered, "ssd"), given.free(&offered, "fpga")), (1, 1, 0));
        assert!(!given.leaves(&offered, &needs), "one ssd is too few");
        assert_eq!(given.choose(&offered, &needs[..1]), [GenericResource::named("gpu", "b")]);
        assert!(!given.leaves(&[], &needs[..1]), "a machine that offers nothing");
        assert!(given.leaves(&[], &[GenericResource::discrete("gpu", 0)]));
        given.count(&first, false);
        assert_eq!(given, Given::default());
    }
}
