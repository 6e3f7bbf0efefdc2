//! # Logs of services: many containers, one stream
//!
//! The lines come from the nodes on which the tasks run or ran ([`Manager::logs`](minidock_swarm::manager::Manager::logs)), and go out as those
//! of a container: frames of standard output and error, or bare bytes where the service has a terminal. With `details` each line begins
//! with whose it is, and the clients make their prefixes (`web.1.x@node1 |`) of that:
//!
//! ```text
//!   com.docker.swarm.node.id=…,com.docker.swarm.service.id=…,com.docker.swarm.task.id=… the line
//! ```
//!
//! *See:* moby `daemon/cluster/services.go` (ServiceLogs), `api/server/httputils/write_log_stream.go`. *Next room:* [`super::events`]

use crate::{
    answer::{Answer, bytes},
    call::Call,
    system::time,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use minidock_base::{Error, Result, clock};
use minidock_spec::{
    engine::stream::{Stream, header},
    swarm::task::TaskSpec,
};
use minidock_swarm::{
    agent::logs::{LogLine, LogStream, LogsWish},
    control::find,
    store::{Table, Tables},
};

/// `GET /services/{id or name}/logs?follow=&stdout=&stderr=&since=&until=&timestamps=&tail=&details=`.
pub async fn of_service(call: Call, text: &str) -> Result<Answer> {
    logs(call, |tables, wish| {
        let id = find(tables, Table::Service, text)?;
        let tty = tables.service(&id).is_some_and(|s| has_terminal(&s.spec.task_template));
        wish.service_ids.push(id);
        Ok(tty)
    })
    .await
}

/// `GET /tasks/{id}/logs?…`.
pub async fn of_task(call: Call, text: &str) -> Result<Answer> {
    logs(call, |tables, wish| {
        let id = find(tables, Table::Task, text)?;
        let tty = tables.task(&id).is_some_and(|t| has_terminal(&t.spec));
        wish.task_ids.push(id);
        Ok(tty)
    })
    .await
}

fn has_terminal(spec: &TaskSpec) -> bool {
    spec.container_spec.as_ref().is_some_and(|c| c.tty)
}

/// Reads the wish; `whose` adds the tasks and says whether they have terminals.
async fn logs(call: Call, whose: impl FnOnce(&Tables, &mut LogsWish) -> Result<bool>) -> Result<Answer> {
    let manager = call.manager()?;
    let query = &call.query;
    let mut wish = LogsWish {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        follow: query.flag("follow"),
        details: query.flag("details"),
        ..LogsWish::default()
    };
    let tty = manager.view(|tables| whose(tables, &mut wish))?;
    if !wish.stdout && !wish.stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream").hint("stdout=1, stderr=1 or both"));
    }
    wish.tail = tail(query.text("tail"))?;
    (wish.since, wish.until) = (time(&call, "since")?, time(&call, "until")?);
    let (details, timestamps) = (wish.details, query.flag("timestamps"));
    let kind = match tty || call.minor < 42 {
        true => "application/vnd.docker.raw-stream",
        false => "application/vnd.docker.multiplexed-stream",
    };
    let receiver = manager.logs(wish).await?;
    let lines = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    // what goes wrong on a node is said in the stream: the head has gone out already
    let pieces = lines.map(move |line| {
        Ok(match line {
            Ok(line) => piece(&line, details, timestamps, tty),
            Err(error) => frame(Stream::System, format!("{}\n", error.message()).as_bytes()),
        })
    });
    Ok(bytes(kind, pieces.boxed()))
}

fn tail(text: Option<&str>) -> Result<Option<u64>> {
    match text {
        None | Some("all") => Ok(None),
        Some(number) => {
            number.parse().map(Some).map_err(|_| Error::invalid("tail value must be a positive integer or \"all\""))
        }
    }
}

/// One line as it goes out.
fn piece(line: &LogLine, details: bool, timestamps: bool, tty: bool) -> Bytes {
    let mut text = Vec::with_capacity(line.bytes.len() + 160);
    if timestamps {
        text.extend_from_slice(clock::rfc3339_nanos(line.time).as_bytes());
        text.push(b' ');
    }
    if details {
        let whose = [("node", &line.node_id), ("service", &line.service_id), ("task", &line.task_id)];
        let mut parts: Vec<String> = whose.iter().map(|(what, id)| format!("com.docker.swarm.{what}.id={id}")).collect();
        parts.extend(line.details.split(',').filter(|part| !part.is_empty()).map(str::to_string));
        parts.sort();
        text.extend_from_slice(parts.join(",").as_bytes());
        text.push(b' ');
    }
    text.extend_from_slice(&line.bytes);
    match (tty, line.stream) {
        (true, _) => text.into(),
        (false, LogStream::Stdout) => frame(Stream::Stdout, &text),
        (false, LogStream::Stderr) => frame(Stream::Stderr, &text),
    }
}

fn frame(stream: Stream, text: &[u8]) -> Bytes {
    let mut framed = Vec::with_capacity(text.len() + 8);
    framed.extend_from_slice(&header(stream, u32::try_from(text.len()).unwrap_or(u32::MAX))); // lines are bounded by the shim
    framed.extend_from_slice(text);
    framed.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn line() -> LogLine {
        LogLine {
            task_id: "t".into(),
            node_id: "n".into(),
            service_id: "s".into(),
            stream: LogStream::Stderr,
            time: Timestamp::UNIX_EPOCH,
            bytes: b"hello\n".to_vec(),
            details: "a=b,z=1".into(),
        }
    }

    #[test]
    fn a_line_says_whose_it_is_in_dockers_order() {
        let whose = "com.docker.swarm.node.id=n,com.docker.swarm.service.id=s,com.docker.swarm.task.id=t";
        assert_eq!(piece(&line(), true, false, true), format!("a=b,{whose},z=1 hello\n"));
        assert_eq!(piece(&line(), false, true, true), "1970-01-01T00:00:00.000000000Z hello\n");
        assert_eq!(piece(&line(), false, false, false), &b"\x02\0\0\0\0\0\0\x06hello\n"[..]);
    }

    #[test]
    fn a_tail_is_a_number_or_all() {
        assert_eq!((tail(None).ok(), tail(Some("all")).ok(), tail(Some("7")).ok()), (Some(None), Some(None), Some(Some(7))));
        for wrong in ["foo", "-1", "1.5"] {
            assert!(tail(Some(wrong)).expect_err("no number").message().contains("positive integer"));
        }
    }
}
