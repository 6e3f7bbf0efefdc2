//! Create, start, exec, kill, delete: what each does, what each refuses, what is left behind.

use crate::bundle::{Bundle, can_run, wait_for};
use serde_json::json;
use std::{fs, process::Stdio, time::Duration};

#[test]
fn a_container_goes_from_created_to_gone_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let bundle = Bundle::new("sleep 100");
    bundle.write();
    bundle.runtime(&["create", &bundle.id, "--pid-file", "p", "-b", "."]).ok();
    let state = bundle.state();
    assert_eq!(
        (state["status"].as_str(), fs::read_to_string(bundle.path().join("p")).expect("a pid file")),
        (Some("created"), state["pid"].to_string())
    );
    assert!(bundle.runtime(&["create", &bundle.id]).fails(1).contains("container with given ID already exists"));
    bundle.runtime(&["start", &bundle.id]).ok();
    assert_eq!(bundle.state()["status"], "running");
    assert!(bundle.runtime(&["start", &bundle.id]).fails(1).contains("cannot start an already running container"));
    assert!(bundle.runtime(&["delete", &bundle.id]).fails(1).contains("is not stopped: running"));
    bundle.runtime(&["kill", &bundle.id, "KILL"]).ok();
    wait_for("the end", || bundle.state()["status"] == "stopped");
    assert!(bundle.runtime(&["kill", &bundle.id, "TERM"]).fails(1).contains("container not running"));
    assert!(bundle.runtime(&["exec", &bundle.id, "true"]).fails(255).contains("stopped container"));
    bundle.runtime(&["delete", &bundle.id]).ok();
    assert!(bundle.runtime(&["state", &bundle.id]).fails(1).contains("container does not exist"));
    bundle.runtime(&["delete", "--force", &bundle.id]).ok();
    assert!(bundle.cgroups().is_empty());
}

#[test]
fn the_programs_status_is_the_commands() {
    if !can_run() {
        return;
    }
    assert_eq!(Bundle::new("exit 7").run().status, 7);
    assert_eq!(Bundle::new("kill -9 $$; sleep 1 & kill -9 $!; wait $!; exit $?").run().status, 137);
    let bundle = Bundle::new("sleep 100");
    bundle.start();
    assert_eq!(bundle.exec("exit 9").status, 9);
    assert_eq!(bundle.exec("kill -TERM $$").status, 143);
}

#[test]
fn a_program_that_is_not_there_is_named_in_runcs_words() {
    if !can_run() {
        return;
    }
    let told = |args: serde_json::Value| {
        let mut bundle = Bundle::new("");
        bundle.config["process"]["args"] = args;
        bundle.run().fails(1)
    };
    assert!(told(json!(["nosuch"])).contains(r#"exec: \"nosuch\": executable file not found in $PATH"#));
    assert!(told(json!(["/no/such"])).contains("no such file or directory"));
    assert!(told(json!(["/etc/passwd"])).contains("permission denied"));
    let bundle = Bundle::new("sleep 100");
    bundle.start();
    assert!(bundle.runtime(&["exec", &bundle.id, "nosuch"]).fails(255).contains("executable file not found"));
}

#[test]
fn a_script_without_its_interpreter_fails_at_the_start_and_is_told() {
    if !can_run() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let mut bundle = Bundle::new("");
    let script = bundle.rootfs().join("run.sh");
    fs::write(&script, "#!/nosuch\n").expect("room");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("ours");
    bundle.config["process"]["args"] = json!(["/run.sh"]);
    bundle.write();
    bundle.runtime(&["create", &bundle.id]).ok();
    assert!(bundle.runtime(&["start", &bundle.id]).fails(1).contains("exec /run.sh: no such file or directory"));
    assert_eq!(bundle.state()["status"], "stopped");
    bundle.runtime(&["delete", &bundle.id]).ok();
    assert_eq!(bundle.run().fails(1), "exec /run.sh: no such file or directory\n", "as a shell says it");
}

#[test]
fn who_waits_for_the_start_holds_nothing_of_the_hosts_and_ends_by_a_plain_signal() {
    if !can_run() {
        return;
    }
    let bundle = Bundle::new("sleep 100");
    bundle.write();
    bundle.runtime(&["create", &bundle.id]).ok();
    let fds = fs::read_dir(format!("/proc/{}/fd", bundle.pid())).expect("it waits");
    for fd in fds.map(|fd| fd.expect("an entry").path()) {
        let target = fs::read_link(&fd).expect("a link").display().to_string();
        let standard = matches!(fd.file_name().and_then(|name| name.to_str()), Some("0" | "1" | "2"));
        let own = ["/", "/proc"].contains(&target.as_str()) || target.ends_with("/exec.fifo");
        assert!(standard || own || target.starts_with("socket:"), "{} is {target}", fd.display());
    }
    bundle.runtime(&["kill", &bundle.id, "TERM"]).ok();
    wait_for("the end", || bundle.state()["status"] == "stopped");
    assert!(bundle.runtime(&["start", &bundle.id]).fails(1).contains("has stopped"));
}

#[test]
fn pause_stops_everybody_and_resume_lets_them_go_on() {
    if !can_run() {
        return;
    }
    let bundle = Bundle::new("while :; do echo x >> /tmp/ticks; sleep 0.01; done");
    bundle.start();
    bundle.runtime(&["pause", &bundle.id]).ok();
    assert_eq!(bundle.state()["status"], "paused");
    assert!(bundle.exec("true").fails(255).contains("cannot exec in a paused container"));
    let ticks = || fs::metadata(bundle.rootfs().join("tmp/ticks")).map(|facts| facts.len()).unwrap_or(0);
    let before = ticks();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(ticks(), before);
    bundle.runtime(&["resume", &bundle.id]).ok();
    wait_for("a tick", || ticks() > before);
    bundle.runtime(&["pause", &bundle.id]).ok();
    bundle.runtime(&["delete", "--force", &bundle.id]).ok();
}

#[test]
fn only_the_descriptors_asked_for_are_inherited() {
    if !can_run() {
        return;
    }
    use std::os::fd::AsFd;
    let bundle = Bundle::new("ls /proc/self/fd | tr '\\n' ' '");
    bundle.write();
    let leaked = fs::File::open("/etc/hostname").expect("it is there");
    minidock_linux::fds::inheritable(leaked.as_fd()).expect("ours");
    // ls itself opens one more: the folder it lists
    let output = bundle.command(&["run", &bundle.id]).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 1 2 3 ", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_create_that_is_killed_at_any_moment_can_be_deleted() {
    if !can_run() {
        return;
    }
    let bundle = Bundle::new("sleep 100");
    bundle.write();
    for moment in 0..40u64 {
        let mut create =
            bundle.command(&["create", &bundle.id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_micros(moment * 250));
        create.kill().expect("ours");
        create.wait().expect("ours");
        bundle.runtime(&["delete", "--force", &bundle.id]).ok();
        assert!(!bundle.path().join("state").join(&bundle.id).exists(), "state is left at {moment}");
        assert!(bundle.cgroups().is_empty(), "cgroups are left at {moment}");
    }
}

#[test]
fn list_ps_features_and_spec_answer() {
    if !can_run() {
        return;
    }
    let bundle = Bundle::new("sleep 100");
    assert_eq!(bundle.runtime(&["--root", "/nosuch-root", "list"]).status, 1);
    bundle.start();
    assert_eq!(bundle.runtime(&["list", "-q"]).ok().trim(), bundle.id);
    let pids: Vec<i32> = serde_json::from_str(&bundle.runtime(&["ps", "-f", "json", &bundle.id]).ok()).expect("pids");
    assert!(pids.contains(&bundle.pid()));
    let features: serde_json::Value = serde_json::from_str(&bundle.runtime(&["features"]).ok()).expect("a document");
    assert!(features["mountOptions"].as_array().is_some_and(|words| words.contains(&json!("rro"))));
    fs::remove_file(bundle.path().join("config.json")).expect("ours");
    bundle.runtime(&["spec"]).ok();
    assert!(bundle.runtime(&["spec"]).fails(1).contains("File config.json exists"));
}

#[test]
fn a_terminal_is_sent_over_the_console_socket() {
    if !can_run() {
        return;
    }
    use std::{io::Read, os::unix::net::UnixListener};
    let mut bundle = Bundle::new("tty; stty size; ls -l /dev/console; read line; echo got $line");
    bundle.config["process"]["terminal"] = json!(true);
    bundle.config["process"]["consoleSize"] = json!({"height": 10, "width": 110});
    bundle.write();
    let socket = bundle.path().join("console");
    let listener = UnixListener::bind(&socket).expect("room");
    bundle.runtime(&["run", "--detach", "--console-socket", "console", &bundle.id]).ok();
    let (connection, _) = listener.accept().expect("init connected");
    let (_, master) = minidock_linux::fds::receive_fd(&connection, &mut [0; 64]).expect("a message");
    let mut master = fs::File::from(master.expect("a descriptor"));
    std::io::Write::write_all(&mut master, b"hello\n").expect("a terminal");
    let mut said = String::new();
    let mut bytes = [0; 1024];
    while let Ok(n @ 1..) = master.read(&mut bytes) {
        said.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
    assert!(
        said.contains("/dev/pts/0") && said.contains("10 110") && said.contains("/dev/console") && said.contains("got hello"),
        "{said}"
    );
}
