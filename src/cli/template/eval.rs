//! # Evaluation: walking the tree
//!
//! The machine has a dot (what `.` means here), a stack of variables and a page to write on. `with` and `range` change the
//! dot, a pipeline carries a value from stage to stage as the last argument of the next, `$` is always the whole.
//!
//! Every step first says where it is ([`Site`]), so that a fault can quote the words that caused it:
//!
//! ```text
//!   template: :1:8: executing "" at <.State.Foo>: can't evaluate field Foo in type *container.State
//!             line:byte              the operand
//! ```
//!
//! Laws: [`MAX_STEPS`], [`MAX_OUTPUT`] and [`MAX_CALLS`] bound what a template may do; what was written before a fault stays
//! written (Docker prints the heading of a table so).
//!
//! See: Go `text/template/exec.go`. Next room: [`super::fields`]

use super::{
    Fault, MissingKey, functions,
    functions::Set,
    print,
    tree::{Branch, Command, Node, Operand, Pipeline, Tree, What},
    value::{List, Value},
};
use std::rc::Rc;

/// How many nodes one rendering may visit.
pub const MAX_STEPS: usize = 5_000_000;
/// How many bytes it may write.
pub const MAX_OUTPUT: usize = 64 << 20;
/// How deep named templates may call each other.
pub const MAX_CALLS: usize = 50;

/// Runs a tree over a value: what was written, and how it ended.
pub fn render(tree: &Tree, value: &Value, missing: MissingKey, set: Set) -> (String, Result<(), Fault>) {
    let mut machine = Machine {
        tree,
        out: String::new(),
        variables: vec![("$".into(), value.clone())],
        missing,
        set,
        site: Site::Nowhere,
        steps: 0,
        calls: 0,
    };
    let ended = machine.walk_all(value, &tree.root).map(|_| ());
    (machine.out, ended)
}

/// The words that are being evaluated, quoted when something goes wrong.
#[derive(Clone, Copy)]
pub(super) enum Site<'t> {
    Nowhere,
    Operand(&'t Operand),
    Command(&'t Command),
    Call(&'t str, usize),
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// One rendering.
pub(super) struct Machine<'t> {
    tree: &'t Tree,
    out: String,
    variables: Vec<(String, Value)>,
    pub(super) missing: MissingKey,
    pub(super) set: Set,
    site: Site<'t>,
    steps: usize,
    calls: usize,
}

pub(super) type Step<T> = Result<T, Fault>;

impl<'t> Machine<'t> {
    pub(super) fn at(&mut self, site: Site<'t>) {
        self.site = site;
    }

    /// A fault at the present site.
    pub(super) fn fault(&self, message: impl std::fmt::Display) -> Fault {
        let name = &self.tree.name;
        let (at, words) = match self.site {
            Site::Nowhere => return Fault { text: format!("template: {name}: {message}"), no_such_field: false },
            Site::Operand(operand) => (operand.at, operand.text()),
            Site::Command(command) => (command.at, command.text()),
            Site::Call(name, at) => (at, format!("{{{{template {}}}}}", print::quote(name))),
        };
        let before = self.tree.source.get(..at).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(at, |newline| at - newline - 1);
        Fault {
            text: format!("template: {name}:{line}:{column}: executing \"{name}\" at <{words}>: {message}"),
            no_such_field: false,
        }
    }

    fn walk_all(&mut self, dot: &Value, nodes: &'t [Node]) -> Step<Flow> {
        for node in nodes {
            let flow = self.walk(dot, node)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn walk(&mut self, dot: &Value, node: &'t Node) -> Step<Flow> {
        self.step()?;
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(pipeline) => {
                let value = self.pipeline(dot, pipeline)?;
                if pipeline.variables.is_empty() {
                    self.write(&print::display(&value))?;
                }
            }
            Node::If(branch) => return self.either(dot, branch, false),
            Node::With(branch) => return self.either(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Call { name, argument, at } => self.call_template(dot, name, argument.as_ref(), *at)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn step(&mut self) -> Step<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(self.fault("the template takes too many steps")) } else { Ok(()) }
    }

    fn write(&mut self, text: &str) -> Step<()> {
        if self.out.len() + text.len() > MAX_OUTPUT {
            return Err(self.fault("the template writes too much"));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn either(&mut self, dot: &Value, branch: &'t Branch, moves_dot: bool) -> Step<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let flow = match (value.is_true(), moves_dot) {
            (true, true) => self.walk_all(&value, &branch.then)?,
            (true, false) => self.walk_all(dot, &branch.then)?,
            (false, _) => self.walk_all(dot, &branch.otherwise)?,
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch) -> Step<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let body = self.variables.len();
        let mut turns = 0usize;
        let mut turn = |machine: &mut Self, key: Value, item: &Value| {
            turns += 1;
            machine.step()?;
            machine.set_range_variables(&branch.pipeline, key, item)?;
            let flow = machine.walk_all(item, &branch.then);
            machine.variables.truncate(body);
            flow.map(|flow| flow != Flow::Break)
        };
        match &value {
            Value::Missing | Value::Nil => {}
            Value::List(list) => {
                for (at, item) in list.items.iter().enumerate() {
                    if !turn(self, Value::Int(at as i64), item)? {
                        break;
                    }
                }
            }
            Value::Bytes(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    if !turn(self, Value::Int(at as i64), &Value::Int(i64::from(*byte)))? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in &map.entries {
                    if !turn(self, Value::text(key), item)? {
                        break;
                    }
                }
            }
            Value::Int(count) => {
                for at in 0..*count {
                    if !turn(self, Value::Int(at), &Value::Int(at))? {
                        break;
                    }
                }
            }
            other => return Err(self.fault(format!("range can't iterate over {}", print::nested(other)))),
        }
        let flow = if turns == 0 { self.walk_all(dot, &branch.otherwise)? } else { Flow::On };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn set_range_variables(&mut self, pipeline: &'t Pipeline, key: Value, item: &Value) -> Step<()> {
        let values = match pipeline.variables.len() {
            0 => return Ok(()),
            1 => vec![item.clone()],
            _ => vec![key, item.clone()],
        };
        for (name, value) in pipeline.variables.iter().zip(values) {
            self.set_variable(name, value)?;
        }
        Ok(())
    }

    fn set_variable(&mut self, name: &str, value: Value) -> Step<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some(slot) => {
                slot.1 = value;
                Ok(())
            }
            None => Err(self.fault(format!("undefined variable: {name}"))),
        }
    }

    fn call_template(&mut self, dot: &Value, name: &'t str, argument: Option<&'t Pipeline>, at: usize) -> Step<()> {
        self.at(Site::Call(name, at));
        let Some(body) = self.tree.named.get(name) else {
            return Err(self.fault(format!("template {} not defined", print::quote(name))));
        };
        if self.calls >= MAX_CALLS {
            return Err(self.fault(format!("exceeded maximum template depth ({MAX_CALLS})")));
        }
        let value = match argument {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Missing,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".into(), value.clone())]);
        self.calls += 1;
        let flow = self.walk_all(&value, body);
        self.calls -= 1;
        self.variables = outer;
        flow.map(|_| ())
    }

    /// The value of a pipeline, after its declarations have been made.
    pub(super) fn pipeline(&mut self, dot: &Value, pipeline: &'t Pipeline) -> Step<Value> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = match value {
            Some(Value::Nil) | None => Value::Missing,
            Some(value) => value,
        };
        for name in &pipeline.variables {
            if pipeline.assigns {
                self.set_variable(name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    /// One stage: `piped` is the value of the stage before.
    fn command(&mut self, dot: &Value, command: &'t Command, piped: Option<Value>) -> Step<Value> {
        self.step()?;
        let (first, arguments) = (&command.words[0], &command.words[1..]);
        match &first.what {
            What::Function(name) => {
                self.at(Site::Operand(first));
                functions::call(self, dot, name, Site::Command(command), arguments, piped)
            }
            What::Field(_) | What::Variable(_) | What::Chain(..) => self.path(dot, first, arguments, piped),
            _ => {
                self.at(Site::Operand(first));
                if !arguments.is_empty() || piped.is_some() {
                    return Err(self.fault(format!("can't give argument to non-function {}", first.text())));
                }
                if matches!(first.what, What::Nil) {
                    return Err(self.fault("nil is not a command"));
                }
                self.operand(dot, first)
            }
        }
    }

    /// A word by itself, as an argument or as a whole command.
    pub(super) fn operand(&mut self, dot: &Value, operand: &'t Operand) -> Step<Value> {
        self.at(Site::Operand(operand));
        match &operand.what {
            What::Dot => Ok(dot.clone()),
            What::Nil => Ok(Value::Nil),
            What::Bool(value) => Ok(Value::Bool(*value)),
            What::Text { value, .. } => Ok(Value::text(value)),
            What::Number { text, value } => {
                let prefixed = text.contains(['x', 'X', '\'']);
                match (value.int, value.float) {
                    (_, Some(float)) if text.contains(['.', 'e', 'E', 'p', 'P']) && !prefixed => Ok(Value::Float(float)),
                    (Some(int), _) => Ok(Value::Int(int)),
                    _ if value.uint.is_some() => Err(self.fault(format!("{text} overflows int"))),
                    (None, float) => Ok(Value::Float(float.unwrap_or_default())),
                }
            }
            What::Pipeline(pipeline) => self.pipeline(dot, pipeline),
            What::Field(_) | What::Variable(_) | What::Chain(..) => self.path(dot, operand, &[], None),
            What::Function(name) => functions::call(self, dot, name, Site::Operand(operand), &[], None),
        }
    }

    /// `.A.B`, `$x.A`, `(pipeline).A`: a start and the fields after it.
    fn path(&mut self, dot: &Value, operand: &'t Operand, arguments: &'t [Operand], piped: Option<Value>) -> Step<Value> {
        let (start, names): (Value, &'t [String]) = match &operand.what {
            What::Field(names) => (dot.clone(), names),
            What::Variable(names) => {
                self.at(Site::Operand(operand));
                let known = self.variables.iter().rev().find(|(name, _)| *name == names[0]);
                let value = known.map(|(_, value)| value.clone());
                (value.ok_or_else(|| self.fault(format!("undefined variable: {}", names[0])))?, &names[1..])
            }
            What::Chain(base, names) => {
                let start = match &base.what {
                    What::Pipeline(pipeline) => self.pipeline(dot, pipeline)?,
                    _ => self.operand(dot, base)?,
                };
                (start, names)
            }
            _ => (dot.clone(), &[]),
        };
        self.at(Site::Operand(operand));
        if names.is_empty() && (!arguments.is_empty() || piped.is_some()) {
            return Err(self.fault(format!("can't give argument to non-function {}", operand.text())));
        }
        super::fields::follow(self, dot, start, operand, names, arguments, piped)
    }
}

/// A list of anything, for functions that make one.
pub(super) fn list_of_any(items: Vec<Value>) -> Value {
    Value::List(Rc::new(List { of: &super::shapes::Kind::Any, items, nil: false }))
}
