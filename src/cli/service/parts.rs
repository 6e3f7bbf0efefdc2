//! # Parts: the groups of flags that create and update share
//!
//! How many tasks, how a change is rolled out, when a task that ended is replaced, how health is checked, where logs go. Each function
//! takes what there was before (nothing, when a service is made) and gives what shall be.
//!
//! Laws: without a flag of its group, what was before stays. *See:* docker/cli `cli/command/service/opts.go`. *Next room:*
//! [`super::capabilities`]

use super::values;
use crate::{
    flag::{list_of, number_of, text_of},
    words::is_given,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_spec::{
    engine::container::HealthConfig,
    swarm::{
        service::{Empty, Replicated, ReplicatedJob, ServiceMode, UpdateConfig},
        task::{Driver, RestartPolicy},
    },
};

/// How many.
///
/// # Errors
/// A number where there can be none.
pub fn mode(m: &ArgMatches) -> Result<ServiceMode> {
    let replicas = values::of::<u64>(m, "replicas");
    let (concurrent, most) = (values::of::<u64>(m, "max-concurrent"), values::of::<u64>(m, "replicas-max-per-node"));
    let refuse = |given: bool, what: &str| if given { Err(Error::invalid(what)) } else { Ok(()) };
    let of_job = "max-concurrent can only be used with replicated-job mode";
    let word = text_of(m, "mode").unwrap_or("replicated");
    if word.starts_with("global") {
        refuse(replicas.is_some(), "replicas can only be used with replicated or replicated-job mode")?;
        refuse(most.is_some_and(|n| n > 0), "replicas-max-per-node can only be used with replicated or replicated-job mode")?;
    }
    refuse(concurrent.is_some() && word != "replicated-job", of_job)?;
    match word {
        "replicated" => Ok(ServiceMode { replicated: Some(Replicated { replicas }), ..ServiceMode::default() }),
        "global" => Ok(ServiceMode { global: Some(Empty {}), ..ServiceMode::default() }),
        "global-job" => Ok(ServiceMode { global_job: Some(Empty {}), ..ServiceMode::default() }),
        "replicated-job" => {
            let job = ReplicatedJob { max_concurrent: concurrent.or(replicas), total_completions: replicas };
            Ok(ServiceMode { replicated_job: Some(job), ..ServiceMode::default() })
        }
        other => Err(Error::invalid(format!("Unknown mode: {other}, only replicated and global supported"))
            .hint("replicated, global, replicated-job or global-job")),
    }
}

/// The `--update-*` or `--rollback-*` flags upon what there is; `None` if none was given and there was nothing.
pub fn rollout(m: &ArgMatches, which: &str, before: Option<UpdateConfig>) -> Option<UpdateConfig> {
    let id = |field: &str| format!("{which}-{field}");
    let fields = ["parallelism", "delay", "monitor", "failure-action", "max-failure-ratio", "order"];
    if !fields.iter().any(|field| is_given(m, &id(field))) {
        return before;
    }
    let base = before.unwrap_or_default();
    Some(UpdateConfig {
        parallelism: values::of(m, &id("parallelism")).unwrap_or(base.parallelism),
        delay: values::of(m, &id("delay")).unwrap_or(base.delay),
        failure_action: text_of(m, &id("failure-action")).map_or(base.failure_action, str::to_string),
        monitor: values::of(m, &id("monitor")).unwrap_or(base.monitor),
        max_failure_ratio: values::of(m, &id("max-failure-ratio")).unwrap_or(base.max_failure_ratio),
        order: text_of(m, &id("order")).map_or(base.order, str::to_string),
    })
}

/// The `--restart-*` flags upon what there is.
pub fn restart(m: &ArgMatches, before: Option<RestartPolicy>) -> Option<RestartPolicy> {
    let flags = ["restart-condition", "restart-delay", "restart-max-attempts", "restart-window"];
    if !flags.iter().any(|flag| is_given(m, flag)) {
        return before;
    }
    let base = before.unwrap_or(RestartPolicy { delay: Some(5_000_000_000), ..RestartPolicy::default() });
    Some(RestartPolicy {
        condition: text_of(m, flags[0]).map_or(base.condition, str::to_string),
        delay: values::of(m, flags[1]).or(base.delay),
        max_attempts: values::of(m, flags[2]).unwrap_or(base.max_attempts),
        window: values::of(m, flags[3]).or(base.window),
    })
}

/// `--log-driver` and its options; the options alone mean nothing.
pub fn log_driver(m: &ArgMatches) -> Option<Driver> {
    let name = text_of(m, "log-driver").filter(|name| !name.is_empty())?;
    Some(Driver { name: name.into(), options: crate::volume::pairs(&list_of(m, "log-opt")) })
}

/// The `--health-*` flags upon the check there is; `None` if none was given and there was none.
///
/// # Errors
/// `--no-healthcheck conflicts with --health-* options`.
pub fn health(m: &ArgMatches, before: Option<HealthConfig>) -> Result<Option<HealthConfig>> {
    let time = |id: &str| values::of::<i64>(m, id);
    let (interval, timeout) = (time("health-interval"), time("health-timeout"));
    let (start, often) = (time("health-start-period"), time("health-start-interval"));
    let (command, retries) = (text_of(m, "health-cmd"), number_of(m, "health-retries"));
    let any = [interval, timeout, start, often, retries].iter().any(Option::is_some) || command.is_some();
    match (m.get_flag("no-healthcheck"), any) {
        (true, true) => return Err(Error::invalid("--no-healthcheck conflicts with --health-* options")),
        (true, false) => return Ok(Some(HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() })),
        (false, false) => return Ok(before),
        (false, true) => {}
    }
    let base = before.unwrap_or_default();
    let disabled = base.test.first().is_some_and(|word| word == "NONE");
    let test = match command {
        Some("") => Vec::new(),
        Some(command) => vec!["CMD-SHELL".into(), command.into()],
        None if disabled => Vec::new(),
        None => base.test,
    };
    Ok(Some(HealthConfig {
        test,
        interval: interval.unwrap_or(base.interval),
        timeout: timeout.unwrap_or(base.timeout),
        start_period: start.unwrap_or(base.start_period),
        start_interval: often.unwrap_or(base.start_interval),
        retries: retries.unwrap_or(base.retries),
    }))
}
