//! # The container's part of the page
//!
//! What runs, with which privileges, mounts, files and limits, and how its health is asked for.
//!
//! *See:* docker/cli `cli/command/service/formatter.go`. *Next room:* [`super::logs`]

use crate::page::{pairs, put};
use minidock_base::units;
use minidock_spec::{engine::container::HealthConfig, swarm::container::ContainerSpec};

/// `ContainerSpec:` and what follows it.
pub fn container(text: &mut String, spec: &ContainerSpec) {
    *text += "ContainerSpec:\n";
    put(text, " Image:\t\t", &spec.image);
    let words = |all: &[String]| all.iter().map(|word| format!("{word} ")).collect::<String>();
    if !spec.args.is_empty() {
        put(text, " Args:\t\t", &words(&spec.args));
    }
    if !spec.env.is_empty() {
        put(text, " Env:\t\t", &words(&spec.env));
    }
    if !spec.dir.is_empty() {
        put(text, " Dir:\t\t", &spec.dir);
    }
    if let Some(init) = spec.init {
        put(text, " Init:\t\t", &init.to_string());
    }
    if !spec.user.is_empty() {
        put(text, " User: ", &spec.user);
    }
    if !spec.capability_add.is_empty() || !spec.capability_drop.is_empty() {
        *text += "Capabilities:\n";
    }
    if !spec.capability_add.is_empty() {
        put(text, " Add: ", &spec.capability_add.join(", "));
    }
    if !spec.capability_drop.is_empty() {
        put(text, " Drop: ", &spec.capability_drop.join(", "));
    }
    if !spec.sysctls.is_empty() {
        *text += "SysCtls:\n";
        pairs(text, " ", ": ", &spec.sysctls);
    }
    if !spec.ulimits.is_empty() {
        *text += "Ulimits:\n";
        for limit in &spec.ulimits {
            put(text, " ", &format!("{}: {}:{}", limit.name, limit.soft, limit.hard));
        }
    }
    files(text, spec);
}

fn files(text: &mut String, spec: &ContainerSpec) {
    if !spec.mounts.is_empty() {
        *text += "Mounts:\n";
    }
    for mount in &spec.mounts {
        put(text, " Target:\t", &mount.target);
        put(text, "  Source:\t", &mount.source);
        put(text, "  ReadOnly:\t", &mount.read_only.to_string());
        put(text, "  Type:\t\t", &mount.kind);
    }
    let target = |file: &Option<minidock_spec::swarm::container::FileTarget>| {
        file.as_ref().map(|file| file.name.clone()).unwrap_or_default()
    };
    if !spec.configs.is_empty() {
        *text += "Configs:\n";
    }
    for config in &spec.configs {
        put(text, " Target:\t", &target(&config.file));
        put(text, "  Source:\t", &config.config_name);
    }
    if !spec.secrets.is_empty() {
        *text += "Secrets:\n";
    }
    for secret in &spec.secrets {
        put(text, " Target:\t", &target(&secret.file));
        put(text, "  Source:\t", &secret.secret_name);
    }
}

/// `Healthcheck:` stands at the end of the page.
pub fn healthcheck(text: &mut String, check: &HealthConfig) {
    *text += " Healthcheck:\n";
    put(text, "  Interval = ", &units::go_duration(check.interval));
    put(text, "  Retries = ", &check.retries.to_string());
    put(text, "  StartPeriod =\t", &units::go_duration(check.start_period));
    put(text, "  Timeout =\t", &units::go_duration(check.timeout));
    if check.test.is_empty() {
        return;
    }
    *text += "  Tests:\n";
    for word in &check.test {
        put(text, "\t Test = ", word);
    }
    text.pop();
    *text += " \n";
}
