//! # Compose: a file becomes containers of one machine, changes with it, and goes
//!
//! Files are written into a daemon's folder and `compose` is typed beside them; what comes of it is asked of the daemon and of the
//! containers themselves. Programs are busybox's: what is tested is who is made, started, kept and removed, in which order.

#[path = "props/mod.rs"]
mod props;

use props::{Daemon, Printed, wait_for};
use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
};

/// Writes files below a folder of the daemon's and gives the folder's name.
fn project(daemon: &Daemon, name: &str, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = daemon.folder.join(name).join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

/// Types a line of compose in a project's folder.
fn compose(daemon: &Daemon, project: &str, words: &str) -> Printed {
    daemon.sh(&format!("cd {project} && minidock compose {words}"))
}

#[track_caller]
fn ok(daemon: &Daemon, project: &str, words: &str) -> String {
    compose(daemon, project, words).ok().trim_end().to_string()
}

/// What standard error says, of a command that succeeded.
#[track_caller]
fn told(daemon: &Daemon, project: &str, words: &str) -> String {
    let printed = compose(daemon, project, words);
    assert_eq!(printed.status, 0, "{}\n{}", printed.out, printed.err);
    printed.err
}

fn ids(daemon: &Daemon, project: &str, service: &str) -> Vec<String> {
    ok(daemon, project, &format!("ps -q {service}")).lines().map(str::to_string).collect()
}

const SITE: &str = "
services:
  web:
    build: .
    ports: ['8080:80']
    environment: {GREETING: \"${GREETING:-welcome}\"}
    depends_on: {store: {condition: service_healthy}}
    networks: {front: {aliases: [www]}, back: }
    secrets: [password]
    configs: [{source: settings, target: /etc/settings}]
    stop_grace_period: 0s
  store:
    image: busybox
    command: sh -c 'sleep 0.5; touch /ready; exec sleep 1000'
    healthcheck: {test: test -f /ready, interval: 200ms, retries: 50}
    volumes: ['data:/data', /scratch, './seed:/seed:ro']
    networks: [back]
    stop_grace_period: 0s
networks: {front: , back: {internal: true}}
volumes: {data: }
secrets: {password: {file: ./password.txt}}
configs: {settings: {content: 'colour=${COLOUR:-blue}'}}
";
const DOCKERFILE: &str =
    "FROM busybox\nCMD [\"sh\", \"-c\", \"mkdir -p /www; echo $GREETING > /www/index.html; exec httpd -f -h /www\"]\n";

fn site(daemon: &Daemon) {
    project(
        daemon,
        "site",
        &[("compose.yaml", SITE), ("Dockerfile", DOCKERFILE), ("password.txt", "hush\n"), ("seed/s", "seed\n")],
    );
}

#[test]
fn a_file_becomes_a_site_that_answers_changes_and_goes_again() {
    let daemon = Daemon::start();
    site(&daemon);
    let said = told(&daemon, "site", "up -d");
    let at = |line: &str| said.lines().position(|l| l.trim() == line).unwrap_or_else(|| panic!("{line}: {said}"));
    assert!(at("Container site-store-1  Healthy") < at("Container site-web-1  Starting"), "{said}");
    assert_eq!(
        daemon.sh("wget -qO- http://127.0.0.1:8080 2>/dev/null || curl -s http://127.0.0.1:8080").ok().trim(),
        "welcome"
    );

    // what it was given, inside
    let inside = |script: &str| ok(&daemon, "site", &format!("exec -T web sh -c '{script}'"));
    assert_eq!(inside("cat /run/secrets/password /etc/settings"), "hush\ncolour=blue");
    assert_eq!(
        ok(&daemon, "site", "exec -T store sh -c 'cat /seed/s; touch /data/d /scratch/s; ls /data /scratch'"),
        "seed\n/data:\nd\n\n/scratch:\ns"
    );
    let names = ["web", "www", "site-web-1"];
    for name in names {
        assert_eq!(ok(&daemon, "site", &format!("run --rm -T web wget -qO- http://{name}")), "welcome", "{name}");
    }

    // Docker's names and labels
    let labels = "{{.Name}} {{index .Config.Labels \"com.docker.compose.service\"}} {{index .Config.Labels \"com.docker.compose.container-number\"}} {{index .Config.Labels \"com.docker.compose.depends_on\"}}";
    assert_eq!(daemon.inspect("site-web-1", labels), "/site-web-1 web 1 store:service_healthy:false");
    let listed = daemon.ok(&["network", "ls", "--format", "{{.Name}}", "--filter", "label=com.docker.compose.project=site"]);
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, ["site_back", "site_front"]);

    // once more: nothing happens
    let (web, store) = (ids(&daemon, "site", "web"), ids(&daemon, "site", "store"));
    told(&daemon, "site", "up -d");
    assert_eq!((ids(&daemon, "site", "web"), ids(&daemon, "site", "store")), (web.clone(), store.clone()));

    // a change makes one anew, and only that
    let printed = daemon.sh("cd site && GREETING=hello minidock compose up -d");
    assert_eq!(printed.status, 0, "{}", printed.err);
    assert_ne!(ids(&daemon, "site", "web"), web);
    assert_eq!(ids(&daemon, "site", "store"), store);
    assert_eq!(ok(&daemon, "site", "exec -T store wget -qO- http://web"), "hello");

    // made anew by force, it keeps its volumes, with a name or without
    told(&daemon, "site", "up -d --force-recreate --no-deps store");
    assert_ne!(ids(&daemon, "site", "store"), store);
    assert_eq!(ok(&daemon, "site", "exec -T store sh -c 'ls /data /scratch'"), "/data:\nd\n\n/scratch:\ns");
    told(&daemon, "site", "up -d --force-recreate -V --no-deps store");
    assert_eq!(ok(&daemon, "site", "exec -T store sh -c 'ls /data /scratch'"), "/data:\nd\n\n/scratch:");

    // down keeps what has a name
    told(&daemon, "site", "down");
    assert_eq!(daemon.ok(&["ps", "-aq"]), "");
    assert!(daemon.ok(&["volume", "ls", "-q"]).contains("site_data"));
    told(&daemon, "site", "down -v --rmi local");
    assert!(!daemon.ok(&["volume", "ls", "-q"]).contains("site_data"));
    assert!(!daemon.ok(&["images", "--format", "{{.Repository}}"]).contains("site-web"));
    assert!(told(&daemon, "site", "down").contains("No resource found to remove for project \"site\""));
}

#[test]
fn services_are_scaled_stopped_started_paused_and_removed() {
    let daemon = Daemon::start();
    project(
        &daemon,
        "lab",
        &[(
            "docker-compose.yml",
            "version: '3'\nservices:\n  app: {image: busybox, command: sleep 1000, stop_grace_period: 0s, links: [db]}\n  db: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n",
        )],
    );
    told(&daemon, "lab", "up -d");
    told(&daemon, "lab", "scale app=5");
    assert_eq!(ids(&daemon, "lab", "app").len(), 5);
    let first = ids(&daemon, "lab", "app");
    told(&daemon, "lab", "up -d --scale app=2");
    let kept = ok(&daemon, "lab", "ps --format {{.Name}} app");
    assert_eq!(kept, "lab-app-1\nlab-app-2");
    assert!(ids(&daemon, "lab", "app").iter().all(|id| first.contains(id)));
    let states = |daemon: &Daemon| ok(daemon, "lab", "ps -a --format '{{.Name}} {{.State}}'");
    told(&daemon, "lab", "stop app");
    assert_eq!(states(&daemon), "lab-app-1 exited\nlab-app-2 exited\nlab-db-1 running");
    assert_eq!(ok(&daemon, "lab", "ps --services"), "db");
    told(&daemon, "lab", "start");
    told(&daemon, "lab", "pause db");
    assert_eq!(ok(&daemon, "lab", "ps --status paused --format {{.Name}}"), "lab-db-1");
    told(&daemon, "lab", "unpause");
    told(&daemon, "lab", "kill app");
    told(&daemon, "lab", "rm -f app");
    assert_eq!(states(&daemon), "lab-db-1 running");
    told(&daemon, "lab", "restart db");
    let listed = ok(&daemon, "lab", "ls");
    assert_eq!(
        listed.lines().nth(1),
        Some(&*format!("lab       running(1)   {}/lab/docker-compose.yml", daemon.folder.display()))
    );

    // what the file does not know any more is an orphan
    project(
        &daemon,
        "lab",
        &[("docker-compose.yml", "services:\n  app: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n")],
    );
    assert!(told(&daemon, "lab", "up -d").contains("Found orphan containers ([lab-db-1])"));
    told(&daemon, "lab", "up -d --remove-orphans");
    assert_eq!(states(&daemon), "lab-app-1 running");
    // and without the file its name is enough
    daemon.sh("cd / && minidock compose -p lab down").ok();
    assert_eq!(daemon.ok(&["ps", "-aq"]), "");
}

#[test]
fn who_waits_in_vain_says_why_and_what_was_made_stays() {
    let daemon = Daemon::start();
    let file = "services:\n  web: {image: busybox, command: sleep 1000, depends_on: {job: {condition: service_completed_successfully}}, stop_grace_period: 0s}\n  job: {image: busybox, command: \"sh -c 'exit ${CODE:-0}'\"}\n";
    project(&daemon, "lab", &[("compose.yml", file)]);
    let failed = daemon.sh("cd lab && CODE=3 minidock compose up -d").fails(1);
    assert!(failed.contains("service \"job\" didn't complete successfully: exit 3"), "{failed}");
    assert_eq!(
        ok(&daemon, "lab", "ps -a --format '{{.Name}} {{.State}} {{.ExitCode}}'"),
        "lab-job-1 exited 3\nlab-web-1 created 0"
    );
    told(&daemon, "lab", "up -d");
    assert_eq!(ok(&daemon, "lab", "ps --services"), "web");
    assert_eq!(compose(&daemon, "lab", "wait job").status, 0);
    told(&daemon, "lab", "down");

    // a check that never succeeds
    let sick = "services:\n  web: {image: busybox, command: sleep 1000, depends_on: {db: {condition: service_healthy}}}\n  db: {image: busybox, command: sleep 1000, healthcheck: {test: 'false', interval: 100ms, retries: 1}, stop_grace_period: 0s}\n";
    project(&daemon, "sick", &[("compose.yml", sick)]);
    let failed = compose(&daemon, "sick", "up -d").fails(1);
    assert!(failed.contains("dependency failed to start: container sick-db-1 is unhealthy"), "{failed}");
    told(&daemon, "sick", "down");
}

#[test]
fn nothing_is_made_while_anything_is_wrong() {
    let daemon = Daemon::start();
    let wrong = |text: &str, words: &str| {
        project(&daemon, "bad", &[("compose.yml", text)]);
        compose(&daemon, "bad", words).fails(1)
    };
    let said = wrong("services:\n  a:\n    image: busybox\n    prots: ['80']\n", "up -d");
    assert!(
        said.starts_with(
            "minidock: compose.yml:4:5: services.a: additional properties 'prots' not allowed (did you mean \"ports\"?)"
        ),
        "{said}"
    );
    let said = wrong("services: {a: {image: busybox}}", "up -d b");
    assert!(said.starts_with("minidock: no such service: b"), "{said}");
    let said = wrong("services: {a: {image: 'nowhere.invalid/x:1'}}", "up -d --pull never");
    assert!(said.contains("No such image: nowhere.invalid/x:1"), "{said}");
    let said = wrong("services: {a: {image: busybox, networks: [n]}}\nnetworks: {n: {external: true}}", "up -d");
    assert!(said.contains("network n declared as external, but could not be found"), "{said}");
    let said = wrong("services: {a: {image: busybox, volumes: ['v:/v']}}\nvolumes: {v: {external: true}}", "up -d");
    assert!(said.contains("external volume \"v\" not found"), "{said}");
    let said = daemon.sh("cd / && minidock compose up -d").fails(1);
    assert!(said.starts_with("minidock: no configuration file provided: not found"), "{said}");
    assert_eq!(daemon.ok(&["ps", "-aq"]), "");

    // a build that fails is told with its own words
    project(&daemon, "bad", &[("compose.yml", "services: {a: {build: .}}"), ("Dockerfile", "FROM busybox\nRUN exit 7\n")]);
    let said = compose(&daemon, "bad", "up -d").fails(1);
    assert!(said.contains("failed to build service a: exit code 7"), "{said}");
    assert_eq!(daemon.ok(&["network", "ls", "-q", "--filter", "label=com.docker.compose.project"]), "");

    // a port that is taken: the others are there, and when it is free the next `up` goes on
    project(
        &daemon,
        "one",
        &[("compose.yml", "services: {a: {image: busybox, command: sleep 1000, ports: ['7000:80'], stop_grace_period: 0s}}")],
    );
    project(
        &daemon,
        "two",
        &[("compose.yml", "services: {b: {image: busybox, command: sleep 1000, ports: ['7000:80'], stop_grace_period: 0s}}")],
    );
    told(&daemon, "one", "up -d");
    let said = compose(&daemon, "two", "up -d").fails(1);
    assert!(said.contains("7000") && said.contains("port is already allocated"), "{said}");
    told(&daemon, "one", "down");
    told(&daemon, "two", "up -d");
    assert_eq!(ok(&daemon, "two", "port b 80"), "0.0.0.0:7000");
    told(&daemon, "two", "down");
}

#[test]
fn lines_of_all_containers_are_shown_each_with_its_name() {
    let daemon = Daemon::start();
    let file = "services:\n  a: {image: busybox, command: sh -c 'echo one; echo two >&2'}\n  longer: {image: busybox, command: sh -c 'echo three', depends_on: {a: {condition: service_completed_successfully}}}\n";
    project(&daemon, "lab", &[("compose.yml", file)]);
    let printed = compose(&daemon, "lab", "up");
    assert_eq!(printed.status, 0, "{}", printed.err);
    let lines: Vec<&str> = printed.out.lines().collect();
    for wanted in ["a-1       | one", "longer-1  | three", "a-1 exited with code 0", "longer-1 exited with code 0"] {
        assert!(lines.contains(&wanted), "{wanted}: {lines:?}");
    }
    assert!(printed.err.contains("Attaching to a-1, longer-1") && printed.err.contains("a-1       | two"), "{}", printed.err);
    assert_eq!(ok(&daemon, "lab", "logs --no-log-prefix longer"), "three");
    assert_eq!(ok(&daemon, "lab", "logs --tail 0"), "");
    assert_eq!(ok(&daemon, "lab", "logs -f longer"), "longer-1  | three");
}

#[test]
fn an_attached_up_ends_with_its_containers_or_by_ctrl_c() {
    let daemon = Daemon::start();
    let file = "services:\n  test: {image: busybox, command: sh -c 'sleep 0.3; exit 4'}\n  server: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n";
    project(&daemon, "ci", &[("compose.yml", file)]);
    let printed = compose(&daemon, "ci", "up --abort-on-container-exit");
    assert_eq!(printed.status, 4, "{}\n{}", printed.out, printed.err);
    assert!(printed.err.contains("Aborting on container exit..."), "{}", printed.err);
    assert_eq!(compose(&daemon, "ci", "up --exit-code-from test").status, 4);
    assert_eq!(ok(&daemon, "ci", "ps -q"), "");

    let mut child = Command::new(props::MINIDOCK)
        .args(["compose", "up", "server"])
        .current_dir(daemon.folder.join("ci"))
        .env("MINIDOCK_HOST", daemon.host())
        .env("MINIDOCK_CONFIG", daemon.folder.join("config"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a client");
    wait_for("the server to run", || !ok(&daemon, "ci", "ps -q server").is_empty());
    // Ctrl-C
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("our own child");
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(child.wait().expect("our own child").code(), Some(130), "{said}");
    assert!(said.contains("Gracefully stopping..."), "{said}");
    assert_eq!(ok(&daemon, "ci", "ps -a --format '{{.Name}} {{.State}}' server"), "ci-server-1 exited");
    told(&daemon, "ci", "down");
}

#[test]
fn one_container_is_entered_run_beside_and_copied_into() {
    let daemon = Daemon::start();
    let file = "services:\n  app: {image: busybox, command: sleep 1000, environment: {A: file}, working_dir: /tmp, volumes: ['d:/d'], stop_grace_period: 0s, scale: 2}\nvolumes: {d: }\n";
    project(&daemon, "lab", &[("compose.yml", file), ("here.txt", "here\n")]);
    told(&daemon, "lab", "up -d");
    assert_eq!(ok(&daemon, "lab", "exec -T -e B=typed -w /d -u 1 app sh -c 'echo $A $B $PWD; id -u'"), "file typed /d\n1");
    assert_eq!(compose(&daemon, "lab", "exec -T app sh -c 'exit 5'").status, 5);
    let two = ok(&daemon, "lab", "exec -T --index 2 app hostname");
    assert!(
        ids(&daemon, "lab", "app").iter().any(|id| id.starts_with(&two))
            && two != ok(&daemon, "lab", "exec -T --index 1 app hostname")
    );
    assert_eq!(daemon.sh("cd lab && echo in | minidock compose exec -T app cat").ok(), "in\n");
    told(&daemon, "lab", "cp here.txt app:/tmp/there.txt");
    assert_eq!(ok(&daemon, "lab", "exec -T --index 2 app cat /tmp/there.txt"), "here", "into all of them");
    told(&daemon, "lab", "cp app:/tmp/there.txt back.txt");
    assert_eq!(fs::read_to_string(daemon.folder.join("lab/back.txt")).expect("a copy"), "here\n");

    let run = compose(&daemon, "lab", "run --rm -T -e A=run --entrypoint 'sh -c' app 'echo $A; touch /d/x; exit 6'");
    assert_eq!((run.status, run.out.as_str()), (6, "run\n"), "{}", run.err);
    assert_eq!(ok(&daemon, "lab", "exec -T app ls /d"), "x");
    assert_eq!(ok(&daemon, "lab", "run -d --name once app sleep 1000"), "once");
    assert_eq!(daemon.inspect("once", "{{index .Config.Labels \"com.docker.compose.oneoff\"}}"), "True");
    assert_eq!(ids(&daemon, "lab", "app").len(), 2, "what is run once is not one of the service's");
    told(&daemon, "lab", "down -v -t 0 --remove-orphans");
    assert_eq!(daemon.ok(&["ps", "-aq"]), "");
    assert!(compose(&daemon, "lab", "exec app ls").fails(1).contains("service \"app\" is not running"));
}

#[test]
fn variables_profiles_and_several_files_make_the_project() {
    let daemon = Daemon::start();
    let base = "name: ${NAME:-named}\nservices:\n  a: {image: \"busybox:${TAG}\", command: \"echo ${WORD}\", env_file: [{path: a.env}, {path: none.env, required: false}]}\n  debug: {image: busybox, profiles: [tools]}\n";
    let over = "services: {a: {environment: {C: over}}}\n";
    project(
        &daemon,
        "lab",
        &[
            ("compose.yaml", base),
            ("compose.override.yaml", over),
            (".env", "TAG=latest\nWORD='from .env'\n"),
            ("a.env", "A=1\nB=\"${A}2\"\n"),
            ("other/.env", "WORD=other\nTAG=x\n"),
        ],
    );
    let shown = ok(&daemon, "lab", "config");
    for line in ["name: named", "    image: busybox:latest", "      B: \"12\"", "      C: over", "      - .env"] {
        assert!(shown.lines().any(|l| l == line), "{line}: {shown}");
    }
    assert_eq!(ok(&daemon, "lab", "--env-file other/.env config --images"), "busybox:x");
    assert_eq!(daemon.sh("cd lab && WORD=shell TAG=1 minidock compose config --images").ok(), "busybox:1\n");
    assert_eq!(ok(&daemon, "lab", "config --services"), "a");
    assert_eq!(ok(&daemon, "lab", "--profile tools config --services"), "a\ndebug");
    assert_eq!(
        daemon.sh("cd lab && COMPOSE_PROFILES=tools COMPOSE_PROJECT_NAME=env minidock compose config | head -1").ok(),
        "name: env\n"
    );
    assert_eq!(ok(&daemon, "lab", "-f compose.yaml -p typed config --hash '*'").split(' ').count(), 2);
    assert_eq!(daemon.sh("cd lab/other && minidock compose config --services").ok(), "a\n", "found in a folder above");
    let from_stdin =
        daemon.sh("cd lab && echo 'services: {z: {image: busybox}}' | minidock compose -f - config --services").ok();
    assert_eq!(from_stdin, "z\n");
}

#[test]
fn a_later_file_takes_back_what_an_earlier_one_said_and_so_does_who_extends() {
    let daemon = Daemon::start();
    let base = "services: {web: {image: busybox, ports: ['8080:80'], environment: {A: 1, B: 2}, labels: {x: y}}}\n";
    let undone = "ports: !override ['9090:80'], environment: {A: !reset null}, labels: !reset {}";
    let extends = format!("services: {{web: {{extends: {{file: compose.yaml, service: web}}, {undone}}}}}\n");
    let over = format!("services: {{web: {{{undone}}}}}\n");
    project(&daemon, "lab", &[("compose.yaml", base), ("compose.override.yaml", &over), ("extends.yaml", &extends)]);
    for words in ["config", "-f extends.yaml config"] {
        let shown = ok(&daemon, "lab", words);
        assert!(shown.contains("published: \"9090\"") && shown.contains("B: \"2\""), "{words}: {shown}");
        assert!(!shown.contains("8080") && !shown.contains("A:") && !shown.contains("labels"), "{words}: {shown}");
    }
}

#[test]
fn what_is_included_has_variables_of_its_own_beneath_ours() {
    let daemon = Daemon::start();
    let part = "services: {db: {image: 'busybox:${TAG:-none}', hostname: '${OURS:-none}'}}\n";
    let whole = |include: &str| format!("include: [{include}]\nservices: {{web: {{image: 'busybox:${{TAG:-web}}'}}}}\n");
    project(
        &daemon,
        "lab",
        &[
            ("compose.yaml", &whole("part/compose.yaml")),
            ("said.yaml", &whole("{path: part/compose.yaml, env_file: part/said.env}")),
            ("none.yaml", &whole("{path: part/compose.yaml, env_file: part/none.env}")),
            ("part/compose.yaml", part),
            ("part/.env", "TAG=folder\nOURS=theirs\n"),
            ("part/said.env", "TAG=said\n"),
            (".env", "OURS=ours\n"),
        ],
    );
    let images = |words: &str| ok(&daemon, "lab", &format!("{words} config --images"));
    assert_eq!(images(""), "busybox:folder\nbusybox:web");
    assert_eq!(images("-f said.yaml"), "busybox:said\nbusybox:web");
    assert!(ok(&daemon, "lab", "config").contains("hostname: ours"));
    assert!(compose(&daemon, "lab", "-f none.yaml config").fails(1).contains("couldn't find env file"));
}

#[test]
fn a_dockerfile_may_stand_in_the_compose_file() {
    let daemon = Daemon::start();
    let file = "services:\n  app:\n    build:\n      dockerfile_inline: |\n        FROM busybox\n        COPY note /note\n        CMD cat /note\n";
    let both = file.replace("dockerfile_inline", "dockerfile: Dockerfile\n      dockerfile_inline");
    project(&daemon, "lab", &[("compose.yaml", file), ("both.yaml", &both), ("note", "inline\n")]);
    assert!(ok(&daemon, "lab", "up --no-log-prefix").lines().any(|line| line == "inline"));
    assert!(compose(&daemon, "lab", "-f both.yaml build").fails(1).contains("exclude each other"));
}

#[test]
fn a_verb_that_is_not_here_is_named_also_behind_the_project() {
    let daemon = Daemon::start();
    project(&daemon, "lab", &[("compose.yaml", "services: {a: {image: busybox}}\n")]);
    for verb in ["watch", "publish x"] {
        assert!(compose(&daemon, "lab", &format!("-f compose.yaml {verb}")).fails(1).contains("no such verb"), "{verb}");
    }
}

#[test]
fn one_container_is_attached_to_committed_and_exported() {
    let daemon = Daemon::start();
    let file = "services:\n  ask: {image: busybox, stdin_open: true, command: \"sh -c 'read x; echo got $$x'\"}\n  \
                app: {image: busybox, command: sleep 1000, stop_grace_period: 0s}\n";
    project(&daemon, "lab", &[("compose.yml", file)]);
    told(&daemon, "lab", "up -d");
    assert_eq!(daemon.sh("cd lab && echo hi | minidock compose attach ask").ok(), "got hi\n");
    ok(&daemon, "lab", "exec -T app touch /mark");
    ok(&daemon, "lab", "commit -m marked app site:1");
    assert_eq!(daemon.ok(&["run", "--rm", "site:1", "ls", "/mark"]).trim(), "/mark");
    ok(&daemon, "lab", "export -o out.tar app");
    assert_eq!(daemon.sh("tar tf lab/out.tar | grep mark").ok(), "mark\n");
    assert!(compose(&daemon, "lab", "attach ask").fails(1).contains("service \"ask\" is not running"));
}
