//! # Limits hold, and a limit that cannot hold is refused
//!
//! Each claim starts a real container with `minidock runtime`, lets it try to go beyond its limit, and asks the kernel what
//! happened. Where runc is installed the same bundle is given to it, and the answers are compared.

#[path = "limits/bundle.rs"]
mod bundle;

use bundle::{Bundle, may_run, text, until};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

const MIB: i64 = 1 << 20;

fn is_v1() -> bool {
    fs::metadata("/sys/fs/cgroup/memory/tasks").is_ok()
}

fn small_memory() -> Value {
    json!({"memory": {"limit": 16 * MIB, "swap": 16 * MIB}})
}

#[test]
fn who_takes_too_much_memory_is_killed_with_137() {
    if !may_run() {
        return;
    }
    let greedy = Bundle::limited(&["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"], small_memory());
    assert_eq!(greedy.run().status.code(), Some(137));
    assert!(greedy.leftovers().is_empty(), "{:?}", greedy.leftovers());
    let modest = Bundle::limited(&["dd", "if=/dev/zero", "of=/dev/null", "bs=4M", "count=1"], small_memory());
    assert_eq!(modest.run().status.code(), Some(0));
}

#[test]
fn a_fork_beyond_the_pids_limit_fails() {
    if !may_run() {
        return;
    }
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 2 & done; echo all";
    let crowd = Bundle::limited(&["sh", "-c", script], json!({"pids": {"limit": 4}}));
    let output = crowd.run();
    assert!(text(&output.stderr).contains("can't fork"), "{output:?}");
    let free = Bundle::limited(&["sh", "-c", script], json!({"pids": {"limit": -1}}));
    assert_eq!(text(&free.run().stdout), "all\n");
}

#[test]
fn a_container_runs_only_on_its_cpus() {
    if !may_run() {
        return;
    }
    let pinned =
        Bundle::limited(&["grep", "Cpus_allowed_list", "/proc/self/status"], json!({"cpu": {"cpus": "0", "mems": "0"}}));
    let output = pinned.run();
    assert_eq!(text(&output.stdout).trim(), "Cpus_allowed_list:\t0", "{output:?}");
}

#[test]
fn a_quota_of_a_tenth_throttles() {
    if !may_run() {
        return;
    }
    let busy = Bundle::limited(&["sh", "-c", "while :; do :; done"], json!({"cpu": {"quota": 10000, "period": 100000}}));
    busy.run_detached();
    let stats = || -> Value { serde_json::from_str(&busy.ok(&["events", "--stats", &busy.id])).expect("JSON") };
    until("it is throttled for half a second of its time", || {
        let throttling = &stats()["data"]["cpu"]["throttling"];
        throttling["throttledTime"].as_u64().unwrap_or(0) > 500_000_000
    });
    let stats = stats();
    let (used, periods) = (&stats["data"]["cpu"]["usage"]["total"], &stats["data"]["cpu"]["throttling"]["periods"]);
    let (used, periods) = (used.as_u64().expect("counted"), periods.as_u64().expect("counted"));
    assert!(used < (periods + 3) * 20_000_000, "{used} ns in {periods} periods of 10 ms each");
}

#[test]
fn a_device_can_be_made_but_not_opened() {
    if !may_run() {
        return;
    }
    let script = "mknod /d b 8 0 && echo made; head -c 1 /d; mknod /m c 1 1 && head -c 1 /m; mknod /z c 1 5 && head -c 1 /z >/dev/null && echo zero";
    let curious = Bundle::new(&["sh", "-c", script]);
    let output = curious.run();
    assert_eq!(text(&output.stdout), "made\nzero\n");
    assert_eq!(text(&output.stderr).matches("Operation not permitted").count(), 2, "{output:?}");
    let mut allowed = Bundle::new(&["sh", "-c", "mknod /m c 10 237; head -c 0 < /m && echo open"]);
    allowed.config["linux"]["resources"]["devices"] =
        json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 237, "access": "rw"}]);
    assert_eq!(text(&allowed.run().stdout), "open\n");
}

#[test]
fn what_the_machine_has_not_is_one_clear_error_and_leaves_nothing() {
    if !may_run() {
        return;
    }
    for (resources, words) in [
        (json!({"cpu": {"cpus": "0-4000"}}), "set cpuset cpus to 0-4000"),
        (json!({"cpu": {"quota": 1}}), "set cpu quota to 1"),
        (json!({"memory": {"limit": 32 * MIB, "swap": 16 * MIB}}), "should be >= memory limit"),
        (json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}), "set hugepage limit for 3MB to 1"),
        (
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": 250, "minor": 9, "rate": 5}]}}),
            "blkio read_bps of device 250:9",
        ),
    ] {
        let impossible = Bundle::limited(&["true"], resources);
        let output = impossible.run();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
        assert!(impossible.leftovers().is_empty(), "{:?}", impossible.leftovers());
        assert!(impossible.refused(&["state", &impossible.id]).contains("does not exist"));
    }
    // a limit far above the machine's memory is no contradiction: it never bites
    assert_eq!(Bundle::limited(&["true"], json!({"memory": {"limit": 1i64 << 45}})).run().status.code(), Some(0));
}

#[test]
fn update_changes_what_is_mentioned_and_nothing_when_refused() {
    if !may_run() || !is_v1() {
        return;
    }
    let living = Bundle::limited(&["sleep", "1000"], json!({"memory": {"limit": 64 * MIB}, "pids": {"limit": 20}}));
    living.run_detached();
    let id = living.id.as_str();
    living.ok(&["update", "--memory", "48m", "--cpu-share", "512", id]);
    assert_eq!(living.knob("memory", "memory.limit_in_bytes"), (48 * MIB).to_string());
    assert_eq!((living.knob("cpu", "cpu.shares"), living.knob("pids", "pids.max")), ("512".into(), "20".into()));
    let file = living.path().join("limits.json");
    fs::write(&file, r#"{"pids": {"limit": 30}, "cpu": {"quota": 20000, "period": 50000}}"#).expect("ours");
    living.ok(&["update", "-r", file.to_str().expect("plain"), id]);
    assert_eq!((living.knob("cpu", "cpu.cfs_quota_us"), living.knob("pids", "pids.max")), ("20000".into(), "30".into()));
    let complaint = living.refused(&["update", "--memory", "32m", "--cpu-share", "100", "--cpuset-cpus", "0-4000", id]);
    assert!(complaint.contains("cpuset cpus"), "{complaint}");
    assert_eq!(living.knob("memory", "memory.limit_in_bytes"), (48 * MIB).to_string(), "all or nothing");
    assert_eq!(living.knob("cpu", "cpu.shares"), "512");
    assert!(living.refused(&["update", "--memory", "foo", id]).contains("invalid value for memory"));
    assert!(living.refused(&["update", "--memory", "4096", id]).contains("unable to set memory limit to 4096"));
}

#[test]
fn a_real_time_period_and_its_runtime_are_set_in_the_order_that_works() {
    if !may_run() || !is_v1() || !fs::exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").is_ok_and(|there| there) {
        return;
    }
    let living = Bundle::new(&["sleep", "1000"]);
    living.run_detached();
    let group = living.cgroup("cpu");
    // a group has no real-time share that its parent has not
    let parent = group.parent().expect("the tests' own").join("cpu.rt_runtime_us");
    fs::write(parent, "400000").expect("ours");
    let set = |period: &str, runtime: &str| {
        living.ok(&["update", "--cpu-rt-period", period, "--cpu-rt-runtime", runtime, &living.id]);
        assert_eq!(
            (living.knob("cpu", "cpu.rt_period_us"), living.knob("cpu", "cpu.rt_runtime_us")),
            (period.into(), runtime.into())
        );
    };
    set("1000000", "50000");
    set("10000", "3000"); // the old runtime is longer than the new period
    set("500000", "100000"); // the new runtime is longer than the old period
}

#[test]
fn a_paused_container_uses_no_time_and_can_be_killed() {
    if !may_run() || !is_v1() {
        return;
    }
    let busy = Bundle::new(&["sh", "-c", "while :; do :; done"]);
    busy.run_detached();
    busy.ok(&["pause", &busy.id]);
    assert!(busy.ok(&["state", &busy.id]).contains("\"paused\""));
    let before = busy.knob("cpuacct", "cpuacct.usage");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(busy.knob("cpuacct", "cpuacct.usage"), before, "frozen means frozen");
    busy.ok(&["resume", &busy.id]);
    until("it goes on", || busy.knob("cpuacct", "cpuacct.usage") != before);
    busy.ok(&["pause", &busy.id]);
    busy.ok(&["delete", "--force", &busy.id]);
    assert!(busy.leftovers().is_empty(), "{:?}", busy.leftovers());
}

#[test]
fn events_tell_of_the_oom_killer() {
    if !may_run() {
        return;
    }
    // the shell stays, its children are killed
    let script = "while :; do dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; sleep 1; done";
    let greedy = Bundle::limited(&["sh", "-c", script], small_memory());
    greedy.run_detached();
    let mut events = greedy.spawn(&["events", "--interval", "300ms", &greedy.id]);
    let lines = BufReader::new(events.stdout.take().expect("piped")).lines();
    let kinds = lines.map(|line| {
        let event: Value = serde_json::from_str(&line.expect("text")).expect("one JSON object a line");
        event["type"].as_str().expect("a type").to_string()
    });
    let seen: Vec<String> =
        kinds.take(100).scan(false, |over, kind| (!std::mem::replace(over, kind == "oom")).then_some(kind)).collect();
    assert_eq!(seen.last().map(String::as_str), Some("oom"), "{seen:?}");
    greedy.ok(&["kill", &greedy.id, "KILL"]);
    assert!(events.wait().expect("it ends with the container").success());
}

/// All keys of a JSON value, as paths; counters of `memory.stat` and the like are the kernel's, so they count too.
fn keys(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, below)| keys(below, &format!("{path}/{key}"), found)),
        Value::Array(list) if list.first().is_some_and(Value::is_object) => keys(&list[0], &format!("{path}[]"), found),
        _ => found.push(path.to_string()),
    }
}

#[test]
fn stats_look_like_runcs() {
    let has_runc = Command::new("runc").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !may_run() || !has_runc {
        eprintln!("SKIP: needs root and runc");
        return;
    }
    let resources = json!({"memory": {"limit": 64 * MIB}, "pids": {"limit": 10}, "cpu": {"quota": 50000, "period": 100000}});
    let script = "echo x > /tmp/x; cat /tmp/x; sleep 1000";
    let ours = Bundle::limited(&["sh", "-c", script], resources.clone());
    ours.run_detached();
    let theirs = Bundle::limited(&["sh", "-c", script], resources);
    let runc = |args: &[&str]| theirs.runtime_of("runc", &[], args);
    let started = runc(&["run", "--detach", &theirs.id]).stdout(Stdio::null()).status().expect("runc runs");
    assert!(started.success());
    let told = runc(&["events", "--stats", &theirs.id]).output().expect("runc runs");
    let deleted = runc(&["delete", "--force", &theirs.id]).output().expect("runc runs");
    assert!(deleted.status.success());
    let shape = |text: &str| {
        let mut found = Vec::new();
        keys(&serde_json::from_str(text).expect("JSON"), "", &mut found);
        // left out when zero, and these may or may not be zero in either run
        let fickle = ["/throttling/", "/max", "/usage", "percpu", "/blkio", "/memory/cache"];
        found.retain(|key| !fickle.iter().any(|part| key.contains(part)));
        found.sort();
        found
    };
    assert_eq!(shape(&ours.ok(&["events", "--stats", &ours.id])), shape(&text(&told.stdout)));
}

/// Inside a mount namespace of its own: takes the v1 trees away and puts the v2 tree of a hybrid machine in their place.
const V2_ALONE: &str = "mount --make-rprivate / && mount --bind /sys/fs/cgroup/unified /mnt && \
    for tree in /sys/fs/cgroup/*; do umount -l $tree; done; mount --move /mnt /sys/fs/cgroup && exec \"$@\"";

/// A runtime command on a machine that has cgroup v2 alone.
fn v2_command(bundle: &Bundle, args: &[&str]) -> Command {
    let runtime = bundle.runtime(args);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", V2_ALONE, "sh"]).arg(runtime.get_program()).args(runtime.get_args());
    command.current_dir(bundle.path()).stdin(Stdio::null());
    command
}

fn on_v2(bundle: &Bundle, args: &[&str]) -> std::process::Output {
    v2_command(bundle, args).output().expect("unshare is installed")
}

#[test]
fn on_a_machine_with_v2_alone_containers_are_born_inside_their_group() {
    if !may_run() || fs::metadata("/sys/fs/cgroup/unified/cgroup.procs").is_err() {
        eprintln!("SKIP: needs a hybrid machine");
        return;
    }
    let asking = "grep 0:: /proc/self/cgroup; mknod /f c 10 237; head -c 0 < /f; head -c 0 < /proc/self/status && echo read";
    let mut born = Bundle::new(&["sh", "-c", asking]);
    let output = on_v2(&born, &["run", &born.id]);
    assert_eq!(text(&output.stdout), format!("0::/minidock-test-{}/{}\nread\n", std::process::id(), born.id), "{output:?}");
    assert!(text(&output.stderr).contains("Operation not permitted"), "the device program says no: {output:?}");
    born.config["process"]["args"] = json!(["sh", "-c", "sleep 1000 & sleep 1000"]);
    // into a file: a pipe would stay open as long as the container holds it
    let told = born.path().join("errors");
    let errors = fs::File::create(&told).expect("ours");
    let status = v2_command(&born, &["run", "--detach", &born.id]).stdout(Stdio::null()).stderr(errors).status();
    assert!(status.expect("unshare is installed").success(), "{}", fs::read_to_string(&told).unwrap_or_default());
    let folder = format!("/sys/fs/cgroup/unified/minidock-test-{}/{}", std::process::id(), born.id);
    assert!(on_v2(&born, &["pause", &born.id]).status.success());
    assert!(fs::read_to_string(format!("{folder}/cgroup.events")).expect("there").contains("frozen 1"));
    assert!(text(&on_v2(&born, &["state", &born.id]).stdout).contains("paused"));
    let refused = on_v2(&born, &["update", "--memory", "8m", &born.id]);
    let complaint = text(&refused.stderr);
    assert!(complaint.contains("the memory controller is not handed down to this cgroup"), "{complaint}");
    assert!(on_v2(&born, &["delete", "--force", &born.id]).status.success(), "frozen, with two processes");
    assert!(fs::metadata(&folder).is_err(), "{folder} is left over");
}

#[test]
fn a_fork_bomb_in_the_hosts_pid_namespace_is_removed_whole() {
    if !may_run() || !is_v1() {
        return;
    }
    // the shell that bombs dies of its own limit; the container's first process must not
    let script = "(while :; do sleep 1000 & sh -c 'sleep 1000 & sleep 1000' & done) & exec sleep 100000";
    let mut bomb = Bundle::limited(&["sh", "-c", script], json!({"pids": {"limit": 200}}));
    let namespaces = bomb.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.retain(|namespace| namespace["type"] != "pid");
    bomb.run_detached();
    until("it has grown", || bomb.knob("pids", "pids.current").parse::<u32>().is_ok_and(|n| n > 150));
    bomb.ok(&["pause", &bomb.id]);
    let inside = bomb.knob("freezer", "cgroup.procs");
    bomb.ok(&["resume", &bomb.id]);
    bomb.ok(&["delete", "--force", &bomb.id]);
    assert!(bomb.leftovers().is_empty(), "{:?}", bomb.leftovers());
    // the dead who wait for the host's init to reap them have no command line any more
    let alive = |pid: &&str| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("sleep"));
    assert_eq!(inside.lines().filter(alive).count(), 0, "some of its processes live on");
}

#[test]
fn a_second_process_is_in_the_same_cgroup_and_shares_its_limits() {
    if !may_run() || !is_v1() {
        return;
    }
    let first = Bundle::limited(&["sleep", "1000"], json!({"pids": {"limit": 3}}));
    first.run_detached();
    let inside = first.ok(&["exec", &first.id, "cat", "/proc/self/cgroup"]);
    let ours = |line: &&str| line.ends_with(&first.id);
    for controller in ["memory", "cpu", "pids", "devices", "freezer"] {
        assert!(inside.lines().filter(ours).any(|line| line.contains(&format!(":{controller}"))), "{controller}: {inside}");
    }
    let crowded = first.refused(&["exec", &first.id, "sh", "-c", "sleep 1 & sleep 1 & sleep 1 & wait"]);
    assert!(crowded.contains("can't fork"), "{crowded}");
}
