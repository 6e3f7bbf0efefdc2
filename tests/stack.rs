//! # Stacks: a file becomes services, changes with it, and goes
//!
//! One daemon is the whole swarm, but for the last claim, which has three nodes. Files are written into its folder, typed at it with `stack deploy`, and what comes of them is asked of
//! the containers themselves and of the network around them.

#[path = "props/nodes.rs"]
mod nodes;
#[path = "props/mod.rs"]
mod props;

use nodes::Nodes;
use props::{Daemon, wait_for};
use std::fs;

/// A swarm of one, with the base images.
fn swarm() -> Daemon {
    let daemon = Daemon::start();
    daemon.ok(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    daemon
}

fn file(daemon: &Daemon, name: &str, text: &str) {
    fs::write(daemon.folder.join(name), text).expect("a file");
}

/// `stack deploy`, typed in the daemon's folder.
#[track_caller]
fn deploy(daemon: &Daemon, words: &str) -> String {
    daemon.sh(&format!("minidock stack deploy --detach=true --resolve-image never {words}")).ok()
}

/// Waits until every service of a stack runs as many tasks as it shall.
fn settled(daemon: &Daemon, stack: &str) {
    wait_for("the stack's services to run", || {
        let rows = daemon.ok(&["stack", "services", "--format", "{{.Replicas}}", stack]);
        let full = |row: &str| row.split_once('/').is_some_and(|(a, b)| a == b);
        !rows.is_empty() && rows.lines().all(full)
    });
}

fn one_container(daemon: &Daemon, service: &str) -> String {
    let ids = daemon.ok(&["ps", "-q", "--filter", &format!("label=com.docker.swarm.service.name={service}")]);
    ids.lines().next().unwrap_or_else(|| panic!("no container of {service}")).to_string()
}

/// The tasks of a service that shall run.
fn tasks(daemon: &Daemon, service: &str) -> Vec<String> {
    let ids = daemon.ok(&["service", "ps", "-q", "--filter", "desired-state=running", service]);
    let mut ids: Vec<String> = ids.lines().map(str::to_string).collect();
    ids.sort();
    ids
}

/// Takes the stack away and waits until nothing of it is left.
fn remove(daemon: &Daemon, stack: &str) {
    daemon.ok(&["stack", "rm", "--detach=false", stack]);
    assert_eq!(daemon.ok(&["stack", "ls", "--format", "{{.Name}}"]), "");
    wait_for("its networks to go", || {
        let names = daemon.ok(&["network", "ls", "--format", "{{.Name}}"]);
        !names.lines().any(|name| name.starts_with(&format!("{stack}_")))
    });
}

const SITE: &str = "
services:
  web:
    image: busybox
    command: sh -c 'mkdir /www && hostname > /www/index.html && exec httpd -f -p 80 -h /www'
    ports: ['8080:80']
    networks: [front]
    stop_grace_period: 0s
    deploy: {replicas: 2, labels: {tier: edge}}
  db:
    image: busybox
    command: sleep ${HOW_LONG:-1000}
    environment: {WHERE: \"${PLACE:-here}\"}
    networks: [front, back]
    volumes: ['data:/data']
    tmpfs: /scratch
    secrets: [password]
    configs: [{source: settings, target: /etc/settings, mode: 0440}]
    stop_grace_period: 0s
    ulimits: {nofile: 512}
networks: {front: , back: }
volumes: {data: }
secrets: {password: {file: ./password.txt}}
configs: {settings: {file: ./settings.txt}}
";

#[test]
fn a_file_becomes_a_site_that_answers_and_goes_again() {
    let daemon = swarm();
    file(&daemon, "site.yml", SITE);
    file(&daemon, "password.txt", "hush\n");
    file(&daemon, "settings.txt", "colour=blue\n");
    let said = deploy(&daemon, "-c site.yml lab");
    let wanted = "Creating network lab_front\nCreating network lab_back\nCreating secret lab_password\nCreating config lab_settings\nCreating service lab_web\nCreating service lab_db\n";
    assert_eq!(said, wanted);
    settled(&daemon, "lab");
    assert_eq!(daemon.ok(&["stack", "ls"]), "NAME      SERVICES\nlab       2");

    // the tasks are found by the stack's label
    let listed = daemon.ok(&["stack", "ps", "--format", "{{.Name}}", "lab"]);
    let mut names: Vec<&str> = listed.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["lab_db.1", "lab_web.1", "lab_web.2"]);

    // what it was given, inside
    let db = one_container(&daemon, "lab_db");
    let inside = |script: &str| daemon.ok(&["exec", &db, "sh", "-c", script]);
    assert_eq!(
        inside("cat /run/secrets/password /etc/settings; stat -c %a /etc/settings; echo $WHERE; ulimit -n"),
        "hush\ncolour=blue\n440\nhere\n512"
    );
    assert_eq!(inside("grep -c ' /scratch tmpfs ' /proc/mounts"), "1");
    assert!(
        daemon
            .ok(&["volume", "ls", "--format", "{{.Name}} {{.Label \"com.docker.stack.namespace\"}}"])
            .contains("lab_data lab")
    );

    // its short name, its long name: one address, and both replicas behind it
    for name in ["web", "lab_web"] {
        let answers: Vec<String> = (0..12).map(|_| inside(&format!("wget -qO- http://{name}/"))).collect();
        let mut different = answers.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), 2, "{name}: {answers:?}");
    }
    assert_eq!(inside("nslookup -type=a web 127.0.0.11 | grep -c ^Address"), "2", "the server's address, and one");

    // and from outside, by the port
    assert!(!daemon.sh("curl -s -m 5 http://127.0.0.1:8080/").ok().is_empty());
    remove(&daemon, "lab");
}

#[test]
fn deploying_again_changes_only_what_the_file_changed() {
    let daemon = swarm();
    file(&daemon, "site.yml", SITE);
    file(&daemon, "password.txt", "hush\n");
    file(&daemon, "settings.txt", "colour=blue\n");
    deploy(&daemon, "-c site.yml lab");
    settled(&daemon, "lab");
    let (web, db) = (tasks(&daemon, "lab_web"), tasks(&daemon, "lab_db"));

    let again = deploy(&daemon, "-c site.yml lab");
    assert!(again.starts_with("Updating service lab_web (id: ") && again.lines().count() == 2, "{again}");
    assert_eq!((tasks(&daemon, "lab_web"), tasks(&daemon, "lab_db")), (web.clone(), db.clone()), "nothing was to be done");

    // a variable of the shell reaches one service only
    daemon.sh("PLACE=there minidock stack deploy -d --resolve-image never -c site.yml lab").ok();
    wait_for("the new task", || {
        let now = tasks(&daemon, "lab_db");
        now != db && now.len() == 1
    });
    settled(&daemon, "lab");
    wait_for("the new variable", || {
        let ids = daemon.ok(&["ps", "-q", "--filter", "label=com.docker.swarm.service.name=lab_db"]);
        ids.lines().next().is_some_and(|id| daemon.run(&["exec", id, "sh", "-c", "echo $WHERE"]).out == "there\n")
    });
    assert_eq!(tasks(&daemon, "lab_web"), web);

    // a second file over the first, and what no file names any more goes
    file(&daemon, "more.yml", "services: {web: {deploy: {replicas: 3}}}\n");
    deploy(&daemon, "-c site.yml -c more.yml lab");
    wait_for("three of them", || tasks(&daemon, "lab_web").len() == 3);
    file(&daemon, "less.yml", "services: {web: {image: busybox, command: sleep 1000, stop_grace_period: 0s}}\n");
    let pruned = deploy(&daemon, "--prune -c less.yml lab");
    assert!(pruned.starts_with("Removing service lab_db\nCreating network lab_default\nUpdating service lab_web"), "{pruned}");
    assert_eq!(daemon.ok(&["stack", "services", "--format", "{{.Name}}", "lab"]), "lab_web");
    remove(&daemon, "lab");
}

#[test]
fn what_is_wrong_with_a_file_leaves_nothing_behind() {
    let daemon = swarm();
    let refused = |text: &str, words: &str| {
        file(&daemon, "x.yml", text);
        let printed = daemon.sh(&format!("minidock stack deploy -d -c x.yml {words}"));
        assert_eq!((printed.status, printed.out.as_str()), (1, ""), "{}", printed.err);
        printed.err
    };
    let table = [
        (
            "services:\n  web:\n    image: busybox\n    networks: [nowhere]\n",
            "x.yml:4:16: service web: undefined network \"nowhere\"",
        ),
        (
            "services:\n  web:\n    image: busybox\n    deploy:\n      replicas: two\n",
            "x.yml:5:17: services.web.deploy.replicas must be a integer",
        ),
        ("services:\n  web:\n\timage: busybox\n", "x.yml:"),
        (
            "services:\n  web:\n    image: busybox\n    networks: [n]\nnetworks: {n: {external: true}}\n",
            "network \"n\" is declared as external, but could not be found",
        ),
        ("services:\n  web:\n    image: busybox\n    secrets: [s]\nsecrets: {s: {external: true}}\n", "secret not found: s"),
        ("services:\n  web:\n    image: busybox\nsecrets: {s: {file: nope.txt}}\n", "nope.txt: no such file or directory"),
        (
            "services:\n  web:\n    mem_limit: 5m\n    image: busybox\n",
            "x.yml:3:5: Compose file contains unsupported options: services.web.mem_limit",
        ),
    ];
    for (text, wanted) in table {
        let said = refused(text, "lab");
        assert!(said.contains(wanted), "{said}");
    }
    assert!(refused("services: {web: {image: busybox}}", "'a b'").contains("invalid stack name: \"a b\""));
    let networks = daemon.ok(&["network", "ls", "--format", "{{.Name}}"]);
    assert!(!networks.contains("lab"), "{networks}");
    assert_eq!(daemon.ok(&["service", "ls", "-q"]), "");

    // warnings are no refusals
    file(
        &daemon,
        "odd.yml",
        "name: odd\nservices:\n  web:\n    image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n    netwroks: [a]\n    restart: always\n    container_name: x\n",
    );
    let odd = daemon.sh("minidock stack deploy --resolve-image never -c odd.yml lab");
    for wanted in [
        "WARNING: odd.yml:1:1: (root): unknown key \"name\" is ignored\n",
        "WARNING: odd.yml:7:5: services.web: unknown key \"netwroks\" is ignored (did you mean \"networks\"?)\n",
        "Ignoring unsupported options: restart\n\n",
        "Ignoring deprecated options:\n\ncontainer_name: Setting the container name is not supported.\n\n",
        "Since --detach=false was not specified, tasks will be created in the background.\n",
    ] {
        assert!(odd.err.contains(wanted), "{}", odd.err);
    }
    odd.ok();
    remove(&daemon, "lab");
}

#[test]
fn a_secret_that_changed_is_refused_with_the_way_out_and_what_does_not_need_it_goes_on() {
    let daemon = swarm();
    let text = |env: &str| {
        format!(
            "services:\n  calm: {{image: busybox, command: sleep 1000, environment: [A={env}], stop_grace_period: 0s}}\n  web: {{image: busybox, command: sleep 1000, environment: [A={env}], secrets: [s], stop_grace_period: 0s}}\nsecrets: {{s: {{file: s.txt}}}}\n"
        )
    };
    file(&daemon, "x.yml", &text("1"));
    file(&daemon, "s.txt", "one");
    deploy(&daemon, "-c x.yml lab");
    settled(&daemon, "lab");
    file(&daemon, "x.yml", &text("2"));
    file(&daemon, "s.txt", "two");
    let said = daemon.sh("minidock stack deploy -d -c x.yml lab").fails(1);
    assert!(said.contains("only updates to Labels are allowed") && said.contains("give the new one another name"), "{said}");
    assert!(said.contains("service lab_web is not deployed: there is no secret lab_s as the file wants it"), "{said}");
    let env = |service: &str| {
        daemon.ok(&["service", "inspect", "-f", "{{.Spec.TaskTemplate.ContainerSpec.Env}}", service]).trim().to_string()
    };
    assert_eq!((env("lab_calm").as_str(), env("lab_web").as_str()), ("[A=2]", "[A=1]"));

    // what a service uses cannot be removed from under it
    let said = daemon.run(&["secret", "rm", "lab_s"]).fails(1);
    assert!(said.contains("in use by") && said.contains("lab_web"), "{said}");
    remove(&daemon, "lab");
}

#[test]
fn secrets_and_configs_are_made_listed_shown_and_removed() {
    let daemon = swarm();
    let id = daemon.sh("printf hush | minidock secret create -l a=b -l c pw -").ok();
    assert_eq!(id.trim().len(), 25, "{id}");
    let row = daemon.ok(&["secret", "ls", "--format", "{{.ID}} {{.Name}} {{.Labels}} {{.Driver}}"]);
    assert_eq!(row, format!("{} pw a=b,c=", id.trim()));
    let shown = daemon.ok(&["secret", "inspect", "pw"]);
    assert!(shown.contains("\"Name\": \"pw\"") && !shown.contains("Data") && !shown.contains("aHVzaA"), "{shown}");
    assert!(daemon.ok(&["secret", "inspect", "--pretty", "pw"]).contains("Labels:\n - a=b\n - c\nDriver:"));
    assert_eq!(daemon.ok(&["secret", "inspect", "-f", "{{.Spec.Name}} {{.Spec.Labels}}", &id[..10]]), "pw map[a:b c:]");

    daemon.sh("printf 'colour=blue\\n' > c.txt && minidock config create settings c.txt").ok();
    assert!(daemon.ok(&["config", "inspect", "--pretty", "settings"]).ends_with("Data:\ncolour=blue"));
    assert_eq!(daemon.ok(&["config", "inspect", "-f", "{{json .Spec.Data}}", "settings"]), "\"Y29sb3VyPWJsdWUK\"");

    let refused = |script: &str, wanted: &str| {
        let said = daemon.sh(script).fails(1);
        assert!(said.contains(wanted), "{said}");
    };
    refused("printf x | minidock secret create pw -", "already exists");
    refused("minidock secret create pw", "secret file is required");
    refused("minidock secret create x nope.txt", "nope.txt");
    refused("minidock config create x /dev/null", "data is empty");
    refused("head -c 600000 /dev/zero > big && minidock secret create big big", "512000 bytes");
    refused("minidock secret inspect nope", "nope");
    refused("minidock secret rm nope pw", "nope");
    assert_eq!(daemon.ok(&["secret", "ls", "-q"]), "", "the other one went all the same");
    assert_eq!(daemon.ok(&["config", "rm", "settings"]), "settings");
}

#[test]
fn files_are_understood_without_a_daemon_and_one_that_is_no_manager_says_so() {
    let daemon = Daemon::bare(&[]);
    file(&daemon, "x.yml", "services: {web: {image: \"busybox:${TAG:-latest}\", ports: ['80']}}\n");
    let shown = daemon.sh("MINIDOCK_HOST=unix:///nowhere minidock stack config -c x.yml").ok();
    assert_eq!(
        shown,
        "version: \"3.13\"\nservices:\n  web:\n    image: busybox:latest\n    ports:\n      - mode: ingress\n        target: 80\n        protocol: tcp\n"
    );
    let from_stdin = daemon.sh("TAG=1 minidock stack config -c - < x.yml").ok();
    assert!(from_stdin.contains("busybox:1"), "{from_stdin}");
    assert!(daemon.sh("minidock stack config --skip-interpolation -c x.yml").ok().contains("busybox:${TAG:-latest}"));
    let manifests = daemon.sh("minidock stack convert --to kubernetes -c x.yml lab").ok();
    assert!(manifests.contains("kind: Deployment") && manifests.contains("namespace: lab"), "{manifests}");
    assert!(daemon.sh("minidock stack deploy -d -c x.yml lab").fails(1).contains("this node is not a swarm manager"));
    assert!(daemon.sh("minidock stack deploy lab").fails(1).contains("Specify a Compose file"));
}

const SPREAD: &str = "
services:
  web:
    image: busybox
    command: sh -c 'mkdir /www && cat /etc/where > /www/index.html && exec httpd -f -p 80 -h /www'
    hostname: '{{.Node.Hostname}}'
    ports: ['8080:80']
    configs: [{source: where, target: /etc/where}]
    networks: [front]
    stop_grace_period: 0s
    deploy: {mode: global}
  asker:
    image: busybox
    command: sleep 1000
    networks: [front]
    secrets: [password]
    stop_grace_period: 0s
    deploy: {placement: {constraints: [node.hostname == node3]}}
  lonely:
    image: busybox
    command: sleep 1000
    networks: [back]
    stop_grace_period: 0s
    deploy: {placement: {constraints: [node.hostname == node2]}}
networks: {front: , back: }
secrets: {password: {file: ./password.txt}}
configs: {where: {file: ./where.txt, template_driver: golang}}
";

#[test]
fn a_stack_spreads_over_three_nodes_and_leaves_nothing_on_any() {
    let nodes = Nodes::up(&["--nodes", "3"]);
    file(&nodes.host, "spread.yml", SPREAD);
    file(&nodes.host, "password.txt", "hush");
    file(&nodes.host, "where.txt", "{{.Node.Hostname}}");
    nodes.host.sh("minidock --node node1 stack deploy -d --resolve-image never -c spread.yml lab").ok();
    wait_for("five tasks to run", || {
        let states = nodes.ok("node1", &["stack", "ps", "--format", "{{.CurrentState}}", "lab"]);
        states.lines().filter(|state| state.starts_with("Running")).count() == 5
    });
    let listed = nodes.ok("node1", &["stack", "ps", "--format", "{{.Node}} {{.Name}}", "lab"]);
    let mut places: Vec<&str> = listed.lines().map(|line| line.rsplit_once('.').map_or(line, |(name, _)| name)).collect();
    places.sort_unstable();
    assert_eq!(places, ["node1 lab_web", "node2 lab_lonely", "node2 lab_web", "node3 lab_asker", "node3 lab_web"]);

    // inside, on a worker: the secret, the template of the config, and everybody on the network, wherever they are
    let asker = nodes.ok("node3", &["ps", "-q", "--filter", "name=lab_asker"]);
    let inside = |script: &str| nodes.ok("node3", &["exec", &asker, "sh", "-c", script]);
    assert_eq!(inside("cat /run/secrets/password"), "hush");
    let answers = inside("for n in 1 2 3 4 5 6 7 8 9 10 11 12; do wget -qO- http://web/; echo; done | sort -u");
    assert_eq!(answers, "node1\nnode2\nnode3");
    assert_eq!(inside("nslookup -type=a tasks.web 127.0.0.11 | grep -c ^Address"), "4", "the server's, and three");
    let lonely = nodes.ok("node2", &["ps", "-q", "--filter", "name=lab_lonely"]);
    let apart = nodes.on("node2", &["exec", &lonely, "sh", "-c", "wget -T 2 -qO- http://web/"]);
    assert_ne!(apart.status, 0, "{}", apart.out);

    // from outside, the port of every node
    for node in ["node1", "node2", "node3"] {
        let url = format!("http://{}:8080/", nodes.address(node));
        wait_for("an answer", || nodes.host.inside(&["curl", "-s", "-m", "2", &url]).out.starts_with("node"));
    }

    // a worker does not manage, and says so
    let refused = nodes.on("node2", &["stack", "ls"]).fails(1);
    assert!(refused.contains("This node is not a swarm manager"), "{refused}");

    nodes.ok("node1", &["stack", "rm", "--detach=false", "lab"]);
    for node in ["node1", "node2", "node3"] {
        wait_for("nothing to be left", || {
            let networks = nodes.ok(node, &["network", "ls", "--format", "{{.Name}}"]);
            nodes.ok(node, &["ps", "-aq"]).is_empty() && !networks.contains("lab_")
        });
        assert!(!nodes.inside(node, "ip -o link").contains("vx-"), "no tunnel is left");
    }
}
