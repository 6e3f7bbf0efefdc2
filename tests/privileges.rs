//! # A container has exactly the privileges it was given
//!
//! Capabilities, no_new_privs and seccomp, asked of the kernel about a running container: the five sets in
//! `/proc/self/status`, calls that a filter answers, and an agent that is asked instead.

#[path = "limits/bundle.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod bundle;

use bundle::{Bundle, may_run, text};
use serde_json::{Value, json};
use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    process::Stdio,
};

fn status(bundle: &Bundle) -> String {
    let output = bundle.run();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in\n{status}")).trim()
}

const SETS: [&str; 5] = ["CapEff:", "CapPrm:", "CapInh:", "CapBnd:", "CapAmb:"];

fn sets(status: &str) -> Vec<u64> {
    SETS.iter().map(|name| u64::from_str_radix(field(status, name), 16).expect("hex")).collect()
}

#[test]
fn the_five_sets_are_what_was_asked() {
    if !may_run() {
        return;
    }
    let (chown, kill, net_raw, mknod) = (1u64, 1 << 5, 1 << 13, 1 << 27);
    let mut asking = Bundle::new(&["cat", "/proc/self/status"]);
    asking.config["process"]["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_MKNOD"], "effective": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
    });
    // root's execve gives back what the bounding set has: that is what root means
    let root = chown | kill | net_raw | mknod;
    assert_eq!(sets(&status(&asking)), [root, root, 0, root, 0]);
    asking.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(sets(&status(&asking)), [0, 0, 0, root, 0], "another user keeps nothing over execve");
    asking.config["process"]["capabilities"]["inheritable"] = json!(["CAP_CHOWN", "CAP_KILL"]);
    asking.config["process"]["capabilities"]["ambient"] = json!(["CAP_CHOWN"]);
    assert_eq!(sets(&status(&asking)), [chown, chown, chown | kill, root, chown], "but for ambient ones");
    asking.config["process"]["capabilities"]["ambient"] = json!(["CAP_NET_RAW"]);
    let output = asking.run();
    assert!(
        output.status.success() && text(&output.stderr).contains("can't raise ambient capability CAP_NET_RAW: "),
        "{output:?}"
    );
    asking.config["process"]["capabilities"]["permitted"] = json!(["CAP_FLY"]);
    assert_eq!(asking.run().status.code(), Some(1));
}

#[test]
fn what_we_lack_ourselves_cannot_be_given() {
    let own = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let permitted = u64::from_str_radix(field(&own, "CapPrm:"), 16).expect("hex");
    if !may_run() || permitted >> 24 & 1 == 1 {
        eprintln!("SKIP: needs root without CAP_SYS_RESOURCE");
        return;
    }
    let mut asking = Bundle::new(&["cat", "/proc/self/status"]);
    let wish = json!(["CAP_CHOWN", "CAP_SYS_RESOURCE"]);
    asking.config["process"]["capabilities"] = json!({"bounding": wish, "effective": wish, "permitted": wish});
    let output = asking.run();
    assert!(
        text(&output.stderr).contains("capabilities that we lack: CAP_SYS_RESOURCE"),
        "told, not dropped in silence: {output:?}"
    );
    assert_eq!(sets(&text(&output.stdout)), [1, 1, 0, 1, 0]);
}

fn profile(rules: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": rules})
}

#[test]
fn a_filter_answers_in_the_containers_name_with_and_without_no_new_privs() {
    if !may_run() {
        return;
    }
    for no_new_privs in [true, false] {
        let script = "grep -E '^(NoNew|Seccomp)' /proc/self/status; mkdir /x; echo $?; sleep 0; echo $?";
        let mut judged = Bundle::new(&["sh", "-c", script]);
        judged.config["process"]["noNewPrivileges"] = json!(no_new_privs);
        judged.config["linux"]["seccomp"] = profile(json!([
            {"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122},
            {"names": ["nanosleep", "clock_nanosleep"], "action": "SCMP_ACT_KILL_PROCESS"},
        ]));
        let output = judged.run();
        let flag = u8::from(no_new_privs);
        let wanted = format!("NoNewPrivs:\t{flag}\nSeccomp:\t2\nSeccomp_filters:\t1\n1\n159\n");
        assert_eq!(text(&output.stdout), wanted, "{output:?}");
        assert!(text(&output.stderr).contains("Disk quota exceeded"), "EDQUOT is 122: {output:?}");
    }
}

#[test]
fn a_killed_container_says_sigsys() {
    if !may_run() {
        return;
    }
    let mut doomed = Bundle::new(&["mkdir", "/x"]);
    doomed.config["linux"]["seccomp"] = profile(json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]));
    assert_eq!(doomed.run().status.code(), Some(159), "128 + SIGSYS");
}

/// Receives the listener and what was said with it.
fn accept(agent: &UnixListener) -> (OwnedFd, Value) {
    let (stream, _) = agent.accept().expect("the runtime connects");
    let mut bytes = vec![0u8; 65536];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut bytes)];
    let received =
        rustix::net::recvmsg(stream.as_fd(), parts, &mut control, rustix::net::RecvFlags::empty()).expect("a message");
    let fd = control.drain().find_map(|message| match message {
        rustix::net::RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (fd.expect("a descriptor"), serde_json::from_slice(&bytes[..received.bytes]).expect("JSON"))
}

#[test]
fn an_agent_is_handed_the_listener_with_the_containers_state() {
    if !may_run() {
        return;
    }
    // without no_new_privs the filter is loaded early, with it late: the agent must come in both
    for no_new_privs in [true, false] {
        let mut asking = Bundle::new(&["sh", "-c", "mkdir /x; echo done"]);
        let path = asking.path().join("agent.sock");
        let agent = UnixListener::bind(&path).expect("ours");
        asking.config["process"]["noNewPrivileges"] = json!(no_new_privs);
        asking.config["linux"]["seccomp"] = profile(json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]));
        asking.config["linux"]["seccomp"]["listenerPath"] = json!(path);
        asking.config["linux"]["seccomp"]["listenerMetadata"] = json!("hello");
        let mut run = asking.runtime(&["run", &asking.id]);
        let child = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("our own binary");
        let (listener, told) = accept(&agent);
        assert_eq!(
            (&told["fds"], &told["metadata"], &told["state"]["id"]),
            (&json!(["seccompFd"]), &json!("hello"), &json!(asking.id))
        );
        assert_eq!(told["state"]["status"], "creating");
        assert!(told["pid"].as_i64().is_some_and(|pid| pid > 1));
        let link = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&listener)));
        assert_eq!(link.expect("it is open").to_string_lossy(), "anon_inode:seccomp notify");
        // an agent that goes away: pending calls answer ENOSYS
        drop(listener);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(text(&output.stdout), "done\n", "{output:?}");
        assert!(text(&output.stderr).contains("Function not implemented"), "{output:?}");
    }
}

#[test]
fn without_an_agent_there_is_no_container() {
    if !may_run() {
        return;
    }
    let mut asking = Bundle::new(&["true"]);
    asking.config["linux"]["seccomp"] = profile(json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]));
    asking.config["linux"]["seccomp"]["listenerPath"] = json!("/nowhere/agent.sock");
    let output = asking.run();
    assert!(text(&output.stderr).contains("failed to connect with seccomp agent"), "{output:?}");
    assert!(asking.leftovers().is_empty());
    asking.config["linux"]["seccomp"]["syscalls"][0]["names"] = json!(["write"]);
    assert!(text(&asking.run().stderr).contains("SCMP_ACT_NOTIFY cannot be used for the write syscall"));
}
