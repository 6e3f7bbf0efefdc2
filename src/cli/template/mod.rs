//! # Templates: what `--format` means
//!
//! `docker inspect -f '{{range .Mounts}}{{.Source}} {{end}}' web` is a small program in Go's `text/template` language,
//! and twelve years of scripts are written in it. No well-kept evaluator exists outside Go, so this folder is one: not
//! an approximation that knows `{{.Field}}`, but the language, with Go's rules of truth, Go's way of printing a map, and
//! Go's own words when a template is wrong, since people search the web for those words.
//!
//! ```text
//!   "{{.Name}} {{len .Mounts}}"
//!        │ lex       words: {{ .Name }} text {{ len .Mounts }}
//!        │ parse     a tree; everything misspelt is refused here: function "foo" not defined
//!        ▼
//!     Template ── render(value) ──▶ eval ──▶ functions, compare, printf ──▶ print ──▶ text
//!                        ▲
//!        value ── shapes: what Go's structs look like, so that `.State.Foo` is an error and `.State.Pid` a number
//! ```
//!
//! * [`Template::parse`] reads a text; [`Template::render`] runs it over one [`Value`].
//! * [`lex`] cuts the text at `{{` and `}}` (trim markers, comments), [`parse`] makes the tree ([`tree`]).
//! * [`eval`] walks it: dot, variables, pipelines; [`fields`] finds a field; [`functions`] knows Go's builtins and
//!   Docker's additions (`json split join title lower upper pad truncate`), [`builtins`] does them, [`compare`] `eq` and its siblings.
//! * [`printf`] and [`print`] are Go's `fmt`; [`json`] is Go's `encoding/json`.
//! * [`value`] is what a template sees; [`shapes`] turns a JSON answer of the daemon into Go's idea of it.
//!
//! A value has three sources. An inspected object is decoded by its *shape* first, as Docker decodes it into a struct; if
//! the template asks for something the struct has not, it is run again over the raw JSON, where a missing key is an error
//! (that is [`crate::inspect`]). A row of a table is a [`value::Row`], which computes a column when asked. A header of a
//! table is a plain map from column to heading.
//!
//! Laws: no template, however wrong, makes us panic, overflow the stack or eat the memory (property tests
//! try; `make fuzz` tries longer); positions in messages are bytes, lines begin at 1; the text of a message is Go's to the letter.
//!
//! *In the real world* Go walks any value by reflection and calls its methods. Ours knows the shapes listed in
//! [`shapes`], has no complex numbers, and prints a pointer inside a struct as `&{…}` where Go prints its address.
//!
//! See: Go `text/template`, `fmt`, `encoding/json` · docker/cli `templates`. Next room: [`lex`]

pub mod builtins;
pub mod compare;
pub mod eval;
pub mod fields;
pub mod functions;
pub mod json;
pub mod lex;
pub mod parse;
pub mod print;
pub mod printf;
pub mod shapes;
pub mod tree;
pub mod value;

#[cfg(test)]
mod tests;

pub use value::Value;

/// What is wrong with a template, in Go's words: `template: :1: unexpected {{end}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub text: String,
    /// The template asked for a field that the value cannot have, whatever its content.
    pub no_such_field: bool,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a missing key of a map means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// `<no value>`: Go's default.
    NoValue,
    /// An error: what Docker asks for when it looks at raw JSON.
    Error,
}

/// A parsed template.
pub struct Template {
    tree: tree::Tree,
}

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// Go's message: `template: :1: unclosed action`.
    pub fn parse(text: &str) -> Result<Template, Fault> {
        Template::named("", text)
    }

    /// The same with a name, which appears in messages.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn named(name: &str, text: &str) -> Result<Template, Fault> {
        parse::parse(name, text).map(|tree| Template { tree })
    }

    /// Runs the template over `value`.
    ///
    /// # Errors
    /// Go's message: `template: :1:2: executing "" at <.Foo>: can't evaluate field Foo in type string`.
    pub fn render(&self, value: &Value) -> Result<String, Fault> {
        self.render_with(value, MissingKey::NoValue, functions::Set::Values)
    }

    /// The same, with another meaning of missing keys and another set of functions (for the heading of a table).
    pub fn render_with(&self, value: &Value, missing: MissingKey, set: functions::Set) -> Result<String, Fault> {
        let (text, ended) = eval::render(&self.tree, value, missing, set);
        ended.map(|()| text)
    }

    /// The heading of a table: Docker's functions leave it as it is, and what was written before a fault stays.
    pub fn render_heading(&self, headings: &Value) -> String {
        eval::render(&self.tree, headings, MissingKey::NoValue, functions::Set::Headings).0
    }
}
