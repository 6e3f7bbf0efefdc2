//! # Lexing: where does an action begin, and what words are in it?
//!
//! A template is text with islands: outside `{{ }}` every byte is itself; inside there are fields, variables, numbers,
//! strings, words, parentheses and bars. A dash just inside the braces eats the white space on its side (`{{- x -}}`), and
//! `{{/* … */}}` disappears.
//!
//! White space between words is a token, because `.A.B` is one operand and `.A .B` are two.
//!
//! [`lex`] never fails by itself: what cannot be a word becomes one token [`Kind::Error`] at the end of the list, and the
//! parser says it when (and only if) it gets there, as Go does.
//!
//! See: Go `text/template/parse/lex.go`. Next room: [`super::parse`]

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Error,
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Field,
    Variable,
    Identifier,
    Keyword,
    Dot,
    Nil,
    Bool,
    Number,
    Character,
    Quoted,
    RawQuoted,
    Pipe,
    Assign,
    Declare,
    LeftParen,
    RightParen,
    Char,
    Eof,
}

/// A word of the template and where it stands.
#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub at: usize,
    pub line: usize,
}

const KEYWORDS: [&str; 10] = ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

/// Cuts a template into tokens; the last one is [`Kind::Eof`] or [`Kind::Error`].
pub fn lex(input: &str) -> Vec<Token> {
    let mut lexer = Lexer { input, at: 0, start: 0, parens: 0, tokens: Vec::new(), line: 1, counted: 0 };
    if let Err(message) = lexer.text() {
        lexer.push(Kind::Error, message);
    }
    lexer.tokens
}

struct Lexer<'a> {
    input: &'a str,
    at: usize,
    start: usize,
    parens: usize,
    tokens: Vec<Token>,
    line: usize,
    counted: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn push(&mut self, kind: Kind, text: String) {
        self.line += self.input[self.counted..self.start].matches('\n').count();
        self.counted = self.start;
        self.tokens.push(Token { kind, text, at: self.start, line: self.line });
        self.start = self.at;
    }

    fn emit(&mut self, kind: Kind) {
        let text = self.input[self.start..self.at].to_string();
        self.push(kind, text);
    }

    /// Text and actions in turn, until the end.
    fn text(&mut self) -> Result<(), String> {
        loop {
            let Some(open) = self.rest().find("{{") else {
                self.at = self.input.len();
                if self.at > self.start {
                    self.emit(Kind::Text);
                }
                self.push(Kind::Eof, String::new());
                return Ok(());
            };
            let text = &self.rest()[..open];
            let marked = left_trim_marker(&self.rest()[open + 2..]);
            let kept = if marked { text.trim_end_matches(is_space).len() } else { text.len() };
            let delim = self.at + open;
            if kept > 0 {
                self.at += kept;
                self.emit(Kind::Text);
            }
            self.at = delim;
            self.start = delim;
            self.left_delim(marked)?;
        }
    }

    fn left_delim(&mut self, marked: bool) -> Result<(), String> {
        self.at += 2;
        let skip = if marked { 2 } else { 0 };
        if self.rest()[skip..].starts_with("/*") {
            self.at += skip;
            return self.comment();
        }
        self.emit(Kind::LeftDelim);
        self.at += skip;
        self.start = self.at;
        self.parens = 0;
        self.inside_action()
    }

    fn comment(&mut self) -> Result<(), String> {
        let close = self.rest().find("*/").ok_or("unclosed comment")?;
        self.at += close + 2;
        let trim = right_trim_marker(self.rest());
        if trim {
            self.at += 2;
        }
        if !self.rest().starts_with("}}") {
            return Err("comment ends before closing delimiter".into());
        }
        self.at += 2;
        self.start = self.at;
        self.trim_left(trim);
        Ok(())
    }

    fn trim_left(&mut self, wanted: bool) {
        if wanted {
            let kept = self.rest().trim_start_matches(is_space).len();
            self.at = self.input.len() - kept;
            self.start = self.at;
        }
    }

    fn right_delim(&mut self) {
        let trim = right_trim_marker(self.rest());
        if trim {
            self.at += 2;
            self.start = self.at;
        }
        self.at += 2;
        self.emit(Kind::RightDelim);
        self.trim_left(trim);
    }

    fn at_right_delim(&self) -> bool {
        self.rest().starts_with("}}") || right_trim_marker(self.rest())
    }

    fn inside_action(&mut self) -> Result<(), String> {
        loop {
            if self.at_right_delim() {
                if self.parens > 0 {
                    return Err("unclosed left paren".into());
                }
                self.right_delim();
                return Ok(());
            }
            match self.next() {
                None => return Err("unclosed action".into()),
                Some(c) if is_space(c) => self.space(),
                Some('=') => self.emit(Kind::Assign),
                Some(':') => {
                    if self.next() != Some('=') {
                        return Err("expected :=".into());
                    }
                    self.emit(Kind::Declare);
                }
                Some('|') => self.emit(Kind::Pipe),
                Some('"') => self.quote('"', Kind::Quoted, "unterminated quoted string")?,
                Some('`') => self.raw_quote()?,
                Some('\'') => self.quote('\'', Kind::Character, "unterminated character constant")?,
                Some('$') => self.field_or_variable(Kind::Variable)?,
                Some('.') if self.peek().is_some_and(|c| !c.is_ascii_digit()) => self.field_or_variable(Kind::Field)?,
                Some(c) if c == '.' || c == '+' || c == '-' || c.is_ascii_digit() => {
                    self.at = self.start;
                    self.number()?;
                }
                Some(c) if is_word(c) => self.identifier()?,
                Some('(') => {
                    self.parens += 1;
                    self.emit(Kind::LeftParen);
                }
                Some(')') => {
                    if self.parens == 0 {
                        return Err("unexpected right paren".into());
                    }
                    self.parens -= 1;
                    self.emit(Kind::RightParen);
                }
                Some(c) if c.is_ascii() && !c.is_ascii_control() => self.emit(Kind::Char),
                Some(c) => return Err(format!("unrecognized character in action: {}", code_point(c))),
            }
        }
    }

    /// A run of spaces; the last one belongs to ` -}}` when that follows.
    fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.next();
        }
        if self.rest().starts_with("-}}") {
            self.at -= 1;
        }
        if self.at > self.start {
            self.emit(Kind::Space);
        }
    }

    fn quote(&mut self, end: char, kind: Kind, open: &str) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => {
                    self.next();
                }
                None | Some('\n' | '\\') => return Err(open.into()),
                Some(c) if c == end => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn raw_quote(&mut self) -> Result<(), String> {
        let close = self.rest().find('`').ok_or("unterminated raw quoted string")?;
        self.at += close + 1;
        self.emit(Kind::RawQuoted);
        Ok(())
    }

    fn field_or_variable(&mut self, kind: Kind) -> Result<(), String> {
        if self.at_terminator() {
            self.emit(if kind == Kind::Field { Kind::Dot } else { kind });
            return Ok(());
        }
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        self.must_terminate()?;
        self.emit(kind);
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        self.must_terminate()?;
        let kind = match &self.input[self.start..self.at] {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.emit(kind);
        Ok(())
    }

    fn must_terminate(&self) -> Result<(), String> {
        match self.peek() {
            Some(c) if !self.at_terminator() => Err(format!("bad character {}", code_point(c))),
            _ => Ok(()),
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.rest().starts_with("}}"),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        if matches!(self.peek(), Some('+' | '-')) {
            self.next();
        }
        let mut hex = false;
        if self.rest().starts_with('0') {
            self.next();
            if matches!(self.peek(), Some('x' | 'X' | 'o' | 'O' | 'b' | 'B')) {
                hex = matches!(self.next(), Some('x' | 'X'));
            }
        }
        let digit = |c: char| c == '_' || if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        self.skip(digit);
        if self.peek() == Some('.') {
            self.next();
            self.skip(digit);
        }
        let exponent = if hex { ['p', 'P'] } else { ['e', 'E'] };
        if self.peek().is_some_and(|c| exponent.contains(&c)) {
            self.next();
            if matches!(self.peek(), Some('+' | '-')) {
                self.next();
            }
            self.skip(|c| c.is_ascii_digit() || c == '_');
        }
        if self.peek().is_some_and(is_word) {
            self.next();
            return Err(format!("bad number syntax: {}", super::print::quote(&self.input[self.start..self.at])));
        }
        self.emit(Kind::Number);
        Ok(())
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }
}

/// `{{- ` : a dash and white space after the braces.
fn left_trim_marker(after_delim: &str) -> bool {
    let mut chars = after_delim.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

/// ` -}}` : white space, a dash, the braces.
fn right_trim_marker(text: &str) -> bool {
    text.starts_with(is_space) && text[1..].starts_with("-}}")
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Go's `%#U`: `U+00E9 'é'`.
fn code_point(c: char) -> String {
    if c.is_control() { format!("U+{:04X}", c as u32) } else { format!("U+{:04X} '{c}'", c as u32) }
}
