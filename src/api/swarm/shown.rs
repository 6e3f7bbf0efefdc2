//! # Shown: what of a row is Docker's business
//!
//! The rows of the tables are Docker's objects with a few fields more: which spec a task was made of, until when it waits, with which
//! password its image is pulled. Here they become what Docker would have answered, to the absent field: clients compare with `null`,
//! count keys, and people read `inspect`.
//!
//! * `insertDefaults`: what was not asked for, as it will be taken ([`with_defaults`]).
//! * `status=true`: how many tasks run of how many that are wanted ([`status`]).
//!
//! *See:* moby `daemon/cluster/convert`; swarmkit `api/defaults`, `manager/controlapi/service.go` (ListServiceStatuses).
//! *Next room:* [`super::narrow`]

use minidock_spec::swarm::{
    node::{Node, NodeState},
    service::{Service, ServiceSpec, ServiceStatus, UpdateConfig},
    task::{Placement, ResourceRequirements, RestartPolicy, Task, TaskState},
};
use minidock_swarm::store::Tables;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Docker's restart delay and grace period, nanoseconds.
const DELAY: i64 = 5_000_000_000;
const GRACE: i64 = 10_000_000_000;

fn value(row: &impl Serialize) -> Value {
    serde_json::to_value(row).unwrap_or_default() // rows are plain values: they can always be written
}

/// The object at the end of a path of keys.
fn at<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    path.iter().try_fold(value, |value, key| value.get_mut(*key))?.as_object_mut()
}

fn without(value: &mut Value, path: &[&str], keys: &[&str]) {
    if let Some(fields) = at(value, path) {
        keys.iter().for_each(|key| drop(fields.remove(*key)));
    }
}

/// Empties drop out: `{"Name": ""}` is `{}` for Docker.
fn without_empty(value: &mut Value, path: &[&str], key: &str) {
    let is_empty = |v: &Value| matches!(v, Value::Null) || v == "" || v == 0;
    if let Some(fields) = at(value, path).filter(|fields| fields.get(key).is_some_and(is_empty)) {
        fields.remove(key);
    }
}

/// A service; `defaults`: with what it did not ask for.
pub fn service(service: &Service, defaults: bool) -> Value {
    let mut shown = value(service);
    if defaults {
        shown["Spec"] = value(&with_defaults(&service.spec));
        if let Some(container) = at(&mut shown, &["Spec", "TaskTemplate", "ContainerSpec"]) {
            container.entry("DNSConfig").or_insert_with(|| json!({}));
        }
    }
    without(&mut shown, &[], &["SpecVersion"]);
    if service.spec.endpoint_spec.is_none() {
        shown["Endpoint"]["Spec"] = json!({}); // nobody asked for the mode that it has
    }
    for spec in ["Spec", "PreviousSpec"] {
        container(&mut shown, &[spec, "TaskTemplate", "ContainerSpec"]);
    }
    without_empty(&mut shown, &["JobStatus", "JobIteration"], "Index");
    shown
}

/// A container's spec: no password, and `null` where Docker writes it.
fn container(shown: &mut Value, path: &[&str]) {
    without(shown, path, &["MinidockRegistryAuth"]);
    if let Some(privileges) = at(shown, &[path, &["Privileges"]].concat()) {
        for key in ["CredentialSpec", "SELinuxContext"] {
            privileges.entry(key).or_insert(Value::Null);
        }
    }
}

/// What a spec that leaves things out will be taken for.
pub fn with_defaults(spec: &ServiceSpec) -> ServiceSpec {
    let mut spec = spec.clone();
    let template = &mut spec.task_template;
    if let Some(container) = &mut template.container_spec {
        container.stop_grace_period.get_or_insert(GRACE);
    }
    template.resources.get_or_insert_with(ResourceRequirements::default);
    template.restart_policy.get_or_insert_with(RestartPolicy::default).delay.get_or_insert(DELAY);
    template.placement.get_or_insert_with(Placement::default);
    for config in [&mut spec.update_config, &mut spec.rollback_config] {
        config.get_or_insert_with(UpdateConfig::default);
    }
    spec
}

/// How far a service is. What was last heard to run on a node that is down runs no more, as far as anybody can reach it: its
/// replacement is counted, not it.
pub fn status(service: &Service, tables: &Tables) -> ServiceStatus {
    let mode = &service.spec.mode;
    let iteration = service.job_status.map(|job| job.job_iteration);
    let mut status = ServiceStatus::default();
    for task in tables.tasks_of_service(&service.id).filter(|t| !mode.is_job() || t.job_iteration == iteration) {
        let is_gone = tables.node(&task.node_id).is_some_and(|node| node.status.state == NodeState::Down);
        status.running_tasks += u64::from(task.status.state == TaskState::Running && !is_gone);
        status.completed_tasks += u64::from(mode.is_job() && task.status.state == TaskState::Complete);
        let wanted = if mode.is_job() { TaskState::Complete } else { TaskState::Running };
        let open = task.status.state != TaskState::Complete;
        status.desired_tasks += u64::from(mode.is_global() && open && task.desired_state == wanted);
    }
    if !mode.is_global() {
        status.desired_tasks = match mode.replicated_job {
            Some(job) => job.max_concurrent.unwrap_or(1),
            None => mode.wanted(),
        };
    }
    status
}

/// The answer's `ServiceStatus`: Docker also writes the zero.
pub fn with_status(mut shown: Value, status: ServiceStatus) -> Value {
    shown["ServiceStatus"] = json!({
        "RunningTasks": status.running_tasks,
        "DesiredTasks": status.desired_tasks,
        "CompletedTasks": status.completed_tasks,
    });
    shown
}

pub fn task(task: &Task) -> Value {
    let mut shown = value(task);
    without(&mut shown, &[], &["EndpointPorts", "NotBefore", "Service", "SpecVersion"]);
    without(&mut shown, &["Spec"], &["Runtime"]);
    container(&mut shown, &["Spec", "ContainerSpec"]);
    if task.job_iteration.is_some() && task.slot > 0 {
        // Docker counts the slots of a job from 0, and its client waits for the one that is called so
        shown["Slot"] = json!(task.slot - 1);
        without_empty(&mut shown, &[], "Slot");
    }
    without_empty(&mut shown, &["JobIteration"], "Index");
    for attachment in shown.get_mut("NetworksAttachments").and_then(Value::as_array_mut).into_iter().flatten() {
        without(attachment, &[], &["Aliases"]);
        without(attachment, &["Network"], &["NodeAddresses"]);
        without_empty(attachment, &["Network", "Spec", "DriverConfiguration"], "Name");
        for ipam in [&["Network", "Spec", "IPAMOptions"][..], &["Network", "IPAMOptions"]] {
            without_empty(attachment, &[ipam, &["Driver"]].concat(), "Name");
        }
    }
    shown
}

pub fn node(node: &Node) -> Value {
    let mut shown = value(node);
    without(&mut shown, &[], &["CertifiedRole", "RaftId"]);
    without(&mut shown, &["Status"], &["DataPathAddr", "Since"]);
    without(&mut shown, &["Description", "Resources"], &["Pids"]); // how many tasks it can bear
    if shown["Description"]["TLSInfo"].is_null() {
        shown["Description"]["TLSInfo"] = json!({});
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use minidock_spec::swarm::{
        network::Network,
        service::{JobStatus, ReplicatedJob, ServiceMode},
        task::{ContainerSpec, NetworkAttachment, ServiceFacts, TaskSpec},
    };
    use minidock_swarm::store::{Action, Batch};

    fn web() -> Service {
        let container = ContainerSpec { image: "busybox".into(), registry_auth: "secret!".into(), ..ContainerSpec::default() };
        let spec = ServiceSpec {
            name: "web".into(),
            task_template: TaskSpec { container_spec: Some(container), ..TaskSpec::default() },
            mode: ServiceMode::replicas(1),
            ..ServiceSpec::default()
        };
        Service { id: "s".into(), previous_spec: Some(spec.clone()), spec, ..Service::default() }
    }

    #[test]
    fn a_service_is_what_docker_answers_and_nothing_of_ours() {
        let spec = json!({
            "Name": "web", "Labels": {}, "Mode": {"Replicated": {"Replicas": 1}},
            "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}, "ForceUpdate": 0},
        });
        let expected = json!({
            "ID": "s", "Version": {"Index": 0}, "Spec": spec, "PreviousSpec": spec, "Endpoint": {"Spec": {}},
        });
        assert_eq!(service(&web(), false), expected);
        assert!(!service(&web(), true).to_string().contains("secret!"));
    }

    #[test]
    fn defaults_are_dockers() {
        let shown = service(&web(), true);
        let update = json!({"Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000i64, "MaxFailureRatio": 0, "Order": "stop-first"});
        assert_eq!(shown["Spec"]["UpdateConfig"], update);
        assert_eq!(shown["Spec"]["RollbackConfig"], update);
        let template = &shown["Spec"]["TaskTemplate"];
        assert_eq!(template["RestartPolicy"], json!({"Condition": "any", "Delay": 5_000_000_000i64, "MaxAttempts": 0}));
        assert_eq!((&template["Placement"], &template["Resources"]), (&json!({}), &json!({})));
        assert_eq!(template["ContainerSpec"]["StopGracePeriod"], 10_000_000_000i64);
        assert_eq!(template["ContainerSpec"]["DNSConfig"], json!({}));
    }

    #[test]
    fn a_task_hides_what_only_managers_need() {
        let network = Network { id: "n".into(), ..Network::default() };
        let attachment = NetworkAttachment { network, addresses: vec!["10.0.1.5/24".into()], aliases: vec!["db".into()] };
        let mut made = Task {
            id: "t".into(),
            networks: vec![attachment],
            service: ServiceFacts { name: "web".into(), ..ServiceFacts::default() },
            not_before: Some(Timestamp::UNIX_EPOCH),
            ..Task::default()
        };
        made.spec = web().spec.task_template;
        let shown = task(&made);
        for ours in ["NotBefore", "Service", "SpecVersion", "EndpointPorts"] {
            assert!(shown.get(ours).is_none(), "{ours}");
        }
        assert!(!shown.to_string().contains("secret!"));
        assert_eq!(shown["NetworksAttachments"][0]["Network"]["Spec"]["DriverConfiguration"], json!({}));
        assert!(shown["NetworksAttachments"][0].get("Aliases").is_none());
    }

    #[test]
    fn slots_of_a_job_count_from_nothing() {
        let slot = |slot, job: bool| {
            task(&Task { slot, job_iteration: job.then(Default::default), ..Task::default() })["Slot"].clone()
        };
        assert_eq!((slot(1, true), slot(2, true)), (Value::Null, json!(1)));
        assert_eq!((slot(1, false), slot(0, false)), (json!(1), Value::Null));
    }

    #[test]
    fn a_service_is_as_far_as_its_tasks() {
        let mut job = Service { id: "j".into(), ..Service::default() };
        job.spec.mode.replicated_job = Some(ReplicatedJob { max_concurrent: Some(2), total_completions: Some(3) });
        job.job_status = Some(JobStatus::default());
        let mut tables = Tables::default();
        let task = |id: &str, service: &str, state| {
            let mut task =
                Task { id: id.into(), service_id: service.into(), desired_state: TaskState::Running, ..Task::default() };
            task.status.state = state;
            task.job_iteration = (service == "j").then(Default::default);
            Action::Put(task.into())
        };
        let actions = vec![
            task("a", "s", TaskState::Running),
            task("b", "s", TaskState::Failed),
            task("c", "j", TaskState::Complete),
            task("d", "j", TaskState::Running),
        ];
        tables.apply(1, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
        let of = |service: &Service| status(service, &tables);
        assert_eq!(of(&web()), ServiceStatus { running_tasks: 1, desired_tasks: 1, completed_tasks: 0 });
        assert_eq!(of(&job), ServiceStatus { running_tasks: 1, desired_tasks: 2, completed_tasks: 1 });

        // its node dies: what was heard of it last counts no more
        let mut lost = Node { id: "n".into(), ..Node::default() };
        lost.status.state = NodeState::Down;
        let mut stays = Task { id: "e".into(), service_id: "s".into(), node_id: "n".into(), ..Task::default() };
        stays.status.state = TaskState::Running;
        let actions = vec![Action::Put(lost.into()), Action::Put(stays.into())];
        tables.apply(2, Batch { at: Timestamp::UNIX_EPOCH, actions }).expect("rows that fit");
        assert_eq!(status(&web(), &tables).running_tasks, 1);
    }
}
