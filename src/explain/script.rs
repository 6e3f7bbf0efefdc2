//! # Script: text that a shell will take literally
//!
//! Everything that ends up in the script came from somebody: an image's environment, a user's path with a space or a quote in
//! it. A word that is not quoted would be a program of theirs run as root. So there is one way to put a word into a script,
//! and it is through [`word`].
//!
//! * [`word`] quotes; [`Script`] gathers lines: [`Script::chapter`], [`Script::note`], [`Script::run`].
//!
//! *See:* sh(1), "Quoting". *Next room:* `src/engine/container/explain.rs`

/// A word as the shell must see it to take it literally.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:,+@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Lines of a script.
#[derive(Default)]
pub struct Script {
    text: String,
}

impl Script {
    /// A heading.
    pub fn chapter(&mut self, title: &str) {
        self.text += &format!("\n# ── {title} {}\n", "─".repeat(70usize.saturating_sub(title.chars().count())));
    }

    /// A comment; it cannot end the line it is on.
    pub fn note(&mut self, text: &str) {
        for line in text.lines() {
            self.text += &format!("# {line}\n");
        }
    }

    /// A command, or several lines of them.
    pub fn run(&mut self, command: &str) {
        self.text += command;
        self.text.push('\n');
    }

    pub fn text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn whatever_a_word_holds_the_shell_takes_it_literally() {
        for text in ["", "plain", "a b", "it's", "$(reboot)", "`x`", "a\nb", "\\", "\"", "*", "~", "-n", "é", "'; rm -rf /; '"]
        {
            let script = format!("printf %s {}", word(text));
            let out = Command::new("/bin/sh").args(["-c", &script]).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&out.stdout), text, "{script}");
        }
    }
}
