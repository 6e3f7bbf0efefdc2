//! # Flags of create and update: the service, as typed
//!
//! The two commands share some sixty flags; what `create` has only (`--mount`, `--env` …), `update` has twice, to add and to
//! take away (`--mount-add`, `--mount-rm`). Each flag carries the reader of its values ([`super::values`]), so what is wrong with one
//! is said before anybody is asked.
//!
//! * [`create`], [`update`]: the whole of either. What the flags *mean* is decided in [`super::spec`] and [`super::change`].
//!
//! Laws: `create` names its defaults in the help, `update` has none: what is not given stays as it is.
//! *See:* `docker service create --help` (28.2). *Next room:* [`super::spec`]

use super::{
    attachments, ports,
    values::{bytes, cpus, duration, many, number, one, positive_duration, ratio, words},
};
use crate::{
    container::{limits, mounts, names},
    flag::{choice, list, name, number as whole, program, switch, text},
};
use clap::{Arg, Command};
use minidock_spec::{
    engine::container::{MountRequest, Ulimit},
    swarm::task::PlacementPreference,
};

/// Everything `service create` understands.
pub fn create(command: Command) -> Command {
    let command = shared(command, true)
        .arg(text(
            "mode",
            "string",
            "Service mode (\"replicated\", \"global\", \"replicated-job\", \"global-job\") (default \"replicated\")",
        ))
        .arg(text("name", "string", "Service name"))
        .arg(many("label", "list", "Service labels", label).short('l'))
        .arg(many("container-label", "list", "Container labels", label))
        .arg(many("env", "list", "Set environment variables", variable).short('e'))
        .arg(list("env-file", "list", "Read in a file of environment variables"))
        .arg(many("mount", "mount", "Attach a filesystem mount to the service", mount))
        .arg(list("constraint", "list", "Placement constraints"))
        .arg(many("placement-pref", "pref", "Add a placement preference", preference))
        .arg(many("network", "network", "Network attachments", attachments::network))
        .arg(many("secret", "secret", "Specify secrets to expose to the service", attachments::secret))
        .arg(many("config", "config", "Specify configurations to expose to the service", attachments::config))
        .arg(many("publish", "port", "Publish a port as a node port", ports::ports).short('p'))
        .arg(list("group", "list", "Set one or more supplementary user groups for the container"))
        .arg(many("dns", "list", "Set custom DNS servers", server))
        .arg(list("dns-option", "list", "Set DNS options"))
        .arg(many("dns-search", "list", "Set custom DNS search domains", domain))
        .arg(many("host", "list", "Set one or more custom host-to-IP mappings (host:ip)", host))
        .arg(list("sysctl", "list", "Sysctl options"))
        .arg(many("ulimit", "ulimit", "Ulimit options (default [])", ulimit))
        .arg(many("generic-resource", "list", "User defined resources", resource));
    command.arg(name("IMAGE")).arg(program("ARG"))
}

/// Everything `service update` understands.
pub fn update(command: Command) -> Command {
    let command = shared(command, false)
        .arg(text("image", "string", "Service image tag"))
        .arg(one("args", "command", "Service command args", words))
        .arg(switch("rollback", "Rollback to previous specification"))
        .arg(switch("force", "Force update even if no changes require it"))
        .arg(many("label-add", "list", "Add or update a service label", label))
        .arg(list("label-rm", "list", "Remove a label by its key"))
        .arg(many("container-label-add", "list", "Add or update a container label", label))
        .arg(list("container-label-rm", "list", "Remove a container label by its key"))
        .arg(many("env-add", "list", "Add or update an environment variable", variable))
        .arg(list("env-rm", "list", "Remove an environment variable"))
        .arg(many("mount-add", "mount", "Add or update a mount on a service", mount))
        .arg(list("mount-rm", "list", "Remove a mount by its target path"))
        .arg(list("constraint-add", "list", "Add or update a placement constraint"))
        .arg(list("constraint-rm", "list", "Remove a constraint"))
        .arg(many("placement-pref-add", "pref", "Add a placement preference", preference))
        .arg(many("placement-pref-rm", "pref", "Remove a placement preference", preference))
        .arg(many("network-add", "network", "Add a network", attachments::network))
        .arg(list("network-rm", "list", "Remove a network"))
        .arg(many("secret-add", "secret", "Add or update a secret on a service", attachments::secret))
        .arg(list("secret-rm", "list", "Remove a secret"))
        .arg(many("config-add", "config", "Add or update a config file on a service", attachments::config))
        .arg(list("config-rm", "list", "Remove a configuration file"))
        .arg(many("publish-add", "port", "Add or update a published port", ports::ports))
        .arg(many("publish-rm", "port", "Remove a published port by its target port", ports::ports))
        .arg(list("group-add", "list", "Add an additional supplementary user group to the container"))
        .arg(list("group-rm", "list", "Remove a previously added supplementary user group from the container"))
        .arg(many("dns-add", "list", "Add or update a custom DNS server", server))
        .arg(list("dns-rm", "list", "Remove a custom DNS server"))
        .arg(list("dns-option-add", "list", "Add or update a DNS option"))
        .arg(list("dns-option-rm", "list", "Remove a DNS option"))
        .arg(many("dns-search-add", "list", "Add or update a custom DNS search domain", domain))
        .arg(list("dns-search-rm", "list", "Remove a DNS search domain"))
        .arg(many("host-add", "list", "Add a custom host-to-IP mapping (\"host:ip\")", host))
        .arg(list("host-rm", "list", "Remove a custom host-to-IP mapping (\"host:ip\")"))
        .arg(list("sysctl-add", "list", "Add or update a Sysctl option"))
        .arg(list("sysctl-rm", "list", "Remove a Sysctl option"))
        .arg(many("ulimit-add", "ulimit", "Add or update a ulimit option (default [])", ulimit))
        .arg(list("ulimit-rm", "list", "Remove a ulimit option"))
        .arg(many("generic-resource-add", "list", "Add a Generic resource", resource))
        .arg(list("generic-resource-rm", "list", "Remove a Generic resource"));
    command.arg(name("SERVICE"))
}

/// `-d` and `-q` of all commands that may wait.
pub fn waiting(command: Command) -> Command {
    command.arg(detach()).arg(switch("quiet", "Suppress progress output").short('q'))
}

/// `-d`.
pub fn detach() -> Arg {
    switch("detach", "Exit immediately instead of waiting for the service to converge").short('d')
}

fn shared(command: Command, creating: bool) -> Command {
    let default = |arg: Arg, value: &str| match creating {
        true => {
            let help = arg.get_help().map(|help| help.to_string()).unwrap_or_default();
            arg.help(format!("{help} (default {value})"))
        }
        false => arg,
    };
    let endings = "Restart when condition is met (\"none\", \"on-failure\", \"any\")";
    let command = health(program_of(waiting(command)))
        .arg(default(
            one("stop-grace-period", "duration", "Time to wait before force killing a container (ns|us|ms|s|m|h)", duration),
            "10s",
        ))
        .arg(default(text("endpoint-mode", "string", "Endpoint mode (vip or dnsrr)"), "\"vip\""))
        .arg(default(text("restart-condition", "string", endings), "\"any\""))
        .arg(default(one("restart-delay", "duration", "Delay between restart attempts (ns|us|ms|s|m|h)", duration), "5s"))
        .arg(one("restart-max-attempts", "uint", "Maximum number of restarts before giving up", number))
        .arg(one("restart-window", "duration", "Window used to evaluate the restart policy (ns|us|ms|s|m|h)", duration));
    let (pause, order) = ("\"pause\"", "\"stop-first\"");
    command
        .arg(default(
            one(
                "update-parallelism",
                "uint",
                "Maximum number of tasks updated simultaneously (0 to update all at once)",
                number,
            ),
            "1",
        ))
        .arg(default(one("update-delay", "duration", "Delay between updates (ns|us|ms|s|m|h)", duration), "0s"))
        .arg(default(
            one(
                "update-monitor",
                "duration",
                "Duration after each task update to monitor for failure (ns|us|ms|s|m|h)",
                duration,
            ),
            "5s",
        ))
        .arg(default(
            text("update-failure-action", "string", "Action on update failure (\"pause\", \"continue\", \"rollback\")"),
            pause,
        ))
        .arg(default(one("update-max-failure-ratio", "float", "Failure rate to tolerate during an update", ratio), "0"))
        .arg(default(text("update-order", "string", "Update order (\"start-first\", \"stop-first\")"), order))
        .arg(default(
            one(
                "rollback-parallelism",
                "uint",
                "Maximum number of tasks rolled back simultaneously (0 to roll back all at once)",
                number,
            ),
            "1",
        ))
        .arg(default(one("rollback-delay", "duration", "Delay between task rollbacks (ns|us|ms|s|m|h)", duration), "0s"))
        .arg(default(
            one(
                "rollback-monitor",
                "duration",
                "Duration after each task rollback to monitor for failure (ns|us|ms|s|m|h)",
                duration,
            ),
            "5s",
        ))
        .arg(default(text("rollback-failure-action", "string", "Action on rollback failure (\"pause\", \"continue\")"), pause))
        .arg(default(one("rollback-max-failure-ratio", "float", "Failure rate to tolerate during a rollback", ratio), "0"))
        .arg(default(text("rollback-order", "string", "Rollback order (\"start-first\", \"stop-first\")"), order))
}

fn program_of(command: Command) -> Command {
    command
        .arg(text("workdir", "string", "Working directory inside the container").short('w'))
        .arg(text("user", "string", "Username or UID (format: <name|uid>[:<group|gid>])").short('u'))
        .arg(text("credential-spec", "credential-spec", "Credential spec for managed service account (Windows only)"))
        .arg(text("hostname", "string", "Container hostname"))
        .arg(one("entrypoint", "command", "Overwrite the default ENTRYPOINT of the image", words))
        .arg(list("cap-add", "list", "Add Linux capabilities"))
        .arg(list("cap-drop", "list", "Drop Linux capabilities"))
        .arg(one("limit-cpu", "decimal", "Limit CPUs", cpus))
        .arg(one("limit-memory", "bytes", "Limit Memory", bytes))
        .arg(whole("limit-pids", "int", "Limit maximum number of processes (default 0 = unlimited)"))
        .arg(one("reserve-cpu", "decimal", "Reserve CPUs", cpus))
        .arg(one("reserve-memory", "bytes", "Reserve Memory", bytes))
        .arg(one("replicas", "uint", "Number of tasks", number))
        .arg(one("max-concurrent", "uint", "Number of job tasks to run concurrently (default equal to --replicas)", number))
        .arg(one("replicas-max-per-node", "uint", "Maximum number of tasks per node (default 0 = unlimited)", number))
        .arg(switch("with-registry-auth", "Send registry authentication details to swarm agents"))
        .arg(switch("no-resolve-image", "Do not query the registry to resolve image digest and supported platforms"))
        .arg(text("log-driver", "string", "Logging driver for service"))
        .arg(list("log-opt", "list", "Logging driver options"))
        .arg(choice("tty", "Allocate a pseudo-TTY").short('t'))
        .arg(choice("read-only", "Mount the container's root filesystem as read only"))
        .arg(text("stop-signal", "string", "Signal to stop the container"))
        .arg(text("isolation", "string", "Service container isolation mode"))
        .arg(choice("init", "Use an init inside each service container to forward signals and reap processes"))
        .arg(whole("oom-score-adj", "int", "Tune host's OOM preferences (-1000 to 1000) "))
}

fn health(command: Command) -> Command {
    let start = "Start period for the container to initialize before counting retries towards unstable (ms|s|m|h)";
    let often = "Time between running the check during the start period (ms|s|m|h)";
    command
        .arg(text("health-cmd", "string", "Command to run to check health"))
        .arg(one("health-interval", "duration", "Time between running the check (ms|s|m|h)", positive_duration))
        .arg(one("health-timeout", "duration", "Maximum time to allow one check to run (ms|s|m|h)", positive_duration))
        .arg(whole("health-retries", "int", "Consecutive failures needed to report unhealthy"))
        .arg(one("health-start-period", "duration", start, positive_duration))
        .arg(one("health-start-interval", "duration", often, positive_duration))
        .arg(switch("no-healthcheck", "Disable any container-specified HEALTHCHECK"))
}

/// `key=value`, or a key alone.
fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let key = key.trim_start_matches([' ', '\t']);
    match key {
        "" => Err(format!("invalid label '{text}': empty name")),
        _ if key.contains([' ', '\t']) => Err(format!("label '{key}' contains whitespaces")),
        _ => Ok((key.into(), value.into())),
    }
}

/// `NAME=value`, or a name alone.
fn variable(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err(format!("invalid environment variable: {text}")),
        false => Ok(text.into()),
    }
}

fn mount(text: &str) -> Result<MountRequest, String> {
    mounts::parse(text, &std::env::current_dir().unwrap_or_default())
}

fn ulimit(text: &str) -> Result<Ulimit, String> {
    limits::ulimit(text).map_err(|e| plain(&e.message()))
}

fn server(text: &str) -> Result<String, String> {
    single(names::servers(&[text.to_string()]))
}

fn domain(text: &str) -> Result<String, String> {
    single(names::domains(&[text.to_string()]))
}

/// `name:address` as hosts(5) has it: `address name`.
fn host(text: &str) -> Result<String, String> {
    let host = single(names::hosts(&[text.to_string()]))?;
    let (name, address) = host.split_once(':').unwrap_or((&host, ""));
    Ok(format!("{address} {name}"))
}

fn single(read: minidock_base::Result<Vec<String>>) -> Result<String, String> {
    read.map(|mut one| one.pop().unwrap_or_default()).map_err(|e| plain(&e.message()))
}

/// The reason alone, without `invalid argument … flag: `, which is put in front again.
fn plain(message: &str) -> String {
    message.split_once("\" flag: ").map_or(message, |(_, why)| why).to_string()
}

fn preference(text: &str) -> Result<PlacementPreference, String> {
    match text.split_once('=') {
        None | Some(("", _)) => Err("placement preference must be of the format \"<strategy>=<arg>\"".into()),
        Some(("spread", over)) => Ok(super::spec::spread(over)),
        Some((other, _)) => Err(format!("unsupported placement preference {other} (only spread is supported)")),
    }
}

fn resource(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((kind, _)) if !kind.is_empty() => Ok(text.into()),
        _ => Err(format!("invalid generic-resource format `{text}` expected `name=value`")),
    }
}
