//! # The daemon may die at any line
//!
//! SIGKILL in the middle of everything, then a new daemon on the same roots: running containers are found, attached to,
//! logged and stopped; those that ended meanwhile have their true exit code; what was half-made is gone; and after `rm`
//! nothing is left: no process, no cgroup, no mount, no folder.

#[path = "props/mod.rs"]
mod props;

use props::{Daemon, wait_for};
use std::{fs, path::Path, time::Duration};

/// Every cgroup folder of this machine whose name is one of the containers' ids.
fn cgroups_of(ids: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new("/sys/fs/cgroup").to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                if ids.contains(&name) {
                    found.push(entry.path().display().to_string());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

/// Every process whose command line names this daemon's folder or one of the ids (shims, runtimes, containers).
fn processes_of(folder: &Path, ids: &[String]) -> Vec<String> {
    let folder = folder.display().to_string();
    let me = std::process::id().to_string();
    fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter(|e| {
            e.file_name().to_string_lossy().bytes().all(|c| c.is_ascii_digit()) && e.file_name().to_string_lossy() != me
        })
        .filter_map(|e| {
            let line = fs::read_to_string(e.path().join("cmdline")).ok()?.replace('\0', " ");
            (line.contains(&folder) || ids.iter().any(|id| line.contains(id.as_str()))).then_some(line)
        })
        .filter(|line| !line.contains("minidock daemon"))
        .collect()
}

#[test]
fn running_containers_survive_and_the_dead_keep_their_codes() {
    let mut daemon = Daemon::start();
    daemon.ok(&[
        "run",
        "-d",
        "--name",
        "stays",
        "alpine",
        "sh",
        "-c",
        "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done",
    ]);
    daemon.ok(&["run", "-d", "--name", "ends", "alpine", "sh", "-c", "while [ ! -f /go ]; do sleep 0.05; done; exit 42"]);
    daemon.ok(&["run", "-d", "--rm", "--name", "goes", "alpine", "sh", "-c", "while [ ! -f /go ]; do sleep 0.05; done"]);
    daemon.ok(&[
        "run",
        "-d",
        "--restart",
        "always",
        "--name",
        "again",
        "alpine",
        "sh",
        "-c",
        "while [ ! -f /go ]; do sleep 0.05; done; rm /go",
    ]);
    let before = daemon.inspect("stays", "{{.State.Pid}} {{.State.StartedAt}}");
    let pids: Vec<String> = ["ends", "goes", "again"].iter().map(|c| daemon.inspect(c, "{{.State.Pid}}")).collect();
    daemon.kill();
    for pid in &pids {
        fs::write(format!("/proc/{pid}/root/go"), "").expect("the container runs without its daemon");
    }
    for pid in &pids {
        wait_for("the containers to end", || !Path::new(&format!("/proc/{pid}/root/bin")).exists());
    }
    let lines = || daemon.data_root().join("containers");
    assert!(lines().exists());
    daemon.up();
    assert_eq!(daemon.inspect("stays", "{{.State.Pid}} {{.State.StartedAt}}"), before, "the same process, the same start");
    assert_eq!(daemon.inspect("ends", "{{.State.Status}} {{.State.ExitCode}}"), "exited 42");
    wait_for("--rm to be honoured", || daemon.run(&["inspect", "goes"]).status != 0);
    wait_for("the restart policy to apply", || daemon.inspect("again", "{{.State.Running}}") == "true");
    let logged = daemon.ok(&["logs", "stays"]).lines().count();
    wait_for("logging to go on", || daemon.ok(&["logs", "stays"]).lines().count() > logged + 3);
    assert_eq!(daemon.ok(&["exec", "stays", "echo", "hi"]), "hi");
    daemon.ok(&["stop", "-t", "1", "stays"]);
    assert_eq!(daemon.inspect("stays", "{{.State.ExitCode}}"), "137");
}

#[test]
fn a_wait_and_a_log_begun_before_work_after() {
    let mut daemon = Daemon::start();
    daemon.ok(&[
        "run",
        "-d",
        "--name",
        "box",
        "alpine",
        "sh",
        "-c",
        "echo first; while [ ! -f /go ]; do sleep 0.05; done; echo last; exit 7",
    ]);
    daemon.kill();
    daemon.up();
    let pid = daemon.inspect("box", "{{.State.Pid}}");
    let waiting = daemon.command(&["wait", "box"]).stdout(std::process::Stdio::piped()).spawn().expect("a client");
    fs::write(format!("/proc/{pid}/root/go"), "").expect("it runs");
    let output = waiting.wait_with_output().expect("our own child");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "7");
    assert_eq!(daemon.ok(&["logs", "box"]), "first\nlast");
}

#[test]
fn killed_at_many_points_it_leaves_every_container_true_or_absent() {
    let mut daemon = Daemon::start();
    let mut ids: Vec<String> = Vec::new();
    for round in 0..30u64 {
        let mut client = daemon.command(&["run", "-d", "--name", &format!("c{round}"), "alpine", "sleep", "1000"]);
        let mut client =
            client.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("a client");
        // a different moment each round: this is the fault that is injected, not a synchronisation
        std::thread::sleep(Duration::from_millis(2 * round));
        daemon.kill();
        client.wait().expect("our own child");
        let began = std::time::Instant::now();
        daemon.up();
        assert!(began.elapsed().as_secs() < 5, "round {round}: restarting took {:?}", began.elapsed());
        for id in daemon.ok(&["ps", "-aq", "--no-trunc"]).split_whitespace() {
            let state = daemon.inspect(id, "{{.State.Status}} {{.State.Pid}}");
            let (status, pid) = state.split_once(' ').expect("two words");
            let lives = pid != "0" && Path::new(&format!("/proc/{pid}/root/bin")).exists();
            assert_eq!(status == "running", lives, "round {round}: {state}");
            ids.push(id.to_string());
        }
    }
    ids.sort();
    ids.dedup();
    let left = daemon.ok(&["ps", "-aq"]);
    let names: Vec<&str> = left.split_whitespace().collect();
    if !names.is_empty() {
        daemon.ok(&[&["rm", "-f"], names.as_slice()].concat());
    }
    assert_eq!(fs::read_dir(daemon.data_root().join("containers")).map(|d| d.count()).unwrap_or(0), 0, "no folder is left");
    wait_for("the last process to go", || processes_of(&daemon.folder, &ids).is_empty());
    wait_for("the last cgroup to go", || cgroups_of(&ids).is_empty());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    assert!(!mounts.contains(&daemon.folder.display().to_string()), "no mount is left");
}

#[test]
fn a_broken_record_is_set_aside_and_the_others_load() {
    let mut daemon = Daemon::start();
    let good = daemon.ok(&["create", "--name", "good", "alpine"]);
    let bad = daemon.ok(&["create", "--name", "bad", "alpine"]);
    daemon.kill();
    let record = daemon.data_root().join("containers").join(&bad).join("container.json");
    let text = fs::read(&record).expect("the record");
    fs::write(&record, &text[..text.len() / 2]).expect("room on the disk");
    daemon.up();
    assert_eq!(daemon.ok(&["ps", "-aq", "--no-trunc"]), good);
    let log = fs::read_to_string(daemon.folder.join("daemon.log")).expect("the daemon's log");
    assert!(log.contains(&bad), "the broken one is reported by name\n{log}");
    let kept = fs::read_dir(record.parent().expect("a folder")).map(|d| d.flatten().count()).unwrap_or(0);
    assert!(kept > 0, "and kept");
}

#[test]
fn a_killed_shim_does_not_make_a_container_immortal() {
    let daemon = Daemon::start();
    for (name, undo) in [("one", &["rm", "-f"][..]), ("two", &["stop", "-t", "1"])] {
        daemon.ok(&["run", "-d", "--name", name, "alpine", "sleep", "1000"]);
        let pid = daemon.inspect(name, "{{.State.Pid}}");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let shim: i32 =
            status.lines().find_map(|l| l.strip_prefix("PPid:")).and_then(|p| p.trim().parse().ok()).expect("a parent");
        let shim = rustix::process::Pid::from_raw(shim).expect("a process");
        rustix::process::kill_process(shim, rustix::process::Signal::KILL).expect("the shim");
        let began = std::time::Instant::now();
        daemon.ok(&[undo, &[name]].concat());
        assert!(began.elapsed().as_secs() < 5, "{undo:?} took {:?}", began.elapsed());
        assert!(!Path::new(&format!("/proc/{pid}/root/bin")).exists(), "the process is gone");
    }
    assert_ne!(daemon.inspect("two", "{{.State.Status}}"), "running");
}

/// The process of which this daemon's shims are forks.
fn nursery_of(daemon: &Daemon) -> i32 {
    let is_child = |status: &String| status.contains(&format!("\nPPid:\t{}\n", daemon.pid()));
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let found = all.filter_map(|entry| {
        let status = fs::read_to_string(entry.path().join("status")).ok().filter(is_child)?;
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let pid = entry.file_name().to_string_lossy().parse().ok()?;
        (line.contains("\0nursery") && !status.contains("State:\tZ")).then_some(pid)
    });
    found.max().expect("a nursery")
}

#[test]
fn a_killed_nursery_is_replaced_and_its_containers_do_not_notice() {
    let mut daemon = Daemon::start();
    daemon.ok(&["run", "-d", "--name", "first", "--network", "none", "alpine", "sleep", "1000"]);
    let old = nursery_of(&daemon);
    let pid = rustix::process::Pid::from_raw(old).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("the nursery");
    assert_eq!(daemon.ok(&["run", "--rm", "--network", "none", "alpine", "echo", "born"]), "born");
    assert_eq!(daemon.ok(&["exec", "first", "echo", "alive"]), "alive");
    let new = nursery_of(&daemon);
    assert_ne!(old, new);
    daemon.kill();
    let gone = || fs::read_to_string(format!("/proc/{new}/status")).map_or(true, |status| status.contains("State:\tZ"));
    wait_for("the nursery to end with its daemon", gone);
    daemon.up();
    assert_eq!(daemon.ok(&["exec", "first", "echo", "alive"]), "alive");
}

#[test]
fn a_test_that_fails_while_its_daemon_is_dead_leaves_no_container() {
    let mut daemon = Daemon::start();
    daemon.ok(&["run", "-d", "--name", "left", "alpine", "sleep", "1000"]);
    let pid = daemon.ok(&["inspect", "-f", "{{.State.Pid}}", "left"]).trim().to_string();
    let id = daemon.ok(&["inspect", "-f", "{{.Id}}", "left"]).trim().to_string();
    let exec_root = daemon.exec_root().display().to_string();
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        daemon.kill();
        panic!("as a claim that does not hold");
    }));
    assert!(failed.is_err());
    wait_for("the program to be gone", || !Path::new(&format!("/proc/{pid}/exe")).exists());
    assert!(!fs::read_to_string("/proc/self/mounts").expect("our mounts").contains(&exec_root));
    for controller in fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten() {
        assert!(!controller.path().join("minidock").join(&id).exists(), "{}", controller.path().display());
    }
}
