//! # The wish: what a service spec means, before it is written
//!
//! Clients leave things out, write them the old way, or ask for what does not exist. Before a spec goes to the leader it is made
//! explicit here, the same way for `create` and `update`, so that the same wish sent twice is the same spec and restarts nobody.
//!
//! ```text
//!   body ──► can it be at all? ──► gaps filled ──► Wish::CreateService, Wish::UpdateService
//!            plug-ins: no           name, mode, words that clients leave empty
//! ```
//!
//! * A word that is no word of Docker's is refused here; what must fit the tables (names, ports, networks) is the leader's to say.
//!
//! *See:* moby `daemon/cluster/convert/service.go`. *Next room:* [`super::shown`]

use minidock_base::{Error, Result, id};
use minidock_spec::{
    engine::body,
    swarm::service::{Replicated, ReplicatedJob, ServiceMode, ServiceSpec, UpdateConfig},
};
use serde_json::Value;

/// The least pause of a health check, nanoseconds.
const LEAST: i64 = 1_000_000;

/// Reads a body and makes it explicit; a service without a name gets one when it is new.
///
/// # Errors
/// 400 for what makes no sense, 501 for what is not there.
pub fn read(sent: &Value) -> Result<ServiceSpec> {
    let template = &sent["TaskTemplate"];
    possible(template)?;
    let spec: ServiceSpec = body::decode(sent.to_string().as_bytes())?;
    words(&spec)?;
    Ok(explicit(spec))
}

/// Refuses by name what this swarm has not.
fn possible(template: &Value) -> Result<()> {
    let runtime = template["Runtime"].as_str().unwrap_or_default();
    let (plugin, container) = (template["PluginSpec"].is_object(), template["ContainerSpec"].is_object());
    if plugin && matches!(runtime, "plugin" | "") || template["NetworkAttachmentSpec"].is_object() {
        return Err(Error::not_implemented(
            "tasks are containers here: there are no plug-ins and no attachments to be scheduled",
        ));
    }
    if !matches!(runtime, "" | "container" | "plugin") {
        return Err(Error::invalid("unsupported runtime").hint("container is the only one"));
    }
    if !container || runtime == "plugin" {
        return Err(
            Error::invalid("mismatched Runtime and *Spec fields").hint("TaskTemplate.ContainerSpec says what is to run")
        );
    }
    Ok(())
}

/// Words of which Docker knows a few.
fn words(spec: &ServiceSpec) -> Result<()> {
    let one_of = |what: &str, word: &str, known: &[&str]| match known.contains(&word) {
        true => Ok(()),
        false => {
            let told: Vec<&str> = known.iter().copied().filter(|word| !word.is_empty()).collect();
            Err(Error::invalid(format!("invalid {what}: {word:?}")).hint(format!("one of {}", told.join(", "))))
        }
    };
    let Some(container) = &spec.task_template.container_spec else { return Ok(()) };
    for mount in &container.mounts {
        one_of("MountType", &mount.kind, &["bind", "volume", "tmpfs"])?;
        if mount.target.is_empty() {
            return Err(
                Error::invalid("ContainerSpec: a mount without a target").hint("Target is where it appears in the container")
            );
        }
        if mount.kind == "bind" && mount.source.is_empty() {
            return Err(Error::invalid(format!("ContainerSpec: the bind mount at {} has no source", mount.target)));
        }
    }
    let secrets = container.secrets.iter().map(|s| ("secret", s.file.is_none()));
    let configs = container.configs.iter().map(|c| ("config", c.file.is_none()));
    if let Some((what, _)) = secrets.chain(configs).find(|(_, nowhere)| *nowhere) {
        return Err(Error::invalid(format!(
            "rpc error: code = InvalidArgument desc = malformed {what} reference, no target provided"
        ))
        .hint("File says as what it appears in the container"));
    }
    if let Some(check) = &container.healthcheck {
        let named = [
            ("Interval", check.interval),
            ("Timeout", check.timeout),
            ("StartPeriod", check.start_period),
            ("StartInterval", check.start_interval),
        ];
        if let Some((name, _)) = named.iter().find(|(_, pause)| *pause != 0 && *pause < LEAST) {
            return Err(Error::invalid(format!(
                "rpc error: code = InvalidArgument desc = ContainerSpec: {name} in HealthConfig cannot be less than 1ms"
            )));
        }
    }
    if container.stop_grace_period.is_some_and(|grace| grace < 0) {
        return Err(Error::invalid("ContainerSpec: stop-grace-period cannot be negative"));
    }
    if let Some(endpoint) = &spec.endpoint_spec {
        one_of("resolution mode", &endpoint.mode, &["", "vip", "dnsrr"])?;
        for port in &endpoint.ports {
            one_of("protocol", &port.protocol, &["", "tcp", "udp", "sctp"])?;
            one_of("publish mode", &port.publish_mode, &["", "ingress", "host"])?;
        }
    }
    if spec
        .task_template
        .resources
        .iter()
        .flat_map(|r| [&r.limits, &r.reservations])
        .flatten()
        .any(|a| a.nano_cpus < 0 || a.memory_bytes < 0 || a.pids < 0)
    {
        return Err(Error::invalid("resources cannot be negative"));
    }
    Ok(())
}

/// What was left out, in the words that Docker would have stored.
fn explicit(mut spec: ServiceSpec) -> ServiceSpec {
    if spec.name.is_empty() {
        spec.name = id::random_name(0);
    }
    let template = &mut spec.task_template;
    set(&mut template.runtime, "container");
    if let Some(container) = &mut template.container_spec {
        set(&mut container.isolation, "default");
        container.mounts.iter_mut().for_each(|mount| mount.consistency.clear());
    }
    if let Some(policy) = &mut template.restart_policy {
        set(&mut policy.condition, "any");
    }
    // the old place of networks: what tasks are made of says where they are
    if template.networks.is_empty() {
        template.networks = std::mem::take(&mut spec.networks);
    }
    spec.networks.clear();
    mode(&mut spec.mode);
    [&mut spec.update_config, &mut spec.rollback_config].into_iter().flatten().for_each(update);
    if let Some(endpoint) = &mut spec.endpoint_spec {
        set(&mut endpoint.mode, "vip");
        for port in &mut endpoint.ports {
            set(&mut port.protocol, "tcp");
            set(&mut port.publish_mode, "ingress");
        }
    }
    spec
}

fn set(word: &mut String, default: &str) {
    if word.is_empty() {
        *word = default.to_string();
    }
}

fn mode(mode: &mut ServiceMode) {
    if *mode == ServiceMode::default() {
        mode.replicated = Some(Replicated::default());
    }
    if let Some(Replicated { replicas }) = &mut mode.replicated {
        replicas.get_or_insert(1);
    }
    if let Some(ReplicatedJob { max_concurrent, total_completions }) = &mut mode.replicated_job {
        let at_once = *max_concurrent.get_or_insert(1);
        total_completions.get_or_insert(at_once);
    }
}

fn update(config: &mut UpdateConfig) {
    set(&mut config.failure_action, "pause");
    set(&mut config.order, "stop-first");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn with(path: &str, value: Value) -> Value {
        let mut sent = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}, "Mode": {}});
        *sent.pointer_mut(path.rsplit_once('/').expect("a path").0).expect("a place") =
            Value::Object(serde_json::Map::from_iter([(path.rsplit_once('/').expect("a path").1.to_string(), value)]));
        sent
    }

    #[test]
    fn what_is_left_out_becomes_explicit_and_stays_so() {
        let sent = json!({
            "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}, "RestartPolicy": {"Condition": ""}},
            "Mode": {"ReplicatedJob": {"MaxConcurrent": 2}}, "EndpointSpec": {"Ports": [{"TargetPort": 80, "Protocol": ""}]},
            "Networks": [{"Target": "back"}],
        });
        let spec = read(&sent).expect("a wish");
        assert!(spec.name.contains('_'), "{}", spec.name);
        assert_eq!(spec.mode.replicated_job, Some(ReplicatedJob { max_concurrent: Some(2), total_completions: Some(2) }));
        assert_eq!(spec.task_template.restart_policy.as_ref().expect("asked for").condition, "any");
        assert_eq!((spec.task_template.networks.len(), spec.networks.len()), (1, 0));
        let endpoint = spec.endpoint_spec.clone().expect("asked for");
        assert_eq!((endpoint.mode.as_str(), endpoint.ports[0].protocol.as_str()), ("vip", "tcp"));
        assert_eq!(read(&serde_json::to_value(&spec).expect("plain data")).expect("a wish"), spec, "twice is the same");
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        for (sent, words) in [
            (json!({}), "mismatched Runtime and *Spec fields"),
            (json!({"TaskTemplate": {"ContainerSpec": {}, "Runtime": "foo"}}), "unsupported runtime"),
            (json!({"TaskTemplate": {"PluginSpec": {}, "Runtime": "plugin"}}), "plug-ins"),
            (
                with("/TaskTemplate/ContainerSpec/Mounts", json!([{"Type": "foo", "Target": "/x"}])),
                "invalid MountType: \"foo\"",
            ),
            (
                with("/TaskTemplate/ContainerSpec/Healthcheck", json!({"Interval": 5})),
                "Interval in HealthConfig cannot be less than 1ms",
            ),
            (
                json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}}, "EndpointSpec": {"Mode": "foo"}}),
                "invalid resolution mode: \"foo\"",
            ),
            (
                json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}}, "EndpointSpec": {"Ports": [{"PublishMode": "x"}]}}),
                "invalid publish mode",
            ),
            (
                json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}, "Resources": {"Reservations": {"GenericResources": [{}]}}}}),
                "invalid JSON",
            ),
            (json!({"TaskTemplate": {"ContainerSpec": {"Image": "a", "Env": 5}}}), "invalid JSON"),
        ] {
            let refused = read(&sent).expect_err("it cannot be").message();
            assert!(refused.contains(words), "{sent}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(key in "[A-Za-z]{1,12}", number in any::<i64>(), text in "\\PC{0,20}") {
            for value in [json!(number), json!(text), json!([]), json!({}), json!([{"x": number}]), json!({"Ports": text})] {
                let _ = read(&json!({"TaskTemplate": value}));
                let _ = read(&json!({"TaskTemplate": {"ContainerSpec": {(key.clone()): value}}}));
                let _ = read(&json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}, (key.clone()): value}, (key.clone()): value}));
                let _ = read(&value);
            }
        }
    }
}
