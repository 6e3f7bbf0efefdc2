//! # Listing: which images are here
//!
//! `image ls` is one row for each image, narrowed by filters: `dangling`, `label`, `before`, `since`, `until`, and
//! `reference`, a pattern on names that also decides which of an image's names are shown. An unnamed image with children is
//! a step on the way to them and only shown with `--all`.
//!
//! * [`list`] is the call; [`glob`] the pattern, as Go's `path.Match` has it: `*` stops at a slash.
//!
//! See: moby `daemon/images/images.go`. Next room: [`crate::images::facts`]

use super::moment;
use crate::{Engine, byte_stream::blocking};
use minidock_base::Result;
use minidock_image::ImageRecord;
use minidock_spec::{
    engine::{filters::Filters, image::ImageSummary},
    reference::Reference,
};
use std::{collections::HashMap, sync::Arc};

/// What `GET /images/json` may be asked.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    pub all: bool,
    pub filters: Filters,
    /// Count what each image shares with others.
    pub shared_size: bool,
}

/// `GET /images/json`, newest first.
///
/// # Errors
/// A filter that is unknown or makes no sense, an image in `before` or `since` that is not there.
pub async fn list(engine: &Arc<Engine>, options: ListOptions) -> Result<Vec<ImageSummary>> {
    options.filters.accept(&["dangling", "label", "label!", "before", "since", "until", "reference"])?;
    let engine = engine.clone();
    blocking(move || listed(&engine, &options)).await
}

fn listed(engine: &Engine, options: &ListOptions) -> Result<Vec<ImageSummary>> {
    let filters = &options.filters;
    let (store, images) = (&engine.images.store, engine.images.store.list());
    let created = |key: &str| -> Result<Option<_>> {
        filters.values(key).next().map(|name| store.resolve(name)).transpose().map(|image| image.and_then(|i| i.created))
    };
    let (before, since) = (created("before")?, created("since")?);
    let until = filters.values("until").next().map(moment).transpose()?;
    let dangling = filters.contains("dangling").then(|| filters.boolean("dangling", false)).transpose()?;
    let mut shared: HashMap<&str, usize> = HashMap::new();
    for image in &images {
        image.diff_ids().iter().for_each(|id| *shared.entry(id.as_str()).or_default() += 1);
    }
    let mut rows = Vec::new();
    for image in &images {
        let unnamed = image.tags.is_empty();
        let has_child = || images.iter().any(|other| other.parent.as_ref() == Some(&image.id));
        let hidden = unnamed && !options.all && has_child();
        let labels = &image.config.config.labels;
        if hidden
            || dangling.is_some_and(|wanted| wanted != (unnamed && !has_child()))
            || before.is_some_and(|before| image.created.is_none_or(|at| at >= before))
            || since.is_some_and(|since| image.created.is_none_or(|at| at <= since))
            || until.is_some_and(|until| image.created.is_none_or(|at| at >= until))
            || !filters.labels("label", labels)
            || !filters.without_labels("label!", labels)
        {
            continue;
        }
        let patterns: Vec<&str> = filters.values("reference").collect();
        let shown = |name: &&Reference| patterns.is_empty() || patterns.iter().any(|p| matches_name(p, name));
        let mut row = summary(image);
        row.repo_tags = image.tags.iter().filter(shown).map(Reference::familiar).collect();
        row.repo_digests = image.digests.iter().filter(shown).map(Reference::familiar).collect();
        if !patterns.is_empty() && row.repo_tags.is_empty() && row.repo_digests.is_empty() {
            continue;
        }
        if options.shared_size {
            let sizes = image.layers.iter().filter(|layer| shared[layer.diff_id.as_str()] > 1);
            row.shared_size = sizes.map(|layer| layer.size as i64).sum();
        }
        rows.push(row);
    }
    Ok(rows)
}

/// One row.
pub fn summary(image: &ImageRecord) -> ImageSummary {
    let labels = &image.config.config.labels;
    ImageSummary {
        id: image.id.to_string(),
        parent_id: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        repo_tags: image.tags.iter().map(Reference::familiar).collect(),
        repo_digests: image.digests.iter().map(Reference::familiar).collect(),
        created: image.created.map_or(0, |at| at.as_second()),
        size: image.size as i64,
        shared_size: -1,
        labels: (!labels.is_empty()).then(|| labels.clone()),
        containers: -1,
    }
}

fn matches_name(pattern: &str, name: &Reference) -> bool {
    glob(pattern, &name.familiar()) || glob(pattern, &name.familiar_name())
}

/// Go's `path.Match`: `*` and `?` do not match a slash, `[a-z]` and `[^a]` are classes, a backslash takes the next
/// character as it is.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // `star`: where the last `*` was, and how much of the text it has taken
    let (mut p, mut t, mut star) = (0, 0, None::<(usize, usize)>);
    while t < text.len() || p < pattern.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some(_) if t < text.len() => one(&pattern[p..], text[t]),
            _ => None,
        };
        match (step, star) {
            (Some(used), _) => {
                p += used;
                t += 1;
            }
            (None, Some((at, taken))) if taken < text.len() && text[taken] != '/' => {
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
            _ => return false,
        }
    }
    true
}

/// How many characters of the pattern match this one character, if they do.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern[0] {
        '?' => (c != '/').then_some(1),
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        '[' => {
            let end = 2 + pattern.get(2..)?.iter().position(|c| *c == ']')?;
            let negated = matches!(pattern[1], '^' | '!');
            let class = &pattern[1 + usize::from(negated)..end];
            let mut at = 0;
            let mut found = false;
            while at < class.len() {
                let range = class.get(at + 1) == Some(&'-') && at + 2 < class.len();
                let last = if range { class[at + 2] } else { class[at] };
                found |= (class[at]..=last).contains(&c);
                at += if range { 3 } else { 1 };
            }
            (found != negated && c != '/').then_some(end + 1)
        }
        literal => (literal == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stops_at_a_slash() {
        for (pattern, text) in
            [("alp*", "alpine"), ("me/*", "me/app:1.0"), ("*/*:1.?", "me/app:1.0"), ("[a-c]x", "bx"), ("a*b*c", "aXbYbc")]
        {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("alp*", "me/alpine"), ("*", "a/b"), ("[^a]x", "ax"), ("a", "ab"), ("a?", "a"), ("[", "[")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern in "[a\\[\\]*?^\\\\/-]{0,12}", text in "[a/]{0,8}") {
            let _ = glob(&pattern, &text);
        }
    }
}
