//! # Registries, as typed: pull, push, login, search, and a registry of one's own
//!
//! Every daemon lives in a network namespace of its own with nothing but loopback, so no name can be looked up and nothing
//! beyond this machine be asked. The labs' rows for registries (A04, C16, block N) are typed here against our own registry and, where
//! it is installed, Debian's `docker-registry`.

#[path = "props/mod.rs"]
mod props;

use props::{Daemon, MINIDOCK, skip, wait_for};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// A program beside a daemon, for as long as this lives.
struct Beside(Child);

impl Beside {
    fn start(daemon: &Daemon, command: &mut Command, port: u16) -> Beside {
        let log = std::fs::File::create(daemon.folder.join(format!("beside-{port}.log"))).expect("room");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = daemon.home.enter(|| command.spawn()).expect("it starts");
        let beside = Beside(child);
        wait_for("a registry to listen", || daemon.home.enter(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()));
        beside
    }

    fn ours(daemon: &Daemon, port: u16, flags: &[String]) -> Beside {
        let root = daemon.folder.join(format!("registry-{port}"));
        let mut command = Command::new(MINIDOCK);
        command.args(["registry", "serve", "--root"]).arg(root).args(["--listen", &format!("127.0.0.1:{port}")]).args(flags);
        Beside::start(daemon, &mut command, port)
    }

    /// Debian's, if it is installed.
    fn theirs(daemon: &Daemon, port: u16) -> Option<Beside> {
        let config = daemon.folder.join("theirs.yml");
        let root = daemon.folder.join("theirs");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            root.display()
        );
        std::fs::write(&config, text).expect("room");
        is_there("docker-registry")
            .then(|| Beside::start(daemon, Command::new("docker-registry").arg("serve").arg(config), port))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_there(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|found| found.status.success())
}

#[test]
fn a04_and_c16_pulling_without_a_network_is_answered_by_a_stand_in_that_says_so() {
    let daemon = Daemon::start();
    let told = daemon.ok(&["image", "pull", "alpine"]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["Using default tag: latest", "latest: Pulling from library/alpine"], "A04: {told}");
    assert!(
        lines[2].ends_with(": Already exists") && lines[3].contains("alpine:latest is a stand-in built on this machine"),
        "{told}"
    );
    assert!(lines[4].starts_with("Digest: sha256:"), "A04: {told}");
    assert_eq!(lines[5..], ["Status: Image is up to date for alpine:latest", "docker.io/library/alpine:latest"], "C16: {told}");
    assert_eq!(daemon.ok(&["run", "--rm", "--pull", "always", "alpine", "echo", "here"]), "here");
    // what is not labelled, or not here, is a failure with a way out
    daemon.ok(&["tag", "alpine", "mine"]);
    assert!(daemon.run(&["pull", "nothere"]).fails(1).contains("make images"));
    let missing = daemon.run(&["run", "nothere", "true"]).fails(125);
    assert!(
        missing.starts_with("Unable to find image 'nothere:latest' locally\n") && missing.contains("make images"),
        "{missing}"
    );
    assert!(daemon.run(&["run", "--pull", "never", "nothere"]).fails(125).contains("No such image: nothere:latest"));
}

#[test]
fn n03_to_n06_push_to_a_registry_and_pull_from_it() {
    let daemon = Daemon::start();
    let _ours = Beside::ours(&daemon, 5000, &[]);
    let theirs = Beside::theirs(&daemon, 5001);
    if theirs.is_none() {
        skip("docker-registry is not installed");
    }
    for port in if theirs.is_some() { vec![5000, 5001] } else { vec![5000] } {
        let name = format!("localhost:{port}/hello-world");
        daemon.ok(&["tag", "hello-world", &name]);
        let pushed = daemon.ok(&["push", &name]);
        assert!(pushed.contains(&format!("The push refers to repository [{name}]")) && pushed.contains(": Pushed"), "{pushed}");
        let digest =
            pushed.split("latest: digest: ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a digest").to_string();
        assert!(daemon.inspect(&name, "{{json .RepoDigests}}").contains(&format!("{name}@{digest}")));
        let id = daemon.inspect(&name, "{{.Id}}");
        daemon.ok(&["rmi", "-f", &id]);
        let ran = daemon.run(&["run", "--rm", &name]);
        assert!(ran.out.contains("Hello from minidock!"), "{ran:?}");
        let quiet_words =
            ["Unable to find image", "Pulling fs layer", "Pull complete", "Digest: ", "Status: Downloaded newer image for"];
        assert!(quiet_words.iter().all(|words| ran.err.contains(words)), "{}", ran.err);
        assert_eq!(daemon.inspect(&name, "{{.Id}}"), id);
        assert!(daemon.ok(&["pull", &name]).contains(&format!("Status: Image is up to date for {name}:latest")));
        assert_eq!(daemon.ok(&["pull", "-q", &format!("{name}@{digest}")]), format!("{name}@{digest}"));
        for tag in ["1", "2"] {
            daemon.ok(&["tag", &name, &format!("{name}:{tag}")]);
        }
        daemon.ok(&["push", "-a", "-q", &name]);
        daemon.ok(&["rmi", &format!("{name}:1"), &format!("{name}:2")]);
        daemon.ok(&["pull", "-a", &name]);
        let tags = daemon.ok(&["image", "ls", "--format", "{{.Tag}}", &name]);
        assert!(["1", "2", "latest"].iter().all(|tag| tags.lines().any(|line| line == *tag)), "{tags}");
        let host = format!("localhost:{port}");
        assert_eq!(daemon.ok(&["registry", "catalog", &host]), "hello-world");
        assert_eq!(daemon.ok(&["registry", "tags", &name]).lines().count(), 3);
        assert!(daemon.ok(&["search", &format!("{host}/hello")]).contains(&name));
        let look = daemon.inside(&[
            "curl",
            "-s",
            "--unix-socket",
            &daemon.socket().display().to_string(),
            &format!("http://x/distribution/{name}/json"),
        ]);
        assert!(look.out.contains(&digest) && look.out.contains("\"os\":\"linux\""), "{look:?}");
        assert!(daemon.run(&["pull", &format!("{name}:nope")]).fails(1).contains("manifest for"));
        assert!(
            daemon
                .run(&["pull", "--platform", "linux/s390x", &name])
                .fails(1)
                .contains("does not match the specified platform")
        );
        daemon.ok(&["tag", &name, "hello-world"]);
    }
    assert!(daemon.run(&["push", "localhost:5000/nothere"]).fails(1).contains("An image does not exist locally with the tag"));
    daemon.ok(&["create", "--name", "box", "hello-world"]);
    assert!(daemon.run(&["push", "box"]).fails(1).contains("make an image of it first"));
    let events = daemon.ok(&["events", "--since", "1", "--until", "1s", "--filter", "type=image", "--format", "{{.Action}}"]);
    assert!(events.contains("pull") && events.contains("push"), "{events}");
}

#[test]
fn n09_a_registry_with_certificates_and_passwords() {
    if !is_there("htpasswd") || !is_there("openssl") {
        return skip("htpasswd or openssl is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = "set -e
        htpasswd -Bbn moby gordon >htpasswd
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \\
            -addext basicConstraints=critical,CA:FALSE -keyout domain.key -out domain.crt
        mkdir -p certs.d/localhost:5000 && cp domain.crt certs.d/localhost:5000/ca.crt";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder.path()).output().expect("a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = |name: &str| folder.path().join(name).display().to_string();
    let daemon = Daemon::bare(&[&format!("--registry-certs={}", file("certs.d"))]);
    daemon.import_images();
    let flags = [
        format!("--htpasswd={}", file("htpasswd")),
        format!("--tls-cert={}", file("domain.crt")),
        format!("--tls-key={}", file("domain.key")),
    ];
    let _registry = Beside::ours(&daemon, 5000, &flags);
    daemon.ok(&["tag", "hello-world", "localhost:5000/hello-world"]);
    assert!(daemon.run(&["push", "localhost:5000/hello-world"]).fails(1).contains("denied"));
    let wrong = daemon.run(&["login", "-u", "moby", "-p", "wrong", "localhost:5000"]).fails(1);
    assert!(wrong.contains("unauthorized"), "{wrong}");
    let logged_in = daemon.sh("echo gordon | minidock login -u moby --password-stdin localhost:5000");
    assert!(logged_in.out.contains("Login Succeeded"), "{logged_in:?}");
    let kept = std::fs::read_to_string(daemon.folder.join("config/config.json")).expect("the accounts");
    assert_eq!(kept, r#"{"auths":{"localhost:5000":{"auth":"bW9ieTpnb3Jkb24="}}}"#);
    daemon.ok(&["push", "localhost:5000/hello-world"]);
    daemon.ok(&["rmi", "-f", "localhost:5000/hello-world", "hello-world"]);
    assert!(daemon.ok(&["run", "--rm", "localhost:5000/hello-world"]).contains("Hello from minidock!"));
    assert!(daemon.ok(&["registry", "catalog"]).contains("hello-world"));
    assert!(daemon.ok(&["logout", "localhost:5000"]).contains("Removing login credentials for localhost:5000"));
    assert!(
        daemon
            .run(&["pull", "localhost:5000/hello-world"])
            .fails(1)
            .contains("/v2/hello-world/manifests/latest\": no basic auth credentials")
    );
}

#[test]
fn credentials_may_lie_with_a_program_that_keeps_them() {
    if !is_there("htpasswd") {
        return skip("htpasswd is not installed");
    }
    let daemon = Daemon::start();
    let file = daemon.folder.join("htpasswd");
    let made = Command::new("htpasswd").args(["-Bbn", "ann", "s3cret"]).output().expect("htpasswd");
    std::fs::write(&file, made.stdout).expect("room");
    let _registry = Beside::ours(&daemon, 5000, &[format!("--htpasswd={}", file.display())]);
    let bin = daemon.folder.join("bin");
    let helper = format!(
        "#!/bin/sh\nkept={}/kept\ncase $1 in\nstore) cat >$kept ;;\nget) cat >/dev/null; [ -f $kept ] && cat $kept || {{ echo credentials not found in native keychain; exit 1; }} ;;\nerase) rm $kept ;;\nesac\n",
        daemon.folder.display()
    );
    let script = format!(
        "mkdir -p {bin} {config}; cat >{bin}/docker-credential-lab; chmod +x {bin}/docker-credential-lab; echo '{{\"credsStore\":\"lab\"}}' >{config}/config.json",
        bin = bin.display(),
        config = daemon.folder.join("config").display()
    );
    let mut made = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("a shell");
    std::io::Write::write_all(&mut made.stdin.take().expect("piped"), helper.as_bytes()).expect("room");
    assert!(made.wait().expect("our own child").success());
    let with_helper = |line: &str| daemon.sh(&format!("PATH={}:$PATH; {line}", bin.display()));
    with_helper("minidock login -u ann -p s3cret localhost:5000").ok();
    assert!(std::fs::read_to_string(daemon.folder.join("kept")).expect("kept").contains("s3cret"));
    assert!(!std::fs::read_to_string(daemon.folder.join("config/config.json")).expect("there").contains("auth\":\""));
    with_helper("minidock tag alpine localhost:5000/alpine && minidock push localhost:5000/alpine").ok();
    with_helper("minidock logout localhost:5000").ok();
    assert!(!daemon.folder.join("kept").exists());
    with_helper("minidock push localhost:5000/alpine").fails(1);
}

#[test]
fn a_class_pulls_from_the_teachers_store_by_a_mirror() {
    let teacher = Daemon::start();
    let student = Daemon::bare(&["--registry-mirror=http://127.0.0.1:5005"]);
    let store = format!("--store={}", teacher.data_root().display());
    let _mirror = Beside::ours(&student, 5005, &[store, "--read-only".into()]);
    let told = student.ok(&["pull", "alpine"]);
    assert!(told.contains("Status: Downloaded newer image for alpine:latest"), "{told}");
    assert_eq!(student.inspect("alpine", "{{.Id}}"), teacher.inspect("alpine", "{{.Id}}"));
    assert_eq!(student.ok(&["run", "--rm", "alpine", "echo", "same"]), "same");
    assert!(student.ok(&["info"]).contains("http://127.0.0.1:5005"));
    assert!(student.ok(&["search", "hello"]).contains("hello-world"), "where the Hub is silent, its mirror is searched");
}

#[test]
fn a_pull_that_its_client_gives_up_or_a_killed_daemon_leaves_nothing_half() {
    let mut daemon = Daemon::start();
    let _registry = Beside::ours(&daemon, 5000, &[]);
    // an image of some size: random bytes, so that nothing is quick
    daemon.sh("mkdir big && head -c 60000000 /dev/urandom >big/data && tar -C big -c . | minidock import - localhost:5000/big && rm -r big").ok();
    daemon.ok(&["push", "-q", "localhost:5000/big"]);
    let id = daemon.inspect("localhost:5000/big", "{{.Id}}");
    daemon.ok(&["rmi", "-f", "localhost:5000/big"]);
    let partial = daemon.data_root().join("partial");
    let half = |partial: &Path| {
        std::fs::read_dir(partial)
            .map(|all| all.flatten().filter(|e| e.metadata().is_ok_and(|m| m.len() > 0)).count())
            .unwrap_or(0)
    };
    let mut client =
        daemon.command(&["pull", "localhost:5000/big"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a client");
    wait_for("some bytes to come", || half(&partial) > 0 || client.try_wait().expect("our own child").is_some());
    client.kill().expect("our own child");
    client.wait().expect("our own child");
    wait_for("the scratch folder to be empty", || {
        std::fs::read_dir(daemon.data_root().join("tmp")).is_ok_and(|mut all| all.next().is_none())
    });
    let mut client =
        daemon.command(&["pull", "localhost:5000/big"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a client");
    wait_for("some bytes to come", || half(&partial) > 0 || client.try_wait().expect("our own child").is_some());
    daemon.kill();
    let _ = client.wait();
    daemon.up();
    daemon.ok(&["pull", "localhost:5000/big"]);
    assert_eq!(daemon.inspect("localhost:5000/big", "{{.Id}}"), id);
    assert_eq!(daemon.ok(&["image", "ls", "-q", "localhost:5000/big"]).lines().count(), 1);
    assert_eq!(half(&partial), 0);
}

#[test]
fn skopeo_and_docker_use_our_registry() {
    let daemon = Daemon::start();
    let _registry = Beside::ours(&daemon, 5000, &[]);
    daemon.ok(&["tag", "alpine", "localhost:5000/alpine"]);
    daemon.ok(&["push", "-q", "localhost:5000/alpine"]);
    let id = daemon.inspect("alpine", "{{.Id}}");
    if is_there("skopeo") {
        let copied = daemon.sh("set -e
            skopeo copy -q --src-tls-verify=false docker://localhost:5000/alpine oci:copy:alpine
            skopeo copy -q --dest-tls-verify=false oci:copy:alpine docker://localhost:5000/by/skopeo:1
            skopeo copy -q --dest-tls-verify=false --format v2s2 oci:copy:alpine docker://localhost:5000/by/skopeo:docker
            skopeo copy -q --src-tls-verify=false --dest-tls-verify=false docker://localhost:5000/by/skopeo:1 docker://localhost:5000/mounted:1
            skopeo list-tags --tls-verify=false docker://localhost:5000/by/skopeo
            skopeo delete --tls-verify=false docker://localhost:5000/mounted:1");
        let told = copied.ok();
        assert!(told.contains("\"docker\"") && told.contains("\"1\""), "{told}");
        daemon.ok(&["pull", "localhost:5000/by/skopeo:1"]);
        daemon.ok(&["pull", "localhost:5000/by/skopeo:docker"]);
        assert_eq!(daemon.inspect("localhost:5000/by/skopeo:1", "{{.Id}}"), id);
        assert!(daemon.run(&["pull", "localhost:5000/mounted:1"]).fails(1).contains("not found"));
    } else {
        skip("skopeo is not installed");
    }
    if is_there("docker") {
        let mut docker = Command::new("docker");
        docker
            .env("DOCKER_HOST", daemon.host())
            .env("DOCKER_CONFIG", daemon.folder.join("docker"))
            .args(["push", "localhost:5000/alpine"]);
        let pushed = daemon.finish_inside(docker).ok();
        assert!(pushed.contains("Layer already exists") && pushed.contains("latest: digest: sha256:"), "{pushed}");
    } else {
        skip("the docker client is not installed");
    }
}
