//! # JSON: the story for other tools
//!
//! What [`crate::prose`] prints for people, as a document: chapters, their steps, and in each the recorded action as it was
//! written down, with its sentence and its reason.
//!
//! *Next room:* [`crate::shell`]

use crate::{Story, chapter::Chapter, reason, sentence};
use serde_json::{Value, json};

/// The story as a JSON document.
pub fn document(name: &str, story: &Story) -> Value {
    let chapters: Vec<Value> = Chapter::ALL
        .iter()
        .map(|chapter| (chapter, story.chapter(*chapter).map(step).collect::<Vec<_>>()))
        .filter(|(_, steps)| !steps.is_empty())
        .map(|(chapter, steps)| json!({ "chapter": chapter.title(), "about": chapter.about(), "steps": steps }))
        .collect();
    json!({ "container": name, "chapters": chapters })
}

fn step(step: &crate::Step) -> Value {
    let mut value = json!({ "number": step.number, "what": sentence::what(&step.action), "why": reason::why(&step.action) });
    value["action"] = json!(step.action);
    value
}
