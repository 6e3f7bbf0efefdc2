//! # Events: what happened, told to whoever listens
//!
//! `docker events`, Compose and every dashboard follow one stream: a container died, an image was tagged, a volume was
//! mounted. The engine publishes each fact once; a listener gets the live stream, and a short memory lets it ask for what
//! it has just missed.
//!
//! ```text
//!   publish ──► ring of 256 ──► subscribe(since, until)   the past first,
//!          └──► broadcast   ──►                           then what comes
//! ```
//!
//! * [`Events::publish`] stamps a fact with the time and tells everybody. It never waits: a listener who is too slow loses
//!   the oldest events, the engine loses nothing.
//! * [`Events::subscribe`] joins past and future without a gap or a repeat: both are taken under one lock.
//! * [`matches`] is the filter, as a plain function.
//!
//! Laws: times never go backward within the ring, even when the wall clock does.
//! See: moby `daemon/events/{events,filter}.go`. Next room: [`crate::volumes`]

use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use minidock_base::{Result, clock};
use minidock_spec::{
    engine::{
        event::{Event, EventActor},
        filters::Filters,
    },
    reference::Reference,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many events are remembered for those who ask with `since`.
const REMEMBERED: usize = 256;

/// The filters that `GET /events` knows.
pub const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// The past and the present of this daemon.
pub struct Events {
    past: Mutex<VecDeque<Arc<Event>>>,
    present: broadcast::Sender<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

impl Events {
    pub fn new() -> Events {
        Events { past: Mutex::new(VecDeque::new()), present: broadcast::channel(1024).0 }
    }

    /// Tells everybody that `action` happened to the `kind` with this id; `attributes` are its name, image, labels, ….
    pub fn publish(&self, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        self.publish_in("local", kind, action, id, attributes);
    }

    /// The same, of something that is no single machine's: `scope` is `swarm`.
    pub fn publish_in(&self, scope: &str, kind: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let legacy = matches!(kind, "container" | "image");
        let mut event = Event {
            status: legacy.then(|| action.to_string()),
            id: legacy.then(|| id.to_string()),
            from: (kind == "container").then(|| attributes.get("image").cloned()).flatten(),
            kind: kind.to_string(),
            action: action.to_string(),
            actor: EventActor { id: id.to_string(), attributes },
            scope: scope.to_string(),
            ..Event::default()
        };
        let mut past = self.past.lock().expect("no holder panics");
        let now = clock::now().as_nanosecond() as i64;
        event.time_nano = past.back().map_or(now, |last| now.max(last.time_nano));
        event.time = event.time_nano.div_euclid(1_000_000_000);
        let event = Arc::new(event);
        if past.len() == REMEMBERED {
            past.pop_front();
        }
        past.push_back(event.clone());
        // an error means only that nobody listens
        let _ = self.present.send(event);
    }

    /// How many listen: `docker info` counts them.
    pub fn listeners(&self) -> usize {
        self.present.receiver_count()
    }

    /// The events from `since` (none: only what comes) to `until` (none: for ever) that pass the filters.
    pub fn subscribe(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        filters: Filters,
    ) -> BoxStream<'static, Result<Event>> {
        let nanos = |t: Timestamp| t.as_nanosecond() as i64;
        let past = self.past.lock().expect("no holder panics");
        let live = self.present.subscribe();
        let (from, to) = (since.map_or(0, nanos), until.map_or(i64::MAX, nanos));
        let missed: Vec<Arc<Event>> = match (since, until) {
            (None, None) => Vec::new(),
            _ => past.iter().filter(|e| (from..=to).contains(&e.time_nano)).cloned().collect(),
        };
        drop(past);
        let left = until.map(|t| Duration::try_from(t.duration_since(clock::now())).unwrap_or(Duration::ZERO));
        let coming = match left {
            Some(Duration::ZERO) => stream::empty().boxed(),
            Some(left) => follow(live).take_until(tokio::time::sleep(left)).boxed(),
            None => follow(live).boxed(),
        };
        stream::iter(missed)
            .chain(coming)
            .filter(move |event| std::future::ready(matches(event, &filters)))
            .map(|event| Ok(Event::clone(&event)))
            .boxed()
    }
}

fn follow(live: broadcast::Receiver<Arc<Event>>) -> impl futures_util::Stream<Item = Arc<Event>> + Send {
    stream::unfold(live, |mut live| async move {
        loop {
            match live.recv().await {
                Ok(event) => return Some((event, live)),
                Err(RecvError::Lagged(lost)) => tracing::debug!(lost, "a listener of events was too slow"),
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

/// Whether an event passes: one value of each key must fit, and all of the labels.
pub fn matches(event: &Event, filters: &Filters) -> bool {
    let of = |kind: &str| {
        !filters.contains(kind)
            || event.kind == kind
                && (filters.prefix(kind, &event.actor.id)
                    || event.actor.attributes.get("name").is_some_and(|name| filters.prefix(kind, name)))
    };
    let image = || {
        let name = event.actor.attributes.get(if event.kind == "image" { "name" } else { "image" }).map_or("", String::as_str);
        let untagged = Reference::parse_untagged(name).map(|r| r.familiar_name()).unwrap_or_else(|_| name.to_string());
        let any = |text: &str| filters.values("image").any(|wanted| wanted == text);
        !filters.contains("image")
            || matches!(event.kind.as_str(), "container" | "image") && (any(&event.actor.id) || any(name) || any(&untagged))
    };
    // `exec_start: ls -l` and `health_status: healthy` are also found by what stands before the colon
    let family = event.action.split_once(':').map_or(event.action.as_str(), |(family, _)| family);
    (filters.exact("event", &event.action) || filters.exact("event", family))
        && filters.exact("type", &event.kind)
        && filters.exact("scope", &event.scope)
        && of("daemon")
        && of("container")
        && of("plugin")
        && of("volume")
        && of("network")
        && image()
        && ["service", "node", "secret", "config"].iter().all(|kind| of(kind))
        && filters.labels("label", &event.actor.attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("name".to_string(), name.to_string()), ("image".to_string(), "alpine:3".to_string())])
    }

    fn filters(text: &str) -> Filters {
        Filters::parse(text).expect("well formed")
    }

    #[tokio::test]
    async fn past_and_future_join_without_a_gap_or_a_repeat() {
        let events = Events::new();
        for n in 0..300 {
            events.publish("container", "die", &format!("{n}"), named("web"));
        }
        let mut stream = events.subscribe(Some(Timestamp::UNIX_EPOCH), None, Filters::default());
        events.publish("container", "destroy", "300", named("web"));
        for n in 44..=300 {
            let event = stream.next().await.expect("an event").expect("a good one");
            assert_eq!(event.actor.id, n.to_string());
            assert_eq!(event.status.as_deref(), Some(event.action.as_str()));
            assert_eq!(event.from.as_deref(), Some("alpine:3"));
        }
    }

    #[tokio::test]
    async fn a_stream_whose_end_is_past_ends() {
        let events = Events::new();
        events.publish("volume", "create", "data", BTreeMap::new());
        let past = events.subscribe(None, Some(Timestamp::now()), Filters::default());
        assert_eq!(past.collect::<Vec<_>>().await.len(), 1);
        let soon = Timestamp::now() + Duration::from_millis(20);
        assert_eq!(events.subscribe(Some(soon), Some(soon), Filters::default()).collect::<Vec<_>>().await.len(), 0);
    }

    #[test]
    fn filters_compare_as_dockers_do() {
        let event = Event {
            kind: "container".into(),
            action: "health_status: healthy".into(),
            actor: EventActor { id: "abcdef".into(), attributes: named("web") },
            scope: "local".into(),
            ..Event::default()
        };
        for yes in [
            r#"{"event":["health_status"]}"#,
            r#"{"event":["health_status: healthy"]}"#,
            r#"{"container":["web"]}"#,
            r#"{"container":["abc"]}"#,
            r#"{"image":["alpine"]}"#,
            r#"{"image":["alpine:3"]}"#,
            r#"{"type":["container","image"]}"#,
            r#"{"label":["image=alpine:3"]}"#,
        ] {
            assert!(matches(&event, &filters(yes)), "{yes}");
        }
        for no in [
            r#"{"event":["die"]}"#,
            r#"{"volume":["web"]}"#,
            r#"{"type":["image"]}"#,
            r#"{"label":["x"]}"#,
            r#"{"image":["b"]}"#,
        ] {
            assert!(!matches(&event, &filters(no)), "{no}");
        }
    }
}
