//! # What a Compose file comes to
//!
//! Whole files in, whole answers out: the form that `stack config` prints (compared with Docker's, byte for byte where both agree),
//! the specs of a stack, and every mistake with its place.

mod values;

use minidock_compose::{
    load::{Around, Project, Source, load},
    render::render,
    stack::{self, Stack},
};
use proptest::prelude::*;
use std::{io, path::Path};

/// Keys of mappings within values.
const KEYS: &str = "(source|target|type|external|name|file|test|limits|cpus|[a-c])";

fn variable(name: &str) -> Option<String> {
    match name {
        "TAG" => Some("1.2".into()),
        "N" => Some("4".into()),
        "YES" => Some("yes".into()),
        _ => None,
    }
}

fn file(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str() {
        Some("/lab/e.env") => Ok(b"FOO=bar\nA=file\n".to_vec()),
        Some("/lab/s1.txt" | "/lab/c1.txt") => Ok(b"hi\n".to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn loaded(texts: &[&str]) -> minidock_base::Result<Project> {
    let sources: Vec<Source> =
        texts.iter().enumerate().map(|(n, text)| Source { name: format!("{n}.yml"), text: text.to_string() }).collect();
    let around =
        Around { folder: "/lab".into(), home: Some("/root".into()), variable: &variable, read: &file, interpolated: true };
    load(&sources, &around)
}

fn shown(texts: &[&str]) -> String {
    let project = loaded(texts).unwrap_or_else(|error| panic!("{error}"));
    render(&project.version, &project.tree)
}

fn stack(text: &str) -> minidock_base::Result<Stack> {
    stack::plan(&loaded(&[text])?, "st", &file)
}

fn why(text: &str) -> String {
    stack(text).err().unwrap_or_else(|| panic!("not refused: {text}")).message()
}

const EVERYTHING: &str = include_str!("everything.yml");

#[test]
fn every_short_form_becomes_long_as_docker_prints_it() {
    assert_eq!(shown(&[EVERYTHING]), include_str!("everything.rendered.yml"));
}

#[test]
fn what_is_rendered_renders_the_same_again() {
    let once = shown(&[EVERYTHING]);
    assert_eq!(shown(&[&once]), once);
}

#[test]
fn a_later_file_wins_where_it_speaks() {
    let base = "services: {a: {image: x, command: [a, b], environment: {A: 1, B: 2}, ports: ['80:80', '81:81'], cap_add: [A], \
                labels: {l: m}, tty: true, healthcheck: {test: [CMD, a], interval: 5s}, deploy: {replicas: 2, placement: {constraints: [a==b]}}, \
                logging: {driver: json-file, options: {a: b}}, networks: {n: {aliases: [q]}}, secrets: [s, t]}}\n\
                networks: {n: }\nsecrets: {s: {external: true}, t: {external: true}}\n";
    let over = "services: {a: {command: c, environment: [B=3], ports: ['80:90', '82:82'], cap_add: [B], labels: [l=z], tty: false, \
                healthcheck: {test: [CMD, b]}, deploy: {replicas: 0, placement: {constraints: [c==d]}}, logging: {driver: none}, \
                networks: [n, m], secrets: [{source: s, target: zz}]}, b: {image: y}}\nnetworks: {m: }\n";
    let wanted = "version: \"3.13\"\nservices:\n  a:\n    cap_add:\n      - A\n      - B\n    command:\n      - c\n    deploy:\n      replicas: 0\n      placement:\n        constraints:\n          - a==b\n          - c==d\n    environment:\n      A: \"1\"\n      B: \"3\"\n    healthcheck:\n      test:\n        - CMD\n        - b\n      interval: 5s\n    image: x\n    labels:\n      l: z\n    logging:\n      driver: none\n    networks:\n      m: null\n      \"n\":\n        aliases:\n          - q\n    ports:\n      - mode: ingress\n        target: 90\n        published: 80\n        protocol: tcp\n      - mode: ingress\n        target: 81\n        published: 81\n        protocol: tcp\n      - mode: ingress\n        target: 82\n        published: 82\n        protocol: tcp\n    secrets:\n      - source: s\n        target: zz\n      - source: t\n  b:\n    image: \"y\"\nnetworks:\n  m: {}\n  \"n\": {}\nsecrets:\n  s:\n    name: s\n    external: true\n  t:\n    name: t\n    external: true\n";
    assert_eq!(shown(&[base, over]), wanted);
}

#[test]
fn two_versions_cannot_be_merged() {
    let wrong = loaded(&["version: '3.8'", "version: '3.9'"]).expect_err("a refusal").message();
    assert_eq!(wrong, "version mismatched between two composefiles : 3.8 and 3.9");
}

#[test]
fn a_variable_may_stand_for_a_number_or_a_truth_but_a_text_may_not() {
    let text = "services: {a: {image: \"x:${TAG}\", tty: \"${YES}\", deploy: {replicas: \"${N:-2}\"}}}";
    assert!(shown(&[text]).contains("replicas: 4\n    image: x:1.2\n    tty: true\n"), "{}", shown(&[text]));
    let refused = why("services: {a: {image: x, deploy: {replicas: \"3\"}}}");
    assert_eq!(refused, "0.yml:1:45: services.a.deploy.replicas must be a integer");
}

#[test]
fn every_mistake_has_its_file_line_and_key() {
    let table = [
        ("services: [a]", "0.yml:1:11: services must be a mapping"),
        ("[a]", "0.yml:1:1: top-level object must be a mapping"),
        ("", "0.yml:1:1: top-level object must be a mapping"),
        ("services:\n  a:\n    image: [x]\n", "0.yml:3:12: services.a.image must be a string"),
        ("services: {a: {image: x, ports: [foo]}}", "0.yml:1:34: services.a.ports.0 Does not match format 'ports': \"foo\""),
        (
            "services: {a: {image: x, environment: {A: [1]}}}",
            "0.yml:1:43: services.a.environment.A must be a string, number or null",
        ),
        (
            "services: {a: {image: x, deploy: {update_config: {delay: 5q}}}}",
            "0.yml:1:58: services.a.deploy.update_config.delay Does not match format 'duration'",
        ),
        (
            "services: {a: {image: x, deploy: {resources: {limits: {cpus: 0.5}}}}}",
            "0.yml:1:62: services.a.deploy.resources.limits.cpus must be a string",
        ),
        (
            "services: {a: {image: x, command: 'a \"b'}}",
            "0.yml:1:35: services.a.command: EOF found when expecting closing quote",
        ),
        (
            "services: {a: {image: x, cpuset: '0'}}",
            "0.yml:1:26: Compose file contains unsupported options: services.a.cpuset: Set resource limits using deploy.resources",
        ),
        (
            "services: {a: {image: x, credential_spec: {file: c.json}}}",
            "0.yml:1:26: Compose file contains unsupported options: services.a.credential_spec: It is for Windows containers; minidock runs Linux ones.",
        ),
        ("services: {a: {image: x, deploy: {replicas: -1}}}", "0.yml:1:45: services.a.deploy.replicas cannot be negative"),
        (
            "services: {a: {image: x, deploy: {restart_policy: {max_attempts: -1}}}}",
            "0.yml:1:66: services.a.deploy.restart_policy.max_attempts cannot be negative",
        ),
        (
            "services: {a: {image: x, deploy: {update_config: {parallelism: -1}}}}",
            "0.yml:1:64: services.a.deploy.update_config.parallelism cannot be negative",
        ),
        (
            "services: {a: {image: x, deploy: {placement: {max_replicas_per_node: -1}}}}",
            "0.yml:1:70: services.a.deploy.placement.max_replicas_per_node cannot be negative",
        ),
        (
            "services: {a: {image: x, deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: gpu, value: -2}}]}}}}}",
            "0.yml:1:126: services.a.deploy.resources.reservations.generic_resources.0.discrete_resource_spec.value cannot be negative",
        ),
        ("version: 3\nservices: {}", "0.yml:1:10: version must be a string"),
        ("version: '2'\nservices: {}", "0.yml:1:10: unsupported Compose file version: 2"),
        ("services: {a: {image: x}, a: {image: y}}", "0.yml:1:27: mapping key \"a\" already defined at line 1"),
        ("services: {a b: {image: x}}", "0.yml:1:12: services: \"a b\" is no name: letters, digits and . _ - only"),
        ("services: {a: {image: x, env_file: nope.env}}", "0.yml:1:36: open /lab/nope.env: no such file or directory"),
        ("services: {a: {}}", "0.yml:1:12: service a: invalid image reference for service a: no image specified"),
        ("services: {a: {image: x, networks: [n]}}", "0.yml:1:37: service a: undefined network \"n\""),
        ("services: {a: {image: x, volumes: ['dd:/b']}}", "0.yml:1:36: service a: undefined volume \"dd\""),
        ("services: {a: {image: x, secrets: [n]}}", "0.yml:1:36: service a: undefined secret \"n\""),
        ("services: {a: {image: x, configs: [n]}}", "0.yml:1:36: service a: undefined config \"n\""),
        ("services: {a: {image: x, deploy: {mode: foo}}}", "0.yml:1:41: service a: Unknown mode: foo"),
        (
            "services: {a: {image: x, deploy: {mode: global, replicas: 2}}}",
            "0.yml:1:41: service a: replicas can only be used with replicated or replicated-job mode",
        ),
        ("services: {a: {image: x, restart: foo}}", "0.yml:1:35: service a: unknown restart policy: foo"),
        (
            "services: {a: {image: x, healthcheck: {disable: true, test: a}}}",
            "0.yml:1:39: service a: test and disable can't be set at the same time",
        ),
        (
            "secrets: {u: {file: nope.txt}}\nservices: {a: {image: x}}",
            "0.yml:1:21: open /lab/nope.txt: no such file or directory",
        ),
        ("secrets: {u: {}}\nservices: {a: {image: x}}", "0.yml:1:14: secrets.u: where does it come from?"),
        (
            "services: {a: {image: \"${X:?must be}\"}}",
            "0.yml:1:23: invalid interpolation format for services.a.image: \"required variable X is missing a value: must be\"; you may need to escape any $ with another $",
        ),
        (
            "services: {a: {image: \"${X\"}}",
            "0.yml:1:23: invalid interpolation format for services.a.image: \"${X\"; you may need to escape any $ with another $",
        ),
    ];
    for (text, wanted) in table {
        assert_eq!(why(text), wanted, "{text}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "services:\n  a:\n    image: 5\n    tty: maybe\n    ports: 80\n";
    assert_eq!(why(text).lines().count(), 3, "{}", why(text));
}

#[test]
fn unknown_keys_are_named_and_never_silently_dropped() {
    let text = "name: lab\nservices:\n  a:\n    image: x\n    netwroks: [n]\n    profiles: [p]\n    depends_on: {b: {condition: service_healthy}}\n    x-mine: 1\n  b: {image: y, build: ., restart: always, container_name: bb, privileged: false}\n";
    let project = loaded(&[text]).expect("a project");
    let wanted = [
        "0.yml:1:1: (root): unknown key \"name\" is ignored",
        "0.yml:5:5: services.a: unknown key \"netwroks\" is ignored (did you mean \"networks\"?)",
        "0.yml:6:5: services.a: unknown key \"profiles\" is ignored",
        "0.yml:7:17: services.a.depends_on: conditions are ignored: a swarm starts all services at once, and starts again what fails",
    ];
    assert_eq!(project.warnings, wanted);
    assert_eq!(project.unsupported, ["build", "restart"]);
    assert_eq!(project.deprecated.len(), 1);
}

#[test]
fn an_address_of_ones_own_is_named_and_not_silently_dropped() {
    let text =
        "services:\n  a:\n    image: x\n    networks:\n      n: {aliases: [b], ipv4_address: 10.9.0.9}\nnetworks: {n: }\n";
    let wanted = "0.yml:5:39: services.a.networks.n.ipv4_address is ignored: a swarm gives each task an address; services find each other by name";
    assert_eq!(loaded(&[text]).expect("a project").warnings, [wanted]);
}

/// `everything.web.json` is what Docker's client sent for the same file, and one mount more: it drops a service's `tmpfs` without a word.
#[test]
fn a_stack_is_what_docker_makes_of_the_same_file() {
    let stack = stack(EVERYTHING).unwrap_or_else(|error| panic!("{error}"));
    let networks: Vec<_> = stack.networks.iter().map(|n| (n.name.as_str(), n.driver.as_str(), n.attachable)).collect();
    assert_eq!(networks, [("st_front", "overlay", false), ("st_back", "overlay", true), ("st_default", "overlay", false)]);
    assert_eq!((stack.secrets[0].name.as_str(), stack.secrets[0].data.as_str()), ("st_s1", "aGkK"));
    assert_eq!(stack.configs[0].name, "cc");
    let web = serde_json::to_value(&stack.services[0]).expect("JSON");
    let wanted: serde_json::Value = serde_json::from_str(include_str!("everything.web.json")).expect("JSON");
    let strange = differences("", &wanted, &web);
    assert!(strange.is_empty(), "{}", strange.join("\n"));
}

/// What Docker's body says and ours does not say, or says otherwise.
fn differences(path: &str, wanted: &serde_json::Value, got: &serde_json::Value) -> Vec<String> {
    use serde_json::Value;
    match (wanted, got) {
        (Value::Object(wanted), got) => {
            let below = |(key, value)| differences(&format!("{path}.{key}"), value, got.get(key).unwrap_or(&Value::Null));
            wanted.iter().flat_map(below).collect()
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            let pairs = wanted.iter().zip(got).enumerate();
            pairs.flat_map(|(n, (wanted, got))| differences(&format!("{path}.{n}"), wanted, got)).collect()
        }
        (Value::Number(a), Value::Number(b)) if (a.as_f64().unwrap_or(0.0) - b.as_f64().unwrap_or(1.0)).abs() < 1e-6 => vec![],
        (wanted, got) if wanted == got => vec![],
        (wanted, got) => vec![format!("{path}: wanted {wanted}, got {got}")],
    }
}

#[test]
fn a_stack_becomes_manifests_for_kubernetes() {
    let text = include_str!("../../../examples/voting/docker-stack.yml");
    let project = loaded(&[text]).expect("a project");
    let (yaml, notes) = minidock_compose::kubernetes::render("vote", &stack::plan(&project, "vote", &file).expect("a stack"));
    assert_eq!(notes, Vec::<String>::new());
    let documents: Vec<&str> = yaml.split("---\n").collect();
    let kinds: Vec<&str> = documents.iter().filter_map(|d| d.lines().find_map(|line| line.strip_prefix("kind: "))).collect();
    let pair = ["Deployment", "Service"];
    let pairs = std::iter::repeat_n(pair, 5).flatten();
    let wanted: Vec<&str> = ["Namespace", "PersistentVolumeClaim"]
        .into_iter()
        .chain(pairs)
        .chain(std::iter::repeat_n("NetworkPolicy", 4))
        .collect();
    assert_eq!(kinds, wanted);
    let vote = documents.iter().find(|d| d.contains("kind: Deployment") && d.contains("  name: vote\n")).expect("vote");
    assert!(
        vote.contains("  replicas: 2\n") && vote.contains("network/frontend: \"true\"") && vote.contains("containerPort: 80"),
        "{vote}"
    );
    // every document is YAML, and everything of the large file has a place or a note
    let everything = stack(EVERYTHING).expect("a stack");
    let (yaml, notes) = minidock_compose::kubernetes::render("st", &everything);
    for document in yaml.split("---\n") {
        minidock_compose::yaml::read("k8s", document).expect("YAML");
    }
    assert!(notes.iter().any(|note| note.starts_with("service web: ulimits")), "{notes:?}");
}

#[test]
fn what_a_manifest_cannot_say_is_noted_by_name() {
    let text = "services:\n  a:\n    image: x\n    user: bob:7\n    stop_signal: SIGQUIT\n    oom_score_adj: 5\n    ports: [{target: 80, published: 8000, mode: host}]\n    networks: {n: {aliases: [other, a]}}\n    deploy: {endpoint_mode: dnsrr, placement: {max_replicas_per_node: 2}}\n  j:\n    image: x\n    deploy: {mode: replicated-job}\nnetworks: {n: }\n";
    let (yaml, notes) = minidock_compose::kubernetes::render("st", &stack(text).expect("a stack"));
    for what in [
        "stop signal SIGQUIT",
        "user or group bob",
        "an OOM score",
        "at most 2 on a node",
        "alias other",
        "port 8000",
        "endpoint mode dnsrr",
    ] {
        let noted = notes.iter().filter(|note| note.starts_with(&format!("service a: {what}"))).count();
        assert_eq!(noted, 1, "{what}: {notes:?}");
    }
    assert_eq!(notes.len(), 7, "{notes:?}");
    // a job without a policy is tried again, as in a swarm
    assert!(yaml.contains("restartPolicy: OnFailure"), "{yaml}");
}

#[test]
fn a_key_without_a_value_wishes_for_nothing() {
    assert_eq!(shown(&["services: {a: {image: x, deploy: , pid: }}"]), shown(&["services: {a: {image: x}}"]));
    assert_eq!(shown(&["version: '3.8'\nservices: {}"]), "version: \"3.8\"\nservices: {}\n");
    let stack = stack("services: {a: {image: x, deploy: , restart: 'no'}}").expect("a stack");
    assert_eq!(stack.services[0].task_template.restart_policy, None);
}

#[test]
fn jobs_and_old_restart_policies_have_their_specs() {
    let stack = stack("services: {a: {image: x, restart: 'on-failure:3', deploy: {mode: replicated-job, replicas: 3}}, b: {image: x, tmpfs: ['/r:size=1k,mode=1777'], deploy: {mode: global-job, update_config: {}}}}").expect("a stack");
    let [a, b] = stack.services.as_slice() else { panic!("two services") };
    assert_eq!(a.mode.replicated_job.expect("a job").total_completions, Some(3));
    assert_eq!(
        a.task_template.restart_policy.as_ref().map(|p| (p.condition.as_str(), p.max_attempts)),
        Some(("on-failure", 3))
    );
    assert!(b.mode.global_job.is_some());
    assert_eq!(b.update_config.as_ref().map(|u| u.parallelism), Some(1));
    let mount = &b.task_template.container_spec.as_ref().expect("a container").mounts[0];
    assert_eq!(mount.tmpfs_options.as_ref().map(|o| (o.size_bytes, o.mode)), Some((1024, Some(0o1777))));
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(lines in prop::collection::vec(line(), 0..14)) {
        let _ = stack(&lines.concat());
    }

    #[test]
    fn no_value_under_any_key_makes_it_panic(key in key(), value in values::any(KEYS, &[])) {
        if let Ok(stack) = stack(&format!("services: {{a: {{image: x, {key}: {value}}}}}\n")) {
            let _ = minidock_compose::kubernetes::render("st", &stack);
        }
        let _ = stack(&format!("services: {{a: {{image: x, deploy: {{{key}: {value}}}}}}}\n"));
        let _ = stack(&format!("{key}: {{a: {value}}}\nservices: {{a: {{image: x, {key}: [a]}}}}\n"));
    }
}

fn key() -> impl Strategy<Value = String> {
    let keys = minidock_compose::service::SERVICE
        .0
        .iter()
        .chain(minidock_compose::deploy::DEPLOY.0)
        .chain(minidock_compose::project::PROJECT.0);
    prop::sample::select(keys.map(|field| field.key.to_string()).collect::<Vec<_>>())
}

fn line() -> impl Strategy<Value = String> {
    (0usize..4, key(), prop::option::of(values::any(KEYS, &[])))
        .prop_map(|(depth, key, value)| format!("{}{key}: {}\n", "  ".repeat(depth), value.unwrap_or_default()))
}
