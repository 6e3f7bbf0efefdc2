//! # A container that is looked at: top and stats, asked of real ones

mod stage;

use futures_util::StreamExt;
use minidock_base::Kind;
use minidock_engine::container::{start, stats, top};
use serde_json::Value;
use stage::{Stage, may_run};
use std::{collections::BTreeMap, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_host_pids_and_only_the_containers_processes() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let id = stage.create(stage.body(&["sh", "-c", "sleep 1000 & sleep 1000 & wait"])).await.expect("created");
    let refused = top::top(&stage.engine, &id, "").await.expect_err("it does not run yet");
    assert_eq!(refused.kind(), Kind::Conflict);
    assert!(refused.message().ends_with("is not running"), "{refused}");
    start::start(&stage.engine, &id).await.expect("started");
    let pid = stage.engine.containers.find(&id).expect("kept").record().state.pid;
    let mut table = top::top(&stage.engine, &id, "").await.expect("it runs");
    for _ in 0..200 {
        if table.processes.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        table = top::top(&stage.engine, &id, "").await.expect("it runs");
    }
    assert_eq!(table.titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    let by_pid: BTreeMap<&str, &Vec<String>> = table.processes.iter().map(|row| (row[1].as_str(), row)).collect();
    assert_eq!(by_pid.len(), 3, "{table:?}");
    let first = by_pid[pid.to_string().as_str()];
    assert!(first[7].starts_with("sh -c"), "{first:?}");
    assert_eq!(table.processes.iter().filter(|row| row[2] == pid.to_string() && row[7] == "sleep 1000").count(), 2);
    let custom = top::top(&stage.engine, &id, "-o pid,comm").await.expect("good options");
    assert_eq!((custom.titles.join(" "), custom.processes.len()), ("PID COMMAND".into(), 3));
    let refused = top::top(&stage.engine, &id, "--sort=pid").await.expect_err("we do not sort");
    assert_eq!(refused.kind(), Kind::InvalidParameter);
    stage.remove(&id).await.expect("removed");
    assert_eq!(stage.leaks().await, [String::new(); 0]);
}

fn number(reading: &Value, pointer: &str) -> u64 {
    reading.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {reading}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_come_with_the_reading_before_and_end_with_the_container() {
    if !may_run() {
        return;
    }
    let stage = Stage::new().await;
    let mut body = stage.body(&["sh", "-c", "while :; do :; done"]);
    body.host_config.resources.memory = 64 << 20;
    let id = stage.create(body).await.expect("created");
    let mut idle = stats::stats(&stage.engine, &id, false, false).await.expect("one without counters");
    let idle = idle.next().await.expect("one");
    assert_eq!((idle["read"].as_str(), number(&idle, "/cpu_stats/cpu_usage/total_usage")), (Some("0001-01-01T00:00:00Z"), 0));
    start::start(&stage.engine, &id).await.expect("started");
    let mut once = stats::stats(&stage.engine, &id, false, true).await.expect("it runs");
    let once_only = once.next().await.expect("one");
    assert!(once.next().await.is_none(), "one shot is one");
    assert_eq!(number(&once_only, "/precpu_stats/cpu_usage/total_usage"), 0);
    let mut stream = stats::stats(&stage.engine, &id, true, false).await.expect("it runs");
    let (first, second) = (stream.next().await.expect("at once"), stream.next().await.expect("a second later"));
    let used = |reading: &Value, which: &str| number(reading, &format!("/{which}/cpu_usage/total_usage"));
    assert_eq!(used(&second, "precpu_stats"), used(&first, "cpu_stats"), "with the reading before");
    assert!(used(&second, "cpu_stats") > used(&first, "cpu_stats"), "it is busy");
    assert!(number(&second, "/cpu_stats/system_cpu_usage") > number(&first, "/cpu_stats/system_cpu_usage"));
    assert_eq!((number(&second, "/memory_stats/limit"), number(&second, "/pids_stats/current")), (64 << 20, 1));
    stage.remove(&id).await.expect("removed");
    let rest = tokio::time::timeout(Duration::from_secs(10), stream.collect::<Vec<Value>>()).await;
    assert!(rest.is_ok(), "the stream ends with the container");
}
