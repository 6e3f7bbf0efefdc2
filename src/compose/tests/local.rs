//! # What a file comes to on one machine
//!
//! Whole files in, whole answers out: what `compose config` prints, the bodies of containers, who waits for whom, what is done and what
//! is left alone.

mod lab;

use lab::{body_of, loaded, made, of, variable, wanted};
use minidock_compose::local::{
    body, hash, mounts, order, places,
    plan::{self, Deed, How, Recreate, Seen},
    project::Condition,
    render,
};
use minidock_spec::engine::container::MountPoint;

const SITE: &str = "
services:
  web:
    build: {context: ./web, args: [V=1]}
    ports: ['${PORT:-8080}:80', '127.0.0.1:9000-9001:9000-9001/udp']
    depends_on: {db: {condition: service_healthy, restart: true}, cache: }
    environment: {A: own, DEBUG: true}
    env_file: a.env
    volumes: ['./src:/src:ro', 'data:/data', /scratch, {type: tmpfs, target: /t, tmpfs: {size: 1m}}]
    networks: {front: {aliases: [www]}, back: {ipv4_address: 10.1.0.9, priority: 10}}
    secrets: [pw]
    configs: [{source: c, target: /etc/c, mode: 0440}]
    cpus: 0.5
    mem_limit: 64m
    restart: unless-stopped
    deploy: {replicas: 2}
  db:
    image: 'postgres:${TAG}'
    healthcheck: {test: pg_isready, interval: 2s, retries: '5'}
    networks: [back]
  cache: {image: redis, networks: [back], expose: [6379], ulimits: {nofile: {soft: 10, hard: 20}}, tmpfs: '/run:size=1m'}
networks:
  front:
  back: {ipam: {config: [{subnet: 10.1.0.0/24, ip_range: 10.1.0.128/25}]}, internal: true}
volumes: {data: , unused: }
secrets: {pw: {file: ./pw.txt}}
configs: {c: {content: 'x=${TAG}'}}
";

#[test]
fn a_file_becomes_a_project() {
    let project = of(&[SITE]);
    assert_eq!(project.name, "myapp");
    let names: Vec<(&str, &str, u32)> = project.services.iter().map(|s| (s.name.as_str(), s.image.as_str(), s.scale)).collect();
    assert_eq!(names, [("web", "myapp-web", 2), ("db", "postgres:1.2", 1), ("cache", "redis", 1)]);
    assert_eq!(order::order(&project.services).expect("an order"), ["db", "cache", "web"]);
    let web = project.named("web").expect("web");
    let waits: Vec<(&str, Condition, bool)> =
        web.depends_on.iter().map(|d| (d.service.as_str(), d.condition, d.restart)).collect();
    assert_eq!(waits, [("db", Condition::Healthy, true), ("cache", Condition::Started, false)]);
    // what nobody uses is not made
    let outside: Vec<&str> = project.networks.iter().chain(&project.volumes).map(|outer| outer.name.as_str()).collect();
    assert_eq!(outside, ["myapp_front", "myapp_back", "myapp_data"]);
}

#[test]
fn a_service_becomes_a_container() {
    let project = of(&[SITE]);
    let web = body_of(&project, "web");
    let (config, host) = (&web.config, &web.host_config);
    assert_eq!(config.env, ["A=own", "B=two words", "C=file-1.2", "DEBUG=true"]);
    let label = |key: &str| config.labels.get(key).map_or("", String::as_str);
    assert_eq!(
        [body::PROJECT, body::SERVICE, body::NUMBER, body::ONEOFF, body::FOLDER, body::FILES, body::DEPENDS_ON].map(label),
        ["myapp", "web", "1", "False", "/lab", "/lab/0.yml", "db:service_healthy:true,cache:service_started:false"]
    );
    assert_eq!(label(body::HASH).len(), 64);
    assert_eq!(host.binds.as_deref().expect("binds"), ["/lab/src:/src:ro", "myapp_data:/data:rw"]);
    let mounts = host.mounts.as_deref().expect("mounts");
    let kinds: Vec<(&str, &str, &str)> =
        mounts.iter().map(|m| (m.kind.as_str(), m.source.as_str(), m.target.as_str())).collect();
    assert_eq!(kinds, [("volume", "", "/scratch"), ("tmpfs", "", "/t"), ("bind", "/lab/pw.txt", "/run/secrets/pw")]);
    let published = |port: &str| host.port_bindings[port].as_ref().expect("bindings")[0].clone();
    assert_eq!((published("80/tcp").host_port.as_str(), published("80/tcp").host_ip.as_str()), ("8081", ""));
    assert_eq!((published("9001/udp").host_port.as_str(), published("9001/udp").host_ip.as_str()), ("9001", "127.0.0.1"));
    assert_eq!(
        (host.resources.nano_cpus, host.resources.memory, host.restart_policy.name.as_str()),
        (500_000_000, 64 << 20, "unless-stopped")
    );
    assert_eq!(host.network_mode, "myapp_back", "the network of the highest priority is the first");
    let front = web.networking_config.endpoints_config["myapp_front"].clone().expect("a place");
    assert_eq!(front.aliases.expect("aliases"), ["myapp-web-1", "web", "www"]);
    let back = web.networking_config.endpoints_config["myapp_back"].clone().expect("a place");
    assert_eq!(back.ipam_config.expect("an address").ipv4_address, "10.1.0.9");
    let db = body_of(&project, "db");
    let health = db.config.healthcheck.expect("a check");
    assert_eq!((health.test.join(" ").as_str(), health.interval, health.retries), ("CMD-SHELL pg_isready", 2_000_000_000, 5));
    let cache = body_of(&project, "cache");
    assert!(cache.config.exposed_ports.expect("ports").contains_key("6379/tcp") && cache.host_config.port_bindings.is_empty());
    assert_eq!(
        (cache.host_config.tmpfs["/run"].as_str(), cache.host_config.resources.ulimits.expect("limits")[0].hard),
        ("size=1m", 20)
    );
    let network = places::network(&project, "back").expect("a network");
    assert_eq!((network.name.as_str(), network.internal, network.driver.as_str()), ("myapp_back", true, "bridge"));
    assert_eq!(network.ipam.expect("pools").config.expect("pools")[0].ip_range, "10.1.0.128/25");
    assert_eq!(network.labels["com.docker.compose.network"], "back");
    let put_in = mounts::injections(&project, project.named("web").expect("web"), &variable).expect("files");
    assert_eq!((put_in[0].path.as_str(), put_in[0].bytes.as_slice(), put_in[0].mode), ("/etc/c", &b"x=1.2"[..], 0o440));
}

#[test]
fn a_container_inherits_what_has_no_name() {
    let project = of(&["services: {a: {image: x, volumes: [/scratch, 'd:/named']}}\nvolumes: {d: }"]);
    let volume = |name: &str, at: &str| MountPoint {
        kind: "volume".into(),
        name: name.into(),
        destination: at.into(),
        rw: true,
        ..MountPoint::default()
    };
    let before = [volume("v1", "/scratch"), volume("myapp_d", "/named"), volume("v2", "/of/image"), volume("v3", "/gone")];
    let body = made(&project, "a", &before, &["/of/image".into()]);
    let mounts: Vec<(String, String)> =
        body.host_config.mounts.expect("mounts").into_iter().map(|m| (m.source, m.target)).collect();
    let pair = |a: &str, b: &str| (a.to_string(), b.to_string());
    assert_eq!(mounts, [pair("v1", "/scratch"), pair("v2", "/of/image")]);
}

#[test]
fn namespaces_links_and_volumes_lead_to_containers() {
    let text = "services:\n  a: {image: x, network_mode: 'service:b', ipc: 'service:b', pid: host, volumes_from: ['b:ro', 'container:c']}\n  b: {image: x}\n  l: {image: x, links: ['b:other']}\n";
    let project = of(&[text]);
    let a = body_of(&project, "a").host_config;
    assert_eq!(
        (a.network_mode.as_str(), a.ipc_mode.as_str(), a.pid_mode.as_str()),
        ("container:id-of-b", "container:id-of-b", "host")
    );
    assert_eq!(a.volumes_from.expect("volumes"), ["id-of-b:ro", "c"]);
    let l = body_of(&project, "l");
    let place = l.networking_config.endpoints_config["myapp_default"].clone().expect("a place");
    assert_eq!(place.links.expect("links"), ["myapp-b-1:other", "myapp-b-1:b-1", "myapp-b-1:myapp-b-1"]);
    assert_eq!(order::order(&project.services).expect("an order"), ["b", "a", "l"]);
}

#[test]
fn a_later_file_is_laid_over_and_services_are_extended_and_included() {
    let base = "services: {a: {image: x, command: [a, b], environment: [A=1, B=2], ports: ['80:80'], volumes: ['./one:/d', 'v:/v'], depends_on: [b]}, b: {image: y}}\nvolumes: {v: }";
    let over = "services: {a: {command: c, environment: {B: 3}, ports: ['81:80'], volumes: ['./two:/d'], tty: true}}";
    let project = of(&[base, over]);
    let a = body_of(&project, "a");
    assert_eq!(
        (a.config.env.join(" ").as_str(), a.config.cmd.expect("words").join(" ").as_str(), a.config.tty),
        ("A=1 B=3", "c", true)
    );
    assert_eq!(a.host_config.port_bindings["80/tcp"].as_ref().expect("ports").len(), 2);
    assert_eq!(a.host_config.binds.expect("binds"), ["/lab/two:/d:rw", "myapp_v:/v:rw"]);
    let extending =
        "include: [more/extra.yml]\nservices: {a: {extends: {file: common/base.yml, service: base}, environment: {B: own}}}";
    let project = of(&[extending]);
    let a = body_of(&project, "a");
    assert_eq!((a.config.image.as_str(), a.config.env.join(" ").as_str()), ("base", "A=base B=own"));
    assert_eq!(a.host_config.binds.expect("binds"), ["/lab/common/data:/data:rw"], "paths hang on the file that says them");
    assert_eq!(a.host_config.cap_add.expect("capabilities"), ["NET_ADMIN"]);
    let extra = project.named("extra").expect("extra");
    assert_eq!(extra.node.get("build").expect("a build").text("context"), "/lab/more");
}

#[test]
fn profiles_choose_and_a_name_on_the_command_line_counts_as_one() {
    let text = "services: {a: {image: x}, d: {image: x, profiles: [debug], depends_on: [e]}, e: {image: x, profiles: [other]}}";
    let names = |profiles: &[&str], named: &[&str]| -> Vec<String> {
        let project = loaded(&[text], &wanted(profiles, named)).unwrap_or_else(|error| panic!("{error}"));
        project.services.iter().map(|service| service.name.clone()).collect()
    };
    assert_eq!(names(&[], &[]), ["a"]);
    assert_eq!(names(&["debug", "other"], &[]), ["a", "d", "e"]);
    assert_eq!(names(&["*"], &[]), ["a", "d", "e"]);
    assert_eq!(names(&[], &["d"]), ["a", "d", "e"]);
    let lost = loaded(&[text], &wanted(&["debug"], &[])).expect_err("e is not active").message();
    assert_eq!(lost, "0.yml:1:72: service d: depends on undefined service \"e\"");
    let project = of(&["services: {a: {image: x, depends_on: [b]}, b: {image: x}, c: {image: x}}"]);
    let chosen = |names: &[&str], alone| -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        project.chosen(&names, alone).expect("services").iter().map(|service| service.name.clone()).collect()
    };
    assert_eq!(chosen(&["a"], false), ["a", "b"]);
    assert_eq!(chosen(&["a"], true), ["a"]);
    assert_eq!(chosen(&[], false), ["a", "b", "c"]);
    assert_eq!(project.named("x").expect_err("no x").message(), "no such service: x");
}

#[test]
fn what_is_rendered_is_the_same_project_again() {
    let project = of(&[SITE]);
    let once = render::yaml(&project.tree);
    assert!(once.starts_with("name: myapp\nservices:\n  cache:\n"), "{once}");
    assert!(once.contains("published: \"8081\"") && once.contains("  db:\n") && !once.contains("unused"), "{once}");
    let again = of(&[&once]);
    assert_eq!(render::yaml(&again.tree), once);
    for (one, other) in project.services.iter().zip(&again.services) {
        let other = again.named(&one.name).unwrap_or(other);
        assert_eq!(hash::service(one), hash::service(other), "{}", one.name);
    }
    let json: serde_json::Value = serde_json::from_str(&render::json_text(&project.tree)).expect("JSON");
    assert_eq!(json["services"]["db"]["image"], "postgres:1.2");
}

#[test]
fn a_change_is_seen_and_what_is_no_change_is_not() {
    let base = "services: {a: {image: x, environment: {A: 1}}}";
    let same = [
        "services: {a: {environment: [A=1], image: x, depends_on: [b], scale: 3}, b: {image: y}}",
        "services: {a: {image: x, environment: {A: '1'}, deploy: {replicas: 2}, profiles: []}}",
    ];
    let of_a = |text: &str| hash::service(of(&[text]).named("a").expect("a"));
    for text in same {
        assert_eq!(of_a(text), of_a(base), "{text}");
    }
    for text in ["services: {a: {image: x, environment: {A: 2}}}", "services: {a: {image: y, environment: {A: 1}}}"] {
        assert_ne!(of_a(text), of_a(base), "{text}");
    }
}

#[test]
fn who_lives_in_anothers_house_moves_with_it() {
    let project = of(&[
        "services: {a: {image: x, network_mode: 'service:b'}, b: {image: y}, c: {image: z, depends_on: {b: {condition: service_started, restart: true}}}}",
    ]);
    let seen = |name: &str, hash: String| Seen {
        service: name.into(),
        number: 1,
        hash,
        networks: vec!["myapp_default".into()],
        state: "running".into(),
        ..Seen::default()
    };
    let hashes = |name: &str| hash::service(project.named(name).expect("a service"));
    let there = [seen("a", hashes("a")), seen("b", "old".into()), seen("c", hashes("c"))];
    let how = How { recreate: Recreate::Diverged, dependencies: Recreate::Diverged, named: Vec::new() };
    let chosen = project.chosen(&[], false).expect("all");
    let parts = plan::plan(&project, &chosen, &there, &how, &|_| None).expect("a plan");
    let anew: Vec<&str> = parts.iter().filter(|part| part.recreates()).map(|part| part.service.as_str()).collect();
    assert_eq!(anew, ["b", "a"]);
    assert!(matches!(parts.iter().find(|part| part.service == "c").expect("c").deeds[..], [Deed::Keep(_)]));
    assert_eq!(plan::restarted(&project, &parts).into_iter().collect::<Vec<_>>(), ["c"]);
    assert_eq!(plan::orphans(&project, &[seen("gone", String::new())]).len(), 1);
}

#[test]
fn a_file_of_the_labs_is_a_project_too() {
    // written for a swarm, with a version and a deploy section
    let project = of(&[include_str!("../../../examples/voting/docker-stack.yml")]);
    let vote = project.named("vote").expect("vote");
    assert_eq!(vote.scale, 2);
    assert!(project.services.len() == 5 && project.warnings.is_empty(), "{:?}", project.warnings);
    let older = of(&[include_str!("../../../examples/voting/docker-stack-2018.yml")]);
    assert_eq!(body_of(&older, "vote").host_config.port_bindings["80/tcp"].as_ref().expect("a port")[0].host_port, "5000");
}
