//! # From flags to a body: what `POST /containers/create` is told
//!
//! One function, [`wish`], turns what was typed into the API's [`CreateBody`]. It only rearranges: small languages are read
//! by the rooms beside this one ([`mounts`], [`ports`], [`resources`](crate::container::resources), [`endpoints`],
//! [`environment`], [`security`]), and whether a wish can be fulfilled is for the daemon to say.
//!
//! ```text
//!   ArgMatches ──► Wish { body: CreateBody { config, HostConfig, NetworkingConfig }, name, platform, pull, … }
//! ```
//!
//! Laws: a flag that was not given leaves its field at "not set", so that the image's defaults and the daemon's stand.
//! Conflicts that Docker's client refuses are refused here, before anything is created. *See:* docker/cli
//! `cli/command/container/opts.go` `parse`. *Next room:* [`crate::container::create`]

use crate::container::{
    endpoints, environment, limits, mounts, names, ports,
    resources::{bytes, resources},
    security,
};
use crate::flag::{choice_of, list_of, number_of, text_of};
use clap::ArgMatches;
use minidock_base::{Doing, Error, Result};
use minidock_spec::engine::container::{ContainerConfig, CreateBody, HostConfig, LogConfig};

/// When to fetch an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    Always,
    Missing,
    Never,
}

/// A container as wished for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub body: CreateBody,
    pub name: Option<String>,
    pub platform: Option<String>,
    pub pull: Pull,
    pub quiet: bool,
    pub cidfile: Option<String>,
}

/// Reads the flags of `run` and `create`.
///
/// # Errors
/// Everything that is wrong with one flag or with two together, in Docker's words.
pub fn wish(m: &ArgMatches) -> Result<Wish> {
    let places = endpoints::places(m)?;
    let host_config = host_config(m)?;
    if m.get_flag("rm") && !matches!(host_config.restart_policy.name.as_str(), "" | "no") {
        return Err(Error::invalid("conflicting options: cannot specify both --restart and --rm"));
    }
    let mut config = config(m)?;
    let here = std::env::current_dir().doing(|| "find the current folder")?;
    let volumes = mounts::volumes(&list_of(m, "volume"), &here)?;
    let (exposed, bindings) = ports::ports(&list_of(m, "publish"), &list_of(m, "expose"))?;
    config.volumes = (!volumes.anonymous.is_empty()).then_some(volumes.anonymous);
    config.exposed_ports = (!exposed.is_empty()).then_some(exposed);
    let mounts = list_of(m, "mount").iter().map(|value| mounts::mount(value, &here)).collect::<Result<Vec<_>>>()?;
    let host_config = HostConfig {
        binds: (!volumes.binds.is_empty()).then_some(volumes.binds),
        mounts: (!mounts.is_empty()).then_some(mounts),
        port_bindings: bindings,
        network_mode: places.mode,
        links: (!places.links.is_empty()).then_some(places.links),
        ..host_config
    };
    let pull = match text_of(m, "pull").unwrap_or("missing") {
        "always" => Pull::Always,
        "missing" | "" => Pull::Missing,
        "never" => Pull::Never,
        other => {
            return Err(Error::invalid(format!(
                "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
            )));
        }
    };
    let owned = |id: &str| text_of(m, id).filter(|text| !text.is_empty()).map(str::to_string);
    Ok(Wish {
        body: CreateBody { config, host_config, networking_config: places.networking },
        name: owned("name"),
        platform: owned("platform"),
        pull,
        quiet: m.get_flag("quiet"),
        cidfile: owned("cidfile"),
    })
}

/// The portable half.
fn config(m: &ArgMatches) -> Result<ContainerConfig> {
    let text = |id: &str| text_of(m, id).unwrap_or_default().to_string();
    let attach = attach(&list_of(m, "attach"), m.get_flag("interactive"))?;
    let program = list_of(m, "ARG");
    let entrypoint = text_of(m, "entrypoint").map(|word| vec![word.to_string()]);
    let health = security::health(&security::Health {
        none: m.get_flag("no-healthcheck"),
        command: text_of(m, "health-cmd"),
        interval: text_of(m, "health-interval"),
        timeout: text_of(m, "health-timeout"),
        start_period: text_of(m, "health-start-period"),
        start_interval: text_of(m, "health-start-interval"),
        retries: number_of(m, "health-retries"),
    })?;
    let ours = |name: &str| std::env::var(name).ok();
    Ok(ContainerConfig {
        hostname: text("hostname"),
        domainname: text("domainname"),
        user: text("user"),
        attach_stdin: attach.stdin,
        attach_stdout: attach.stdout,
        attach_stderr: attach.stderr,
        tty: m.get_flag("tty"),
        open_stdin: m.get_flag("interactive"),
        stdin_once: m.get_flag("interactive") && attach.stdin,
        env: environment::variables(&list_of(m, "env-file"), &list_of(m, "env"), ours)?,
        cmd: (!program.is_empty()).then_some(program),
        healthcheck: health,
        image: text("IMAGE"),
        working_dir: text("workdir"),
        entrypoint,
        mac_address: text_of(m, "mac-address").map(str::to_string),
        labels: environment::labels(&list_of(m, "label-file"), &list_of(m, "label"))?,
        stop_signal: text_of(m, "stop-signal").map(str::to_string),
        stop_timeout: number_of(m, "stop-timeout"),
        ..ContainerConfig::default()
    })
}

/// Which streams the client wants.
#[derive(Debug, PartialEq)]
struct Attach {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

fn attach(values: &[String], interactive: bool) -> Result<Attach> {
    if values.is_empty() {
        return Ok(Attach { stdin: interactive, stdout: true, stderr: true });
    }
    let mut attach = Attach { stdin: false, stdout: false, stderr: false };
    for value in values {
        match value.to_ascii_lowercase().as_str() {
            "stdin" => attach.stdin = true,
            "stdout" => attach.stdout = true,
            "stderr" => attach.stderr = true,
            _ => {
                return Err(Error::invalid(format!(
                    "invalid argument {value:?} for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
                )));
            }
        }
    }
    Ok(attach)
}

/// The half that is about this machine.
fn host_config(m: &ArgMatches) -> Result<HostConfig> {
    let text = |id: &str| text_of(m, id).unwrap_or_default().to_string();
    let many = |id: &str| Some(list_of(m, id)).filter(|list| !list.is_empty());
    let security = security::security(&list_of(m, "security-opt"))?;
    let closed = |open: bool| open.then(Vec::new);
    let (log_driver, log_opts) = (text("log-driver"), environment::pairs("log-opt", &list_of(m, "log-opt"))?);
    if log_driver == "none" && !log_opts.is_empty() {
        return Err(Error::invalid("invalid logging opts for driver none"));
    }
    let mode = |id: &str, what: &str, valid: &dyn Fn(&str) -> bool| {
        let value = text(id);
        match value.is_empty() || valid(&value) {
            true => Ok(value),
            false => Err(Error::invalid(format!("--{id}: invalid {what} mode"))),
        }
    };
    Ok(HostConfig {
        container_id_file: text("cidfile"),
        log_config: LogConfig { kind: log_driver, config: log_opts },
        restart_policy: limits::restart(text_of(m, "restart").unwrap_or_default())?,
        auto_remove: m.get_flag("rm"),
        volume_driver: text("volume-driver"),
        volumes_from: many("volumes-from"),
        annotations: environment::pairs("annotation", &list_of(m, "annotation"))?,
        cap_add: many("cap-add"),
        cap_drop: many("cap-drop"),
        cgroupns_mode: mode("cgroupns", "CGROUP", &|v| matches!(v, "host" | "private"))?,
        dns: names::servers(&list_of(m, "dns"))?,
        dns_options: list_of(m, "dns-option"),
        dns_search: names::domains(&list_of(m, "dns-search"))?,
        extra_hosts: many("add-host").map(|hosts| names::hosts(&hosts)).transpose()?,
        group_add: many("group-add"),
        ipc_mode: text("ipc"),
        oom_score_adj: number_of(m, "oom-score-adj").unwrap_or(0),
        pid_mode: mode("pid", "PID", &|v| v == "host" || v.strip_prefix("container:").is_some_and(|c| !c.is_empty()))?,
        privileged: m.get_flag("privileged"),
        publish_all_ports: m.get_flag("publish-all"),
        readonly_rootfs: m.get_flag("read-only"),
        security_opt: Some(security.options).filter(|options| !options.is_empty()),
        storage_opt: environment::pairs("storage-opt", &list_of(m, "storage-opt"))?,
        tmpfs: mounts::tmpfs(&list_of(m, "tmpfs")),
        uts_mode: mode("uts", "UTS", &|v| v == "host")?,
        userns_mode: mode("userns", "USER", &|v| v == "host" || v == "private" || v.starts_with("auto"))?,
        shm_size: bytes(m, "shm-size")?,
        sysctls: security::sysctls(&list_of(m, "sysctl"))?,
        isolation: text("isolation"),
        runtime: text("runtime"),
        masked_paths: closed(security.paths_open),
        readonly_paths: closed(security.paths_open),
        init: choice_of(m, "init"),
        resources: resources(m)?,
        ..HostConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        container::run,
        words::{self, Read},
    };

    fn read(line: &str) -> Result<Wish> {
        let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
        match words::read(run::command(), "run", &words) {
            Ok(Read::Matches(m)) => wish(&m),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_was_not_given_is_left_to_the_image_and_the_daemon() {
        let plain = read("alpine").expect("a wish").body;
        let expected =
            ContainerConfig { image: "alpine".into(), attach_stdout: true, attach_stderr: true, ..ContainerConfig::default() };
        assert_eq!(plain.config, expected);
        assert_eq!(plain.host_config, HostConfig { network_mode: "default".into(), ..HostConfig::default() });
        assert!(plain.networking_config.endpoints_config.is_empty());
    }

    #[test]
    fn a_students_line_becomes_a_body() {
        let line = "-dit --rm --name mydb -h box -e A=1 -p 8080:80 -v data:/d --cap-add SYS_ADMIN --cap-drop ALL --entrypoint sh \
                    --restart no --init -u 1:2 -w /w -l a=b --security-opt no-new-privileges alpine -c ls --rm";
        let wish = read(line).expect("a wish");
        let (config, host) = (&wish.body.config, &wish.body.host_config);
        assert_eq!((wish.name.as_deref(), config.hostname.as_str(), config.tty), (Some("mydb"), "box", true));
        assert!(config.open_stdin && config.stdin_once && host.auto_remove && host.init == Some(true));
        assert_eq!(config.cmd, Some(vec!["-c".into(), "ls".into(), "--rm".into()]));
        assert_eq!((config.entrypoint.clone(), config.env.clone()), (Some(vec!["sh".into()]), vec!["A=1".to_string()]));
        assert_eq!(host.binds, Some(vec!["data:/d".into()]));
        assert!(config.exposed_ports.as_ref().is_some_and(|ports| ports.contains_key("80/tcp")));
        assert_eq!((host.cap_add.clone(), host.cap_drop.clone()), (Some(vec!["SYS_ADMIN".into()]), Some(vec!["ALL".into()])));
        assert_eq!((config.labels["a"].as_str(), config.user.as_str(), config.working_dir.as_str()), ("b", "1:2", "/w"));
    }

    #[test]
    fn no_init_can_be_wished_where_the_daemon_would_give_one() {
        let init = |line: &str| read(line).expect("a wish").body.host_config.init;
        assert_eq!(
            (init("x"), init("--init x"), init("--init=false x"), init("--init=true x")),
            (None, Some(true), Some(false), Some(true))
        );
    }

    #[test]
    fn streams_and_conflicts() {
        let config = read("-a stdin -a STDOUT -i alpine").expect("a wish").body.config;
        assert!(config.attach_stdin && config.attach_stdout && !config.attach_stderr);
        for wrong in [
            "-a stdx alpine",
            "--rm --restart always alpine",
            "--pull now alpine",
            "--pid x alpine",
            "--uts x alpine",
            "--add-host x alpine",
        ] {
            assert!(read(wrong).is_err(), "{wrong} should be refused");
        }
        let open = read("--security-opt systempaths=unconfined alpine").expect("a wish").body.host_config;
        assert_eq!((open.masked_paths, open.readonly_paths, open.security_opt), (Some(vec![]), Some(vec![]), None));
    }
}
