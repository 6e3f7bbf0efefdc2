//! # version: this program and the daemon
//!
//! Two programs of two versions may talk to each other, so both are shown, each with the API version it speaks. When no
//! daemon answers, the client's part is printed all the same, and then the error.
//!
//! *See:* docker/cli `cli/command/system/version.go`. *Next room:* [`super::info`]

use crate::{
    complain, flag, format,
    session::Session,
    table,
    template::{Template, Value, shapes},
    terminal,
};
use clap::ArgMatches;
use minidock_base::{Error, Result};
use minidock_client::{Docker, Route};
use minidock_spec::engine::API_VERSION;
use serde_json::{Value as Json, json};

/// What `version` prints unless told otherwise: Docker's own words, as a template.
const TEMPLATE: &str = "{{with .Client -}}
Client:{{if ne .Platform nil}}{{if ne .Platform.Name \"\"}} {{.Platform.Name}}{{end}}{{end}}
 Version:	{{.Version}}
 API version:	{{.APIVersion}}{{if ne .APIVersion .DefaultAPIVersion}} (downgraded from {{.DefaultAPIVersion}}){{end}}
{{- if .GitCommit}}
 Git commit:	{{.GitCommit}}
{{- end}}
 OS/Arch:	{{.Os}}/{{.Arch}}
 Context:	{{.Context}}
{{- end}}

{{- if ne .Server nil}}{{with .Server}}

Server:{{if ne .Platform.Name \"\"}} {{.Platform.Name}}{{end}}
 {{- range $component := .Components}}
 {{$component.Name}}:
  {{- if eq $component.Name \"Engine\" }}
  Version:	{{.Version}}
  API version:	{{index .Details \"ApiVersion\"}} (minimum version {{index .Details \"MinAPIVersion\"}})
  {{- if index .Details \"GoVersion\"}}
  Go version:	{{index .Details \"GoVersion\"}}
  {{- end}}
  {{- if index .Details \"GitCommit\"}}
  Git commit:	{{index .Details \"GitCommit\"}}
  {{- end}}
  {{- if index .Details \"BuildTime\"}}
  Built:	{{index .Details \"BuildTime\"}}
  {{- end}}
  OS/Arch:	{{index .Details \"Os\"}}/{{index .Details \"Arch\"}}
  Experimental:	{{index .Details \"Experimental\"}}
  {{- else }}
  Version:	{{$component.Version}}
  {{- $detailsOrder := getDetailsOrder $component}}
  {{- range $key := $detailsOrder}}
  {{$key}}:	{{index $component.Details $key}}
   {{- end}}
  {{- end}}
 {{- end}}
 {{- end}}{{- end}}";

/// The flags of `version`.
pub fn command() -> clap::Command {
    flag::command("version", "[OPTIONS]", "Show the minidock version information")
        .arg(flag::text("format", "string", format::INSPECT_HELP).short('f'))
}

/// Shows both versions.
///
/// # Errors
/// No daemon answers (after the client's part has been printed); a wrong template.
pub async fn run(m: &ArgMatches, session: &mut Session) -> Result<i32> {
    let text = match flag::text_of(m, "format").unwrap_or_default() {
        "" => TEMPLATE,
        "json" => "{{json .}}",
        custom => custom,
    };
    let template = match Template::named("version", text) {
        Ok(template) => template,
        Err(fault) => {
            complain(&format::refused(fault));
            return Ok(64);
        }
    };
    let docker = session.docker().await;
    let asked = match &docker {
        Ok(docker) => server(docker).await,
        Err(silent) => Err(silent.clone()),
    };
    let both = json!({"Client": client(session, docker.as_ref().ok()), "Server": asked.as_ref().unwrap_or(&Json::Null)});
    let value: Value = shapes::plain(&shapes::other::VERSION, &both);
    match template.render(&value) {
        Ok(text) => terminal::print(&table::align(&format!("{text}\n"), 20, 1)),
        Err(fault) if asked.is_ok() => {
            terminal::print("\n");
            return Err(Error::invalid(fault.text));
        }
        // without a daemon the template may fail for want of a server: the error below says why
        Err(_) => terminal::print("\n"),
    }
    asked.map(|_| 0)
}

/// The client's own part, as the JSON that a template sees.
pub fn client(session: &Session, docker: Option<&Docker>) -> Json {
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": docker.map_or(API_VERSION, Docker::version),
        "DefaultAPIVersion": API_VERSION,
        "Os": std::env::consts::OS,
        "Arch": architecture(),
        "Context": session.context(),
    })
}

/// The machine's architecture, as Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn server(docker: &Docker) -> Result<Json> {
    let mut version: Json = docker.get(&Route::new("/version", [])).await?;
    let known = version.get("Components").and_then(Json::as_array).cloned().unwrap_or_default();
    if !known.iter().any(|component| component["Name"] == "Engine") {
        let of = |key: &str| version.get(key).cloned().unwrap_or_default();
        let engine = json!({"Name": "Engine", "Version": of("Version"), "Details": {
            "ApiVersion": of("ApiVersion"), "MinAPIVersion": of("MinAPIVersion"), "GitCommit": of("GitCommit"),
            "GoVersion": of("GoVersion"), "Os": of("Os"), "Arch": of("Arch"), "BuildTime": of("BuildTime"),
            "Experimental": of("Experimental").as_bool().unwrap_or(false).to_string(),
        }});
        version["Components"] = known.into_iter().chain([engine]).collect();
    }
    for component in version["Components"].as_array_mut().into_iter().flatten() {
        if let Some(built) = component.pointer_mut("/Details/BuildTime") {
            *built = Json::from(ansi_c(built.as_str().unwrap_or_default()));
        }
    }
    Ok(version)
}

/// `Thu May  7 21:09:36 2026` from RFC 3339.
fn ansi_c(time: &str) -> String {
    match jiff::Zoned::strptime("%Y-%m-%dT%H:%M:%S%.f%:z", time).map(|at| at.strftime("%a %b %e %H:%M:%S %Y").to_string()) {
        Ok(text) => text,
        Err(_) => match time.parse::<jiff::Timestamp>() {
            Ok(at) => at.strftime("%a %b %e %H:%M:%S %Y").to_string(),
            Err(_) => time.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_shown() {
        let both = json!({
            "Client": {"Version": "0.1.0", "ApiVersion": "1.41", "DefaultAPIVersion": "1.45", "Os": "linux", "Arch": "amd64", "Context": "default"},
            "Server": {"Platform": {"Name": ""}, "Version": "20.10", "Components": [
                {"Name": "Engine", "Version": "20.10", "Details": {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64", "Experimental": "false", "GoVersion": "go1.19", "GitCommit": "5d6"}},
                {"Name": "runc", "Version": "1.1.5", "Details": {"GitCommit": "abc"}}]}
        });
        let template = Template::named("version", TEMPLATE).expect("our own template");
        let text = template.render(&shapes::plain(&shapes::other::VERSION, &both)).expect("both sides");
        assert_eq!(
            table::align(&text, 20, 1),
            "Client:\n Version:           0.1.0\n API version:       1.41 (downgraded from 1.45)\n OS/Arch:           linux/amd64\n Context:           default\n\n\
             Server:\n Engine:\n  Version:          20.10\n  API version:      1.41 (minimum version 1.12)\n  Go version:       go1.19\n  Git commit:       5d6\n  OS/Arch:          linux/amd64\n  Experimental:     false\n runc:\n  Version:          1.1.5\n  GitCommit:        abc"
        );
    }

    #[test]
    fn a_time_is_written_as_docker_writes_it() {
        assert_eq!(ansi_c("2026-05-07T21:09:36.000000000+00:00"), "Thu May  7 21:09:36 2026");
        assert_eq!(ansi_c("2026-05-07T21:09:36Z"), "Thu May  7 21:09:36 2026");
        assert_eq!(ansi_c("unknown"), "unknown");
    }
}
