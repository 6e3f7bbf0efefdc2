//! # What is wrong with a file of one machine, and that nothing makes it panic
//!
//! Every mistake has its file, line and key; any text at all is a project or a refusal, and a project renders the same again.

mod lab;
mod values;

use lab::{loaded, of, variable, wanted, why};
use minidock_compose::local::{
    body::{self, Peer, Seat},
    mounts, places, render,
};
use proptest::prelude::*;

/// Keys of mappings within values, and words that mean something on one machine only.
const KEYS: &str = "(source|target|type|external|name|file|test|condition|context|path|service|[a-c])";
const MORE: &[&str] = &["'service:b'", "b"];

#[test]
fn every_mistake_has_its_file_line_and_key() {
    let table = [
        ("", "0.yml:1:1: empty compose file"),
        ("[a]", "0.yml:1:1: top-level object must be a mapping"),
        ("web: {image: x}", "0.yml:1:1: (root): additional properties 'web' not allowed"),
        (
            "services:\n  a:\n    image: x\n    netwroks: [n]\n",
            "0.yml:4:5: services.a: additional properties 'netwroks' not allowed (did you mean \"networks\"?)",
        ),
        ("services: {a: {image: 5}}", "0.yml:1:23: services.a.image must be a string"),
        ("services: {a: {}}", "0.yml:1:12: service \"a\" has neither an image nor a build context specified"),
        ("services: {a: {image: x, ports: [foo]}}", "0.yml:1:34: services.a.ports.0: invalid containerPort or hostPort: foo"),
        ("services: {a: {image: x, depends_on: [b]}}", "0.yml:1:38: service a: depends on undefined service \"b\""),
        (
            "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}",
            "0.yml:1:38: service a: dependency cycle detected: a -> b -> a",
        ),
        ("services: {a: {image: x, networks: [n]}}", "0.yml:1:36: service a: refers to undefined network n"),
        ("services: {a: {image: x, volumes: ['dd:/b']}}", "0.yml:1:35: service a: refers to undefined volume dd"),
        ("services: {a: {image: x, secrets: [n]}}", "0.yml:1:35: service a: refers to undefined secret n"),
        (
            "services: {a: {image: x, env_file: nope.env}}",
            "0.yml:1:36: env file /lab/nope.env not found: stat /lab/nope.env: no such file or directory",
        ),
        (
            "services: {a: {image: x, depends_on: {b: {condition: healthy}}}, b: {image: x}}",
            "0.yml:1:39: services.a.depends_on.b.condition value must be one of 'service_started', 'service_healthy', 'service_completed_successfully'",
        ),
        (
            "services: {a: {image: x, container_name: c, scale: 2}}",
            "0.yml:1:42: service a: 2 containers cannot all be called \"c\"",
        ),
        (
            "services: {a: {image: x, container_name: c}, b: {image: x, container_name: c}}",
            "0.yml:1:76: service b: container name \"c\" is already in use by service \"a\"",
        ),
        (
            "services: {a: {image: x, network_mode: host, networks: [n]}}\nnetworks: {n: }",
            "0.yml:1:40: service a: declares mutually exclusive `network_mode` and `networks`",
        ),
        (
            "name: My App\nservices: {a: {image: x}}",
            "0.yml:1:7: invalid project name \"My App\": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number",
        ),
        ("services: {a: {extends: b}}", "0.yml:1:25: cannot extend service \"a\" in 0.yml: service \"b\" not found"),
        (
            "services: {a: {image: x, extends: b}, b: {image: x, extends: a}}",
            "0.yml:1:62: circular reference: a extends b extends a",
        ),
        ("include: nope.yml\nservices: {}", "0.yml:1:10: open /lab/nope.yml: no such file or directory"),
        (
            "services: {a: {image: x, volumes: [{type: npipe, target: /a}]}}",
            "0.yml:1:36: services.a.volumes.0: mounts of type \"npipe\" are not known here: bind, volume or tmpfs",
        ),
        (
            "services: {a: {image: \"${X:?must be}\"}}",
            "0.yml:1:23: invalid interpolation format for services.a.image: \"required variable X is missing a value: must be\"; you may need to escape any $ with another $",
        ),
    ];
    for (text, wanted) in table {
        assert_eq!(why(text), wanted, "{text}");
    }
}

#[test]
fn values_that_no_container_can_have_are_refused_with_their_place() {
    let refused = |text: &str| {
        let project = of(&[text]);
        let others = |_: &str| Vec::new();
        let seat = Seat::first("n".into(), &others);
        body::body(&project, project.named("a").expect("a"), &seat).expect_err("a refusal").message()
    };
    assert_eq!(refused("services: {a: {image: x, restart: foo}}"), "0.yml:1:35: service a: invalid restart policy: foo");
    assert!(refused("services: {a: {image: x, cpus: lots}}").starts_with("0.yml:1:32: service a: "));
    assert_eq!(
        refused("services: {a: {image: x, ports: [{target: 0}]}}"),
        "0.yml:1:33: service a: a port needs a target between 1 and 65535"
    );
    assert_eq!(
        refused("services: {a: {image: x, healthcheck: {test: [curl]}}}"),
        "0.yml:1:39: service a: healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\", not \"curl\""
    );
    assert_eq!(
        refused("services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {external: true}}"),
        "0.yml:1:35: service a: unsupported external secret s"
    );
    assert_eq!(
        refused("services: {a: {image: x, network_mode: 'service:b'}, b: {image: x}}"),
        "0.yml:1:40: service a: cannot share the namespace of service b: container missing"
    );
}

#[test]
fn what_is_put_in_needs_a_source_and_a_place() {
    let refused = |text: &str| {
        let project = of(&[text]);
        mounts::injections(&project, project.named("a").expect("a"), &variable).expect_err("a refusal").message()
    };
    assert_eq!(
        refused("services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {environment: NOPE}}"),
        "0.yml:1:35: service a: environment variable \"NOPE\" required by secrets \"s\" is not set"
    );
    assert_eq!(
        refused("services: {a: {image: x, read_only: true, secrets: [s]}}\nsecrets: {s: {environment: TAG}}"),
        "0.yml:1:52: service a: cannot create secret \"s\" in read-only service a"
    );
    assert_eq!(
        refused("services: {a: {image: x, configs: [c]}}\nconfigs: {c: {}}"),
        "0.yml:2:14: configs.c: where does it come from?"
    );
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(lines in prop::collection::vec(line(), 0..14)) {
        judged(&lines.concat());
    }

    #[test]
    fn no_value_under_any_key_makes_it_panic(key in key(), value in values::any(KEYS, MORE)) {
        judged(&format!("services: {{a: {{image: x, {key}: {value}}}, b: {{image: y}}}}\n"));
        judged(&format!("services: {{a: {{image: x, build: {{{key}: {value}}}}}}}\n"));
        judged(&format!("{key}: {{a: {value}}}\nservices: {{a: {{image: x, {key}: [a]}}}}\n"));
    }
}

/// Everything that can be made of a file.
fn judged(text: &str) {
    let Ok(project) = loaded(&[text], &wanted(&["*"], &[])) else { return };
    let once = render::yaml(&project.tree);
    let again = loaded(&[&once], &wanted(&["*"], &[]));
    if let Ok(again) = again {
        assert_eq!(render::yaml(&again.tree), once, "what is rendered renders the same again");
    }
    let others = |name: &str| vec![Peer { id: name.into(), name: name.into(), number: 1 }];
    for service in &project.services {
        let seat = Seat::first("n".into(), &others);
        let _ = body::body(&project, service, &seat);
        let _ = mounts::injections(&project, service, &variable);
    }
    for outer in &project.networks {
        let _ = places::network(&project, &outer.key);
    }
}

fn key() -> impl Strategy<Value = String> {
    let keys = minidock_compose::local::tables::SERVICE.0.iter().chain(minidock_compose::local::tables::PROJECT.0);
    prop::sample::select(keys.map(|field| field.key.to_string()).collect::<Vec<_>>())
}

fn line() -> impl Strategy<Value = String> {
    (0usize..4, key(), prop::option::of(values::any(KEYS, MORE)))
        .prop_map(|(depth, key, value)| format!("{}{key}: {}\n", "  ".repeat(depth), value.unwrap_or_default()))
}
