//! # Parser: from statements to instructions, and the line to blame
//!
//! Every statement begins with a word; behind it come flags (`--from=build`), and then words, a JSON list, pairs, or a line
//! for the shell, depending on the word. Nothing is replaced or looked up here: that needs the build's variables.
//!
//! * [`parse`] reads a whole Dockerfile; [`one`] a single instruction, as `ONBUILD` keeps it.
//!
//! A parser of our own, though `parse-dockerfile` was tried: it hands pairs and `RUN` lines over raw, so continuations,
//! quotes, flags and pairs would be ours anyway, and a mistake is to be answered with file, line and the right word.
//!
//! Laws: Docker's words for each mistake, with the line in front and the nearest right word behind. `CMD ["a", b]` is no
//! mistake: it is the shell form, as in Docker, with a warning. See: buildkit `frontend/dockerfile/instructions/parse.go`.
//! Next room: [`crate::flags`]

use crate::{
    flags::{Flags, nearest},
    instruction::{Command, Copy, Dockerfile, Instruction, Run, Source, Stage, What},
    lexer::{self, Heredoc, Statement},
};
use minidock_base::{Error, Result, units};
use minidock_spec::engine::container::HealthConfig;

/// Every word an instruction may begin with.
pub const KEYWORDS: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads a Dockerfile; `name` is what it is called in messages.
///
/// # Errors
/// The first mistake, as `Dockerfile:3: …`.
pub fn parse(name: &str, text: &str) -> Result<Dockerfile> {
    let named = |e: Error| {
        let told = e.message();
        let told =
            told.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map(|(n, why)| (n.to_string(), why.to_string()));
        let (line, why) = told.unwrap_or_else(|| ("1".into(), e.message()));
        let again = Error::invalid(format!("dockerfile parse error on line {line} of {name}: {why}"));
        match e.hint_text() {
            Some(hint) => again.hint(hint),
            None => again,
        }
    };
    let lexed = lexer::read(text).map_err(named)?;
    let mut file = Dockerfile { escape: lexed.escape, warnings: lexed.warnings, ..Dockerfile::default() };
    for statement in &lexed.statements {
        let at = |e: Error| match e.message().starts_with("line ") {
            true => named(e),
            false => named(e.during(format!("line {}", statement.line))),
        };
        add(&mut file, statement, lexed.escape).map_err(at)?;
    }
    match (file.stages.is_empty(), lexed.statements.is_empty()) {
        (_, true) => Err(Error::invalid(format!("the Dockerfile ({name}) cannot be empty"))),
        (true, _) => {
            Err(Error::invalid(format!("{name}: no build stage in current context")).hint("FROM alpine, for instance"))
        }
        _ => Ok(file),
    }
}

fn add(file: &mut Dockerfile, statement: &Statement, escape: char) -> Result<()> {
    let (keyword, rest) = split_keyword(&statement.text);
    if keyword == "FROM" {
        let stage = from(statement, rest)?;
        if let Some(name) = &stage.name
            && file.stages.iter().any(|s| s.name.as_ref() == Some(name))
        {
            return Err(Error::invalid(format!("duplicate name {name}: an earlier stage is called so")));
        }
        file.stages.push(stage);
        return Ok(());
    }
    let what = one(statement, escape)?;
    let instruction = Instruction { line: statement.line, original: statement.text.clone(), what };
    if let What::Cmd(Command::Shell(line))
    | What::Entrypoint(Command::Shell(line))
    | What::Run(Run { command: Command::Shell(line), .. }) = &instruction.what
        && line.starts_with('[')
        && line.ends_with(']')
    {
        let text =
            format!("[WARNING]: line {}: not a JSON list of \"strings\", so the shell gets it: {line}\n", statement.line);
        file.warnings.push(text);
    }
    match (file.stages.last_mut(), &instruction.what) {
        (Some(stage), _) => stage.instructions.push(instruction),
        (None, What::Arg(_)) => file.args.push(instruction),
        (None, _) => {
            return Err(Error::invalid("no build stage in current context").hint("the first instruction is FROM (or ARG)"));
        }
    }
    Ok(())
}

fn split_keyword(text: &str) -> (String, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word.to_ascii_uppercase(), rest.trim())
}

fn from(statement: &Statement, rest: &str) -> Result<Stage> {
    let (mut flags, rest) = Flags::cut(rest);
    let platform = flags.text("platform");
    flags.done()?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (image, name) = match words[..] {
        [image] => (image, None),
        [image, r#as, name] if r#as.eq_ignore_ascii_case("as") => (image, Some(name.to_lowercase())),
        [_, other, _] => return Err(Error::invalid(format!("FROM IMAGE AS NAME, not {other:?}"))),
        _ => return Err(Error::invalid("FROM requires either one or three arguments")),
    };
    if let Some(name) = &name {
        let mut letters = name.chars();
        let good = letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.'));
        if !good {
            return Err(Error::invalid(format!(
                "invalid name for build stage: {name:?}, name can't start with a number or contain symbols"
            )));
        }
        if matches!(name.as_str(), "scratch" | "context") {
            return Err(Error::invalid(format!("invalid name for build stage: {name:?} is reserved")));
        }
    }
    Ok(Stage {
        line: statement.line,
        original: statement.text.clone(),
        image: image.to_string(),
        platform,
        name,
        instructions: Vec::new(),
    })
}

/// Reads one instruction that is no `FROM`.
///
/// # Errors
/// What is wrong with it, without file and line.
pub fn one(statement: &Statement, escape: char) -> Result<What> {
    let (keyword, rest) = split_keyword(&statement.text);
    let least = |n: usize, words: &[String]| match words.len() >= n {
        true => Ok(()),
        false if n == 1 => Err(Error::invalid(format!("{keyword} requires at least one argument"))),
        false => Err(Error::invalid(format!("{keyword} requires at least two arguments"))),
    };
    let whole = || match rest.is_empty() {
        true => Err(Error::invalid(format!("{keyword} requires exactly one argument"))),
        false => Ok(rest.to_string()),
    };
    Ok(match keyword.as_str() {
        "RUN" => run(rest, &statement.heredocs)?,
        "COPY" | "ADD" => copy(&keyword, rest, &statement.heredocs)?,
        "CMD" => What::Cmd(command(rest)),
        "ENTRYPOINT" => match command(rest) {
            Command::Shell(line) if line.is_empty() => What::Entrypoint(Command::Exec(Vec::new())), // none any more
            command => What::Entrypoint(command),
        },
        "ENV" | "LABEL" => {
            let pairs = pairs(&keyword, rest, escape)?;
            if keyword == "ENV" { What::Env(pairs) } else { What::Label(pairs) }
        }
        "ARG" => {
            let words = lexer::words(rest);
            least(1, &words)?;
            let pair = |word: String| match word.split_once('=') {
                Some(("", _)) => Err(Error::invalid("ARG names can not be blank")),
                Some((name, value)) => Ok((name.to_string(), Some(value.to_string()))),
                None => Ok((word, None)),
            };
            What::Arg(words.into_iter().map(pair).collect::<Result<_>>()?)
        }
        "EXPOSE" => {
            let ports: Vec<String> = rest.split_whitespace().map(str::to_string).collect();
            least(1, &ports)?;
            What::Expose(ports)
        }
        "VOLUME" => {
            let volumes = list(rest);
            least(1, &volumes)?;
            if volumes.iter().any(|volume| volume.trim().is_empty()) {
                return Err(Error::invalid("VOLUME specified can not be an empty string"));
            }
            What::Volume(volumes)
        }
        "WORKDIR" => What::Workdir(whole()?),
        "USER" => What::User(whole()?),
        "STOPSIGNAL" => What::Stopsignal(whole()?),
        "MAINTAINER" => What::Maintainer(whole()?),
        "SHELL" => match json(rest) {
            Some(words) if !words.is_empty() => What::Shell(words),
            Some(_) => return Err(Error::invalid("SHELL requires at least one argument")),
            None => {
                return Err(
                    Error::invalid("SHELL requires the arguments to be in JSON form").hint("SHELL [\"/bin/bash\", \"-c\"]")
                );
            }
        },
        "HEALTHCHECK" => What::Healthcheck(healthcheck(rest)?),
        "ONBUILD" => onbuild(rest, escape)?,
        _ => {
            let near = nearest(&keyword, KEYWORDS).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            let word = statement.text.split_whitespace().next().unwrap_or_default();
            return Err(Error::invalid(format!("unknown instruction: {word}{near}")));
        }
    })
}

fn run(rest: &str, heredocs: &[Heredoc]) -> Result<What> {
    let (mut flags, rest) = Flags::cut(rest);
    let mounts = flags.all("mount").iter().map(|text| crate::flags::mount(text)).collect::<Result<_>>()?;
    let network = flags.text("network");
    if let Some(other) = network.as_deref().filter(|n| !matches!(*n, "default" | "none" | "host")) {
        return Err(Error::invalid(format!("invalid network mode {other:?}: default, none or host")));
    }
    if flags.text("security").is_some_and(|mode| mode != "sandbox") {
        return Err(Error::not_implemented("RUN --security=insecure is not there: every step runs as an ordinary container"));
    }
    flags.done()?;
    match command(&rest) {
        Command::Shell(line) if line.is_empty() => Err(Error::invalid("RUN requires at least one argument")),
        Command::Exec(words) if words.is_empty() => Err(Error::invalid("RUN requires at least one argument")),
        command => Ok(What::Run(Run { command, heredocs: heredocs.to_vec(), mounts, network })),
    }
}

fn copy(keyword: &str, rest: &str, heredocs: &[Heredoc]) -> Result<What> {
    let add = keyword == "ADD";
    let (mut flags, rest) = Flags::cut(rest);
    let mut copy = Copy {
        add,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link")?,
        parents: !add && flags.switch("parents")?,
        exclude: flags.all("exclude"),
        ..Copy::default()
    };
    if add {
        copy.checksum = flags.text("checksum");
        if flags.switch("keep-git-dir")? {
            return Err(Error::not_implemented("ADD of a git repository is not there").hint("clone it into the build context"));
        }
    } else {
        copy.from = flags.text("from");
    }
    flags.done()?;
    let mut words = list(&rest);
    if words.len() < 2 {
        return Err(Error::invalid(format!(
            "{keyword} requires at least two arguments, but only {} {} provided",
            words.len(),
            if words.len() == 1 { "was" } else { "were" }
        ))
        .hint(format!("{keyword} SOURCE… DESTINATION; the destination may be .")));
    }
    copy.destination = words.pop().unwrap_or_default();
    let mut documents = heredocs.iter();
    for word in words {
        let document = lexer::announced(&word).and_then(|_| documents.next());
        copy.sources.push(document.map_or(Source::Path(word), |document| Source::Document(document.clone())));
    }
    if copy.destination.starts_with("<<") && !heredocs.is_empty() {
        return Err(Error::invalid(format!("{keyword} requires a destination behind its documents")));
    }
    Ok(What::Copy(copy))
}

/// A JSON list of strings is the exec form; anything else is the shell's.
pub fn command(text: &str) -> Command {
    json(text).map_or_else(|| Command::Shell(text.to_string()), Command::Exec)
}

/// A JSON list of strings, if it is one.
pub fn json(text: &str) -> Option<Vec<String>> {
    if !text.starts_with('[') {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn list(text: &str) -> Vec<String> {
    json(text).unwrap_or_else(|| text.split_whitespace().map(str::to_string).collect())
}

/// `k=v k2="v v"`, or the old `k the whole rest`. Quotes stay: they are taken off when variables are replaced.
fn pairs(keyword: &str, rest: &str, escape: char) -> Result<Vec<(String, String)>> {
    let all = words_with(rest, escape);
    let Some(first) = all.first() else {
        return Err(Error::invalid(format!("{keyword} requires at least one argument")));
    };
    if !first.contains('=') {
        return match rest.split_once(char::is_whitespace) {
            Some((key, value)) => Ok(vec![(key.to_string(), value.trim_start().to_string())]),
            None => Err(Error::invalid(format!("{keyword} must have two arguments")).hint(format!("{keyword} NAME=VALUE"))),
        };
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) => Err(Error::invalid(format!("{keyword} names can not be blank"))),
        Some((key, value)) => Ok((key.to_string(), value.to_string())),
        None => Err(Error::invalid(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value"))),
    };
    all.into_iter().map(pair).collect()
}

/// As [`lexer::words`], for a Dockerfile whose escape character is another one.
fn words_with(text: &str, escape: char) -> Vec<String> {
    if escape == '\\' {
        return lexer::words(text);
    }
    let (mut all, mut word, mut quote, mut escaped) = (Vec::new(), String::new(), None::<char>, false);
    for c in text.chars() {
        match quote {
            _ if escaped => escaped = false,
            _ if c == escape && quote != Some('\'') => escaped = true,
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c.is_whitespace() => {
                all.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    all.extend(Some(word).filter(|word| !word.is_empty()));
    all
}

fn healthcheck(rest: &str) -> Result<HealthConfig> {
    let (mut flags, rest) = Flags::cut(rest);
    let mut duration = |name: &str| match flags.text(name) {
        None => Ok(0),
        Some(text) => match units::parse_duration(&text)?.as_nanos() {
            nanoseconds if (1..1_000_000).contains(&nanoseconds) => {
                Err(Error::invalid(format!("Interval {name:?} cannot be less than 1ms")))
            }
            nanoseconds => Ok(i64::try_from(nanoseconds).unwrap_or(i64::MAX)),
        },
    };
    let mut health = HealthConfig {
        interval: duration("interval")?,
        timeout: duration("timeout")?,
        start_period: duration("start-period")?,
        start_interval: duration("start-interval")?,
        ..HealthConfig::default()
    };
    if let Some(text) = flags.text("retries") {
        let retries = text.parse::<i64>().ok().filter(|n| *n >= 0);
        health.retries =
            retries.ok_or_else(|| Error::invalid(format!("--retries must be a number of at least 0, not {text:?}")))?;
    }
    flags.done()?;
    let (kind, words) = split_keyword(&rest);
    health.test = match (kind.as_str(), words) {
        ("NONE", "") => vec!["NONE".into()],
        ("NONE", _) => return Err(Error::invalid("HEALTHCHECK NONE takes no arguments")),
        ("CMD", "") => return Err(Error::invalid("Missing command after HEALTHCHECK CMD")),
        ("CMD", words) => match command(words) {
            Command::Exec(words) => std::iter::once("CMD".to_string()).chain(words).collect(),
            Command::Shell(line) => vec!["CMD-SHELL".into(), line],
        },
        ("", _) => return Err(Error::invalid("HEALTHCHECK requires at least one argument")),
        (other, _) => return Err(Error::invalid(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)"))),
    };
    Ok(health)
}

fn onbuild(rest: &str, escape: char) -> Result<What> {
    let (keyword, _) = split_keyword(rest);
    match keyword.as_str() {
        "" => return Err(Error::invalid("ONBUILD requires at least one argument")),
        "ONBUILD" => return Err(Error::invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")),
        "FROM" | "MAINTAINER" => return Err(Error::invalid(format!("{keyword} isn't allowed as an ONBUILD trigger"))),
        _ => {}
    }
    one(&Statement { line: 0, text: rest.to_string(), heredocs: Vec::new() }, escape)?;
    Ok(What::Onbuild(rest.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Dockerfile {
        parse("Dockerfile", text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn whats(text: &str) -> Vec<What> {
        let mut file = parsed(&format!("FROM a\n{text}"));
        file.stages.remove(0).instructions.into_iter().map(|i| i.what).collect()
    }

    #[test]
    fn every_instruction_is_understood() {
        let file = parsed(
            "ARG V=1\nfrom --platform=linux/amd64 alpine:$V as Build\nCOPY --from=0 --chown=1:2 [\"a b\", \"c/\"]\nAdd x y z/\n\
             ENV A=1 B=\"two words\"\nENV OLD the whole rest\nRUN [\"ls\", \"-l\"]\nrun echo [1]\nCMD [\"a\", b]\nEXPOSE 80 53/udp\n\
             VOLUME [\"/a\"]\nVOLUME /b /c\nHEALTHCHECK --interval=5s --retries=2 CMD curl x\nSHELL [\"/bin/bash\", \"-c\"]\n\
             STOPSIGNAL SIGINT\nUSER a:b\nWORKDIR /x y\nMAINTAINER me <me@x>\nONBUILD RUN x\nLABEL a=b\nENTRYPOINT x y\nARG X Y=\"1 2\"\nFROM scratch",
        );
        assert_eq!((file.args.len(), file.stages.len()), (1, 2));
        let stage = &file.stages[0];
        assert_eq!((stage.image.as_str(), stage.name.as_deref(), stage.line), ("alpine:$V", Some("build"), 2));
        let keywords: Vec<&str> = stage.instructions.iter().map(|i| i.what.keyword()).collect();
        assert_eq!(
            keywords.join(" "),
            "COPY ADD ENV ENV RUN RUN CMD EXPOSE VOLUME VOLUME HEALTHCHECK SHELL STOPSIGNAL USER WORKDIR MAINTAINER ONBUILD LABEL ENTRYPOINT ARG"
        );
        assert_eq!(stage.instructions[6].what, What::Cmd(Command::Shell("[\"a\", b]".into())));
        assert_eq!(file.warnings.len(), 1, "the shell form that looks like a list is warned of");
        assert_eq!(stage.instructions[0].what.needs(), ["0"]);
    }

    #[test]
    fn heredocs_become_sources_and_scripts() {
        let found = whats("COPY <<a.txt plain <<b /to/\n1\na.txt\n2\nb\nRUN <<EOF\necho hi\nEOF\n");
        let What::Copy(copy) = &found[0] else { panic!("{found:?}") };
        let kinds: Vec<bool> = copy.sources.iter().map(|s| matches!(s, Source::Document(_))).collect();
        assert_eq!((kinds, copy.destination.as_str()), (vec![true, false, true], "/to/"));
        let What::Run(run) = &found[1] else { panic!("{found:?}") };
        assert_eq!(run.heredocs[0].content, "echo hi\n");
    }

    #[test]
    fn a_mistake_names_file_line_and_the_right_word() {
        for (text, wanted) in [
            ("FROM a\n\nRUNN x", "on line 3 of Dockerfile: unknown instruction: RUNN (did you mean RUN?)"),
            ("FROM a\nCOYP a b", "did you mean COPY?"),
            ("FROM a\nCOPY --form=x a b", "unknown flag: --form (did you mean --from?)"),
            ("FROM a\nCOPY a", "COPY requires at least two arguments, but only 1 was provided"),
            ("FROM a b", "FROM requires either one or three arguments"),
            ("FROM a as 1x", "name can't start with a number"),
            ("FROM a as x\nFROM b as x", "duplicate name x"),
            ("RUN x", "on line 1 of Dockerfile: no build stage in current context"),
            ("FROM a\nENV a", "ENV must have two arguments"),
            ("FROM a\nENV a=b c", "can't find = in \"c\""),
            ("FROM a\nSHELL bash", "JSON form"),
            ("FROM a\nONBUILD ONBUILD x", "Chaining ONBUILD"),
            ("FROM a\nONBUILD FROM x", "isn't allowed as an ONBUILD trigger"),
            ("FROM a\nHEALTHCHECK x", "Unknown type \"X\""),
            ("FROM a\nRUN <<EOF\nx", "on line 2 of Dockerfile: unterminated heredoc EOF"),
            ("", "the Dockerfile (Dockerfile) cannot be empty"),
            ("ARG x", "no build stage"),
            ("FROM a\nRUN", "RUN requires at least one argument"),
            ("FROM a\nWORKDIR", "WORKDIR requires exactly one argument"),
        ] {
            let error = parse("Dockerfile", text).expect_err(text).message();
            assert!(error.contains(wanted), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "((FROM|RUN|COPY|ADD|ENV|ARG|CMD|ONBUILD|HEALTHCHECK|VOLUME|SHELL|XX)[ -~]{0,30}\n){0,5}") {
            let _ = parse("Dockerfile", &text);
        }

        #[test]
        fn what_is_parsed_keeps_its_line(blanks in 0usize..5, words in "[a-z]{1,8}( [a-z]{1,8}){0,3}") {
            let file = parsed(&format!("FROM x\n{}RUN {words}", "\n".repeat(blanks)));
            let run = &file.stages[0].instructions[0];
            prop_assert_eq!((run.line, run.original.clone()), (blanks + 2, format!("RUN {words}")));
        }
    }
}
