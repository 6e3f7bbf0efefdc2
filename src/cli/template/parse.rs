//! # Parsing: from words to a tree
//!
//! A recursive-descent parser, one function per thing of the grammar, that refuses in Go's words whatever Go refuses: an
//! unknown function, an undefined variable, `{{else}}` alone, a pipeline whose second stage is a number. So a misspelt
//! template fails before anything is asked of the daemon.
//!
//! ```text
//!   list     = { text | action }
//!   action   = "{{" ( if | with | range | define | block | template | break | continue | pipeline ) "}}"
//!   pipeline = [ $x [, $y] ( := | = ) ] command { "|" command }
//!   command  = operand { space operand }
//!   operand  = term { .field }
//! ```
//!
//! Laws: depth is bounded ([`MAX_DEPTH`]): a file of parentheses must not overflow our stack; variables live until the `end` of
//! the action that declared them.
//!
//! See: Go `text/template/parse/parse.go`. Next room: [`super::tree`]

use super::{
    Fault, functions,
    lex::{Kind, Token, lex},
    print,
    tree::{Branch, Command, Node, Number, Operand, Pipeline, Tree, What},
};
use std::{collections::HashMap, rc::Rc};

/// How deep parentheses and blocks may nest.
pub const MAX_DEPTH: usize = 100;

/// Parses a whole template.
///
/// # Errors
/// `template: :LINE: …`.
pub fn parse(name: &str, source: &str) -> Result<Tree, Fault> {
    let mut parser = Parser {
        name: name.to_string(),
        tokens: lex(source),
        next: 0,
        variables: vec!["$".into()],
        ranges: 0,
        depth: 0,
        action_line: 0,
        named: HashMap::new(),
    };
    let mut root = Vec::new();
    while parser.peek().kind != Kind::Eof {
        match parser.text_or_action(true)? {
            Item::Node(node) => root.push(node),
            Item::Nothing => {}
            ended => return Err(parser.fault(format!("unexpected {}", ended.name()))),
        }
    }
    Ok(Tree { name: parser.name, source: source.to_string(), root, named: parser.named })
}

struct Parser {
    name: String,
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
    ranges: usize,
    depth: usize,
    action_line: usize,
    named: HashMap<String, Rc<Vec<Node>>>,
}

/// What an action turned out to be.
enum Item {
    Node(Node),
    Nothing,
    End,
    Else,
}

impl Item {
    fn name(&self) -> &'static str {
        if matches!(self, Item::Else) { "{{else}}" } else { "{{end}}" }
    }
}

type Parsed<T> = Result<T, Fault>;

impl Parser {
    fn token(&self, at: usize) -> &Token {
        &self.tokens[at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Token {
        self.token(self.next)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_spaces(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_word(&mut self) -> &Token {
        self.skip_spaces();
        self.peek()
    }

    fn take_word(&mut self) -> Token {
        self.skip_spaces();
        self.take()
    }

    fn fault(&self, message: impl std::fmt::Display) -> Fault {
        let line = self.token(self.next.saturating_sub(1)).line;
        Fault { text: format!("template: {}:{line}: {message}", self.name), no_such_field: false }
    }

    fn unexpected(&self, token: &Token, context: &str) -> Fault {
        if token.kind != Kind::Error {
            return self.fault(format!("unexpected {} in {context}", describe(token)));
        }
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            extra = format!(" in action started at {}:{}", self.name, self.action_line);
            if token.text.ends_with(" action") {
                extra = extra[" in action".len()..].to_string();
            }
        }
        self.fault(format!("{}{extra}", token.text))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<()> {
        let token = self.take_word();
        if token.kind == kind { Ok(()) } else { Err(self.unexpected(&token, context)) }
    }

    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.fault("template nested too deeply")) } else { Ok(()) }
    }

    fn text_or_action(&mut self, top: bool) -> Parsed<Item> {
        let token = self.take_word();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => {
                self.action_line = token.line;
                self.deeper()?;
                let item = self.action(top)?;
                self.depth -= 1;
                self.action_line = 0;
                Ok(item)
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self, top: bool) -> Parsed<Item> {
        let token = self.peek_word().clone();
        if token.kind != Kind::Keyword {
            return Ok(Item::Node(Node::Action(self.pipeline("command", Kind::RightDelim)?)));
        }
        self.next += 1;
        let node = match token.text.as_str() {
            "if" => Node::If(self.branch("if")?),
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "end" => return self.expect(Kind::RightDelim, "end").map(|_| Item::End),
            "else" => {
                let next = self.peek_word().clone();
                if !(next.kind == Kind::Keyword && matches!(next.text.as_str(), "if" | "with")) {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Else);
            }
            "break" | "continue" => self.jump(&token.text)?,
            "template" => self.call()?,
            "block" => self.block()?,
            "define" if top => {
                self.define()?;
                return Ok(Item::Nothing);
            }
            _ => return Err(self.unexpected(&token, "command")),
        };
        Ok(Item::Node(node))
    }

    fn jump(&mut self, word: &str) -> Parsed<Node> {
        let token = self.take_word();
        if token.kind != Kind::RightDelim {
            return Err(self.unexpected(&token, &format!("{{{{{word}}}}}")));
        }
        if self.ranges == 0 {
            return Err(self.fault(format!("{{{{{word}}}}} outside {{{{range}}}}")));
        }
        Ok(if word == "break" { Node::Break } else { Node::Continue })
    }

    /// Everything after `{{if`: pipeline, list, perhaps an else.
    fn branch(&mut self, context: &str) -> Parsed<Branch> {
        let (variables, ranges) = (self.variables.len(), self.ranges);
        let pipeline = self.pipeline(context, Kind::RightDelim)?;
        self.ranges += usize::from(context == "range");
        let (then, ended) = self.list()?;
        self.ranges = ranges;
        let mut otherwise = Vec::new();
        if matches!(ended, Item::Else) {
            let next = self.peek_word().clone();
            if next.kind == Kind::Keyword && next.text == context {
                self.next += 1;
                self.deeper()?;
                let chained = self.branch(context)?;
                self.depth -= 1;
                otherwise.push(if context == "if" { Node::If(chained) } else { Node::With(chained) });
            } else {
                let (list, ended) = self.list()?;
                if matches!(ended, Item::Else) {
                    return Err(self.fault(format!("expected end; found {}", ended.name())));
                }
                otherwise = list;
            }
        }
        self.variables.truncate(variables);
        Ok(Branch { pipeline, then, otherwise })
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Item)> {
        let mut nodes = Vec::new();
        while self.peek_word().kind != Kind::Eof {
            match self.text_or_action(false)? {
                Item::Node(node) => nodes.push(node),
                Item::Nothing => {}
                ended => return Ok((nodes, ended)),
            }
        }
        self.next += 1;
        Err(self.fault("unexpected EOF"))
    }

    fn name(&mut self, context: &str) -> Parsed<(String, usize)> {
        let token = self.take_word();
        match token.kind {
            Kind::Quoted | Kind::RawQuoted => Ok((self.unquote(&token)?, token.at)),
            _ => Err(self.unexpected(&token, context)),
        }
    }

    fn call(&mut self) -> Parsed<Node> {
        let (name, at) = self.name("template clause")?;
        let alone = self.peek_word().kind == Kind::RightDelim;
        self.next += usize::from(alone);
        let argument = if alone { None } else { Some(self.pipeline("template clause", Kind::RightDelim)?) };
        Ok(Node::Call { name, argument, at })
    }

    fn define(&mut self) -> Parsed<()> {
        let (name, _) = self.name("define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        self.definition(name, "define clause")
    }

    fn block(&mut self) -> Parsed<Node> {
        let (name, at) = self.name("block clause")?;
        let argument = Some(self.pipeline("block clause", Kind::RightDelim)?);
        self.definition(name.clone(), "block clause")?;
        Ok(Node::Call { name, argument, at })
    }

    /// The body of a named template: its variables are its own.
    fn definition(&mut self, name: String, context: &str) -> Parsed<()> {
        let outer = std::mem::replace(&mut self.variables, vec!["$".into()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, ended) = self.list()?;
        if matches!(ended, Item::Else) {
            return Err(self.fault(format!("unexpected {} in {context}", ended.name())));
        }
        (self.variables, self.ranges) = (outer, ranges);
        self.named.insert(name, Rc::new(body));
        Ok(())
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipeline> {
        let at = self.peek_word().at;
        let mut pipeline = Pipeline { at, variables: Vec::new(), assigns: false, commands: Vec::new() };
        self.declarations(&mut pipeline, context)?;
        loop {
            let token = self.take_word();
            match token.kind {
                kind if kind == end => break,
                kind if begins_operand(kind) => {
                    self.next -= 1;
                    let command = self.command()?;
                    pipeline.commands.push(command);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        if pipeline.commands.is_empty() {
            return Err(self.fault(format!("missing value for {context}")));
        }
        for (stage, command) in pipeline.commands.iter().enumerate().skip(1) {
            if matches!(command.words[0].what, What::Bool(_) | What::Dot | What::Nil | What::Number { .. } | What::Text { .. })
            {
                return Err(self.fault(format!("non executable command in pipeline stage {}", stage + 1)));
            }
        }
        Ok(pipeline)
    }

    /// `$x :=`, `$x =`, and in a range `$i, $v :=`; otherwise nothing is consumed.
    fn declarations(&mut self, pipeline: &mut Pipeline, context: &str) -> Parsed<()> {
        loop {
            let start = self.next;
            if self.peek_word().kind != Kind::Variable {
                return Ok(());
            }
            let variable = self.take();
            let next = self.peek_word().clone();
            if matches!(next.kind, Kind::Assign | Kind::Declare) {
                self.next += 1;
                pipeline.assigns = next.kind == Kind::Assign;
                pipeline.variables.push(variable.text.clone());
                self.variables.push(variable.text);
                return Ok(());
            }
            if !(next.kind == Kind::Char && next.text == ",") {
                self.next = start;
                return Ok(());
            }
            self.next += 1;
            pipeline.variables.push(variable.text.clone());
            self.variables.push(variable.text);
            if context != "range" || pipeline.variables.len() > 1 {
                return Err(self.fault(format!("too many declarations in {context}")));
            }
            if !matches!(self.peek_word().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                return Err(self.fault("range can only initialize variables"));
            }
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command { at: self.peek_word().at, words: Vec::new() };
        loop {
            self.skip_spaces();
            if let Some(operand) = self.operand()? {
                command.words.push(operand);
            }
            let token = self.take();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.next -= 1,
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if command.words.is_empty() { Err(self.fault("empty command")) } else { Ok(command) }
    }

    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(mut operand) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let at = self.peek().at;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(self.take().text[1..].to_string());
        }
        operand = match operand.what {
            What::Field(mut names) => {
                names.append(&mut fields);
                Operand { at, what: What::Field(names) }
            }
            What::Variable(mut names) => {
                names.append(&mut fields);
                Operand { at, what: What::Variable(names) }
            }
            What::Bool(_) | What::Text { .. } | What::Number { .. } | What::Nil | What::Dot => {
                return Err(self.fault(format!("unexpected . after term {}", print::quote(&operand.text()))));
            }
            _ => Operand { at, what: What::Chain(Box::new(operand), fields) },
        };
        Ok(Some(operand))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let token = self.take_word();
        let what = match token.kind {
            Kind::Identifier if functions::exists(&token.text) => What::Function(token.text.clone()),
            Kind::Identifier => return Err(self.fault(format!("function {} not defined", print::quote(&token.text)))),
            Kind::Dot => What::Dot,
            Kind::Nil => What::Nil,
            Kind::Bool => What::Bool(token.text == "true"),
            Kind::Variable if self.variables.contains(&token.text) => What::Variable(vec![token.text.clone()]),
            Kind::Variable => return Err(self.fault(format!("undefined variable {}", print::quote(&token.text)))),
            Kind::Field => What::Field(vec![token.text[1..].to_string()]),
            Kind::Number => What::Number { text: token.text.clone(), value: self.number(&token.text)? },
            Kind::Character => What::Number { text: token.text.clone(), value: self.character(&token.text)? },
            Kind::Quoted | Kind::RawQuoted => What::Text { quoted: token.text.clone(), value: self.unquote(&token)? },
            Kind::LeftParen => {
                self.deeper()?;
                let pipeline = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.depth -= 1;
                What::Pipeline(pipeline)
            }
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand { at: token.at, what }))
    }

    fn unquote(&self, token: &Token) -> Parsed<String> {
        print::unquote(&token.text).ok_or_else(|| self.fault("invalid syntax"))
    }

    fn character(&self, quoted: &str) -> Parsed<Number> {
        let text = print::unquote(quoted).ok_or_else(|| self.fault(format!("malformed character constant: {quoted}")))?;
        let code = text.chars().next().map(|c| i64::from(c as u32));
        Ok(Number { int: code, uint: None, float: code.map(|c| c as f64) })
    }

    fn number(&self, text: &str) -> Parsed<Number> {
        print::parse_number(text).ok_or_else(|| self.fault(format!("illegal number syntax: {}", print::quote(text))))
    }
}

fn begins_operand(kind: Kind) -> bool {
    use Kind::{Bool, Character, Dot, Field, Identifier, LeftParen, Nil, Number, Quoted, RawQuoted, Variable};
    matches!(kind, Bool | Character | Dot | Field | Identifier | Number | Nil | RawQuoted | Quoted | Variable | LeftParen)
}

/// Go's way of naming a token in a message.
fn describe(token: &Token) -> String {
    match token.kind {
        Kind::Eof => "EOF".into(),
        Kind::Error => token.text.clone(),
        Kind::Keyword => format!("<{}>", token.text),
        _ if token.text.chars().count() > 10 => {
            format!("{}...", print::quote(&token.text.chars().take(10).collect::<String>()))
        }
        _ => print::quote(&token.text),
    }
}
