//! # Prune: remove what is stopped
//!
//! `container prune` and `system prune` sweep away every container that does not run, or only those that a filter names.
//! What a label protects stays; what is younger than `until` stays.
//!
//! * [`prune`] decides with [`goes`], a plain function, and removes through [`crate::container::remove`], one by one: a
//!   container that is started meanwhile is refused there, and the sweep goes on.
//!
//! See: moby `daemon/prune.go`. Next room: [`crate::container::remove`]

use crate::{
    Engine,
    container::{
        record::{Phase, Record},
        remove::{self, Removal},
        size,
    },
};
use jiff::Timestamp;
use minidock_base::{Error, Result, clock, units::parse_duration};
use minidock_spec::engine::{container::Pruned, filters::Filters};
use std::sync::Arc;

/// `POST /containers/prune?filters=`.
///
/// # Errors
/// 400 for filters that make no sense.
pub async fn prune(engine: &Arc<Engine>, filters: &Filters) -> Result<Pruned> {
    filters.accept(&["label", "label!", "until"])?;
    let until = until(filters)?;
    let mut pruned = Pruned { containers_deleted: None, space_reclaimed: 0 };
    for container in engine.containers.all() {
        let record = container.record();
        if !goes(&record, filters, until) {
            continue;
        }
        let sizes = size::of_container(engine, &record).await?;
        match remove::remove(engine, &record.id, Removal { force: false, volumes: false, link: false }).await {
            Ok(()) => {
                pruned.containers_deleted.get_or_insert_default().push(record.id.clone());
                pruned.space_reclaimed += sizes.rw;
            }
            Err(error) => tracing::warn!(container = record.id, "not pruned: {}", error.message()),
        }
    }
    let reclaimed = std::collections::BTreeMap::from([("reclaimed".to_string(), pruned.space_reclaimed.to_string())]);
    engine.events.publish("container", "prune", "", reclaimed);
    Ok(pruned)
}

/// Whether this container is swept away.
fn goes(record: &Record, filters: &Filters, until: Option<Timestamp>) -> bool {
    matches!(record.state.phase, Phase::Created | Phase::Exited | Phase::Dead)
        && filters.labels("label", &record.config.labels)
        && filters.without_labels("label!", &record.config.labels)
        && until.is_none_or(|until| record.created < until)
}

/// The filter `until`: a time, seconds since 1970, or how long ago (`24h`).
///
/// # Errors
/// 400 for anything else, and for more than one.
pub fn until(filters: &Filters) -> Result<Option<Timestamp>> {
    let mut values = filters.values("until");
    let (Some(text), None) = (values.next(), values.next()) else {
        return match filters.contains("until") && filters.values("until").count() > 1 {
            true => Err(Error::invalid("more than one until filter specified")),
            false => Ok(None),
        };
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds = whole.parse::<i64>().ok().filter(|_| fraction.bytes().all(|c| c.is_ascii_digit()));
    let found = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| seconds.and_then(|s| Timestamp::from_second(s).ok()))
        .or_else(|| parse_duration(text).ok().and_then(|ago| clock::now().checked_sub(ago).ok()));
    match found {
        Some(at) => Ok(Some(at)),
        None => {
            Err(Error::invalid(format!("invalid filter 'until={text}'")).hint("a time such as 2026-01-31T12:00:00Z, or 24h"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_is_a_time_or_how_long_ago() {
        let read = |text: &str| until(&Filters::parse(&format!(r#"{{"until":["{text}"]}}"#)).expect("well formed"));
        assert_eq!(read("1700000000").expect("seconds"), Timestamp::from_second(1_700_000_000).ok());
        assert_eq!(read("2023-11-14T22:13:20Z").expect("a time"), Timestamp::from_second(1_700_000_000).ok());
        assert!(read("24h").expect("ago").is_some_and(|at| at < Timestamp::now()));
        assert!(read("soon").is_err());
        assert_eq!(until(&Filters::default()).expect("none"), None);
    }
}
