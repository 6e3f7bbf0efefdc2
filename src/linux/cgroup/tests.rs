//! # Cgroups, tried
//!
//! v1 is tried on this machine's own trees, in a group of the test's own. v2's tree here has hardly a controller, but its
//! core (birth inside a group, freeze, kill, events) is real, so that is tried too, and the walk of
//! `cgroup.subtree_control` on a fake tree of files.

use super::*;
use std::{fs, process::Command};

/// A group of this test's own, removed at its end.
struct Scratch(Cgroup);

impl Scratch {
    fn new(hierarchy: &Hierarchy, name: &str) -> Option<Scratch> {
        let parent = format!("minidock-test-{}-{name}", std::process::id());
        let group = hierarchy.cgroup(Path::new(&format!("/{parent}/group")));
        match group.create() {
            Ok(()) => Some(Scratch(group)),
            Err(failed) => {
                eprintln!("SKIP: {failed}");
                None
            }
        }
    }

    /// A process inside that sleeps.
    fn sleeper(&self) -> std::process::Child {
        let child = Command::new("sleep").arg("60").spawn().expect("sleep is installed");
        self.0.add(child.id() as i32).expect("the group is there");
        child
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.remove());
        let parent = |dir: &Dir| Dir { path: dir.path.parent().unwrap_or(&dir.top).into(), ..dir.clone() };
        let parents =
            Cgroup::new(self.0.version, self.0.dirs.iter().map(parent).collect(), self.0.unified.as_ref().map(parent));
        let _ = parents.remove();
    }
}

fn this_machine() -> Option<Hierarchy> {
    Hierarchy::detect().map_err(|failed| eprintln!("SKIP: {failed}")).ok()
}

/// The v2 tree of a hybrid machine, or of a v2 machine.
fn any_v2() -> Option<Hierarchy> {
    let at = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let found = at.into_iter().find(|path| path.join("cgroup.controllers").exists());
    if found.is_none() {
        eprintln!("SKIP: no v2 tree on this machine");
    }
    found.map(Hierarchy::v2_at)
}

#[test]
fn a_group_is_made_limited_counted_killed_and_removed() {
    let Some(hierarchy) = this_machine() else { return };
    let Some(scratch) = Scratch::new(&hierarchy, "life") else { return };
    let group = &scratch.0;
    group.create().expect("making it twice is no error");
    let mut child = scratch.sleeper();
    assert_eq!(group.procs().expect("it is there"), [child.id() as i32]);
    let stats = group.stats().expect("it is there");
    assert_eq!(stats.pids.current, 1);
    assert!(group.remove_now().expect_err("someone lives there").is(libc::EBUSY));
    group.kill().expect("we may");
    child.wait().expect("killed");
    group.remove().expect("it is empty");
    assert!(!group.exists());
    group.remove().expect("removing what is gone is no error");
    group.kill().expect("nor is killing nobody");
    assert!(group.procs().expect("none").is_empty());
    assert!(group.stats().expect_err("it is gone").is(libc::ENOENT));
}

#[test]
fn a_frozen_group_stands_still_and_can_be_killed() {
    let Some(hierarchy) = this_machine() else { return };
    let Some(scratch) = Scratch::new(&hierarchy, "frozen") else { return };
    let group = &scratch.0;
    let mut children = [scratch.sleeper(), scratch.sleeper()];
    group.freeze().expect("all can stop");
    assert!(group.is_frozen());
    group.thaw().expect("and go on");
    assert!(!group.is_frozen());
    group.freeze().expect("again");
    group.kill().expect("frozen or not");
    children.iter_mut().for_each(|child| drop(child.wait()));
    assert!(group.procs().expect("it is there").is_empty());
}

#[test]
fn a_child_enters_by_itself_through_doors_opened_before() {
    let Some(hierarchy) = this_machine() else { return };
    let Some(scratch) = Scratch::new(&hierarchy, "doors") else { return };
    let doors = scratch.0.open_doors().expect("the group is there");
    let mut child = Command::new("cat");
    child.arg("/proc/self/cgroup").stdout(std::process::Stdio::piped());
    // SAFETY: between fork and exec the closure only writes to descriptors that are open already, on stack memory; `Vec`s
    // are read, not changed. The errno of a failure is passed on as a number.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut child, move || Cgroup::enter_through(&doors).map_err(|e| e.to_io()))
    };
    let output = child.spawn().expect("cat is installed").wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.lines().any(|line| line.contains("memory") && line.contains("doors")), "{text}");
    scratch.0.remove().expect("the child is gone");
}

#[test]
fn the_core_of_v2_works_without_any_controller() {
    let Some(hierarchy) = any_v2() else { return };
    let Some(scratch) = Scratch::new(&hierarchy, "core") else { return };
    let group = &scratch.0;
    assert!(group.clone_into_fd().expect("its folder opens").is_some());
    let mut child = scratch.sleeper();
    group.freeze().expect("cgroup.freeze");
    assert!(group.is_frozen());
    group.kill().expect("cgroup.kill works on the frozen");
    child.wait().expect("killed");
    group.remove().expect("it is empty");
}

/// A folder that looks like a v2 group.
fn fake_group(folder: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(folder).expect("a folder of ours");
    files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).expect("a file of ours"));
}

#[test]
fn controllers_are_handed_down_from_the_top() {
    let tree = tempfile::tempdir().expect("a folder");
    let offered = [("cgroup.controllers", "cpu memory pids\n"), ("cgroup.subtree_control", "")];
    for below in ["", "minidock", "minidock/id"] {
        fake_group(&tree.path().join(below), &offered);
    }
    let group = Hierarchy::v2_at(tree.path()).cgroup(Path::new("/minidock/id"));
    group.create().expect("all is there");
    let given = |path: &str| fs::read_to_string(tree.path().join(path).join("cgroup.subtree_control")).expect("there");
    assert_eq!(given(""), "+cpu +memory +pids");
    assert_eq!(given("minidock"), "+cpu +memory +pids");
    assert_eq!(given("minidock/id"), "", "the last one only receives: it will hold processes");
}

#[test]
fn a_group_below_a_threaded_one_is_refused() {
    let tree = tempfile::tempdir().expect("a folder");
    fake_group(tree.path(), &[("cgroup.controllers", "")]);
    fs::write(tree.path().join("cgroup.subtree_control"), "").expect("ours");
    fake_group(&tree.path().join("x"), &[("cgroup.type", "domain invalid\n")]);
    let group = Hierarchy::v2_at(tree.path()).cgroup(Path::new("/x"));
    assert!(group.create().expect_err("nobody could enter").is(libc::EOPNOTSUPP));
}

#[test]
fn v2_counters_are_read_into_the_same_shape() {
    let tree = tempfile::tempdir().expect("a folder");
    let files = [
        ("cpu.stat", "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nnr_periods 7\nnr_throttled 2\nthrottled_usec 90\n"),
        ("memory.current", "4096\n"),
        ("memory.max", "max\n"),
        ("memory.swap.current", "100\n"),
        ("memory.swap.max", "0\n"),
        ("memory.stat", "anon 1024\nfile 2048\ninactive_file 512\n"),
        ("memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n"),
        ("pids.current", "2\n"),
        ("pids.max", "max\n"),
        ("io.stat", "8:0 rbytes=90 wbytes=29 rios=8 wios=1 dbytes=0 dios=0\n"),
        ("hugetlb.2MB.current", "0\n"),
        ("hugetlb.2MB.max", "max\n"),
    ];
    fake_group(tree.path(), &files);
    let stats = Hierarchy::v2_at(tree.path()).cgroup(Path::new("/")).stats().expect("it is there");
    assert_eq!((stats.cpu.total_ns, stats.cpu.user_ns, stats.cpu.throttled_ns), (5_000_000, 3_000_000, 90_000));
    assert_eq!((stats.memory.memory.usage, stats.memory.memory.limit), (4096, u64::MAX));
    assert_eq!((stats.memory.memory.failures, stats.memory.oom_kills), (3, 1));
    assert_eq!((stats.memory.with_swap.usage, stats.memory.with_swap.limit), (4196, u64::MAX));
    assert_eq!((stats.pids.current, stats.pids.limit), (2, 0));
    assert_eq!(stats.block_io.service_bytes[1], stats::IoEntry { major: 8, minor: 0, op: "Write".into(), value: 29 });
    assert_eq!(stats.hugetlb["2MB"].limit, u64::MAX);
}

#[test]
fn half_made_groups_are_removed_like_whole_ones() {
    let Some(hierarchy) = this_machine() else { return };
    let Some(scratch) = Scratch::new(&hierarchy, "half") else { return };
    for dir in scratch.0.dirs.iter().step_by(2) {
        fs::remove_dir(&dir.path).expect("it is empty");
    }
    scratch.0.child(Path::new("sub")).create().expect("below what is left, and below what is not");
    scratch.0.remove().expect("with what is below it");
    assert!(!scratch.0.exists());
}

#[test]
fn a_knob_that_the_kernel_lacks_is_enoent_and_no_new_file() {
    let tree = tempfile::tempdir().expect("a folder");
    let group = Hierarchy::v1_at(tree.path(), &["memory"]).cgroup(Path::new("/"));
    fs::create_dir(tree.path().join("memory")).expect("ours");
    assert!(group.write("memory", "memory.nonsense", "1").expect_err("not there").is(libc::ENOENT));
    assert!(!tree.path().join("memory/memory.nonsense").exists());
    assert!(group.write("pids", "pids.max", "1").expect_err("no such tree").is(libc::ENOENT));
}

#[test]
fn the_out_of_memory_killer_is_noticed() {
    let Some(hierarchy) = this_machine() else { return };
    let Some(scratch) = Scratch::new(&hierarchy, "oom") else { return };
    let group = &scratch.0;
    let knob = match hierarchy.version() {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    if let Err(failed) = group.write("memory", knob, "8388608") {
        eprintln!("SKIP: {failed}");
        return;
    }
    let _ = group.write("memory", "memory.memsw.limit_in_bytes", "8388608");
    let mut watch = oom::Watch::new(group).expect("the memory controller is there");
    // the shell waits for a line, so that it is inside before it grows
    let mut child = Command::new("sh")
        .args(["-c", "read go; exec head -c 64M /dev/zero | tail"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("a shell is installed");
    group.add(child.id() as i32).expect("it waits");
    drop(child.stdin.take());
    // asked the moment the notice comes, which on v1 is before anybody is killed
    let mut fds = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)), Ok(1), "something happened");
    assert!(matches!(watch.drain(), oom::Oom::Killed(_)));
    let _ = child.wait();
    assert!(group.stats().expect("it is there").memory.oom_kills > 0);
}
