//! # Documents do not lie: every example session is run, every path in a README exists
//!
//! `examples/NN-name/session.txt` is what a person would type and see. Lines that begin with `$ ` are commands (a trailing
//! backslash continues, as in a shell), the lines behind them what is printed, standard output and standard error together.
//! In an expected line `…` stands for anything; a line that is only `…` stands for any number of lines. Lines that begin
//! with `#` in front of the first command are prose.

#[path = "props/mod.rs"]
mod props;

use props::Daemon;
use std::{fs, path::Path, path::PathBuf};

struct Step {
    command: String,
    expected: Vec<String>,
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut continues = false;
    for line in text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (None, Some(step)) if continues => {
                step.command.push('\n');
                step.command.push_str(line.strip_prefix("> ").unwrap_or(line));
                continues = line.ends_with('\\');
            }
            (Some(command), _) => {
                continues = command.ends_with('\\');
                steps.push(Step { command: command.to_string(), expected: Vec::new() });
            }
            (None, Some(step)) => step.expected.push(line.to_string()),
            (None, None) => {}
        }
    }
    for step in &mut steps {
        while step.expected.last().is_some_and(|l| l.trim().is_empty()) {
            step.expected.pop();
        }
    }
    steps
}

/// Whether one printed line is what one expected line says, `…` standing for anything.
fn line_matches(expected: &str, printed: &str) -> bool {
    let parts: Vec<&str> = expected.trim_end().split('…').collect();
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    let printed = printed.trim_end();
    if parts.len() == 1 {
        return printed == first;
    }
    let Some(mut rest) = printed.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn matches(expected: &[String], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.iter().all(|l| l.trim().is_empty()),
        Some((line, rest)) if line.trim() == "…" => (0..=printed.len()).any(|n| matches(rest, &printed[n..])),
        Some((line, rest)) => printed.split_first().is_some_and(|(p, others)| line_matches(line, p) && matches(rest, others)),
    }
}

fn play(session: &Path) {
    let daemon = Daemon::start();
    for step in parse(&fs::read_to_string(session).expect("a session")) {
        let printed = daemon.sh(&format!("exec 2>&1\n{}", step.command));
        let lines: Vec<&str> = printed.out.lines().collect();
        assert!(
            matches(&step.expected, &lines),
            "{}\n$ {}\n--- expected\n{}\n--- printed (status {})\n{}",
            session.display(),
            step.command,
            step.expected.join("\n"),
            printed.status,
            printed.out
        );
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

#[test]
fn every_example_session_prints_what_it_says() {
    let mut sessions: Vec<PathBuf> = fs::read_dir(top().join("examples"))
        .expect("examples/")
        .flatten()
        .map(|e| e.path().join("session.txt"))
        .filter(|p| p.exists())
        .collect();
    sessions.sort();
    assert!(sessions.len() >= 5, "only {} sessions", sessions.len());
    sessions.iter().for_each(|session| play(session));
}

#[test]
fn every_path_named_in_a_readme_exists() {
    for readme in ["README.md", "src/README.md"] {
        let text = fs::read_to_string(top().join(readme)).expect("a README");
        let base = top().join(Path::new(readme).parent().expect("a folder"));
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                assert!(base.join(target).exists(), "{readme} links to {target}, which is not there");
            }
        }
    }
}

#[test]
fn an_ellipsis_stands_for_anything() {
    assert!(line_matches("Up … seconds", "Up 3 seconds") && !line_matches("Up … seconds", "Up 3 minutes"));
    let expected: Vec<String> = ["a", "…", "z"].map(String::from).to_vec();
    assert!(matches(&expected, &["a", "b", "c", "z"]) && matches(&expected, &["a", "z"]) && !matches(&expected, &["a", "b"]));
}
