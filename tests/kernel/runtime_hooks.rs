//! Hooks: each at its moment, with the state on its standard input.

use crate::bundle::{Bundle, can_run};
use serde_json::{Value, json};
use std::fs;

const MOMENTS: [(&str, &str); 6] = [
    ("prestart", "created"),
    ("createRuntime", "creating"),
    ("createContainer", "creating"),
    ("startContainer", "created"),
    ("poststart", "running"),
    ("poststop", "stopped"),
];

fn hook(text: &str) -> Value {
    json!([{"path": "/bin/sh", "args": ["sh", "-c", text], "env": ["PATH=/bin:/usr/bin", "MARK=hook"]}])
}

#[test]
fn every_hook_is_called_in_order_with_the_state() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("echo main >> /tmp/log; sleep 100");
    let log = bundle.rootfs().join("tmp/log").display().to_string();
    for (moment, _) in MOMENTS {
        // startContainer runs inside, where the log has another name.
        let file = if moment == "startContainer" { "/tmp/log" } else { &log };
        bundle.config["hooks"][moment] = hook(&format!("read -r state; echo {moment} $MARK $state >> {file}"));
    }
    bundle.write();
    let lines = || fs::read_to_string(&log).unwrap_or_default().lines().map(String::from).collect::<Vec<_>>();
    bundle.runtime(&["create", &bundle.id]).ok();
    assert_eq!(lines().len(), 3, "{:?}", lines());
    bundle.runtime(&["start", &bundle.id]).ok();
    crate::bundle::wait_for("the program", || lines().iter().any(|line| line == "main"));
    bundle.runtime(&["delete", "--force", &bundle.id]).ok();
    let said: Vec<String> = lines().into_iter().filter(|line| line != "main").collect();
    assert_eq!(said.len(), 6, "{said:?}");
    for (line, (moment, status)) in said.iter().zip(MOMENTS) {
        let (head, state) = line.split_at(line.find('{').expect("a document"));
        let state: Value = serde_json::from_str(state).expect("a document");
        assert_eq!(head.trim(), format!("{moment} hook"));
        assert_eq!((state["status"].as_str(), state["id"].as_str()), (Some(status), Some(bundle.id.as_str())), "{moment}");
        assert!(state["bundle"].as_str().is_some_and(|path| path.starts_with('/')), "{state}");
    }
}

#[test]
fn a_hook_that_fails_before_the_start_ends_the_container() {
    if !can_run() {
        return;
    }
    for moment in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let mut bundle = Bundle::new("true");
        bundle.config["hooks"][moment] = hook("echo sorry >&2; exit 5");
        let told = bundle.run().fails(1);
        assert!(
            told.contains(&format!("error running {moment} hook #0"))
                && told.contains("exit status 5")
                && told.contains("sorry"),
            "{told}"
        );
        assert!(!bundle.path().join("state").join(&bundle.id).exists());
    }
}

#[test]
fn a_hook_that_fails_after_the_start_only_warns() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("exit 3");
    bundle.config["hooks"]["poststop"] = hook("exit 5");
    let printed = bundle.run();
    assert_eq!(printed.status, 3);
    assert!(printed.err.contains("level=warning") && printed.err.contains("poststop"), "{}", printed.err);
}

#[test]
fn a_poststart_hook_that_fails_ends_a_run_and_warns_a_start() {
    if !can_run() {
        return;
    }
    let mut bundle = Bundle::new("sleep 100");
    bundle.config["hooks"]["poststart"] = json!([hook("true")[0], hook("echo sorry >&2; exit 5")[0]]);
    let told = bundle.run().fails(1);
    assert!(told.contains("error running poststart hook #1") && told.contains("sorry"), "{told}");
    assert!(!bundle.path().join("state").join(&bundle.id).exists() && bundle.cgroups().is_empty(), "it is gone");
    bundle.runtime(&["create", &bundle.id]).ok();
    let printed = bundle.runtime(&["start", &bundle.id]);
    assert!(printed.err.contains("level=warning") && printed.err.contains("poststart hook #1"), "{}", printed.err);
    printed.ok();
    assert_eq!(bundle.state()["status"], "running");
}
