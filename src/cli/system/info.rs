//! # info: what the daemon is and what it has
//!
//! The client's part first, then the daemon's: how many containers and images, how it stores and logs, which kernel, how much
//! memory, and where everything lies on disk.
//!
//! * [`page`] writes the pages of words that people read; `-f` sees the same as a struct.
//!
//! Laws: warnings go to standard error, so `info | grep` stays clean. *See:* docker/cli `cli/command/system/info.go`.
//! *Next room:* [`super::events`]

use super::{swarm_section, version};
use crate::{
    complain, flag, format,
    session::Session,
    template::{Template, shapes},
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Result, units};
use minidock_client::Route;
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// The flags of `info`.
pub fn command() -> clap::Command {
    flag::command("info", "[OPTIONS]", "Display system-wide information")
        .arg(flag::text("format", "string", format::INSPECT_HELP).short('f'))
}

/// Shows what there is.
///
/// # Errors
/// No daemon answers (after the client's part has been printed); a wrong template.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let format = flag::text_of(m, "format").unwrap_or_default();
    let template = match Template::parse(if format == "json" { "{{json .}}" } else { format }) {
        Ok(template) => template,
        Err(fault) => {
            complain(&format::refused(fault));
            return Ok(64);
        }
    };
    let mut client = version::client(session, None);
    client["Debug"] = Json::from(session.debug());
    client["Plugins"] = json!([]);
    let answer = ask(session).await;
    if format.is_empty() {
        terminal::print(&client_page(&client));
        let info = answer?;
        terminal::print(&page(&info));
        for warning in texts(&info["Warnings"]) {
            terminal::eprint(&format!("{warning}\n"));
        }
        return Ok(0);
    }
    let mut both = answer?;
    both["ClientInfo"] = client;
    let rendered = template.render(&shapes::plain(&shapes::other::INFO, &both));
    terminal::print(&format!("{}\n", rendered.as_deref().unwrap_or_default()));
    rendered.map(|_| 0).map_err(|fault| Error::invalid(fault.text))
}

async fn ask(session: &mut Session) -> Result<Json> {
    session.docker().await?.get(&Route::new("/info", [])).await
}

fn client_page(client: &Json) -> String {
    format!(
        "Client:\n Version:    {}\n Context:    {}\n Debug Mode: {}\n\nServer:\n",
        plain(&client["Version"]),
        plain(&client["Context"]),
        client["Debug"]
    )
}

/// A text without its quotes, a number or a truth as it is, nothing for null.
fn plain(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn texts(json: &Json) -> Vec<String> {
    json.as_array().into_iter().flatten().map(plain).collect()
}

/// A page of `Name: value` lines.
struct Page<'a> {
    info: &'a Json,
    text: String,
}

impl Page<'_> {
    fn line(&mut self, name: &str, value: &str) {
        // writing to a String cannot fail
        let _ = writeln!(self.text, " {name} {value}");
    }

    /// A field that is shown even when empty.
    fn always(&mut self, name: &str, key: &str) {
        let value = plain(&self.info[key]);
        self.line(name, &value);
    }

    /// Fields that are shown only when there is something to show.
    fn given(&mut self, fields: &[(&str, &str)]) {
        for (name, key) in fields {
            let value = plain(&self.info[*key]);
            if !value.is_empty() {
                self.line(name, &value);
            }
        }
    }

    /// A heading and its lines, when there are any.
    fn list(&mut self, heading: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.line(heading, "");
            self.text.truncate(self.text.trim_end().len());
            self.text.push('\n');
            for line in lines {
                self.text.push_str(&format!("  {line}\n"));
            }
        }
    }
}

fn page(info: &Json) -> String {
    let mut page = Page { info, text: String::new() };
    for (name, key) in [
        ("Containers:", "Containers"),
        (" Running:", "ContainersRunning"),
        (" Paused:", "ContainersPaused"),
        (" Stopped:", "ContainersStopped"),
        ("Images:", "Images"),
    ] {
        page.always(name, key);
    }
    page.given(&[("Server Version:", "ServerVersion"), ("Storage Driver:", "Driver")]);
    for pair in info["DriverStatus"].as_array().into_iter().flatten() {
        page.line(&format!(" {}:", plain(&pair[0])), &plain(&pair[1]));
    }
    page.given(&[
        ("Logging Driver:", "LoggingDriver"),
        ("Cgroup Driver:", "CgroupDriver"),
        ("Cgroup Version:", "CgroupVersion"),
    ]);
    plugins(&mut page);
    page.line("Swarm:", &plain(&info["Swarm"]["LocalNodeState"]));
    for line in swarm_section::lines(&info["Swarm"]) {
        page.line("", &line);
    }
    runtimes(&mut page);
    security(&mut page);
    page.given(&[
        ("Kernel Version:", "KernelVersion"),
        ("Operating System:", "OperatingSystem"),
        ("OSType:", "OSType"),
        ("Architecture:", "Architecture"),
    ]);
    page.always("CPUs:", "NCPU");
    let memory = info["MemTotal"].as_f64().unwrap_or(0.0);
    page.line("Total Memory:", &units::human_bytes(memory));
    page.given(&[("Name:", "Name"), ("ID:", "ID")]);
    page.always("Docker Root Dir:", "DockerRootDir");
    places(&mut page);
    settings(&mut page);
    page.always("Debug Mode:", "Debug");
    if info["Debug"].as_bool().unwrap_or(false) {
        for (name, key) in [
            (" File Descriptors:", "NFd"),
            (" Goroutines:", "NGoroutines"),
            (" System Time:", "SystemTime"),
            (" EventsListeners:", "NEventsListener"),
        ] {
            page.always(name, key);
        }
    }
    page.given(&[("HTTP Proxy:", "HttpProxy"), ("HTTPS Proxy:", "HttpsProxy"), ("No Proxy:", "NoProxy")]);
    page.list("Labels:", &texts(&info["Labels"]));
    page.always("Experimental:", "ExperimentalBuild");
    page.list("Insecure Registries:", &insecure(info));
    page.list("Registry Mirrors:", &texts(&info["RegistryConfig"]["Mirrors"]));
    page.always("Live Restore Enabled:", "LiveRestoreEnabled");
    let pool = |p: &Json| format!(" Base: {}, Size: {}", plain(&p["Base"]), plain(&p["Size"]));
    let pools: Vec<String> = info["DefaultAddressPools"].as_array().into_iter().flatten().map(pool).collect();
    page.list("Default Address Pools:", &pools);
    page.text + "\n"
}

/// What of the machine's network settings the daemon has changed; `system stop --purge-network` puts them back.
fn settings(page: &mut Page<'_>) {
    let Some(changed) = page.info["MinidockHostSettings"].as_object() else { return };
    let line = |(knob, turned): (&String, &Json)| format!("{knob}: {} (was {})", plain(&turned["is"]), plain(&turned["was"]));
    let lines: Vec<String> = changed.iter().map(line).collect();
    page.list("Changed Settings:", &lines);
}

/// Where our daemon keeps things, and where a student of Docker would look for them.
fn places(page: &mut Page<'_>) {
    let Some(places) = page.info["MinidockPaths"].as_object() else { return };
    let width = places.keys().map(String::len).max().unwrap_or(0);
    for (name, place) in places {
        let docker = plain(&place["docker"]);
        let docker = if docker.is_empty() { String::new() } else { format!("  (Docker: {docker})") };
        page.line(&format!(" {name:<width$} "), &format!("{}{docker}", plain(&place["minidock"])));
    }
}

fn plugins(page: &mut Page<'_>) {
    page.text.push_str(" Plugins:\n");
    for (name, key) in [("Volume:", "Volume"), ("Network:", "Network"), ("Authorization:", "Authorization"), ("Log:", "Log")] {
        let names = texts(&page.info["Plugins"][key]);
        if key != "Authorization" || !names.is_empty() {
            page.line(&format!(" {name}"), &names.join(" "));
        }
    }
    page.list("CDI spec directories:", &texts(&page.info["CDISpecDirs"]));
}

fn runtimes(page: &mut Page<'_>) {
    let Some(runtimes) = page.info["Runtimes"].as_object().filter(|runtimes| !runtimes.is_empty()) else { return };
    let names: Vec<&str> = runtimes.keys().map(String::as_str).collect();
    page.line("Runtimes:", &names.join(" "));
    page.always("Default Runtime:", "DefaultRuntime");
}

fn security(page: &mut Page<'_>) {
    if page.info["OSType"] != "linux" {
        return;
    }
    page.always("Init Binary:", "InitBinary");
    for (name, key) in
        [("containerd version:", "ContainerdCommit"), ("runc version:", "RuncCommit"), ("init version:", "InitCommit")]
    {
        let id = plain(&page.info[key]["ID"]);
        page.line(name, &id);
    }
    let mut lines = Vec::new();
    for option in texts(&page.info["SecurityOptions"]) {
        let pairs: Vec<(&str, &str)> = option.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let name = pairs.iter().find(|(key, _)| *key == "name").map_or(option.as_str(), |(_, value)| value);
        lines.push(name.to_string());
        lines.extend(pairs.iter().filter(|(key, _)| *key == "profile").map(|(_, value)| format!(" Profile: {value}")));
    }
    page.list("Security Options:", &lines);
}

fn insecure(info: &Json) -> Vec<String> {
    let config = &info["RegistryConfig"];
    let named = config["IndexConfigs"].as_object().into_iter().flatten();
    let named = named.filter(|(_, index)| index["Secure"] == false).map(|(_, index)| plain(&index["Name"]));
    named.chain(texts(&config["InsecureRegistryCIDRs"])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_reads_as_dockers() {
        let info = json!({
            "Containers": 3, "ContainersRunning": 2, "ContainersPaused": 0, "ContainersStopped": 1, "Images": 1, "ServerVersion": "20.10.24",
            "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]], "LoggingDriver": "json-file", "CgroupDriver": "cgroupfs",
            "CgroupVersion": "1", "Plugins": {"Volume": ["local"], "Network": ["bridge", "host"], "Authorization": null, "Log": ["json-file"]},
            "Swarm": {"LocalNodeState": "inactive"}, "Runtimes": {"runc": {}}, "DefaultRuntime": "runc", "OSType": "linux", "InitBinary": "docker-init",
            "ContainerdCommit": {"ID": "c"}, "RuncCommit": {"ID": "r"}, "InitCommit": {"ID": ""},
            "SecurityOptions": ["name=seccomp,profile=default", "name=cgroupns"], "KernelVersion": "6.18", "OperatingSystem": "Debian",
            "Architecture": "x86_64", "NCPU": 2, "MemTotal": 25_230_000_000i64, "Name": "box", "ID": "A:B", "DockerRootDir": "/var/lib/docker", "Debug": false,
            "MinidockPaths": {"layers": {"minidock": "/a/layers", "docker": "/var/lib/docker/overlay2"}, "exec root": {"minidock": "/b"}},
            "MinidockHostSettings": {"net.ipv4.ip_forward": {"was": "0", "is": "1"}},
            "Labels": [], "ExperimentalBuild": false, "RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8"], "IndexConfigs": {}, "Mirrors": []},
            "LiveRestoreEnabled": false
        });
        assert_eq!(
            page(&info),
            " Containers: 3\n  Running: 2\n  Paused: 0\n  Stopped: 1\n Images: 1\n Server Version: 20.10.24\n Storage Driver: overlay2\n  Backing Filesystem: extfs\n \
             Logging Driver: json-file\n Cgroup Driver: cgroupfs\n Cgroup Version: 1\n Plugins:\n  Volume: local\n  Network: bridge host\n  Log: json-file\n \
             Swarm: inactive\n Runtimes: runc\n Default Runtime: runc\n Init Binary: docker-init\n containerd version: c\n runc version: r\n init version: \n \
             Security Options:\n  seccomp\n   Profile: default\n  cgroupns\n Kernel Version: 6.18\n Operating System: Debian\n OSType: linux\n Architecture: x86_64\n \
             CPUs: 2\n Total Memory: 23.5GiB\n Name: box\n ID: A:B\n Docker Root Dir: /var/lib/docker\n  layers     /a/layers  (Docker: /var/lib/docker/overlay2)\n  exec root  /b\n Changed Settings:\n  net.ipv4.ip_forward: 1 (was 0)\n Debug Mode: false\n Experimental: false\n \
             Insecure Registries:\n  127.0.0.0/8\n Live Restore Enabled: false\n\n"
        );
    }
}
