//! # Change: what `service update` makes of a spec
//!
//! An update sends the whole spec again: what there was, changed by what was typed. This room does the changing and asks nobody; what had
//! to be looked up (IDs of networks, secrets, configs) is handed in.
//!
//! ```text
//!   spec as it is ──► labels · program · limits · placement · networks · rollout · ports · names · files ──► spec as it shall be
//! ```
//!
//! * [`change`]: all of it. [`Found`]: what was looked up. Lists are added to and taken from in [`super::lists`].
//!
//! Laws: a flag that was not given changes nothing, and the same lists come out in the same order, so that an update that changes
//! nothing restarts nothing. *See:* docker/cli `cli/command/service/update.go`. *Next room:* [`super::lists`]

use super::{
    capabilities, lists,
    parts::{health, log_driver, restart, rollout},
    spec::foreign,
    values,
};
use crate::{
    flag::{choice_of, list_of, number_of, text_of},
    words::is_given,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_spec::swarm::{
    container::{ConfigReference, ContainerSpec, SecretReference},
    generic,
    service::{EndpointSpec, ServiceMode, ServiceSpec},
    task::{Amounts, NetworkAttachmentConfig, Placement, PlacementPreference, ResourceRequirements, TaskSpec},
};

/// What the flags name, by ID.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub networks_added: Vec<NetworkAttachmentConfig>,
    pub networks_removed: Vec<String>,
    pub secrets_added: Vec<SecretReference>,
    pub configs_added: Vec<ConfigReference>,
}

/// Changes `spec` as the flags of `service update` say.
///
/// # Errors
/// What Docker's client refuses, in its words.
pub fn change(m: &ArgMatches, spec: &mut ServiceSpec, found: Found) -> Result<()> {
    foreign(m)?;
    lists::pairs(m, "label", &mut spec.labels);
    lists::networks(&mut spec.task_template.networks, &mut spec.networks, &found)?;
    task(m, &mut spec.task_template)?;
    let container = spec.task_template.container_spec.get_or_insert_default();
    program(m, container);
    lists::container(m, container)?;
    container.healthcheck = health(m, container.healthcheck.take())?;
    files(m, container, found);
    replicas(m, &mut spec.mode)?;
    spec.update_config = rollout(m, "update", spec.update_config.take());
    spec.rollback_config = rollout(m, "rollback", spec.rollback_config.take());
    if let Some(mode) = text_of(m, "endpoint-mode") {
        spec.endpoint_spec.get_or_insert_with(EndpointSpec::default).mode = mode.into();
    }
    if is_given(m, "publish-add") || is_given(m, "publish-rm") {
        lists::ports(m, &mut spec.endpoint_spec.get_or_insert_with(EndpointSpec::default).ports);
    }
    Ok(())
}

/// What is not the container's.
fn task(m: &ArgMatches, task: &mut TaskSpec) -> Result<()> {
    limits(m, &mut task.resources);
    things(m, &mut task.resources)?;
    task.restart_policy = restart(m, task.restart_policy.take());
    let placed = ["constraint-add", "constraint-rm", "placement-pref-add", "placement-pref-rm", "replicas-max-per-node"];
    if placed.iter().any(|flag| is_given(m, flag)) {
        placement(m, task.placement.get_or_insert_with(Placement::default));
    }
    if let Some(driver) = log_driver(m) {
        task.log_driver = Some(driver);
    }
    if m.get_flag("force") {
        task.force_update += 1;
    }
    Ok(())
}

fn limits(m: &ArgMatches, resources: &mut Option<ResourceRequirements>) {
    let amount = |id: &str| values::of::<i64>(m, id);
    let (limit_cpu, limit_memory, pids) = (amount("limit-cpu"), amount("limit-memory"), number_of(m, "limit-pids"));
    let (reserve_cpu, reserve_memory) = (amount("reserve-cpu"), amount("reserve-memory"));
    let put = |given: Option<i64>, field: &mut i64| *field = given.unwrap_or(*field);
    if limit_cpu.or(limit_memory).or(pids).is_some() {
        let limits = resources.get_or_insert_default().limits.get_or_insert_with(Amounts::default);
        put(limit_cpu, &mut limits.nano_cpus);
        put(limit_memory, &mut limits.memory_bytes);
        put(pids, &mut limits.pids);
    }
    if reserve_cpu.or(reserve_memory).is_some() {
        let reserved = resources.get_or_insert_default().reservations.get_or_insert_with(Amounts::default);
        put(reserve_cpu, &mut reserved.nano_cpus);
        put(reserve_memory, &mut reserved.memory_bytes);
    }
}

/// What only some machines have.
fn things(m: &ArgMatches, resources: &mut Option<ResourceRequirements>) -> Result<()> {
    let (added, removed) =
        (generic::wanted(&values::all::<String>(m, "generic-resource-add"))?, list_of(m, "generic-resource-rm"));
    if added.is_empty() && removed.is_empty() {
        return Ok(());
    }
    let wanted = &mut resources.get_or_insert_default().reservations.get_or_insert_with(Amounts::default).generic;
    for thing in added {
        wanted.retain(|old| old.kind() != thing.kind());
        wanted.push(thing);
    }
    if let Some(kind) = removed.iter().find(|kind| wanted.iter().all(|thing| thing.kind() != **kind)) {
        return Err(Error::not_found(format!("could not find generic-resource `{kind}` to remove it")));
    }
    wanted.retain(|thing| !removed.iter().any(|kind| kind == thing.kind()));
    wanted.sort_by(|a, b| a.kind().cmp(b.kind()));
    Ok(())
}

fn placement(m: &ArgMatches, placement: &mut Placement) {
    if is_given(m, "constraint-add") || is_given(m, "constraint-rm") {
        lists::texts(m, "constraint", &mut placement.constraints);
    }
    let gone: Vec<PlacementPreference> = values::all(m, "placement-pref-rm");
    placement.preferences.retain(|preference| !gone.contains(preference));
    placement.preferences.extend(values::all::<PlacementPreference>(m, "placement-pref-add"));
    if let Some(most) = values::of(m, "replicas-max-per-node") {
        placement.max_replicas = most;
    }
}

/// What runs in the container, and how.
fn program(m: &ArgMatches, container: &mut ContainerSpec) {
    for (flag, field) in [
        ("image", &mut container.image),
        ("workdir", &mut container.dir),
        ("user", &mut container.user),
        ("hostname", &mut container.hostname),
        ("stop-signal", &mut container.stop_signal),
        ("isolation", &mut container.isolation),
    ] {
        if let Some(text) = text_of(m, flag) {
            *field = text.into();
        }
    }
    for (flag, field) in [("args", &mut container.args), ("entrypoint", &mut container.command)] {
        if let Some(words) = values::of::<Vec<String>>(m, flag) {
            *field = words;
        }
    }
    for (flag, field) in [("tty", &mut container.tty), ("read-only", &mut container.read_only)] {
        *field = choice_of(m, flag).unwrap_or(*field);
    }
    container.init = choice_of(m, "init").or(container.init);
    container.stop_grace_period = values::of(m, "stop-grace-period").or(container.stop_grace_period);
    container.oom_score_adj = number_of(m, "oom-score-adj").unwrap_or(container.oom_score_adj);
    if is_given(m, "cap-add") || is_given(m, "cap-drop") {
        let before = (container.capability_add.as_slice(), container.capability_drop.as_slice());
        let (add, drop) = capabilities::changed(before, &list_of(m, "cap-add"), &list_of(m, "cap-drop"));
        (container.capability_add, container.capability_drop) = (add, drop);
    }
}

fn files(m: &ArgMatches, container: &mut ContainerSpec, found: Found) {
    let (secrets, configs) = (list_of(m, "secret-rm"), list_of(m, "config-rm"));
    container.secrets.retain(|secret| !secrets.contains(&secret.secret_name));
    container.secrets.extend(found.secrets_added);
    container.configs.retain(|config| !configs.contains(&config.config_name));
    container.configs.extend(found.configs_added);
}

fn replicas(m: &ArgMatches, mode: &mut ServiceMode) -> Result<()> {
    if let Some(concurrent) = values::of::<u64>(m, "max-concurrent") {
        match &mut mode.replicated_job {
            Some(job) => job.max_concurrent = Some(concurrent),
            None => return Err(Error::invalid("max-concurrent can only be used with replicated-job mode")),
        }
    }
    let Some(count) = values::of::<u64>(m, "replicas") else { return Ok(()) };
    match mode {
        ServiceMode { replicated: Some(replicated), .. } => replicated.replicas = Some(count),
        ServiceMode { replicated_job: Some(job), .. } => job.total_completions = Some(count),
        _ => return Err(Error::invalid("replicas can only be used with replicated mode")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        service::{create, spec, update},
        words::{self, Read},
    };
    use serde_json::{Value, json};

    fn matches(command: clap::Command, line: &str) -> ArgMatches {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words::read(command, "service", &words) {
            Ok(Read::Matches(m)) => m,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn updated(made: &str, line: &str) -> Result<Value> {
        let mut spec = spec::wish(&matches(create::command(), made)).expect("a wish").spec;
        change(&matches(update::command(), &format!("{line} web")), &mut spec, Found::default())?;
        Ok(serde_json::to_value(spec).expect("JSON"))
    }

    fn container(made: &str, line: &str) -> Value {
        updated(made, line).expect("a change")["TaskTemplate"]["ContainerSpec"].clone()
    }

    #[test]
    fn an_update_without_flags_changes_nothing() {
        let made = "--name w --replicas 2 -p 80:80 -e B=1 -e A=2 --constraint b==c --constraint a==b --mount src=z,dst=/z --cap-add X \
                    --dns 10.0.0.2 --dns 10.0.0.1 --host b:10.0.0.1 --group 2 --group 1 -l x=y img a b";
        let before = serde_json::to_value(spec::wish(&matches(create::command(), made)).expect("a wish").spec).expect("JSON");
        assert_eq!(updated(made, "").expect("no change"), before);
        assert_eq!(updated(made, "--force").expect("a change")["TaskTemplate"]["ForceUpdate"], 1);
    }

    #[test]
    fn single_values_are_replaced() {
        let all =
            container("--init img old words", "--image new --args x --entrypoint /e -w /w -u 9 --hostname h -t --init=false");
        assert!(updated("img", "--args x --image new").is_ok());
        assert_eq!((&all["Image"], &all["Dir"], &all["User"]), (&json!("new"), &json!("/w"), &json!("9")));
        assert_eq!((&all["Init"], &all["TTY"], &all["Command"]), (&json!(false), &json!(true), &json!(["/e"])));
        let spec = updated("--limit-memory 64m img", "--replicas 5 --limit-cpu 2 --update-parallelism 0 --restart-delay 1s")
            .expect("a change");
        assert_eq!(spec["Mode"]["Replicated"]["Replicas"], 5);
        let limits = &spec["TaskTemplate"]["Resources"]["Limits"];
        assert_eq!(limits, &json!({"NanoCPUs": 2_000_000_000i64, "MemoryBytes": 64 << 20}));
        assert_eq!(
            (&spec["UpdateConfig"]["Parallelism"], &spec["UpdateConfig"]["FailureAction"]),
            (&json!(0), &json!("pause"))
        );
        assert_eq!(spec["TaskTemplate"]["RestartPolicy"]["Delay"], 1_000_000_000);
        let refused = updated("--mode global img", "--replicas 2").unwrap_err();
        assert_eq!(refused.message(), "replicas can only be used with replicated mode");
    }

    #[test]
    fn what_only_some_machines_have_is_asked_for_by_kind() {
        let things = |line: &str| {
            updated("--generic-resource gpu=1 --generic-resource ssd=2 img", line)
                .map(|spec| spec["TaskTemplate"]["Resources"]["Reservations"]["GenericResources"].clone())
        };
        let some = |kind: &str, value: i64| json!({"DiscreteResourceSpec": {"Kind": kind, "Value": value}});
        assert_eq!(things("--force").expect("a change"), json!([some("gpu", 1), some("ssd", 2)]));
        assert_eq!(
            things("--generic-resource-add gpu=4 --generic-resource-add fpga=1 --generic-resource-rm ssd").expect("a change"),
            json!([some("fpga", 1), some("gpu", 4)])
        );
        assert_eq!(
            things("--generic-resource-rm nosuch").unwrap_err().message(),
            "could not find generic-resource `nosuch` to remove it"
        );
    }

    #[test]
    fn a_health_check_is_changed_piece_by_piece() {
        let made = "--health-cmd true --health-retries 3 img";
        assert_eq!(
            container(made, "--health-interval 2s")["Healthcheck"],
            json!({"Test": ["CMD-SHELL", "true"], "Retries": 3, "Interval": 2_000_000_000i64})
        );
        assert_eq!(container(made, "--no-healthcheck")["Healthcheck"], json!({"Test": ["NONE"]}));
        assert_eq!(container("--no-healthcheck img", "--health-retries 1")["Healthcheck"], json!({"Retries": 1}));
    }
}
