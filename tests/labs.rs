//! # The labs, row by row: blocks A and B of the acceptance list, and block D before the swarm
//!
//! Each claim is one or a few rows of the labs that minidock exists for, typed as a student types them; what a row marks as
//! *(host)* is typed in the daemon's network namespace. The web pages of block B come from busybox's server in an image that
//! `import` makes, where the lab builds one.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{fetch, link, ports_of};
use props::{Daemon, Printed, wait_for};
use std::time::{SystemTime, UNIX_EPOCH};

/// Types `keys` at a command that runs in a terminal of its own.
fn at_a_terminal(daemon: &Daemon, command: &str, keys: &str) -> Printed {
    daemon.sh(&format!("printf '{keys}' | script -qec '{command}' /dev/null"))
}

#[test]
fn a02_hello_world_prints_its_text() {
    let daemon = Daemon::start();
    let long = daemon.ok(&["container", "run", "hello-world"]);
    assert!(long.contains("Hello from minidock!"), "{long}");
    assert_eq!(daemon.ok(&["run", "hello-world"]), long, "A03: the short alias does the same");
}

#[test]
fn a05_to_a09_images_and_first_commands() {
    let daemon = Daemon::start();
    let usage = daemon.run(&["image"]);
    let usage = format!("{}{}", usage.out, usage.err);
    for word in ["Usage:", "ls", "inspect", "history", "prune"] {
        assert!(usage.contains(word), "A05: {usage}");
    }
    let images = daemon.ok(&["image", "ls"]);
    assert!(images.starts_with("REPOSITORY") && images.contains("IMAGE ID") && images.contains("alpine"), "A06: {images}");
    let root = daemon.ok(&["container", "run", "alpine", "ls", "-l"]);
    for folder in ["bin", "dev", "etc", "proc", "usr"] {
        assert!(root.lines().any(|l| l.ends_with(&format!(" {folder}"))), "A07: {root}");
    }
    assert_eq!(daemon.ok(&["container", "run", "alpine", "echo", "hello from alpine"]), "hello from alpine");
    assert_eq!(daemon.ok(&["container", "run", "alpine", "/bin/sh"]), "", "A09: no stdin, the shell sees its end");
    let listed = daemon.ok(&["container", "ls", "-a"]);
    assert_eq!(listed.lines().count(), 4, "A12: a row for each run\n{listed}");
    assert!(listed.contains("Exited (0)") && listed.contains("\"ls -l\""), "A12: {listed}");
    assert_eq!(daemon.ok(&["container", "ls"]).lines().count(), 1, "A11: header only");
}

#[test]
fn a10_and_a14_to_a19_a_container_keeps_its_own_layer() {
    let daemon = Daemon::start();
    let first = at_a_terminal(
        &daemon,
        "minidock container run -it --name mine alpine /bin/ash",
        "echo hello world > hello.txt\\nls\\nexit\\n",
    )
    .ok();
    assert!(first.contains("hello.txt"), "{first}");
    assert!(!daemon.ok(&["container", "run", "alpine", "ls"]).contains("hello.txt"), "A15: a new layer for each container");
    let id = daemon.inspect("mine", "{{.Id}}");
    daemon.ok(&["container", "start", &id[..6]]);
    let listed = daemon.ok(&["container", "ls"]);
    assert!(listed.contains("Up") && listed.contains("mine"), "A18: {listed}");
    assert!(daemon.ok(&["container", "exec", &id[..6], "ls"]).contains("hello.txt"), "A19");
    assert!(daemon.inspect("mine", "{{.State.Running}}") == "true");
}

#[test]
fn a20_and_a21_inspect_is_json_and_a_missing_shell_is_named() {
    let daemon = Daemon::start();
    let image: serde_json::Value = serde_json::from_str(&daemon.ok(&["image", "inspect", "alpine"])).expect("JSON");
    assert_eq!(image[0]["RepoTags"][0], "alpine:latest");
    assert!(image[0]["Config"]["Labels"]["org.minidock.stand-in"].is_string(), "stand-ins say so");
    daemon.ok(&["run", "-d", "--name", "box", "alpine", "sleep", "1000"]);
    let missing = daemon.run(&["exec", "box", "/bin/bash"]);
    assert!([126, 127].contains(&missing.status), "{missing:?}");
    assert!((missing.out + &missing.err).contains("no such file or directory"), "the shell is named");
}

#[test]
fn a30_to_a35_wrong_spellings_fail_well() {
    let daemon = Daemon::start();
    let execute = daemon.run(&["container", "execute", "x"]).fails(1);
    assert!(execute.contains("execute") && execute.contains("exec"), "A30: {execute}");
    let flag = daemon.run(&["container", "run", "--datach", "--name", "mydb", "mysql:latest"]).fails(125);
    assert!(flag.contains("unknown flag: --datach") && flag.contains("--detach"), "A31: {flag}");
    let image = daemon.run(&["imabe", "build", "--tage", "x", "."]);
    assert!(image.status != 0 && image.err.contains("image"), "A32: {image:?}");
    for words in [&["container", "run"][..], &["run"], &["container", "exec"], &["container", "stop"], &["container", "rm"]] {
        let refused = daemon.run(words);
        assert!(refused.status != 0, "A35 {words:?}");
        assert!(refused.err.contains("requires at least") && refused.err.contains("Usage:"), "A35 {words:?}: {}", refused.err);
    }
    assert_eq!(daemon.ok(&["ps", "-aq"]), "", "nothing was created");
    let upper = daemon.run(&["run", "REPLACE_ME_WITH_DOCKER_IMAGE_TAG"]).fails(125);
    assert!(upper.contains("must be lowercase"), "A41: {upper}");
}

#[test]
fn b02_to_b07_the_container_is_its_own_host() {
    let daemon = Daemon::start();
    let hostname = daemon.ok(&["container", "run", "alpine", "hostname"]);
    assert!(hostname.len() == 12 && hostname.bytes().all(|c| c.is_ascii_hexdigit()), "B02: {hostname}");
    assert!(daemon.ok(&["container", "ls", "--all"]).contains(&hostname), "B03: the id is the hostname");
    let inside = at_a_terminal(
        &daemon,
        "minidock container run --interactive --tty --rm alpine sh",
        "ps aux\\ncat /etc/issue\\nexit\\n",
    )
    .ok();
    assert!(inside.contains("PID") && inside.contains("ps aux"), "B05: {inside}");
    assert!(!inside.contains("minidock daemon"), "only the container's processes are visible");
    assert_eq!(daemon.ok(&["container", "ls", "--all", "-q"]).lines().count(), 1, "B06: --rm removed it");
}

#[test]
fn b08_to_b19_a_service_logs_top_exec_stop() {
    let daemon = Daemon::start();
    let script = "trap 'echo bye; exit 0' TERM; echo ready; echo warn >&2; while :; do sleep 0.1; done";
    let id = daemon.ok(&["container", "run", "--detach", "--name", "mydb", "-e", "SECRET=pw", "alpine", "sh", "-c", script]);
    assert!(id.len() == 64 && id.bytes().all(|c| c.is_ascii_hexdigit()), "B08: {id}");
    wait_for("its first line", || daemon.ok(&["container", "logs", "mydb"]).contains("ready"));
    let logs = daemon.run(&["logs", "mydb"]);
    assert!(logs.out.contains("ready") && logs.err.contains("warn"), "B10: both streams, each on its own");
    let top = daemon.ok(&["container", "top", "mydb"]);
    assert!(top.starts_with("UID") && top.contains("PID") && top.contains("sh -c"), "B11: {top}");
    assert_eq!(daemon.ok(&["exec", "mydb", "sh", "-c", "echo $SECRET"]), "pw", "B14: the variable comes from -e");
    let refused = daemon.run(&["container", "rm", "mydb"]).fails(1);
    assert!(refused.contains("stop the container before"), "B19: {refused}");
    assert_eq!(daemon.ok(&["container", "stop", "mydb"]), "mydb");
    assert_eq!(daemon.inspect("mydb", "{{.State.ExitCode}}"), "0", "it heard SIGTERM");
    assert!(daemon.ok(&["logs", "mydb"]).contains("bye"));
    assert_eq!(daemon.ok(&["container", "rm", "mydb"]), "mydb");
}

#[test]
fn b18_force_removes_a_running_container_and_b20_a_bind_mount_replaces_files() {
    let daemon = Daemon::start();
    std::fs::create_dir(daemon.folder.join("site")).expect("a folder");
    std::fs::write(daemon.folder.join("site/index.html"), "old").expect("a file");
    let mount = format!("type=bind,source={},target=/usr/share/html", daemon.folder.join("site").display());
    daemon.ok(&["container", "run", "--detach", "--name", "app", "--mount", &mount, "alpine", "sleep", "1000"]);
    assert_eq!(daemon.ok(&["exec", "app", "cat", "/usr/share/html/index.html"]), "old");
    std::fs::write(daemon.folder.join("site/index.html"), "new").expect("a file");
    assert_eq!(daemon.ok(&["exec", "app", "cat", "/usr/share/html/index.html"]), "new", "B21: at once, image untouched");
    assert_eq!(daemon.ok(&["container", "rm", "--force", "app"]), "app");
    assert_eq!(daemon.ok(&["ps", "-aq"]), "");
}

/// An image as block B's `linux_tweet_app`: a web server with a page, port 80 exposed, imported and not built.
fn tweet_app(daemon: &Daemon, version: &str, page: &str) {
    let script = format!(
        "set -e; mkdir -p app; tar -C app -xf {}/target/images/alpine.tar; mkdir -p app/usr/share/nginx/html
         echo '{page}' > app/usr/share/nginx/html/index.html
         tar -C app -c . | minidock import -c 'EXPOSE 80 443' -c 'CMD [\"httpd\",\"-f\",\"-p\",\"80\",\"-h\",\"/usr/share/nginx/html\"]' - me/linux_tweet_app:{version}
         rm -rf app",
        env!("CARGO_MANIFEST_DIR")
    );
    daemon.sh(&script).ok();
}

#[test]
fn b17_to_b29_a_web_app_on_port_80_its_bind_mount_and_two_versions_side_by_side() {
    let daemon = Daemon::start();
    tweet_app(&daemon, "1.0", "old page");
    tweet_app(&daemon, "2.0", "new page");
    let shown = |port: u16, page: &str| {
        wait_for(&format!("{page} on {port}"), || {
            fetch(&daemon, &format!("http://127.0.0.1:{port}/")).as_deref() == Some(page)
        });
    };
    let run = "minidock container run --detach --publish 80:80 --name linux_tweet_app";
    daemon.sh(&format!("{run} me/linux_tweet_app:1.0")).ok();
    shown(80, "old page");
    let listed = daemon.ok(&["container", "ls"]);
    assert!(listed.contains("0.0.0.0:80->80/tcp") && listed.contains("443/tcp"), "B17: {listed}");
    assert_eq!(daemon.ok(&["container", "rm", "--force", "linux_tweet_app"]), "linux_tweet_app", "B18");
    assert_eq!(fetch(&daemon, "http://127.0.0.1/"), None, "B18: port free again");
    daemon.sh("mkdir site; echo 'mounted page' > site/index.html").ok();
    let mount = "--mount type=bind,source=\"$(pwd)\"/site,target=/usr/share/nginx/html";
    daemon.sh(&format!("{run} \\\n {mount} \\\n me/linux_tweet_app:1.0")).ok();
    shown(80, "mounted page");
    daemon.sh("echo 'changed page' > site/index.html").ok();
    shown(80, "changed page");
    daemon.ok(&["rm", "--force", "linux_tweet_app"]);
    daemon.sh(&format!("{run} me/linux_tweet_app:1.0")).ok();
    shown(80, "old page");
    daemon.ok(&["rm", "--force", "linux_tweet_app"]);
    let images = daemon.ok(&["image", "ls", "me/linux_tweet_app"]);
    assert!(images.contains("1.0") && images.contains("2.0"), "B26: {images}");
    daemon.sh(&format!("{run} me/linux_tweet_app:2.0")).ok();
    shown(80, "new page");
    let second = daemon.sh("minidock container run --detach --publish 80:80 --name second me/linux_tweet_app:2.0").fails(125);
    assert!(second.contains("Bind for 0.0.0.0:80 failed: port is already allocated"), "B28: {second}");
    assert!(daemon.ok(&["ps", "-a", "-f", "name=second"]).contains("Created"), "B28");
    daemon.sh("minidock container run --detach --publish 8080:80 --name old_linux_tweet_app me/linux_tweet_app:1.0").ok();
    shown(8080, "old page");
    shown(80, "new page");
}

#[test]
fn d01_to_d11_the_default_bridge_before_and_after_a_container() {
    let daemon = Daemon::start();
    let usage = daemon.run(&["network"]);
    let usage = format!("{}{}", usage.out, usage.err);
    for verb in ["connect", "create", "disconnect", "inspect", "ls", "prune", "rm"] {
        assert!(usage.contains(&format!("  {verb} ")), "D01: {usage}");
    }
    let listed = daemon.ok(&["network", "ls"]);
    for row in ["bridge    bridge    local", "host      host      local", "none      null      local"] {
        assert!(listed.contains(row), "D02: {listed}");
    }
    let bridge = daemon.ok(&["network", "inspect", "bridge"]);
    for fact in
        ["\"Subnet\": \"172.17.0.0/16\"", "\"Gateway\": \"172.17.0.1\"", "\"Containers\": {}", "bridge.name\": \"minidock0\""]
    {
        assert!(bridge.contains(fact), "D03: {fact} in {bridge}");
    }
    let info = daemon.ok(&["info"]);
    for fact in ["Storage Driver: overlay", "Network: bridge host", "Swarm: inactive", "Runtimes:"] {
        assert!(info.contains(fact), "D04: {fact} in {info}");
    }
    let down = link(&daemon, "minidock0").expect("D05: one bridge");
    assert_eq!(ports_of(&daemon, "minidock0"), Vec::<String>::new(), "D05: no interfaces");
    assert_eq!((down["operstate"].as_str(), down["addr_info"][0]["local"].as_str()), (Some("DOWN"), Some("172.17.0.1")), "D06");
    assert!(down["flags"].to_string().contains("NO-CARRIER"), "D06: {down}");
    let id = daemon.ok(&["run", "-dt", "alpine", "sleep", "infinity"]);
    let row = daemon.ok(&["ps"]);
    assert!(row.contains("\"sleep infinity\"") && row.contains("Up "), "D08: {row}");
    let ports = ports_of(&daemon, "minidock0");
    assert!(ports.len() == 1 && ports[0].starts_with("veth"), "D09: {ports:?}");
    let bridge = daemon.ok(&["network", "inspect", "bridge"]);
    for fact in [&id[..], "\"MacAddress\": \"02:42:ac:11:00:02\"", "\"IPv4Address\": \"172.17.0.2/16\""] {
        assert!(bridge.contains(fact), "D10: {fact} in {bridge}");
    }
    let ping = daemon.sh("busybox ping -c5 -i 0.2 172.17.0.2").ok();
    assert!(ping.contains("5 packets received, 0% packet loss"), "D11: {ping}");
}

#[test]
fn d13_outbound_packets_and_names_find_their_way_through_the_host() {
    let daemon = Daemon::start();
    let outside = network::Neighbour::of(&daemon);
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/props/upstream.py");
    let log = daemon.folder.join("asked").display().to_string();
    let _names = outside.start(&["python3", server, "192.0.2.2", &log]);
    outside.run(&["ip", "addr", "add", "203.0.113.7/32", "dev", "lo"]).ok();
    daemon.inside(&["ip", "route", "add", "default", "via", "192.0.2.2"]).ok();
    daemon.ok(&["run", "-d", "--name", "box", "--dns", "192.0.2.2", "alpine", "sleep", "1000"]);
    wait_for("the name server", || daemon.run(&["exec", "box", "nslookup", "lab.example"]).status == 0);
    let ping = daemon.ok(&["exec", "box", "ping", "-c5", "-i", "0.2", "lab.example"]);
    assert!(ping.contains("5 packets received, 0% packet loss"), "D13: {ping}");
}

#[test]
fn d15_to_d17_a_published_port_is_a_translation() {
    let daemon = Daemon::start();
    tweet_app(&daemon, "nginx", "Welcome");
    daemon.ok(&["run", "--name", "web1", "-d", "-p", "8080:80", "me/linux_tweet_app:nginx"]);
    assert!(daemon.ok(&["ps"]).contains("0.0.0.0:8080->80/tcp"), "D16");
    wait_for("the welcome page", || daemon.sh("curl -s 127.0.0.1:8080").out.trim() == "Welcome");
    assert_eq!(daemon.sh("curl -s 127.0.0.1:8081").status, 7, "D17: another port is refused");
    assert_eq!(daemon.sh("curl -s 127.0.0.1:80").status, 7, "D17: it is translation");
}

#[test]
fn u04_to_u06_networks_as_the_older_labs_make_them() {
    let daemon = Daemon::start();
    daemon.sh("minidock network create -d bridge --subnet 10.0.0.0/24 --gateway 10.0.0.1 br0").ok();
    assert_eq!(
        daemon.ok(&["network", "inspect", "-f", "{{json .IPAM.Config}}", "br0"]),
        r#"[{"Subnet":"10.0.0.0/24","Gateway":"10.0.0.1"}]"#
    );
    let misprint = daemon
        .sh("minidock network create -d macvlan --subnet 192.168.10.0/24 --gateway 192.168.10.1 -o parent=eth0.10macvlan10");
    assert!(misprint.fails(1).contains("requires exactly 1 argument"), "U06");
    let name = daemon.sh("minidock run -itd --name c1--net macvlan10 --ip 192.168.10.2 busybox sh");
    assert!(name.status == 125, "U06: {name:?}");
    let help = daemon.sh("minidock network create --help").ok();
    assert!(help.contains("--aux-address") && help.contains("--ip-range"), "U09: {help}");
}

#[test]
fn d14_a_pid_1_that_ignores_sigterm_takes_the_whole_grace_period() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "-d", "--name", "deaf", "alpine", "sleep", "1000"]);
    let began = std::time::Instant::now();
    daemon.ok(&["stop", "-t", "1", "deaf"]);
    assert!(began.elapsed().as_millis() >= 1000, "it waited");
    assert_eq!(daemon.inspect("deaf", "{{.State.ExitCode}}"), "137");
    daemon.ok(&["run", "-d", "--name", "init", "--init", "alpine", "sleep", "1000"]);
    let began = std::time::Instant::now();
    daemon.ok(&["stop", "init"]);
    assert!(began.elapsed().as_secs() < 5, "--init hands the signal on");
    assert_eq!(daemon.inspect("init", "{{.State.ExitCode}}"), "143");
}

#[test]
fn exit_codes_are_dockers() {
    let daemon = Daemon::start();
    for (words, status) in [
        (&["run", "--rm", "alpine", "sh", "-c", "exit 3"][..], 3),
        (&["run", "--rm", "alpine", "nosuchcommand"], 127),
        (&["run", "--rm", "alpine", "/etc"], 126),
        (&["run", "--rm", "alpine", "/etc/passwd"], 126),
        (&["run", "--rm", "--init", "alpine", "sh", "-c", "kill -9 $$"], 137),
        (&["run", "--rm", "--no-such-flag", "alpine"], 125),
        (&["run", "--rm", "no/such/image:1"], 125),
        (&["run", "--rm", "golang go get ... && hello"], 125),
        (&["run", "--rm", "alpine", "go get ... && hello"], 127),
    ] {
        let printed = daemon.run(words);
        assert_eq!(printed.status, status, "{words:?}: {printed:?}");
    }
    assert_eq!(daemon.ok(&["ps", "-aq"]), "", "nothing is left behind");
}

/// The folder of block B's `linux_tweet_app`, as the lab unpacks it; the stand-in for nginx is busybox' web server.
fn tweet_app_folder(daemon: &Daemon) {
    let script = "mkdir linux_tweet_app; cd linux_tweet_app
        printf 'FROM alpine:latest\n\nCOPY index.html /usr/share/nginx/html/\nCOPY linux.png /usr/share/nginx/html/\n\nEXPOSE 80 443 \t\n\nCMD [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/usr/share/nginx/html\"]\n' > Dockerfile
        echo 'old page' > index.html; echo 'new page' > index-new.html; head -c 5000 /dev/urandom > linux.png";
    daemon.sh(script).ok();
}

#[test]
fn b16_and_b25_building_the_tweet_app_takes_five_steps_and_the_second_version_reuses_what_has_not_changed() {
    let daemon = Daemon::start();
    tweet_app_folder(&daemon);
    let build = "cd linux_tweet_app; export DOCKERID=me; minidock image build --tag $DOCKERID/linux_tweet_app";
    let first = daemon.sh(&format!("{build}:1.0 .")).ok();
    for word in [
        "Sending build context",
        "Step 1/5 : FROM alpine:latest",
        "Step 5/5 : CMD",
        "Successfully built",
        "Successfully tagged me/linux_tweet_app:1.0",
    ] {
        assert!(first.contains(word), "B16: {first}");
    }
    let again = daemon.sh(&format!("{build}:1.0 .")).ok();
    assert_eq!(again.matches("---> Using cache").count(), 4, "B25: {again}");
    let second = daemon.sh(&format!("cd linux_tweet_app; cp index-new.html index.html; cd ..; {build}:2.0 .")).ok();
    assert_eq!(second.matches("---> Using cache").count(), 0, "B25: its first COPY has changed\n{second}");
    let images = daemon.ok(&["image", "ls", "-f", "reference=me/*"]);
    assert_eq!(images.lines().count(), 3, "B26, B30: header and both versions\n{images}");
    daemon.ok(&["container", "run", "--detach", "--publish", "80:80", "--name", "app", "me/linux_tweet_app:2.0"]);
    wait_for("B27: the new page", || fetch(&daemon, "http://127.0.0.1:80/").as_deref() == Some("new page"));
    let short = daemon.sh("cd linux_tweet_app && minidock build -t linux_tweet_app .").ok();
    assert!(short.contains("Successfully tagged linux_tweet_app:latest"), "B34: {short}");
}

#[test]
fn c10_to_c19_an_image_of_five_steps_its_history_its_cache_and_its_shared_layer() {
    let daemon = Daemon::start();
    let files = "printf 'FROM alpine\nRUN echo nodejs > /installed\nCOPY . /app\nWORKDIR /app\nCMD [\"sh\", \"index.js\"]\n' > Dockerfile
        echo 'echo \"hello from $(hostname)\"' > index.js";
    daemon.sh(&format!("mkdir hello; cd hello; {files}")).ok();
    let first = daemon.sh("cd hello; minidock image build -t hello:v0.1 .").ok();
    assert!(first.contains("Step 5/5"), "C11: {first}");
    let said = daemon.ok(&["container", "run", "hello:v0.1"]);
    assert!(said.starts_with("hello from ") && said.len() == "hello from ".len() + 12, "C12: {said}");
    let history = daemon.ok(&["image", "history", "--format", "{{.CreatedBy}} {{.Size}}", "hello:v0.1"]);
    let rows: Vec<&str> = history.lines().collect();
    assert_eq!(rows.len(), 5, "C13: one line for each instruction, the base at the bottom\n{history}");
    assert!(
        rows[0].contains("CMD") && rows[0].ends_with(" 0B") && rows[1].ends_with(" 0B") && !rows[2].ends_with(" 0B"),
        "C13: {history}"
    );
    daemon.sh("cd hello; echo 'echo \"this is v0.2\";' >> index.js").ok();
    let second = daemon.sh("cd hello; minidock image build -t hello:v0.2 .").ok();
    let steps: Vec<bool> = second.split("Step ").skip(1).map(|step| step.contains("Using cache")).collect();
    assert_eq!(steps, [false, true, false, false, false], "C15: step 2 from the cache, 3 and all behind it anew\n{second}");
    assert!(daemon.ok(&["run", "hello:v0.2"]).contains("this is v0.2"));
    let layers = |image: &str| -> Vec<String> {
        let json = daemon.ok(&["image", "inspect", "--format", "{{ json .RootFS.Layers }}", image]);
        serde_json::from_str(&json).expect("JSON")
    };
    let (alpine, hello) = (layers("alpine"), layers("hello:v0.2"));
    assert_eq!((alpine.len(), hello.len()), (1, 3), "C18, C19");
    assert_eq!(alpine[0], hello[0], "C19: the first layer is shared");
}

#[test]
fn what_docker_does_without_being_asked() {
    let daemon = Daemon::start();
    let failed = daemon.run(&["run", "-d", "--name", "no", "alpine", "nosuch"]);
    assert_eq!(failed.status, 127, "{failed:?}");
    assert_eq!(failed.out.trim(), daemon.inspect("no", "{{.Id}}"), "who could not start is named all the same");
    assert_eq!(daemon.inspect("no", "{{.HostConfig.Runtime}}"), "runc", "scripts and docker-py know it by this name");
    assert_eq!(daemon.ok(&["info", "--format", "{{.DefaultRuntime}}"]), "runc");
    assert_eq!(daemon.ok(&["run", "--rm", "--runtime", "io.containerd.runc.v2", "alpine", "echo", "same"]), "same");
    daemon.ok(&["run", "-d", "--name", "box", "alpine", "sleep", "1000"]);
    let copied = "cd $(mktemp -d) && echo x > owned && chown 1234:5678 owned && minidock cp -q owned box:/ && rm -r $PWD";
    daemon.sh(copied).ok();
    assert_eq!(daemon.ok(&["exec", "box", "stat", "-c", "%u:%g", "/owned"]), "1234:5678", "an owner travels by its number");
}

#[test]
fn the_whole_tree_of_a_running_container_can_be_copied_without_the_kernels_views() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "-d", "--name", "box", "-v", "data:/data", "alpine", "sh", "-c", "echo kept > /data/f; sleep 1000"]);
    wait_for("its file", || daemon.run(&["exec", "box", "cat", "/data/f"]).status == 0);
    daemon.ok(&["cp", "-q", "box:/", &daemon.folder.join("copy").display().to_string()]);
    assert_eq!(std::fs::read_to_string(daemon.folder.join("copy/data/f")).expect("a volume is copied"), "kept\n");
    for view in ["proc", "sys", "dev"] {
        let found = std::fs::read_dir(daemon.folder.join("copy").join(view)).expect("a folder").count();
        assert_eq!(found, 0, "/{view} is not files");
    }
    let refused = daemon.run(&["cp", "box:", "x"]).fails(1);
    assert!(refused.contains("'path' cannot be empty"), "{refused}");
}

#[test]
fn who_sends_files_to_nobody_is_told_so() {
    let daemon = Daemon::start();
    std::fs::write(daemon.folder.join("f"), vec![b'x'; 300_000]).expect("room");
    let file = daemon.folder.join("f").display().to_string();
    for _ in 0..20 {
        let refused = daemon.run(&["cp", &file, "nosuch:/x"]).fails(1);
        assert!(refused.contains("No such container: nosuch"), "{refused}");
    }
    daemon.ok(&["run", "-d", "--name", "box", "alpine", "sleep", "1000"]);
    for _ in 0..20 {
        let refused = daemon.run(&["cp", &file, "box:/no/such/folder/"]).fails(1);
        assert!(refused.contains("no such directory"), "{refused}");
    }
}

#[test]
fn limits_and_policies_are_updated_and_conflicts_refused() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "-d", "--name", "box", "alpine", "sleep", "1000"]);
    assert_eq!(daemon.ok(&["update", "--cpus", "0.5", "--pids-limit", "50", "--restart", "on-failure:3", "box"]), "box");
    let shown = "{{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}";
    assert_eq!(daemon.inspect("box", shown), "500000000 50 3");
    let refused = daemon.run(&["update", "--cpu-quota", "5000", "box"]).fails(1);
    assert!(refused.contains("CPU Quota cannot be updated as NanoCPUs has already been set"), "{refused}");
    for (verb, status) in [("update", 1), ("create", 1), ("run", 125)] {
        let what = if verb == "update" { "box" } else { "alpine" };
        let refused = daemon.run(&[verb, "--restart", "sometimes", what]).fails(status);
        assert!(refused.contains("unknown policy 'sometimes'"), "{verb}: {refused}");
    }
    assert!(daemon.run(&["ps", "-f", "publish=foo"]).fails(1).contains("invalid filter 'publish=foo'"));
    let stranger = daemon.run(&["exec", "-u", "ghost", "box", "id"]);
    assert!(stranger.status == 126 && stranger.out.contains("unable to find user ghost"), "{stranger:?}");
    assert_eq!(daemon.run(&["run", "--rm", "alpine", ""]).status, 127, "an empty name is the name of no program");
    let groups = daemon.ok(&["run", "--rm", "--group-add", "10", "alpine", "id", "-G"]);
    let mut once: Vec<&str> = groups.split(' ').collect();
    once.dedup();
    assert_eq!(groups.split(' ').count(), once.len(), "no group twice: {groups}");
}

#[test]
fn a_container_goes_on_showing_the_image_it_was_made_from() {
    let daemon = Daemon::start();
    daemon.ok(&["tag", "alpine", "app"]);
    daemon.ok(&["run", "-d", "--name", "old", "app", "sleep", "1000"]);
    let shown = || daemon.ok(&["ps", "--format", "{{.Names}} {{.Image}}"]);
    assert_eq!(shown(), "old app");
    daemon.ok(&["tag", "busybox", "app"]);
    daemon.ok(&["run", "-d", "--name", "new", "app", "sleep", "1000"]);
    let id = daemon.inspect("old", "{{.Image}}");
    assert_eq!(
        shown(),
        format!("new app\nold {}", &id["sha256:".len()..][..12]),
        "the name has moved on, the container has not"
    );
    assert_eq!(daemon.inspect("old", "{{.Config.Image}}"), "app", "what was typed stays");
}

#[test]
fn a_commit_is_told_while_the_container_is_held() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "-d", "--name", "it", "alpine", "sleep", "1000"]);
    daemon.ok(&["commit", "it", "kept:1"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    let told = daemon.ok(&["events", "--since", "1", "--until", &until, "--format", "{{.Type}} {{.Action}}"]);
    let end = told.lines().skip_while(|line| *line != "container pause").collect::<Vec<_>>();
    assert_eq!(end, ["container pause", "image tag", "container commit", "container unpause"]);
}

#[test]
fn a_commit_of_what_was_not_changed_adds_a_step_and_no_layer() {
    let daemon = Daemon::start();
    daemon.ok(&["run", "--name", "same", "alpine", "true"]);
    daemon.ok(&["run", "--name", "other", "alpine", "touch", "/new"]);
    for (name, more) in [("same", 0), ("other", 1)] {
        daemon.ok(&["commit", "-c", "ENV A=b", name, name]);
        let count = |image: &str| daemon.ok(&["image", "inspect", "-f", "{{len .RootFS.Layers}}", image]);
        let layers = |image: &str| count(image).parse::<u32>().expect("a number");
        assert_eq!(layers(name), layers("alpine") + more, "{name}");
        let steps = |image: &str| daemon.ok(&["history", "-q", image]).lines().count();
        assert_eq!(steps(name), steps("alpine") + 1, "{name}");
        assert_eq!(daemon.ok(&["run", "--rm", name, "sh", "-c", "echo $A; ls /new 2>/dev/null | wc -l"]), format!("b\n{more}"));
    }
}
