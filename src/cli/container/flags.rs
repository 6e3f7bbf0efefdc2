//! # Flags of run and create: the wish, as typed
//!
//! `run` and `create` share some ninety flags. Here they are declared, in groups that answer one question each: which
//! program, which files, how much of the machine, which privileges, which network, what happens in the end. What they *mean*
//! is decided in [`crate::container::body`], and by the daemon.
//!
//! * Flags for Windows (`--cpu-count`, …) and those that Docker has removed are left out.
//! * Which networks, ports and devices there are is for the daemon to say.
//!
//! *See:* docker/cli `cli/command/container/opts.go`. *Next room:* [`crate::container::body`]

use crate::flag::{choice, list, name, number, on, program, switch, text};
use clap::{Arg, Command};

/// Adds everything that `run` and `create` share.
pub fn add(command: Command) -> Command {
    let command = end(network(privileges(limits(files(the_program(command))))));
    command.arg(name("IMAGE")).arg(program("ARG"))
}

/// When `doing` ("running", "creating") fetches the image.
pub fn pull(doing: &str) -> Arg {
    text("pull", "string", "")
        .help(format!("Pull image before {doing} (\"always\", \"missing\", \"never\") (default \"missing\")"))
}

/// What `run` has and `create` has not.
pub fn add_run(command: Command) -> Command {
    command
        .arg(pull("running"))
        .arg(switch("detach", "Run container in background and print container ID").short('d'))
        .arg(text("detach-keys", "string", "Override the key sequence for detaching a container"))
        .arg(on("sig-proxy", "Proxy received signals to the process (default true)"))
        .arg(switch("explain", "Tell every kernel call made for the container, on standard error, while it happens"))
}

fn the_program(command: Command) -> Command {
    command
        .arg(text("name", "string", "Assign a name to the container"))
        .arg(list("attach", "list", "Attach to STDIN, STDOUT or STDERR").short('a'))
        .arg(switch("interactive", "Keep STDIN open even if not attached").short('i'))
        .arg(switch("tty", "Allocate a pseudo-TTY").short('t'))
        .arg(list("env", "list", "Set environment variables").short('e'))
        .arg(list("env-file", "list", "Read in a file of environment variables"))
        .arg(text("entrypoint", "string", "Overwrite the default ENTRYPOINT of the image"))
        .arg(text("workdir", "string", "Working directory inside the container").short('w'))
        .arg(text("user", "string", "Username or UID (format: <name|uid>[:<group|gid>])").short('u'))
        .arg(list("group-add", "list", "Add additional groups to join"))
        .arg(list("label", "list", "Set meta data on a container").short('l'))
        .arg(list("label-file", "list", "Read in a line delimited file of labels"))
        .arg(list(
            "annotation",
            "map",
            "Add an annotation to the container (passed through to the OCI runtime) (default map[])",
        ))
        .arg(choice("init", "Run an init inside the container that forwards signals and reaps processes"))
        .arg(switch("help", "Print usage"))
        .arg(switch("quiet", "Suppress the pull output").short('q'))
        .arg(text("platform", "string", "Set platform if server is multi-platform capable"))
        .arg(text("runtime", "string", "Runtime to use for this container"))
        .arg(text("isolation", "string", "Container isolation technology"))
        .arg(text("cidfile", "string", "Write the container ID to the file"))
        .arg(switch("disable-content-trust", "Skip image verification (default true)").hide(true))
}

fn files(command: Command) -> Command {
    command
        .arg(list("volume", "list", "Bind mount a volume").short('v'))
        .arg(list("mount", "mount", "Attach a filesystem mount to the container"))
        .arg(list("tmpfs", "list", "Mount a tmpfs directory"))
        .arg(list("volumes-from", "list", "Mount volumes from the specified container(s)"))
        .arg(text("volume-driver", "string", "Optional volume driver for the container"))
        .arg(switch("read-only", "Mount the container's root filesystem as read only"))
        .arg(text("shm-size", "bytes", "Size of /dev/shm"))
        .arg(list("storage-opt", "list", "Storage driver options for the container"))
        .arg(list("device", "list", "Add a host device to the container"))
}

fn limits(command: Command) -> Command {
    command
        .arg(text("memory", "bytes", "Memory limit").short('m'))
        .arg(text("memory-swap", "bytes", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"))
        .arg(text("memory-reservation", "bytes", "Memory soft limit"))
        .arg(number("memory-swappiness", "int", "Tune container memory swappiness (0 to 100) (default -1)"))
        .arg(text("kernel-memory", "bytes", "Kernel memory limit").hide(true))
        .arg(text("cpus", "decimal", "Number of CPUs"))
        .arg(number("cpu-shares", "int", "CPU shares (relative weight)").short('c'))
        .arg(number("cpu-period", "int", "Limit CPU CFS (Completely Fair Scheduler) period"))
        .arg(number("cpu-quota", "int", "Limit CPU CFS (Completely Fair Scheduler) quota"))
        .arg(number("cpu-rt-period", "int", "Limit CPU real-time period in microseconds"))
        .arg(number("cpu-rt-runtime", "int", "Limit CPU real-time runtime in microseconds"))
        .arg(text("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"))
        .arg(text("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"))
        .arg(number("pids-limit", "int", "Tune container pids limit (set -1 for unlimited)"))
        .arg(number("blkio-weight", "uint16", "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)"))
        .arg(list("blkio-weight-device", "list", "Block IO weight (relative device weight) (default [])"))
        .arg(list("device-read-bps", "list", "Limit read rate (bytes per second) from a device (default [])"))
        .arg(list("device-write-bps", "list", "Limit write rate (bytes per second) to a device (default [])"))
        .arg(list("device-read-iops", "list", "Limit read rate (IO per second) from a device (default [])"))
        .arg(list("device-write-iops", "list", "Limit write rate (IO per second) to a device (default [])"))
        .arg(list("gpus", "gpu-request", "GPU devices to add to the container ('all' to pass all GPUs)"))
        .arg(list("ulimit", "ulimit", "Ulimit options (default [])"))
        .arg(switch("oom-kill-disable", "Disable OOM Killer"))
        .arg(number("oom-score-adj", "int", "Tune host's OOM preferences (-1000 to 1000)"))
        .arg(text("cgroup-parent", "string", "Optional parent cgroup for the container"))
}

fn privileges(command: Command) -> Command {
    command
        .arg(switch("privileged", "Give extended privileges to this container"))
        .arg(list("cap-add", "list", "Add Linux capabilities"))
        .arg(list("cap-drop", "list", "Drop Linux capabilities"))
        .arg(list("security-opt", "list", "Security Options"))
        .arg(list("device-cgroup-rule", "list", "Add a rule to the cgroup allowed devices list"))
        .arg(list("sysctl", "map", "Sysctl options (default map[])"))
        .arg(text("pid", "string", "PID namespace to use"))
        .arg(text("ipc", "string", "IPC mode to use"))
        .arg(text("uts", "string", "UTS namespace to use"))
        .arg(text("userns", "string", "User namespace to use"))
        .arg(text(
            "cgroupns",
            "string",
            "Cgroup namespace to use (host|private)\n'host':    Run the container in the host's cgroup namespace\n'private': Run the container in its own private cgroup namespace\n'':        Use the default of the daemon",
        ))
}

fn network(command: Command) -> Command {
    command
        .arg(list("network", "network", "Connect a container to a network").alias("net"))
        .arg(list("network-alias", "list", "Add network-scoped alias for the container").alias("net-alias"))
        .arg(text("ip", "string", "IPv4 address (e.g., 172.30.100.104)"))
        .arg(text("ip6", "string", "IPv6 address (e.g., 2001:db8::33)"))
        .arg(list("link", "list", "Add link to another container"))
        .arg(list("link-local-ip", "list", "Container IPv4/IPv6 link-local addresses"))
        .arg(text("mac-address", "string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"))
        .arg(list("publish", "list", "Publish a container's port(s) to the host").short('p'))
        .arg(switch("publish-all", "Publish all exposed ports to random ports").short('P'))
        .arg(list("expose", "list", "Expose a port or a range of ports"))
        .arg(text("hostname", "string", "Container host name").short('h'))
        .arg(text("domainname", "string", "Container NIS domain name"))
        .arg(list("add-host", "list", "Add a custom host-to-IP mapping (host:ip)"))
        .arg(list("dns", "list", "Set custom DNS servers"))
        .arg(list("dns-option", "list", "Set DNS options").alias("dns-opt"))
        .arg(list("dns-search", "list", "Set custom DNS search domains"))
}

fn end(command: Command) -> Command {
    command
        .arg(switch("rm", "Automatically remove the container and its associated anonymous volumes when it exits"))
        .arg(text("restart", "string", "Restart policy to apply when a container exits (default \"no\")"))
        .arg(text("stop-signal", "string", "Signal to stop the container"))
        .arg(number("stop-timeout", "int", "Timeout (in seconds) to stop a container"))
        .arg(text("log-driver", "string", "Logging driver for the container"))
        .arg(list("log-opt", "list", "Log driver options"))
        .arg(switch("no-healthcheck", "Disable any container-specified HEALTHCHECK"))
        .arg(text("health-cmd", "string", "Command to run to check health"))
        .arg(text("health-interval", "duration", "Time between running the check (ms|s|m|h) (default 0s)"))
        .arg(number("health-retries", "int", "Consecutive failures needed to report unhealthy"))
        .arg(text(
            "health-start-period",
            "duration",
            "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
        ))
        .arg(text(
            "health-start-interval",
            "duration",
            "Time between running the check during the start period (ms|s|m|h) (default 0s)",
        ))
        .arg(text("health-timeout", "duration", "Maximum time to allow one check to run (ms|s|m|h) (default 0s)"))
}
