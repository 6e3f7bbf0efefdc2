//! # Stages: which of them are needed, and what each waits for
//!
//! A Dockerfile with several `FROM` is a small graph: a stage stands on an image or on an earlier stage, and may copy from
//! others. Only what the target needs is built, and stages that do not need each other are built at the same time.
//!
//! ```text
//!   FROM golang AS build          ┐ at the same time     total steps: those of the needed stages only,
//!   FROM node   AS assets         ┘                      counted in the order of the file
//!   FROM alpine AS test           not needed: skipped
//!   FROM alpine
//!   COPY --from=build  …          waits for both
//!   COPY --from=assets …
//! ```
//!
//! * [`plan`] decides; nothing here builds anything.
//!
//! Law: a stage depends on earlier ones only, so there is no circle and waiting ends. See: buildkit
//! `frontend/dockerfile/dockerfile2llb`. Next room: [`crate::settings`]

use crate::{expand, flags::nearest, instruction::Dockerfile, scope::Scope};
use minidock_base::{Error, Result};

/// What a stage stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    Scratch,
    Stage(usize),
    Image(String),
}

/// One stage that will be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its place in the file.
    pub index: usize,
    pub base: Base,
    /// Earlier stages whose files it copies or mounts.
    pub needs: Vec<usize>,
    /// The number of its `FROM` among all steps.
    pub first_step: usize,
}

/// The stages that the target needs, in the order of the file; the last one is the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub stages: Vec<Planned>,
    pub total_steps: usize,
}

/// Which stage a word means: its number, or its name.
pub fn stage_called(file: &Dockerfile, word: &str, before: usize) -> Option<usize> {
    let number = word.parse::<usize>().ok().filter(|n| *n < before);
    number.or_else(|| file.stages[..before].iter().position(|stage| stage.name.as_deref() == Some(&word.to_lowercase())))
}

/// Decides what is built. `extra_steps` are steps that the last stage gets from outside (`--label`).
///
/// # Errors
/// A target that is not there; `FROM` or `--from` that refers to nothing or to itself.
pub fn plan(name: &str, file: &Dockerfile, scope: &Scope, target: &str, extra_steps: usize) -> Result<Plan> {
    let last = match target {
        "" => file.stages.len() - 1,
        target => stage_called(file, target, file.stages.len()).ok_or_else(|| {
            let names: Vec<&str> = file.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
            let near = nearest(target, &names).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            Error::invalid(format!("failed to reach build target {target} in {name}{near}"))
        })?,
    };
    let mut all = Vec::new();
    for (index, stage) in file.stages[..=last].iter().enumerate() {
        let at = |e: Error| Error::invalid(format!("{name}:{}: {}", stage.line, e.message()));
        let image = expand::word(&stage.image, file.escape, &|name| scope.global(name)).map_err(at)?;
        if image.is_empty() {
            return Err(at(Error::invalid(format!("base name ({}) should not be blank", stage.image)))
                .hint("an ARG in front of FROM gives the variable its value"));
        }
        let base = match (image.as_str(), stage_called_by_name(file, &image, index)) {
            ("scratch", _) => Base::Scratch,
            (_, Some(earlier)) => Base::Stage(earlier),
            _ => Base::Image(image),
        };
        let mut needs = Vec::new();
        for instruction in &stage.instructions {
            for word in instruction.what.needs() {
                match (stage_called(file, word, index), word.parse::<usize>()) {
                    (Some(earlier), _) => needs.push(earlier),
                    (None, Ok(number)) => {
                        let why =
                            if number == index { "refers to current build stage" } else { "there is no such earlier stage" };
                        return Err(Error::invalid(format!(
                            "{name}:{}: invalid from flag value {word}: {why}",
                            instruction.line
                        )));
                    }
                    _ => {}
                }
            }
        }
        needs.sort_unstable();
        needs.dedup();
        all.push(Planned { index, base, needs, first_step: 0 });
    }
    let mut needed = vec![false; all.len()];
    needed[last] = true;
    for stage in all.iter().rev() {
        if needed[stage.index] {
            if let Base::Stage(earlier) = stage.base {
                needed[earlier] = true;
            }
            stage.needs.iter().for_each(|earlier| needed[*earlier] = true);
        }
    }
    let mut next = file.args.len() + 1;
    all.retain(|stage| needed[stage.index]);
    for stage in &mut all {
        stage.first_step = next;
        next += 1 + file.stages[stage.index].instructions.len();
    }
    Ok(Plan { stages: all, total_steps: next - 1 + extra_steps })
}

/// `FROM` means a stage by its name only, never by its number.
fn stage_called_by_name(file: &Dockerfile, word: &str, before: usize) -> Option<usize> {
    match word.parse::<usize>() {
        Ok(_) => None,
        Err(_) => stage_called(file, word, before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parser;

    fn planned(text: &str, target: &str) -> Result<Plan> {
        let file = parser::parse("Dockerfile", text)?;
        let mut scope = Scope::new([("V".to_string(), Some("3".to_string()))].into());
        scope.declare_global("V", Some("1".into()));
        plan("Dockerfile", &file, &scope, target, 0)
    }

    const FILE: &str = "ARG V=1\nFROM a:$V AS one\nRUN 1\nFROM b AS two\nRUN 2\nRUN 3\nFROM one AS three\nFROM scratch\nCOPY --from=two /x /\nCOPY --from=alpine /y /\n";

    #[test]
    fn only_what_the_target_needs_is_built_and_steps_are_counted_in_it() {
        let plan = planned(FILE, "").expect("a plan");
        let told: Vec<(usize, usize, Vec<usize>)> =
            plan.stages.iter().map(|s| (s.index, s.first_step, s.needs.clone())).collect();
        assert_eq!((told, plan.total_steps), (vec![(1, 2, vec![]), (3, 5, vec![1])], 7));
        let plan = planned(FILE, "Three").expect("a plan");
        assert_eq!(plan.stages.iter().map(|s| s.base.clone()).collect::<Vec<_>>(), [Base::Image("a:3".into()), Base::Stage(0)]);
    }

    #[test]
    fn what_refers_to_nothing_is_named() {
        for (text, target, words) in [
            (FILE, "thre", "failed to reach build target thre in Dockerfile (did you mean three?)"),
            ("FROM a\nCOPY --from=0 x y", "", "Dockerfile:2: invalid from flag value 0: refers to current build stage"),
            ("FROM a\nCOPY --from=7 x y", "", "there is no such earlier stage"),
            ("FROM $X", "", "base name ($X) should not be blank"),
        ] {
            let error = planned(text, target).unwrap_err().message();
            assert!(error.contains(words), "{error}");
        }
    }
}
