//! # Spec: from flags to a service
//!
//! `service create` is a long way of writing one JSON object, the service's *spec*: what each task runs, how many of them, where, and how
//! a change shall be rolled out. This room makes it from what was typed, and asks nobody: networks, secrets and configs still stand
//! there by name, and [`super::create`] looks them up.
//!
//! ```text
//!   --name web --replicas 2 -p 8080:80 nginx
//!        └─► { Name, TaskTemplate { ContainerSpec { Image … }, Resources, Placement … }, Mode { Replicated { 2 } }, EndpointSpec … }
//! ```
//!
//! * [`wish`]: all of it. The groups of flags that `update` has too are read in [`super::parts`].
//!
//! Laws: what was not given is left out, so that the managers' defaults stand; what makes no sense together is refused before
//! anything is asked. *See:* docker/cli `cli/command/service/opts.go`. *Next room:* [`super::parts`]

use super::{
    attachments::File,
    capabilities::capabilities,
    parts::{health, log_driver, mode, restart, rollout},
    values,
};
use crate::{
    container::environment,
    flag::{choice_of, list_of, number_of, text_of},
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_spec::{
    engine::container::{MountRequest, Ulimit},
    swarm::{
        container::{ContainerSpec, DnsConfig},
        generic,
        service::{EndpointPort, EndpointSpec, ServiceSpec},
        task::{Amounts, NetworkAttachmentConfig, Placement, PlacementPreference, ResourceRequirements, Spread, TaskSpec},
    },
};
use std::collections::BTreeMap;

/// A service as wished for; the files are still names.
#[derive(Clone, Debug)]
pub struct Wish {
    pub spec: ServiceSpec,
    pub secrets: Vec<File>,
    pub configs: Vec<File>,
}

/// Reads the flags of `service create`.
///
/// # Errors
/// What Docker's client refuses, in its words.
pub fn wish(m: &ArgMatches) -> Result<Wish> {
    foreign(m)?;
    let container = container(m)?;
    let mode = mode(m)?;
    let (update_config, rollback_config) = (rollout(m, "update", None), rollout(m, "rollback", None));
    if mode.is_job() && (update_config.is_some() || rollback_config.is_some()) {
        return Err(Error::invalid("update and rollback configuration is not supported for jobs"));
    }
    let amount = |id: &str| values::of::<i64>(m, id).unwrap_or(0);
    let pids = number_of(m, "limit-pids").unwrap_or(0);
    let resources = ResourceRequirements {
        limits: Some(Amounts {
            nano_cpus: amount("limit-cpu"),
            memory_bytes: amount("limit-memory"),
            pids,
            ..Amounts::default()
        }),
        reservations: Some(Amounts {
            nano_cpus: amount("reserve-cpu"),
            memory_bytes: amount("reserve-memory"),
            generic: generic::wanted(&values::all::<String>(m, "generic-resource"))?,
            ..Amounts::default()
        }),
    };
    let placement = Placement {
        constraints: list_of(m, "constraint"),
        preferences: values::all::<PlacementPreference>(m, "placement-pref"),
        max_replicas: values::of::<u64>(m, "replicas-max-per-node").unwrap_or(0),
        platforms: Vec::new(),
    };
    let endpoint = text_of(m, "endpoint-mode").unwrap_or("vip").to_lowercase();
    let spec = ServiceSpec {
        name: text(m, "name"),
        labels: values::all::<(String, String)>(m, "label").into_iter().collect(),
        task_template: TaskSpec {
            container_spec: Some(container),
            resources: Some(resources),
            restart_policy: restart(m, None),
            placement: Some(placement),
            networks: values::all::<NetworkAttachmentConfig>(m, "network"),
            log_driver: log_driver(m),
            ..TaskSpec::default()
        },
        mode,
        update_config,
        rollback_config,
        networks: Vec::new(),
        endpoint_spec: Some(EndpointSpec {
            mode: endpoint,
            ports: values::all::<Vec<EndpointPort>>(m, "publish").into_iter().flatten().collect(),
        }),
    };
    Ok(Wish { spec, secrets: values::all(m, "secret"), configs: values::all(m, "config") })
}

/// Refuses the flag of another world by name.
///
/// # Errors
/// `--credential-spec` has no meaning here.
pub fn foreign(m: &ArgMatches) -> Result<()> {
    if text_of(m, "credential-spec").is_some_and(|value| !value.is_empty()) {
        return Err(Error::not_implemented("--credential-spec is for Windows containers; minidock runs Linux ones"));
    }
    Ok(())
}

fn text(m: &ArgMatches, id: &str) -> String {
    text_of(m, id).unwrap_or_default().to_string()
}

fn container(m: &ArgMatches) -> Result<ContainerSpec> {
    let (capability_add, capability_drop) = capabilities(&list_of(m, "cap-add"), &list_of(m, "cap-drop"));
    Ok(ContainerSpec {
        image: text(m, "IMAGE"),
        labels: values::all::<(String, String)>(m, "container-label").into_iter().collect(),
        command: values::of(m, "entrypoint").unwrap_or_default(),
        args: list_of(m, "ARG"),
        hostname: text(m, "hostname"),
        env: variables(&list_of(m, "env-file"), &list_of(m, "env"))?,
        dir: text(m, "workdir"),
        user: text(m, "user"),
        groups: list_of(m, "group"),
        init: Some(choice_of(m, "init") == Some(true)),
        stop_signal: text(m, "stop-signal"),
        tty: choice_of(m, "tty") == Some(true),
        read_only: choice_of(m, "read-only") == Some(true),
        mounts: values::all::<MountRequest>(m, "mount"),
        stop_grace_period: values::of(m, "stop-grace-period"),
        healthcheck: health(m, None)?,
        hosts: values::all(m, "host"),
        dns_config: Some(DnsConfig {
            nameservers: values::all(m, "dns"),
            search: values::all(m, "dns-search"),
            options: list_of(m, "dns-option"),
        }),
        isolation: text(m, "isolation"),
        sysctls: crate::volume::pairs(&list_of(m, "sysctl")),
        capability_add,
        capability_drop,
        ulimits: ulimits(values::all(m, "ulimit")),
        oom_score_adj: number_of(m, "oom-score-adj").unwrap_or(0),
        ..ContainerSpec::default()
    })
}

/// One limit a name, the last one counts, in the order of the alphabet.
pub fn ulimits(typed: Vec<Ulimit>) -> Vec<Ulimit> {
    let named: BTreeMap<String, Ulimit> = typed.into_iter().map(|limit| (limit.name.clone(), limit)).collect();
    named.into_values().collect()
}

/// Variables of files and flags: of two with one name the last one stays.
///
/// # Errors
/// A file that cannot be read, a variable without a name.
pub fn variables(files: &[String], flags: &[String]) -> Result<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for variable in environment::variables(files, flags, |name| std::env::var(name).ok())? {
        let name = variable_name(&variable);
        all.retain(|other| variable_name(other) != name);
        all.push(variable);
    }
    Ok(all)
}

/// `A` of `A=1`.
pub fn variable_name(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(name, _)| name)
}

/// `spread=node.labels.rack`
pub fn spread(over: &str) -> PlacementPreference {
    PlacementPreference { spread: Some(Spread { spread_descriptor: over.into() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        service::create,
        words::{self, Read},
    };
    use serde_json::{Value, json};

    fn read(line: &str) -> Result<Wish> {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words::read(create::command(), "service create", &words) {
            Ok(Read::Matches(m)) => wish(&m),
            other => panic!("{line}: {other:?}"),
        }
    }

    fn spec(line: &str) -> Value {
        serde_json::to_value(read(line).expect("a wish").spec).expect("JSON")
    }

    #[test]
    fn what_was_not_given_is_left_to_the_managers() {
        assert_eq!(
            spec("alpine sleep 1000"),
            json!({
                "Name": "", "Labels": {}, "Mode": {"Replicated": {}}, "EndpointSpec": {"Mode": "vip"},
                "TaskTemplate": {
                    "ContainerSpec": {"Image": "alpine", "Args": ["sleep", "1000"], "Init": false, "DNSConfig": {}},
                    "Resources": {"Limits": {}, "Reservations": {}}, "Placement": {}, "ForceUpdate": 0
                }
            })
        );
    }

    #[test]
    fn every_group_of_flags_finds_its_place() {
        let all = spec(
            "--name web --replicas 3 -l a=b --container-label c --constraint node.role==worker --placement-pref spread=node.labels.rack \
             --replicas-max-per-node 2 --network name=over,alias=db -p 8080:80 --limit-cpu 0.5 --limit-memory 64m --limit-pids 9 --reserve-cpu .1 \
             --update-parallelism 2 --update-order start-first --rollback-delay 3s --restart-condition on-failure --restart-max-attempts 4 \
             --health-cmd true --health-retries 2 --host db:10.0.0.9 --dns 10.0.0.1 --cap-add net_admin --cap-drop ALL --sysctl net.core.somaxconn=9 \
             --ulimit nofile=8 --log-driver none --stop-grace-period 3s --init --read-only -t -u 1 -w /w --group 7 --env A=1 --env A=2 img",
        );
        let task = &all["TaskTemplate"];
        assert_eq!((&all["Mode"], &all["Labels"]), (&json!({"Replicated": {"Replicas": 3}}), &json!({"a": "b"})));
        assert_eq!(
            task["Placement"],
            json!({"Constraints": ["node.role==worker"], "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.rack"}}], "MaxReplicas": 2})
        );
        assert_eq!(task["Networks"], json!([{"Target": "over", "Aliases": ["db"]}]));
        assert_eq!(task["Resources"]["Limits"], json!({"NanoCPUs": 500_000_000, "MemoryBytes": 64 << 20, "Pids": 9}));
        assert_eq!(task["RestartPolicy"], json!({"Condition": "on-failure", "Delay": 5_000_000_000i64, "MaxAttempts": 4}));
        assert_eq!(task["LogDriver"], json!({"Name": "none"}));
        assert_eq!((&all["UpdateConfig"]["Parallelism"], &all["UpdateConfig"]["Order"]), (&json!(2), &json!("start-first")));
        assert_eq!(
            (&all["RollbackConfig"]["Delay"], &all["RollbackConfig"]["Order"]),
            (&json!(3_000_000_000i64), &json!("stop-first"))
        );
        let container = &task["ContainerSpec"];
        for (field, value) in [
            ("Labels", json!({"c": ""})),
            ("Env", json!(["A=2"])),
            ("Hosts", json!(["10.0.0.9 db"])),
            ("CapabilityAdd", json!(["CAP_NET_ADMIN"])),
            ("CapabilityDrop", json!(["ALL"])),
            ("Ulimits", json!([{"Name": "nofile", "Soft": 8, "Hard": 8}])),
            ("Healthcheck", json!({"Test": ["CMD-SHELL", "true"], "Retries": 2})),
            ("StopGracePeriod", json!(3_000_000_000i64)),
            ("TTY", json!(true)),
            ("Init", json!(true)),
        ] {
            assert_eq!(container[field], value, "{field}");
        }
        let port = json!([{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}]);
        assert_eq!(all["EndpointSpec"]["Ports"], port);
    }

    #[test]
    fn jobs_count_what_is_done() {
        let mode = |line: &str| spec(line)["Mode"].clone();
        assert_eq!(
            mode("--mode replicated-job --replicas 5 a"),
            json!({"ReplicatedJob": {"MaxConcurrent": 5, "TotalCompletions": 5}})
        );
        assert_eq!(mode("--mode replicated-job --max-concurrent 2 --replicas 5 a")["ReplicatedJob"]["MaxConcurrent"], 2);
        assert_eq!(mode("--mode global-job a"), json!({"GlobalJob": {}}));
    }

    #[test]
    fn what_makes_no_sense_together_is_refused_in_dockers_words() {
        for (line, why) in [
            ("--mode foo a", "Unknown mode: foo, only replicated and global supported"),
            ("--mode global --replicas 2 a", "replicas can only be used with replicated or replicated-job mode"),
            ("--max-concurrent 2 a", "max-concurrent can only be used with replicated-job mode"),
            ("--mode global-job --update-delay 1s a", "update and rollback configuration is not supported for jobs"),
            ("--health-cmd x --no-healthcheck a", "--no-healthcheck conflicts with --health-* options"),
        ] {
            assert_eq!(read(line).unwrap_err().message(), why, "{line}");
        }
        assert!(read("--credential-spec file://x a").is_err());
        assert!(read("--generic-resource gpu=x a").unwrap_err().message().contains("Named Generic Resources is not supported"));
        let wrong =
            words::read(create::command(), "service create", &["--replicas".into(), "x".into(), "a".into()]).unwrap_err();
        assert_eq!(
            wrong.said,
            "invalid argument \"x\" for \"--replicas\" flag: strconv.ParseUint: parsing \"x\": invalid syntax"
        );
    }
}
