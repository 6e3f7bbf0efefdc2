//! # Lexer: from a text to statements
//!
//! A Dockerfile is lines, but an instruction may be longer than a line: a backslash at the end joins the next one, comments
//! may stand in between, and `<<EOF` takes all lines up to `EOF` as they are. This room turns the text into [`Statement`]s,
//! each with the number of its first line, so that everybody who complains later can say where.
//!
//! ```text
//!   # escape=`            directive: only in front of everything else
//!   RUN apt-get update \  ┐
//!   # a comment           │ one statement, line 2: "RUN apt-get update   && apt-get install"
//!     && apt-get install  ┘
//!   COPY <<a.txt <<b.txt /to/     line 5, with two documents behind it
//! ```
//!
//! * [`read`] does all of it; [`words`] is the shell-like splitting that finds heredocs and that flags need.
//!
//! Laws: joined lines keep their leading blanks, for that is what `Step 2/3 : RUN …` shows and what the cache compares. A
//! heredoc without its end is an error that names the line where it began. No text makes it panic or need more than a few
//! times its length. See: buildkit `frontend/dockerfile/parser/parser.go`. Next room: [`crate::instruction`]

use minidock_base::{Error, Result};

/// One document behind an instruction: `<<NAME`, `<<-NAME`, `<<"NAME"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heredoc {
    pub name: String,
    pub content: String,
    /// Variables in it are replaced: the name was not quoted.
    pub expand: bool,
    /// `<<-`: tabs at the beginning of its lines are dropped.
    pub chomp: bool,
}

/// One instruction as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Where it begins, counted from 1.
    pub line: usize,
    /// Joined, without comments; documents not included.
    pub text: String,
    pub heredocs: Vec<Heredoc>,
}

/// A whole Dockerfile as statements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lexed {
    pub escape: char,
    pub syntax: Option<String>,
    pub statements: Vec<Statement>,
    pub warnings: Vec<String>,
}

/// Splits the text of a Dockerfile.
///
/// # Errors
/// A directive that is wrong or given twice, a heredoc without its end; the line is named.
pub fn read(text: &str) -> Result<Lexed> {
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let mut lexed = Lexed { escape: '\\', ..Lexed::default() };
    let mut at = directives(&lines, &mut lexed)?;
    while at < lines.len() {
        let first = at;
        let line = lines[at].trim_start();
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (mut joined, mut open) = continued(line, lexed.escape);
        let mut blank = false;
        while open && at < lines.len() {
            let next = lines[at];
            at += 1;
            match next.trim() {
                "" => blank = true,
                next if next.starts_with('#') => {}
                _ => {
                    let (more, goes_on) = continued(next, lexed.escape);
                    joined.push_str(&more);
                    open = goes_on;
                }
            }
        }
        let text = joined.trim_end().to_string();
        if text.is_empty() {
            continue;
        }
        if blank {
            lexed.warnings.push(format!("[WARNING]: Empty continuation line found in:\n    {text}\n"));
        }
        let heredocs = heredocs(&text, &lines, &mut at, first + 1)?;
        lexed.statements.push(Statement { line: first + 1, text, heredocs });
    }
    if !lexed.warnings.is_empty() {
        lexed.warnings.push("[WARNING]: Empty continuation lines will become errors in a future release.\n".into());
    }
    Ok(lexed)
}

/// Reads `# key=value` lines at the very top; gives the first line that is none.
fn directives(lines: &[&str], lexed: &mut Lexed) -> Result<usize> {
    let mut seen: Vec<String> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((key, value)) = line.trim_start().strip_prefix('#').and_then(|rest| rest.split_once('=')) else {
            return Ok(at);
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        if key.is_empty() || !key.bytes().all(|c| c.is_ascii_alphanumeric()) || value.is_empty() {
            return Ok(at);
        }
        if !matches!(key.as_str(), "escape" | "syntax" | "check") {
            return Ok(at);
        }
        if seen.contains(&key) {
            return Err(Error::invalid(format!("line {}: only one {key} parser directive can be used", at + 1)));
        }
        match (key.as_str(), value) {
            ("escape", "\\" | "`") => lexed.escape = if value == "`" { '`' } else { '\\' },
            ("escape", other) => {
                let text = format!("line {}: invalid escape token '{other}' does not match ` or \\", at + 1);
                return Err(Error::invalid(text));
            }
            ("syntax", value) => lexed.syntax = Some(value.to_string()),
            _ => {} // `check` asks for lints, which are warnings here anyway
        }
        seen.push(key);
    }
    Ok(lines.len())
}

/// Cuts the escape character off the end of a line; says whether the next line belongs to it.
fn continued(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        // `\\` at the end is a backslash, not a continuation
        Some(rest) if !rest.ends_with(escape) => (rest.to_string(), true),
        _ => (line.to_string(), false),
    }
}

/// Takes the documents that an instruction asks for from the lines behind it.
fn heredocs(text: &str, lines: &[&str], at: &mut usize, line: usize) -> Result<Vec<Heredoc>> {
    let keyword = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let onbuild = keyword == "ONBUILD";
    let keyword = match onbuild {
        true => text.split_whitespace().nth(1).unwrap_or_default().to_ascii_uppercase(),
        false => keyword,
    };
    if !matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for mut heredoc in words(text).iter().filter_map(|word| announced(word)) {
        if onbuild {
            return Err(Error::invalid(format!("line {line}: ONBUILD cannot have a heredoc")));
        }
        let ends = |line: &str| (if heredoc.chomp { line.trim_start_matches('\t') } else { line }) == heredoc.name;
        loop {
            let Some(next) = lines.get(*at) else {
                return Err(Error::invalid(format!("line {line}: unterminated heredoc {}", heredoc.name))
                    .hint(format!("a line that is only {} ends it", heredoc.name)));
            };
            *at += 1;
            if ends(next) {
                break;
            }
            let kept = if heredoc.chomp { next.trim_start_matches('\t') } else { next };
            heredoc.content.push_str(kept);
            heredoc.content.push('\n');
        }
        all.push(heredoc);
    }
    Ok(all)
}

/// `<<EOF`, `3<<-"EOF"`: a word that announces a document.
pub fn announced(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (chomp, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    let quoted = name.contains(['"', '\'']);
    let name: String = name.chars().filter(|c| !matches!(c, '"' | '\'')).collect();
    let plain =
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '|' | '&' | ';' | '(' | ')'));
    plain.then_some(Heredoc { name, content: String::new(), expand: !quoted, chomp })
}

/// Splits at blanks outside of quotes; quotes and backslashes stay as they are.
pub fn words(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote, mut escaped) = (Vec::new(), String::new(), None::<char>, false);
    for c in text.chars() {
        match (escaped, quote) {
            (true, _) => escaped = false,
            (_, Some(open)) if c == open => quote = None,
            (_, Some('\'')) => {}
            (_, _) if c == '\\' => escaped = true,
            (_, Some(_)) => {}
            (_, None) if c == '"' || c == '\'' => quote = Some(c),
            (_, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        all.push(word);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        read(text).expect("a Dockerfile").statements.into_iter().map(|s| (s.line, s.text)).collect()
    }

    #[test]
    fn continuations_are_joined_and_comments_between_them_dropped() {
        let found = texts("\u{feff}# hello\nFROM a\r\nRUN x \\\n# no\n\n  && y \\ \n  && z\\\\\nCMD c\n");
        assert_eq!(found, [(2, "FROM a".to_string()), (3, "RUN x   && y   && z\\\\".to_string()), (8, "CMD c".to_string())]);
        assert_eq!(read("RUN x \\\n\n y\n").expect("fine").warnings.len(), 2);
    }

    #[test]
    fn directives_stand_at_the_top_and_only_once() {
        let lexed = read("# syntax=docker/dockerfile:1\n# escape=`\n\nRUN a `\n b\\\n").expect("fine");
        assert_eq!((lexed.escape, lexed.syntax.as_deref()), ('`', Some("docker/dockerfile:1")));
        assert_eq!(lexed.statements[0].text, "RUN a  b\\");
        assert_eq!(read("# text\n# escape=`\nRUN a").expect("fine").escape, '\\');
        assert!(read("# escape=`\n# escape=`\n").is_err() && read("# escape=x\n").is_err());
    }

    #[test]
    fn a_heredoc_takes_the_lines_up_to_its_name() {
        let lexed = read("RUN <<EOF bash\n\ta\nEOF\nCOPY <<-'x y' <<b /to\nRUN \"<<no\"\n").err();
        assert!(lexed.is_some_and(|e| e.message().contains("line 4: unterminated heredoc b")));
        let lexed = read("RUN <<-EOF\n\ta $x\n\tEOF\nCOPY <<'x' <<b /to/\n1\nx\n2\nb\nCMD z").expect("fine");
        let docs = &lexed.statements[1].heredocs;
        assert_eq!((docs[0].content.as_str(), docs[0].expand, docs[1].content.as_str()), ("1\n", false, "2\n"));
        assert_eq!(lexed.statements[0].heredocs[0].content, "a $x\n");
        assert_eq!(lexed.statements[2].line, 9);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n\t\\\\`<\"']{0,120}") {
            let _ = read(&text);
            let _ = words(&text);
        }
    }
}
