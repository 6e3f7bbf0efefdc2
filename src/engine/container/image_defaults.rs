//! # Image defaults: the image's wishes under the user's
//!
//! An image says how it wants to be run; whoever runs it may say otherwise. Docker's rules, field by field, in one pure
//! function:
//!
//! ```text
//!   user, folder, stop signal, shell     the user's, else the image's
//!   environment, labels                  both; of the same name the user's
//!   exposed ports, volumes               both
//!   health check                         the user's, with the image's numbers where he gave none; ["NONE"] ends it
//!   entrypoint, command                  see below
//!
//!                          no command given             command given
//!   no entrypoint given    image's both                 image's entrypoint, user's command
//!   entrypoint given       user's entrypoint alone      user's both         (a new entrypoint drops the image's command)
//!   entrypoint [""]        …and no entrypoint at all
//! ```
//!
//! *See:* moby `daemon/commit.go` `merge`, `mergeAndVerifyConfig`. *Next room:* [`crate::container::checks`]

use minidock_base::{Error, Result};
use minidock_spec::engine::container::{ContainerConfig, HealthConfig};

/// Puts the image's defaults under what the user asked for.
///
/// # Errors
/// `no command specified`: neither of them says what to run.
pub fn merge(config: &mut ContainerConfig, image: &ContainerConfig) -> Result<()> {
    for (mine, theirs) in [(&mut config.user, &image.user), (&mut config.working_dir, &image.working_dir)] {
        if mine.is_empty() {
            mine.clone_from(theirs);
        }
    }
    if config.stop_signal.as_deref().unwrap_or_default().is_empty() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    if config.shell.as_deref().unwrap_or_default().is_empty() {
        config.shell.clone_from(&image.shell);
    }
    for (mine, theirs) in [(&mut config.exposed_ports, &image.exposed_ports), (&mut config.volumes, &image.volumes)] {
        for (key, value) in theirs.iter().flatten() {
            mine.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    for (key, value) in &image.labels {
        config.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    config.env = environment(&config.env, &image.env);
    commands(config, image);
    config.healthcheck = health(config.healthcheck.take(), image.healthcheck.as_ref());
    match program(config) {
        Some(_) => Ok(()),
        None => Err(Error::invalid("no command specified").hint("name a program behind the image: minidock run IMAGE COMMAND")),
    }
}

fn environment(mine: &[String], image: &[String]) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_string();
    let missing = image.iter().filter(|theirs| !mine.iter().any(|m| name(m) == name(theirs)));
    mine.iter().chain(missing).cloned().collect()
}

fn commands(config: &mut ContainerConfig, image: &ContainerConfig) {
    let given = |words: &Option<Vec<String>>| words.as_ref().is_some_and(|w| !w.is_empty());
    if !given(&config.entrypoint) {
        if !given(&config.cmd) {
            config.cmd.clone_from(&image.cmd);
            config.args_escaped = image.args_escaped;
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if config.entrypoint.as_ref().is_some_and(|words| words.len() == 1 && words[0].is_empty()) {
        config.entrypoint = None;
    }
}

fn health(mine: Option<HealthConfig>, image: Option<&HealthConfig>) -> Option<HealthConfig> {
    let (mut mine, image) = match (mine, image) {
        (None, image) => return image.cloned(),
        (mine, None) => return mine,
        (Some(mine), Some(image)) => (mine, image),
    };
    if mine.test.is_empty() {
        mine.test.clone_from(&image.test);
    }
    for (mine, theirs) in [
        (&mut mine.interval, image.interval),
        (&mut mine.timeout, image.timeout),
        (&mut mine.start_period, image.start_period),
        (&mut mine.start_interval, image.start_interval),
        (&mut mine.retries, image.retries),
    ] {
        if *mine == 0 {
            *mine = theirs;
        }
    }
    Some(mine)
}

/// The program and its arguments: entrypoint and command joined.
pub fn program(config: &ContainerConfig) -> Option<(String, Vec<String>)> {
    let mut words = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten()).cloned();
    words.next().map(|first| (first, words.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        (!text.is_empty()).then(|| text.split(' ').map(str::to_string).collect())
    }

    fn run(entrypoint: Option<&str>, cmd: &str) -> String {
        let image = ContainerConfig { entrypoint: words("/entry -x"), cmd: words("serve fast"), ..Default::default() };
        let entrypoint = entrypoint.map(|e| vec![e.to_string()]);
        let mut mine = ContainerConfig { entrypoint, cmd: words(cmd), ..Default::default() };
        match merge(&mut mine, &image) {
            Ok(()) => program(&mine).map(|(p, args)| format!("{p} {}", args.join(" "))).unwrap_or_default(),
            Err(error) => error.message(),
        }
    }

    #[test]
    fn entrypoint_and_command_follow_dockers_table() {
        assert_eq!(run(None, ""), "/entry -x serve fast");
        assert_eq!(run(None, "ls"), "/entry -x ls");
        assert_eq!(run(Some("sh"), ""), "sh ");
        assert_eq!(run(Some("sh"), "-c x"), "sh -c x");
        assert_eq!(run(Some(""), "ls"), "ls ");
        assert_eq!(run(Some(""), ""), "no command specified");
    }

    #[test]
    fn the_users_word_goes_over_the_images() {
        let image = ContainerConfig { env: vec!["A=1".into(), "B=2".into()], user: "www".into(), ..Default::default() };
        let mut mine = ContainerConfig { env: vec!["B=3".into()], cmd: words("x"), ..Default::default() };
        merge(&mut mine, &image).expect("a command");
        assert_eq!((mine.env, mine.user.as_str()), (vec!["B=3".to_string(), "A=1".into()], "www"));
    }

    #[test]
    fn a_health_check_inherits_what_it_does_not_say() {
        let image = HealthConfig { test: vec!["CMD".into(), "true".into()], interval: 5, retries: 3, ..Default::default() };
        let mine = HealthConfig { retries: 9, ..Default::default() };
        let merged = health(Some(mine), Some(&image)).expect("both");
        assert_eq!((merged.interval, merged.retries, merged.test.len()), (5, 9, 2));
    }
}
