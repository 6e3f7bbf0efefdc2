//! # service logs: what all tasks of a service say
//!
//! Every line comes from some task on some machine, and says which in front. The daemon sends lines as they come, from all nodes; each carries
//! its origin as a list of details, and that becomes the prefix:
//!
//! ```text
//!   com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1 hello
//!      └─►  web.1.pqr2yw9kfo4o@node1    | hello
//! ```
//!
//! * [`Origin`] is read by [`origin`]; [`Prefixes`] knows the names.
//!
//! Laws: a program with a terminal has no lines, so its log is only for `--raw`; what cannot be read is said, not dropped.
//! *See:* docker/cli `cli/command/service/logs.go`. *Next room:* [`super::create`]

use super::tasks::Names;
use crate::{container::streams, flag, moment, session::Session, terminal};
use clap::ArgMatches;
use minidock_base::{Error, Kind, Result, id};
use minidock_client::{Docker, Route, Wish as Request};
use minidock_spec::{
    engine::stream::{Deframer, Stream},
    swarm::{service::Service, task::Task},
};
use std::collections::BTreeMap;

/// The flags of `service logs`.
pub fn command() -> clap::Command {
    let since = "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)";
    flag::command("logs", "[OPTIONS] SERVICE|TASK", "Fetch the logs of a service or task")
        .arg(flag::switch("details", "Show extra details provided to logs"))
        .arg(flag::switch("follow", "Follow log output").short('f'))
        .arg(flag::switch("no-resolve", "Do not map IDs to Names in output"))
        .arg(flag::switch("no-task-ids", "Do not include task IDs in output"))
        .arg(flag::switch("no-trunc", "Do not truncate output"))
        .arg(flag::switch("raw", "Do not neatly format logs"))
        .arg(flag::text("since", "string", since))
        .arg(flag::text("tail", "string", "Number of lines to show from the end of the logs (default \"all\")").short('n'))
        .arg(flag::switch("timestamps", "Show timestamps").short('t'))
        .arg(flag::name("SERVICE"))
}

/// Shows the lines of a service's tasks, or of one task.
///
/// # Errors
/// Neither a service nor a task; a time that is none; a log that cannot be read.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let name = flag::text_of(m, "SERVICE").unwrap_or_default();
    let raw = m.get_flag("raw");
    let since = flag::text_of(m, "since").filter(|text| !text.is_empty()).map(moment::from_now).transpose()?;
    let docker = session.docker().await?;
    let source = find(&docker, name).await?;
    if source.tty && !raw {
        return Err(Error::invalid("tty service logs only supported with --raw"));
    }
    let route = source
        .route
        .pair("stdout", 1)
        .pair("stderr", 1)
        .flag("details", m.get_flag("details") || !raw)
        .flag("follow", m.get_flag("follow"))
        .flag("timestamps", m.get_flag("timestamps"))
        .maybe("since", since)
        .pair("tail", flag::text_of(m, "tail").unwrap_or("all"));
    let mut log = docker.send(Request::get(&route)).await?;
    let mut prefixes = Prefixes {
        names: Names::ask(&docker, !raw && !m.get_flag("no-resolve")).await?,
        slots: BTreeMap::new(),
        width: source.width,
        task_ids: !m.get_flag("no-task-ids"),
        full: m.get_flag("no-trunc"),
    };
    let (mut frames, mut lines) = (Deframer::new(), Lines::default());
    while let Some(piece) = log.chunk().await? {
        if source.tty {
            terminal::print_bytes(&piece);
        } else if raw {
            frames.feed(&piece, streams::show_piece).map_err(streams::not_a_frame)?;
        } else {
            for (kind, line) in lines.feed(&piece) {
                let (stream, text) = match kind {
                    1 => (Stream::Stdout, dress(&docker, &mut prefixes, m, &line).await?),
                    2 => (Stream::Stderr, dress(&docker, &mut prefixes, m, &line).await?),
                    3 => (Stream::System, line),
                    other => return Err(streams::not_a_frame(other)),
                };
                streams::show_piece(stream, &text);
            }
        }
    }
    Ok(0)
}

/// Whose log it is.
struct Source {
    route: Route,
    tty: bool,
    /// How many digits the largest slot has.
    width: usize,
}

async fn find(docker: &Docker, name: &str) -> Result<Source> {
    let tty = |spec: &minidock_spec::swarm::task::TaskSpec| spec.container_spec.as_ref().is_some_and(|spec| spec.tty);
    if !name.trim_matches(['/', ' ']).is_empty() {
        if let Some(service) = perhaps(docker.get::<Service>(&Route::new("/services/{}", [name])).await)? {
            let replicas = service.spec.mode.replicated.and_then(|r| r.replicas).unwrap_or(1);
            let route = Route::new("/services/{}/logs", [name]);
            return Ok(Source { route, tty: tty(&service.spec.task_template), width: replicas.to_string().len() });
        }
        if let Some(task) = perhaps(docker.get::<Task>(&Route::new("/tasks/{}", [name])).await)? {
            let route = Route::new("/tasks/{}/logs", [name]);
            return Ok(Source { route, tty: tty(&task.spec), width: task.slot.to_string().len() });
        }
    }
    Err(Error::not_found(format!("no such task or service: {name}")).hint("minidock service ls; minidock service ps SERVICE"))
}

/// What may be absent.
fn perhaps<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Puts pieces together to whole frames: each is one line, or a part of a very long one, with its origin in front.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The frames that are whole by now: which stream, and what.
    fn feed(&mut self, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        self.0.extend_from_slice(bytes);
        let (mut whole, mut at) = (Vec::new(), 0);
        while let Some((head, rest)) = self.0[at..].split_first_chunk::<8>() {
            let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let Some(body) = rest.get(..length) else { break };
            whole.push((head[0], body.to_vec()));
            at += 8 + length;
        }
        self.0.drain(..at);
        whole
    }
}

/// What stands in front of lines.
struct Prefixes {
    names: Names,
    slots: BTreeMap<String, u64>,
    width: usize,
    task_ids: bool,
    full: bool,
}

impl Prefixes {
    /// `web.1.pqr2yw9kfo4o@node1`, padded so that lines of slot 9 and 10 stand below each other.
    fn of(&self, origin: &Origin) -> String {
        let slot = self.slots.get(&origin.task).copied().unwrap_or(0);
        let task = match (self.task_ids, self.full) {
            (false, _) => String::new(),
            (true, true) => format!(".{}", origin.task),
            (true, false) => format!(".{}", id::short(&origin.task)),
        };
        let digits = slot.to_string().len();
        let padding = " ".repeat(self.width.saturating_sub(digits));
        format!("{}.{slot}{task}@{}{padding}", self.names.service(&origin.service), self.names.node(&origin.node))
    }
}

/// Where a line comes from.
#[derive(Debug, PartialEq)]
struct Origin {
    node: String,
    service: String,
    task: String,
    /// The other details.
    others: BTreeMap<String, String>,
}

/// Reads the details in front of a line.
fn origin(details: &str) -> Result<Origin> {
    let mut all: BTreeMap<String, String> = details
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (unescaped(key), unescaped(value)))
        .collect();
    let mut take = |what: &str| {
        all.remove(&format!("com.docker.swarm.{what}.id"))
            .ok_or_else(|| Error::system(format!("missing {what} id in details of a log line: {details:?}")))
    };
    Ok(Origin { node: take("node")?, service: take("service")?, task: take("task")?, others: all })
}

/// `%2C` is a comma: what would end a value is written so.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// One line as it is shown.
async fn dress(docker: &Docker, prefixes: &mut Prefixes, m: &ArgMatches, line: &[u8]) -> Result<Vec<u8>> {
    let (time, details, said) = parts(line, m.get_flag("timestamps"))
        .ok_or_else(|| Error::system(format!("invalid context in log message: {}", String::from_utf8_lossy(line))))?;
    let origin = origin(details)?;
    if !prefixes.slots.contains_key(&origin.task) {
        let task: Task = docker.get(&Route::new("/tasks/{}", [&origin.task])).await?;
        prefixes.slots.insert(origin.task.clone(), task.slot);
    }
    let time = time.map(|time| format!("{time} ")).unwrap_or_default();
    let others: Vec<String> = origin.others.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let others = if m.get_flag("details") { format!("{} ", others.join(",")) } else { String::new() };
    let mut text = format!("{time}{}    | {others}", prefixes.of(&origin)).into_bytes();
    text.extend_from_slice(said);
    Ok(text)
}

/// The time, if there is one, the details, and what was said.
fn parts(line: &[u8], timestamps: bool) -> Option<(Option<&str>, &str, &[u8])> {
    let mut fields = line.splitn(if timestamps { 3 } else { 2 }, |byte| *byte == b' ');
    let time = if timestamps { Some(std::str::from_utf8(fields.next()?).ok()?) } else { None };
    Some((time, std::str::from_utf8(fields.next()?).ok()?, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_says_where_it_comes_from() {
        let line = b"2026-11-27T10:00:00Z com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=pqr2yw9kfo4ocxq0u0qo9599b,tag=a%2Cb hello world\n";
        let (time, details, said) = parts(line, true).expect("three parts");
        assert_eq!((time, said), (Some("2026-11-27T10:00:00Z"), &b"hello world\n"[..]));
        let origin = origin(details).expect("an origin");
        assert_eq!(origin.others["tag"], "a,b");
        let pair = |a: &str, b: &str| BTreeMap::from([(a.to_string(), b.to_string())]);
        let names = Names { services: pair("s1", "web"), nodes: pair("n1", "node1") };
        let slots = BTreeMap::from([(origin.task.clone(), 1)]);
        let mut prefixes = Prefixes { names, slots, width: 2, task_ids: true, full: false };
        assert_eq!(prefixes.of(&origin), "web.1.pqr2yw9kfo4o@node1 ");
        prefixes.task_ids = false;
        assert_eq!(prefixes.of(&origin), "web.1@node1 ");
        assert!(super::origin("a=b").is_err() && parts(b"alone\n", false).is_none());
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(texts in prop::collection::vec("[a-z ]{0,9}\n?", 0..5), cut in 1usize..12) {
            let frame = |text: &String| [&[1u8, 0, 0, 0, 0, 0, 0, text.len() as u8][..], text.as_bytes()].concat();
            let wire: Vec<u8> = texts.iter().flat_map(frame).collect();
            let mut lines = Lines::default();
            let got: Vec<(u8, Vec<u8>)> = wire.chunks(cut).flat_map(|piece| lines.feed(piece)).collect();
            prop_assert_eq!(got, texts.into_iter().map(|text| (1, text.into_bytes())).collect::<Vec<_>>());
        }

        #[test]
        fn no_line_makes_the_reader_panic(text in "(\\PC{0,20}|[a-z=,% 0-9]{0,30})") {
            let _ = (parts(text.as_bytes(), true), parts(text.as_bytes(), false), origin(&text), unescaped(&text));
        }
    }
}
