//! # Limits, tried
//!
//! The translation to v2 is tried on a fake group of plain files, v1 and the kernel's refusals on this machine's own trees.

use super::*;
use minidock_linux::cgroup::Hierarchy;
use std::{collections::BTreeMap, fs};

fn resources(json: serde_json::Value) -> LinuxResources {
    serde_json::from_value(json).expect("resources of ours")
}

/// The knobs that a v2 group has with all controllers handed down.
const V2_FILES: [&str; 18] = [
    "cgroup.controllers",
    "cpu.max",
    "cpu.weight",
    "cpu.idle",
    "cpu.max.burst",
    "cpuset.cpus",
    "cpuset.mems",
    "memory.max",
    "memory.low",
    "memory.high",
    "memory.swap.max",
    "memory.current",
    "memory.swap.current",
    "pids.max",
    "io.max",
    "io.weight",
    "hugetlb.2MB.max",
    "rdma.max",
];

/// Applies limits to a fake v2 group and tells which files then say what.
fn on_v2(json: serde_json::Value) -> Result<BTreeMap<String, String>> {
    let tree = tempfile::tempdir().expect("a folder");
    for file in V2_FILES {
        fs::write(tree.path().join(file), "").expect("ours");
    }
    fs::write(tree.path().join("cgroup.controllers"), "cpuset cpu io memory hugetlb pids rdma").expect("ours");
    // short: the kernel takes each write whole, a file on disk keeps what stands behind it
    fs::write(tree.path().join("cpu.max"), "max ").expect("ours");
    fs::write(tree.path().join("memory.current"), "5000\n").expect("ours");
    set_limits(&Hierarchy::v2_at(tree.path()).cgroup(Path::new("/")), &resources(json))?;
    let text = |file: &&str| fs::read_to_string(tree.path().join(file)).expect("ours");
    let untouched = ["cgroup.controllers", "memory.current"];
    let set = V2_FILES.iter().filter(|file| !untouched.contains(file)).map(|file| (file.to_string(), text(file)));
    Ok(set.filter(|(_, text)| !text.is_empty() && text != "max ").collect())
}

#[test]
fn wishes_are_translated_to_v2() {
    let files = on_v2(serde_json::json!({
        "memory": {"limit": 1000, "swap": 1500, "reservation": 800},
        "cpu": {"shares": 1024, "quota": 50000, "period": 20000, "burst": 100, "cpus": "0-1", "mems": "0"},
        "pids": {"limit": 7},
        "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4096}],
        "rdma": {"mlx5_0": {"hcaHandles": 3, "hcaObjects": 10}},
        "unified": {"memory.high": "900"},
    }));
    let wanted = [
        ("cpu.max", "50000 20000"),
        ("cpu.max.burst", "100"),
        ("cpu.weight", "100"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("hugetlb.2MB.max", "4096"),
        ("io.max", "8:0 rbps=1048576"),
        ("io.weight", "4950"),
        ("memory.high", "900"),
        ("memory.low", "800"),
        ("memory.max", "1000"),
        ("memory.swap.max", "500"),
        ("pids.max", "7"),
        ("rdma.max", "mlx5_0 hca_handle=3 hca_object=10"),
    ];
    let wanted: BTreeMap<String, String> = wanted.iter().map(|(file, text)| (file.to_string(), text.to_string())).collect();
    assert_eq!(files.expect("all knobs are there"), wanted);
}

#[test]
fn what_is_not_mentioned_is_not_written() {
    assert!(on_v2(serde_json::json!({"memory": {}, "cpu": {}})).expect("nothing to do").is_empty());
    assert_eq!(on_v2(serde_json::json!({"pids": {"limit": 0}})).expect("a limit since runtime-spec 1.3")["pids.max"], "1");
    let unlimited = serde_json::json!({"memory": {"limit": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}});
    let files = on_v2(unlimited).expect("all knobs are there");
    assert_eq!(files["memory.max"], "max");
    assert_eq!(files["memory.swap.max"], "max");
    assert_eq!(files["pids.max"], "max");
    assert_eq!(on_v2(serde_json::json!({"cpu": {"period": 50000}})).expect("a period alone")["cpu.max"], "max 50000");
    assert_eq!(on_v2(serde_json::json!({"cpu": {"quota": 5000}})).expect("a quota alone")["cpu.max"], "5000");
}

#[test]
fn what_v2_cannot_do_is_said_not_dropped() {
    for (json, words) in [
        (serde_json::json!({"memory": {"swappiness": 10}}), "swappiness does not exist in cgroup v2"),
        (serde_json::json!({"memory": {"disableOOMKiller": true}}), "out-of-memory killer off does not exist"),
        (serde_json::json!({"memory": {"swap": 100}}), "unable to set swap limit without memory limit"),
        (serde_json::json!({"memory": {"limit": 100, "swap": 50}}), "should be >= memory limit"),
        (serde_json::json!({"memory": {"kernel": 100}}), "kernel memory limit (100) no longer exists"),
        (serde_json::json!({"memory": {"limit": 100, "checkBeforeUpdate": true}}), "rejecting memory limit 100"),
        (serde_json::json!({"cpu": {"realtimeRuntime": 100}}), "realtime CPU time"),
        (serde_json::json!({"network": {"classID": 5}}), "do not exist in cgroup v2"),
        (serde_json::json!({"blockIO": {"leafWeight": 5}}), "leaf weight does not exist"),
        (serde_json::json!({"hugepageLimits": [{"pageSize": "1GB", "limit": 1}]}), "ENOENT"),
        (serde_json::json!({"hugepageLimits": [{"pageSize": "../x", "limit": 1}]}), "hugepage size"),
        (serde_json::json!({"unified": {"a/../b.c": "1"}}), "without slashes"),
        (serde_json::json!({"unified": {"abc.def": "1"}}), "unified resource \"abc.def\""),
        (serde_json::json!({"cpu": {"quota": 5, "burst": 6}}), "larger than the quota"),
    ] {
        let refused = on_v2(json.clone()).expect_err("v2 cannot do it").message();
        assert!(refused.contains(words), "{json}: {refused}");
    }
}

#[test]
fn shares_and_weights_meet_at_both_ends_and_at_the_default() {
    assert_eq!([0, 1, 2, 1024, 262_144, 1_000_000].map(cpu::weight_from_shares), [0, 1, 1, 100, 10_000, 10_000]);
    let curve: Vec<u64> = (2..262_144).step_by(97).map(cpu::weight_from_shares).collect();
    assert!(curve.is_sorted(), "more shares never weigh less");
    assert_eq!([0, 10, 500, 1000].map(block_io::weight_for_iocost), [0, 1, 4950, 10_000]);
}

#[test]
fn a_controller_that_is_not_handed_down_is_named() {
    let tree = tempfile::tempdir().expect("a folder");
    fs::write(tree.path().join("cgroup.controllers"), "cpu\n").expect("ours");
    let refused = set_limits(
        &Hierarchy::v2_at(tree.path()).cgroup(Path::new("/")),
        &resources(serde_json::json!({"pids": {"limit": 5}})),
    );
    let refused = refused.expect_err("no pids controller");
    assert!(refused.message().starts_with("set pids limit to 5: "), "{refused}");
    assert!(refused.message().contains("the pids controller is not handed down to this cgroup"), "{refused}");
}

#[test]
fn paths_are_found() {
    let of = |text: &str| path_for(Some(Path::new(text)), "id").to_string_lossy().into_owned();
    assert_eq!(path_for(None, "id"), Path::new("id"));
    assert_eq!((of(""), of("/a/b"), of("a/b")), ("id".into(), "/a/b".into(), "a/b".into()));
    assert_eq!(of("machine.slice:libpod:ab"), "/machine.slice/libpod-ab.scope");
    assert_eq!(of(":docker:ab"), "/system.slice/docker-ab.scope");
}

/// A real v1 group of this test's own, or none when that is impossible.
fn real(name: &str) -> Option<Cgroup> {
    let hierarchy = Hierarchy::detect().ok()?;
    let cgroup = hierarchy.cgroup(Path::new(&format!("/minidock-test-{}-{name}", std::process::id())));
    match (hierarchy.version(), cgroup.create()) {
        (Version::V1, Ok(())) => Some(cgroup),
        (_, answer) => {
            eprintln!("SKIP: needs cgroup v1 and the right to make groups ({answer:?})");
            None
        }
    }
}

fn with_real(name: &str, test: impl FnOnce(&Cgroup) + std::panic::UnwindSafe) {
    let Some(cgroup) = real(name) else { return };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&cgroup)));
    cgroup.remove().expect("nobody is inside");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn v1_limits_go_up_and_down_together_with_swap() {
    with_real("swap", |cgroup| {
        let limits = |limit: i64, swap: i64| {
            set_limits(cgroup, &resources(serde_json::json!({"memory": {"limit": limit, "swap": swap}}))).expect("allowed");
            let read = |file| cgroup.read("memory", file).expect("there").parse::<i64>().expect("a number");
            (read("memory.limit_in_bytes"), read("memory.memsw.limit_in_bytes"))
        };
        const M: i64 = 1 << 20;
        assert_eq!(limits(64 * M, 128 * M), (64 * M, 128 * M));
        assert_eq!(limits(256 * M, 512 * M), (256 * M, 512 * M), "both up");
        assert_eq!(limits(32 * M, 32 * M), (32 * M, 32 * M), "both down");
        assert!(limits(-1, -1).0 > 1 << 60, "and off");
    });
}

#[test]
fn v1_writes_each_limit_and_refuses_what_the_machine_has_not() {
    with_real("v1", |cgroup| {
        let all = serde_json::json!({
            "memory": {"limit": 67108864, "reservation": 33554432, "swappiness": 30, "disableOOMKiller": true},
            "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0", "mems": "0"},
            "pids": {"limit": 9},
        });
        set_limits(cgroup, &resources(all)).expect("every machine can");
        for (controller, file, value) in [
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("memory", "memory.soft_limit_in_bytes", "33554432"),
            ("memory", "memory.swappiness", "30"),
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "20000"),
            ("cpu", "cpu.cfs_period_us", "50000"),
            ("cpuset", "cpuset.cpus", "0"),
            ("pids", "pids.max", "9"),
        ] {
            assert_eq!(cgroup.read(controller, file).expect("there"), value, "{file}");
        }
        assert!(cgroup.read("memory", "memory.oom_control").expect("there").contains("oom_kill_disable 1"));
        for (json, words) in [
            (serde_json::json!({"cpu": {"cpus": "0-4000"}}), "set cpuset cpus to 0-4000"),
            (serde_json::json!({"cpu": {"shares": 1_000_000_000u64}}), "the maximum allowed cpu-shares is 262144"),
            (serde_json::json!({"cpu": {"shares": 1}}), "the minimum allowed cpu-shares is 2"),
            (serde_json::json!({"cpu": {"quota": 1}}), "set cpu quota to 1"),
            (serde_json::json!({"unified": {"memory.max": "1"}}), "is for cgroup v2"),
            (serde_json::json!({"memory": {"swappiness": 101}}), "valid range is 0-100"),
            (
                serde_json::json!({"blockIO": {"throttleReadBpsDevice": [{"major": 250, "minor": 99, "rate": 1}]}}),
                "blkio read_bps of device 250:99",
            ),
        ] {
            let refused = set_limits(cgroup, &resources(json.clone())).expect_err("impossible").message();
            assert!(refused.contains(words), "{json}: {refused}");
        }
        if !cgroup.has("blkio", "blkio.weight") && !cgroup.has("blkio", "blkio.bfq.weight") {
            let refused = set_limits(cgroup, &resources(serde_json::json!({"blockIO": {"weight": 300}}))).expect_err("no BFQ");
            assert!(refused.message().starts_with("set blkio weight to 300: "), "{refused}");
            assert!(refused.hint_text().is_some_and(|hint| hint.contains("BFQ")), "{refused}");
        }
    });
}

#[test]
fn a_refused_update_leaves_everything_as_it_was() {
    with_real("atomic", |cgroup| {
        let first =
            serde_json::json!({"memory": {"limit": 67108864}, "cpu": {"shares": 512, "quota": 20000}, "pids": {"limit": 9}});
        set_limits(cgroup, &resources(first)).expect("every machine can");
        let second =
            serde_json::json!({"memory": {"limit": 33554432}, "cpu": {"shares": 100, "quota": 9000, "cpus": "0-4000"}});
        assert!(update(cgroup, &resources(second)).is_err());
        for (controller, file, value) in [
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("cpu", "cpu.shares", "512"),
            ("cpu", "cpu.cfs_quota_us", "20000"),
        ] {
            assert_eq!(cgroup.read(controller, file).expect("there"), value, "{file}");
        }
    });
}
