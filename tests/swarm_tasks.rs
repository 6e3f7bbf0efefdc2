//! # Tasks of a service, on one real node
//!
//! A swarm of one: what a service asks for reaches its containers, what happens to them is told in Docker's words, and whatever a
//! daemon dies in the middle of is put right by the next one.

#[path = "props/network.rs"]
mod network;
#[path = "props/mod.rs"]
mod props;

use network::{Running, start_inside};
use props::{Daemon, MINIDOCK, Stop, skip, wait_for};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    ops::{Deref, DerefMut},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// A daemon that is a swarm of its own.
struct Node(Daemon);

impl Node {
    fn start() -> Node {
        let node = Node(Daemon::start());
        node.ok(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
        node
    }

    /// `service create -d …`
    fn create(&self, flags: &[&str]) {
        self.ok(&[&["service", "create", "-d", "--no-resolve-image"], flags].concat());
    }

    /// One line for each task, newest first: `CURRENT STATE|ERROR|DESIRED STATE`.
    fn tasks(&self, service: &str) -> Vec<String> {
        let format = "{{.CurrentState}}|{{.Error}}|{{.DesiredState}}";
        let listed = self.ok(&["service", "ps", "--no-trunc", "--format", format, service]);
        listed.lines().map(str::to_string).collect()
    }

    /// Running containers of a service, by name.
    fn running(&self, service: &str) -> Vec<String> {
        let filter = format!("label=com.docker.swarm.service.name={service}");
        let listed = self.ok(&["ps", "--filter", &filter, "--format", "{{.Names}}"]);
        listed.lines().map(str::to_string).collect()
    }

    fn await_running(&self, service: &str, count: usize) -> Vec<String> {
        let all_run = || {
            let tasks = self.tasks(service);
            tasks.iter().filter(|t| t.starts_with("Running ") && t.ends_with("|Running")).count() == count
        };
        wait_for(&format!("{count} tasks of {service}"), all_run);
        self.running(service)
    }

    /// Waits until some task of the service has this in its line.
    fn await_task(&self, service: &str, what: &str) {
        wait_for(what, || self.tasks(service).iter().any(|t| t.contains(what)));
    }

    fn pid(&self, container: &str) -> i32 {
        self.inspect(container, "{{.State.Pid}}").parse().expect("a number")
    }

    fn kill_container(&self, container: &str) {
        let pid = rustix::process::Pid::from_raw(self.pid(container)).expect("it runs");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("our own");
    }
}

impl Deref for Node {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.0
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}

const SLEEP: [&str; 3] = ["alpine", "sleep", "1000"];

fn with<'a>(flags: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [flags, command].concat()
}

#[test]
fn two_replicas_run_and_one_that_is_killed_is_replaced() {
    let node = Node::start();
    node.create(&with(&["--name", "web", "--replicas", "2", "--restart-delay", "0s"], &SLEEP));
    let running = node.await_running("web", 2);
    assert!(running.iter().any(|name| name.starts_with("web.1.")) && running.iter().any(|name| name.starts_with("web.2.")));
    let began = Instant::now();
    node.kill_container(&running[0]);
    node.await_task("web", "task: non-zero exit (137)");
    node.await_running("web", 2);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "it was replaced only after {took:?}");
    assert!(node.ok(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).contains("Exited (137)"), "its container stays");
    node.ok(&["service", "rm", "web"]);
    wait_for("all containers to go", || node.ok(&["ps", "-aq"]).is_empty());
}

#[test]
fn what_goes_wrong_is_told_in_dockers_words() {
    let node = Node::start();
    let once = ["--restart-condition", "none"];
    node.create(&with(&with(&["--name", "noimage"], &once), &["127.0.0.1:1/nothing:1"]));
    node.create(&with(&with(&["--name", "three"], &once), &["alpine", "sh", "-c", "exit 3"]));
    node.create(&with(&with(&["--name", "noprogram"], &once), &["alpine", "nosuchprogram"]));
    node.create(&with(&with(&["--name", "well"], &once), &["alpine", "true"]));
    node.create(&with(&with(&["--name", "nosource", "--mount", "type=bind,source=/nosuch,target=/x"], &once), &SLEEP));
    node.await_task("noimage", "No such image: 127.0.0.1:1/nothing:1");
    node.await_task("noimage", "Rejected ");
    node.await_task("three", "task: non-zero exit (3)");
    node.await_task("three", "Failed ");
    node.await_task("noprogram", "starting container failed: ");
    node.await_task("noprogram", "executable file not found in $PATH");
    node.await_task("well", "Complete ");
    let refused = node.run(&["service", "create", "-d", "--hostname", "{{.Nod.ID}}", "alpine"]).fails(1);
    assert!(refused.contains("expanding hostname failed: template: "), "{refused}");
    node.await_task("nosource", "bind source path does not exist: /nosuch");
}

#[test]
fn a_secret_lies_in_memory_in_its_own_task_and_nowhere_else() {
    let node = Node::start();
    let file = node.folder.join("words");
    fs::write(&file, "tell-nobody-4711").expect("a file");
    let path = file.display().to_string();
    node.ok(&["secret", "create", "pw", &path]);
    node.ok(&["config", "create", "conf", &path]);
    node.ok(&["config", "create", "--template-driver", "golang", "page", &{
        let template = node.folder.join("template");
        fs::write(&template, "{{.Service.Name}} {{env \"COLOUR\"}}").expect("a file");
        template.display().to_string()
    }]);
    fs::remove_file(&file).expect("our file");
    node.create(&with(
        &[
            "--name",
            "db",
            "-e",
            "COLOUR=blue-{{.Task.Slot}}",
            "--secret",
            "pw",
            "--secret",
            "source=pw,target=/etc/other,uid=10,gid=20,mode=0400",
            "--config",
            "conf",
            "--config",
            "source=page,target=/page",
        ],
        &SLEEP,
    ));
    node.create(&with(&["--name", "other"], &SLEEP));
    let db = node.await_running("db", 1).remove(0);
    let other = node.await_running("other", 1).remove(0);
    assert_eq!(node.ok(&["exec", &db, "cat", "/run/secrets/pw", "/conf"]), "tell-nobody-4711tell-nobody-4711");
    assert_eq!(node.ok(&["exec", &db, "cat", "/page"]), "db blue-1");
    assert_eq!(node.ok(&["exec", &db, "stat", "-c", "%a %u %g", "/run/secrets/pw", "/etc/other"]), "444 0 0\n400 10 20");
    node.run(&["exec", &db, "sh", "-c", "echo x > /run/secrets/pw"]).fails(1);
    assert_eq!(node.ok(&["exec", &other, "sh", "-c", "ls /run/secrets 2>/dev/null; true"]), "");
    let inspected = node.ok(&["inspect", &db]);
    assert!(!inspected.contains("tell-nobody") && !inspected.contains("/run/secrets"), "it is in no inspect");
    // neither the bytes nor their base64 are in any file on disk (what lies in memory is another file system)
    let script = "grep -rlaF --exclude-dir=tasks -e tell-nobody -e dGVsbC1ub2JvZHk data exec daemon.log; true";
    assert_eq!(node.sh(script).ok(), "");
    assert!(node.sh("stat -f -c %T exec/tasks").ok().contains("tmpfs"));
    node.ok(&["service", "rm", "db"]);
    wait_for("its files to go", || !Path::new(&node.exec_root().join("tasks")).exists());
}

#[test]
fn secrets_of_a_task_that_nobody_knows_any_more_go() {
    let mut node = Node::start();
    fs::write(node.folder.join("words"), "x").expect("a file");
    node.ok(&["secret", "create", "pw", &node.folder.join("words").display().to_string()]);
    node.create(&with(&["--name", "db", "--secret", "pw"], &SLEEP));
    let db = node.await_running("db", 1).remove(0);
    node.0.kill();
    // as a daemon leaves it that dies between the removal of a container and of its files
    let ghost = node.exec_root().join("tasks/ghost");
    fs::create_dir(&ghost).expect("a folder");
    node.0.up();
    wait_for("it to go", || !ghost.exists());
    assert_eq!(node.ok(&["exec", &db, "cat", "/run/secrets/pw"]), "x", "what is in use stays");
}

#[test]
fn a_task_runs_when_it_is_healthy_and_fails_when_it_is_not() {
    let node = Node::start();
    let check = ["--health-interval", "100ms", "--health-retries", "2", "--restart-condition", "none"];
    let slow = ["--name", "slow", "--health-cmd", "test -f /ready"];
    let program = ["alpine", "sh", "-c", "sleep 1; touch /ready; sleep 1; rm /ready; sleep 1000"];
    node.create(&with(
        &with(&with(&slow, &check), &["--health-start-period", "30s", "--health-start-interval", "100ms"]),
        &program,
    ));
    node.await_task("slow", "Starting ");
    node.await_task("slow", "Running ");
    node.await_task("slow", "unhealthy container");
    node.await_task("slow", "Failed ");
    node.create(&with(&with(&["--name", "never", "--health-cmd", "false", "--stop-grace-period", "1s"], &check), &SLEEP));
    node.await_task("never", "unhealthy container");
    assert!(node.running("never").is_empty());
}

#[test]
fn a_daemon_that_was_killed_takes_its_tasks_up_again() {
    let mut node = Node::start();
    node.create(&with(&["--name", "web", "--replicas", "3", "--restart-delay", "0s"], &SLEEP));
    let running = node.await_running("web", 3);
    let before: Vec<i32> = running.iter().map(|c| node.pid(c)).collect();
    node.0.kill();
    let dead = rustix::process::Pid::from_raw(before[0]).expect("a pid");
    rustix::process::kill_process(dead, rustix::process::Signal::KILL).expect("our own");
    node.0.up();
    node.await_task("web", "task: non-zero exit (137)");
    node.await_running("web", 3);
    for (container, pid) in running.iter().zip(&before).skip(1) {
        assert_eq!(node.pid(container), *pid, "{container} was left alone");
    }
}

#[test]
fn what_a_service_asks_for_reaches_its_container() {
    let node = Node::start();
    node.create(&with(
        &[
            "--name",
            "all",
            "--label",
            "colour=red",
            "--hostname",
            "{{.Service.Name}}-{{.Task.Slot}}",
            "-e",
            "SLOT={{.Task.Slot}}",
            "-e",
            "COLOUR={{index .Service.Labels \"colour\"}}",
            "--container-label",
            "a=b",
            "--user",
            "10:20",
            "--group",
            "30",
            "--workdir",
            "/tmp",
            "--limit-cpu",
            "0.5",
            "--limit-memory",
            "64m",
            "--limit-pids",
            "50",
            "--cap-drop",
            "NET_RAW",
            "--ulimit",
            "nofile=100:200",
            "--sysctl",
            "net.ipv4.ip_unprivileged_port_start=7",
            "--dns",
            "1.2.3.4",
            "--dns-search",
            "example.org",
            "--host",
            "db:10.1.2.3",
            "--init",
            "--read-only",
            "--mount",
            "type=tmpfs,target=/scratch",
            "--mount",
            "type=volume,source=data-{{.Task.Slot}},target=/data",
            "--stop-signal",
            "SIGUSR1",
            "--stop-grace-period",
            "3s",
            "--log-driver",
            "json-file",
            "--log-opt",
            "max-size=1m",
            "--tty",
            "--entrypoint",
            "sleep",
        ],
        &["alpine", "1000"],
    ));
    let container = node.await_running("all", 1).remove(0);
    let read = |script: &str| node.ok(&["exec", &container, "sh", "-c", script]);
    assert_eq!(read("hostname; echo $SLOT $COLOUR; pwd; id -u; id -g; id -G"), "all-1\n1 red\n/tmp\n10\n20\n20 30");
    assert_eq!(read("ulimit -n; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "100\n7");
    assert!(read("cat /etc/resolv.conf").contains("search example.org"));
    assert!(read("cat /etc/hosts").contains("10.1.2.3\tdb"));
    assert_eq!(read("touch /x 2>/dev/null || echo read-only"), "read-only");
    assert!(read("cat /proc/1/cmdline | tr '\\0' ' '").contains("docker-init"));
    assert!(read("grep ' /scratch ' /proc/mounts").starts_with("tmpfs"));
    let seen = |template: &str| node.inspect(&container, template);
    assert_eq!(seen("{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"), "500000000 67108864 50");
    assert_eq!(seen("{{.Config.StopSignal}} {{.Config.StopTimeout}} {{.Config.Tty}}"), "SIGUSR1 3 true");
    assert_eq!(seen("{{index .HostConfig.LogConfig.Config \"max-size\"}} {{index .Config.Labels \"a\"}}"), "1m b");
    assert_eq!(seen("{{index .Config.Labels \"com.docker.swarm.task.name\"}}"), container);
    assert!(node.ok(&["volume", "ls", "-q"]).contains("data-1"));
}

#[test]
fn a_program_has_its_grace_period_to_end_in() {
    let node = Node::start();
    let program = "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done";
    node.create(&with(&["--name", "slow", "--stop-grace-period", "5s"], &["alpine", "sh", "-c", program]));
    let stubborn = "trap '' TERM; while :; do sleep 0.1; done";
    node.create(&with(&["--name", "stubborn", "--stop-grace-period", "1s"], &["alpine", "sh", "-c", stubborn]));
    let slow = node.await_running("slow", 1).remove(0);
    let stubborn = node.await_running("stubborn", 1).remove(0);
    node.ok(&["node", "update", "--availability", "drain", "self"]);
    node.await_task("slow", "Shutdown ");
    node.await_task("stubborn", "Shutdown ");
    assert_eq!(node.inspect(&slow, "{{.State.ExitCode}}"), "0", "it ended by itself");
    assert_eq!(node.inspect(&stubborn, "{{.State.ExitCode}}"), "137");
}

#[test]
fn an_update_replaces_one_after_the_other_and_logs_of_the_old_can_be_read() {
    let node = Node::start();
    let program = ["alpine", "sh", "-c", "echo I am $V; exec sleep 1000"];
    node.create(&with(&["--name", "web", "--replicas", "2", "-e", "V=1", "--stop-grace-period", "1s"], &program));
    let old = node.await_running("web", 2);
    node.ok(&["service", "update", "--env-add", "V=2", "--update-monitor", "100ms", "web"]);
    let new = node.running("web");
    assert_eq!(new.len(), 2);
    assert!(new.iter().all(|name| !old.contains(name)));
    let said = node.ok(&["service", "logs", "--raw", "web"]);
    assert!(said.contains("I am 1") && said.contains("I am 2"), "{said}");
}

#[test]
fn a_job_runs_to_its_end_so_often_as_asked_and_so_many_at_once() {
    let node = Node::start();
    let flags = ["--name", "job", "--mode", "replicated-job", "--replicas", "4", "--max-concurrent", "2"];
    node.create(&with(&flags, &["alpine", "sh", "-c", "sleep 0.3"]));
    let mut most = 0;
    wait_for("the job", || {
        let tasks = node.tasks("job");
        most = most.max(tasks.iter().filter(|t| t.starts_with("Running ")).count());
        tasks.iter().filter(|t| t.starts_with("Complete ")).count() == 4
    });
    assert!(most <= 2, "{most} ran at once");
    node.create(&with(&["--name", "everywhere", "--mode", "global-job"], &["alpine", "true"]));
    node.await_task("everywhere", "Complete ");
}

#[test]
fn a_port_of_mode_host_leads_to_the_task() {
    let node = Node::start();
    let program = ["alpine", "sh", "-c", "echo from-the-task > /index.html; exec httpd -f -p 80 -h /"];
    node.create(&with(&["--name", "web", "-p", "published=8088,target=80,mode=host"], &program));
    node.await_running("web", 1);
    wait_for("an answer", || {
        let asked = node.inside(&["curl", "-s", "--max-time", "2", "http://127.0.0.1:8088/"]);
        asked.out.trim() == "from-the-task"
    });
    assert!(node.ok(&["service", "ps", "--format", "{{.Ports}}", "web"]).contains("*:8088->80/tcp"));
}

#[test]
fn a_service_may_be_on_the_network_of_whatever_machine_its_tasks_run_on() {
    let node = Node::start();
    let serve = ["alpine", "sh", "-c", "echo from-the-machine > /index.html; exec httpd -f -p 8090 -h /"];
    node.create(&with(&["--name", "web", "--network", "host"], &serve));
    node.await_running("web", 1);
    wait_for("an answer", || {
        let asked = node.inside(&["curl", "-s", "--max-time", "2", "http://127.0.0.1:8090/"]);
        asked.out.trim() == "from-the-machine"
    });
    let endpoint = node.ok(&["service", "inspect", "web", "--format", "{{json .Endpoint}}"]);
    assert!(!endpoint.contains("VirtualIPs"), "it has no address of its own: {endpoint}");
    // a port of mode=host is nobody's there, one of the mesh cannot lead there
    node.create(&with(&["--name", "own", "--network", "host", "-p", "mode=host,published=8091,target=80"], &SLEEP));
    let own = node.await_running("own", 1).remove(0);
    assert_eq!(node.inspect(&own, "{{.HostConfig.NetworkMode}}"), "host");
    assert_eq!(node.ok(&["service", "ps", "--format", "{{.Ports}}", "own"]), "");
    let once = ["--restart-condition", "none", "--network", "host"];
    node.create(&with(&with(&["--name", "mesh", "-p", "8092:80"], &once), &SLEEP));
    node.await_task("mesh", "container cannot be disconnected from host network or connected to host network");
    node.ok(&["network", "create", "-d", "overlay", "back"]);
    node.create(&with(&with(&["--name", "both", "--network", "back"], &once), &SLEEP));
    node.await_task(
        "both",
        "container sharing network namespace with another container or host cannot be connected to any other",
    );
    let refused = node.run(&["service", "create", "-d", "--network", "none", "alpine"]).fails(1);
    assert!(refused.contains("network none not found"), "{refused}");
    // and it may leave that network, and come back
    node.ok(&["service", "update", "-d", "--network-rm", "host", "own"]);
    wait_for("a network of its own", || {
        node.running("own").first().is_some_and(|c| node.inspect(c, "{{.HostConfig.NetworkMode}}") == "bridge")
    });
    node.ok(&["service", "update", "-d", "--network-add", "host", "own"]);
    wait_for("the machine's again", || {
        node.running("own").first().is_some_and(|c| node.inspect(c, "{{.HostConfig.NetworkMode}}") == "host")
    });
}

#[test]
fn a_task_on_its_machines_bridge_may_be_on_an_overlay_and_behind_the_mesh_besides() {
    let node = Node::start();
    node.ok(&["network", "create", "-d", "overlay", "back"]);
    let serve = ["alpine", "sh", "-c", "echo from-the-task > /index.html; exec httpd -f -p 80 -h /"];
    node.create(&with(&["--name", "web", "--network", "bridge", "--network", "back", "-p", "8093:80"], &serve));
    let web = node.await_running("web", 1).remove(0);
    let networks = node.inspect(&web, "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}");
    assert_eq!(networks.trim(), "back bridge ingress");
    let address = node.inspect(&web, "{{.NetworkSettings.Networks.bridge.IPAddress}}");
    for url in [format!("http://{address}/"), "http://127.0.0.1:8093/".into()] {
        wait_for(&url, || node.inside(&["curl", "-s", "--max-time", "2", &url]).out.trim() == "from-the-task");
    }
}

#[test]
fn a_stack_may_be_on_the_network_of_its_machines() {
    let node = Node::start();
    let file = "services:\n  far: {image: alpine, command: sleep 1000, networks: [hostnet]}\n  near:\n    image: alpine\n    \
                command: sleep 1000\n    networks: {host: {aliases: [x]}}\nnetworks:\n  hostnet: {external: true, name: host}\n  \
                host: {external: true}\n";
    fs::write(node.folder.join("stack.yml"), file).expect("a file");
    node.sh("minidock stack deploy -d --resolve-image never -c stack.yml st").ok();
    for service in ["st_far", "st_near"] {
        let container = node.await_running(service, 1).remove(0);
        assert_eq!(node.inspect(&container, "{{.HostConfig.NetworkMode}}"), "host");
    }
    assert!(!node.ok(&["network", "ls", "--format", "{{.Name}}"]).contains("st_"), "no network was made");
}

/// Dice that fall the same way each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

#[test]
fn daemons_and_containers_killed_at_random_leave_what_was_wanted_and_nothing_else() {
    let mut node = Node::start();
    let flags = ["--replicas", "4", "--restart-delay", "0s", "--stop-grace-period", "0s"];
    node.create(&with(&with(&["--name", "one"], &flags), &SLEEP));
    node.create(&with(&with(&["--name", "two"], &flags), &SLEEP));
    let seconds = std::env::var("MINIDOCK_FAULT_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(8);
    let (mut dice, until) = (Dice(4711), Instant::now() + Duration::from_secs(seconds));
    let mut scale = 4;
    while Instant::now() < until {
        match dice.roll(5) {
            0 => {
                node.0.kill();
                node.0.up();
            }
            1 => {
                scale = 2 + dice.roll(5);
                // a daemon that has just come back may not lead yet
                let wanted = format!("one={scale}");
                wait_for("a manager that leads", || node.run(&["service", "scale", "-d", &wanted]).status == 0);
            }
            2 => {
                let version = format!("V={}", dice.roll(1000));
                let update = ["service", "update", "-d", "--force", "--env-add", &version, "two"];
                wait_for("a manager that leads", || node.run(&update).status == 0);
            }
            _ => {
                let running = node.run(&["ps", "-q"]).out;
                let ids: Vec<&str> = running.split_whitespace().collect();
                if let Some(id) = (!ids.is_empty()).then(|| ids[dice.roll(ids.len())]) {
                    node.run(&["kill", id]); // it may be gone by now
                }
            }
        }
    }
    let update_ended =
        || !node.ok(&["service", "inspect", "two", "--format", "{{json .UpdateStatus}}"]).contains("\"updating\"");
    wait_for("the last update", update_ended);
    node.ok(&["service", "update", "-d", "--force", "two"]); // an update that the killing made pause goes on
    wait_for("what was wanted", || {
        let states = |service: &str| {
            let tasks = node.tasks(service);
            let wanted = tasks.iter().filter(|t| t.ends_with("|Running")).count();
            let run = tasks.iter().filter(|t| t.starts_with("Running ") && t.ends_with("|Running")).count();
            (wanted, run, node.running(service).len())
        };
        states("one") == (scale, scale, scale) && states("two") == (4, 4, 4)
    });
    let known = node.ok(&["ps", "-a", "--format", "{{.Label \"com.docker.swarm.task.id\"}}"]);
    let tasks = node.ok(&["service", "ps", "-q", "--no-trunc", "one", "two"]);
    for id in known.lines() {
        assert!(tasks.lines().any(|task| task == id), "a container of task {id}, which nobody knows");
    }
    node.ok(&["service", "rm", "one", "two"]);
    wait_for("all containers to go", || node.ok(&["ps", "-aq"]).is_empty());
}

/// Asks for `/` again and again until told to stop: how often it was answered, and what went wrong.
fn ask_for_ever(port: u16, stop: &AtomicBool) -> (usize, Vec<String>) {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let (mut answered, mut lost) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        match ask() {
            Ok(answer) if answer.contains("200 OK") => answered += 1,
            Ok(answer) => lost.push(format!("half an answer: {answer:?}")),
            Err(error) => lost.push(error.to_string()),
        }
    }
    (answered, lost)
}

#[test]
fn no_request_is_lost_while_every_replica_is_replaced() {
    let node = Node::start();
    let program = ["alpine", "sh", "-c", "echo $V > /index.html; exec httpd -f -p 80 -h /"];
    let check = ["--health-cmd", "wget -q -O /dev/null http://127.0.0.1/", "--health-interval", "100ms"];
    let flags = ["--name", "web", "--replicas", "3", "-p", "8080:80", "-e", "V=1", "--stop-grace-period", "1s"];
    node.create(&with(&with(&flags, &check), &program));
    node.await_running("web", 3);
    for (order, version) in [("start-first", "V=2"), ("stop-first", "V=3")] {
        let stop = AtomicBool::new(false);
        let asked = std::thread::scope(|scope| {
            let asking = Stop(&stop);
            let askers: Vec<_> = (0..3).map(|_| scope.spawn(|| node.home.enter(|| ask_for_ever(8080, &stop)))).collect();
            let update =
                ["service", "update", "--update-order", order, "--update-monitor", "100ms", "--env-add", version, "web"];
            node.ok(&update);
            drop(asking);
            askers.into_iter().map(|asker| asker.join().expect("an asker")).collect::<Vec<_>>()
        });
        let answered: usize = asked.iter().map(|(answered, _)| answered).sum();
        let lost: Vec<&String> = asked.iter().flat_map(|(_, lost)| lost).collect();
        assert!(answered > 100 && lost.is_empty(), "{order}: {answered} answered, {} lost: {lost:?}", lost.len());
    }
}

#[test]
fn logs_that_are_followed_go_on_with_the_next_task() {
    let node = Node::start();
    let program = ["alpine", "sh", "-c", "echo begun-$(hostname); exec sleep 1000"];
    node.create(&with(&["--name", "web", "--restart-delay", "0s", "--hostname", "{{.Task.ID}}"], &program));
    let first = node.await_running("web", 1).remove(0);
    let mut follow = node.command(&["service", "logs", "-f", "--raw", "web"]);
    let mut following = Running(follow.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a program"));
    let mut lines = BufReader::new(following.0.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    assert!(first.ends_with(&line()["begun-".len()..]));
    node.kill_container(&first);
    let second = line();
    assert!(!first.ends_with(&second["begun-".len()..]), "the next task speaks: {second}");
}

#[test]
fn whoever_leaves_takes_its_tasks_along() {
    let node = Node::start();
    fs::write(node.folder.join("words"), "x").expect("a file");
    node.ok(&["secret", "create", "pw", &node.folder.join("words").display().to_string()]);
    node.ok(&["network", "create", "-d", "overlay", "back"]);
    let flags = ["--name", "web", "--replicas", "3", "--network", "back", "-p", "8080:80", "--secret", "pw"];
    node.create(&with(&flags, &SLEEP));
    node.await_running("web", 3);
    node.ok(&["run", "-d", "--name", "mine", "alpine", "sleep", "1000"]);
    node.ok(&["swarm", "leave", "--force"]);
    assert_eq!(node.ok(&["ps", "-a", "--format", "{{.Names}}"]), "mine");
    assert!(!node.exec_root().join("tasks").exists(), "no secret stays");
    assert!(!node.ok(&["network", "ls", "--format", "{{.Name}}"]).contains("back"));
    node.ok(&["swarm", "init", "--advertise-addr", "127.0.0.1"]); // and may found another
}

#[test]
fn an_image_comes_from_its_registry_with_the_credentials_that_came_with_the_service() {
    let node = Node::start();
    let made = Command::new("htpasswd").args(["-Bbn", "ann", "s3cret"]).output();
    let Ok(made) = made else { return skip("htpasswd is not installed") };
    let (root, users) = (node.folder.join("registry"), node.folder.join("htpasswd"));
    fs::write(&users, made.stdout).expect("a file");
    let words = ["registry", "serve", "-q", "--root", &root.display().to_string(), "--htpasswd", &users.display().to_string()];
    let _registry = start_inside(&node, &with(&[MINIDOCK], &words));
    let image = "127.0.0.1:5000/team/app:1";
    wait_for("the registry", || node.sh("echo s3cret | minidock login -u ann --password-stdin 127.0.0.1:5000").status == 0);
    node.ok(&["tag", "alpine", image]);
    node.ok(&["push", "-q", image]);
    node.ok(&["rmi", image]);
    let once = ["service", "create", "-d", "--restart-condition", "none"];
    node.ok(&with(&once, &["--name", "stranger", "--no-resolve-image", image, "sleep", "1000"]));
    node.await_task("stranger", "No such image: 127.0.0.1:5000/team/app:1");
    node.ok(&with(&once, &["--name", "friend", "--with-registry-auth", image, "sleep", "1000"]));
    let container = node.await_running("friend", 1).remove(0);
    assert!(node.inspect(&container, "{{.Config.Image}}").starts_with("127.0.0.1:5000/team/app:1@sha256:"));
    assert!(!node.ok(&["service", "inspect", "friend"]).contains("RegistryAuth"));
}

#[test]
fn fifty_at_once_start_and_go() {
    let node = Node::start();
    let began = Instant::now();
    node.create(&with(&["--name", "many", "--replicas", "50", "--stop-grace-period", "0s"], &SLEEP));
    node.await_running("many", 50);
    eprintln!("50 replicas run after {:?}", began.elapsed());
    node.ok(&["service", "rm", "many"]);
    wait_for("all to go", || node.ok(&["ps", "-aq"]).is_empty());
}
