//! # The tree: a template after parsing
//!
//! A template is a list of nodes: text, actions, and the four that own other lists (`if`, `with`, `range`, and a call of a
//! named template). An action is a *pipeline*: commands joined by `|`, each handing its value to the next as last argument.
//!
//! Every operand remembers where it stood and can print itself as it would be written ([`Operand::text`]): an error
//! message quotes it between `<` and `>`.
//!
//! See: Go `text/template/parse/node.go`. Next room: [`super::eval`]

use std::{collections::HashMap, rc::Rc};

/// A parsed template with the templates it defines by name.
pub struct Tree {
    /// What messages call it: empty, except for `version`.
    pub name: String,
    /// The template's text: positions in messages are counted in it.
    pub source: String,
    pub root: Vec<Node>,
    pub named: HashMap<String, Rc<Vec<Node>>>,
}

/// One thing that a template does.
pub enum Node {
    Text(String),
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Call { name: String, argument: Option<Pipeline>, at: usize },
    Break,
    Continue,
}

/// `{{if pipeline}} then {{else}} otherwise {{end}}`.
pub struct Branch {
    pub pipeline: Pipeline,
    pub then: Vec<Node>,
    pub otherwise: Vec<Node>,
}

/// `$x := command | command`.
pub struct Pipeline {
    pub at: usize,
    /// Names declared or assigned, each with its `$`.
    pub variables: Vec<String>,
    /// `=` rather than `:=`.
    pub assigns: bool,
    pub commands: Vec<Command>,
}

/// `printf "%d" .Pid`: a function or value and its arguments.
pub struct Command {
    pub at: usize,
    pub words: Vec<Operand>,
}

/// One word of a command.
pub struct Operand {
    pub at: usize,
    pub what: What,
}

/// What a word is.
pub enum What {
    Dot,
    Nil,
    Bool(bool),
    Number {
        text: String,
        value: Number,
    },
    Text {
        quoted: String,
        value: String,
    },
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A`: the name with its `$`, then fields.
    Variable(Vec<String>),
    Function(String),
    /// `(pipeline)`
    Pipeline(Pipeline),
    /// `(pipeline).A.B`, `function.A`
    Chain(Box<Operand>, Vec<String>),
}

/// A number as Go's constants are: it may be usable as an integer, as a float, or as both.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number {
    pub int: Option<i64>,
    /// Fits only an unsigned integer.
    pub uint: Option<u64>,
    pub float: Option<f64>,
}

impl Operand {
    /// The operand as it would be written.
    pub fn text(&self) -> String {
        match &self.what {
            What::Dot => ".".into(),
            What::Nil => "nil".into(),
            What::Bool(value) => value.to_string(),
            What::Number { text, .. } => text.clone(),
            What::Text { quoted, .. } => quoted.clone(),
            What::Field(names) => names.iter().map(|name| format!(".{name}")).collect(),
            What::Variable(names) => names.join("."),
            What::Function(name) => name.clone(),
            What::Pipeline(pipeline) => format!("({})", pipeline.text()),
            What::Chain(base, names) => names.iter().fold(base.text(), |text, name| format!("{text}.{name}")),
        }
    }
}

impl Command {
    /// The command as it would be written.
    pub fn text(&self) -> String {
        self.words.iter().map(Operand::text).collect::<Vec<_>>().join(" ")
    }
}

impl Pipeline {
    /// The pipeline as it would be written.
    pub fn text(&self) -> String {
        let commands = self.commands.iter().map(Command::text).collect::<Vec<_>>().join(" | ");
        match (self.variables.is_empty(), self.assigns) {
            (true, _) => commands,
            (false, true) => format!("{} = {commands}", self.variables.join(", ")),
            (false, false) => format!("{} := {commands}", self.variables.join(", ")),
        }
    }
}
