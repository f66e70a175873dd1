//! Typed access to the tree: each step that does not fit is a fault with its line and key, and the
//! reading goes on.

use std::fmt;
use std::sync::Arc;

use super::finding::{Findings, Place};
use super::scalar::{self, Read};
use super::tree::{At, Kind, Tree};
use super::words::{did_you_mean, shown, shown_key};

/// The way to a value. Made into text only where there is a fault to report.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    file: &'a Arc<str>,
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Item(usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Item(at) => write!(f, "[{at}]"),
            Step::Key(key) => {
                let first = self
                    .parent
                    .is_none_or(|parent| matches!(parent.step, Step::Root));
                let dot = if first { "" } else { "." };
                write!(f, "{dot}{}", shown_key(key))
            }
        }
    }
}

/// A value and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    tree: &'a Tree,
    at: At,
    path: Path<'a>,
}

impl<'a> Value<'a> {
    /// The whole of a file.
    pub fn root(file: &'a Arc<str>, tree: &'a Tree) -> Self {
        let path = Path {
            file,
            parent: None,
            step: Step::Root,
        };
        Self { tree, at: 0, path }
    }

    fn kind(&self) -> Kind {
        self.tree.node(self.at).kind
    }

    fn is_nothing(&self) -> bool {
        self.tree.is_nothing(self.at)
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        at_line(&self.path, self.line())
    }

    /// The line that it stands on.
    pub fn line(&self) -> u32 {
        self.tree.node(self.at).line
    }

    /// The key that leads to it.
    pub fn key(&self) -> String {
        self.path.to_string()
    }

    /// Reports `text` about it.
    pub fn fault(&self, findings: &mut Findings, text: impl Into<String>) {
        findings.fault(self.place(), self.key(), text);
    }

    /// Reports that it must be `what`, and what it is instead.
    fn is_not(&self, findings: &mut Findings, what: &str) {
        let found = match self.kind() {
            Kind::Refused { .. } => return,
            _ if self.is_nothing() => "left empty".into(),
            Kind::Text { .. } => shown(self.tree.text(self.at).unwrap_or_default()),
            Kind::List { .. } => "a list".into(),
            Kind::Map { .. } => "a mapping".into(),
        };
        self.fault(findings, format!("must be {what}, not {found}"));
    }

    fn said(&self, findings: &mut Findings, what: &str) -> Option<&'a str> {
        let text = self.tree.text(self.at).filter(|_| !self.is_nothing());
        if text.is_none() {
            self.is_not(findings, what);
        }
        text
    }

    /// Its text as `read` takes it; `what` names what is expected where there is no text.
    pub fn read<T>(
        &self,
        findings: &mut Findings,
        what: &str,
        read: impl FnOnce(&str) -> Read<T>,
    ) -> Option<T> {
        read(self.said(findings, what)?)
            .map_err(|problem| self.fault(findings, problem))
            .ok()
    }

    /// As [`Value::read`], for what must stand without quotes: a number in quotes is text.
    pub fn read_plain<T>(
        &self,
        findings: &mut Findings,
        what: &str,
        read: impl FnOnce(&str) -> Read<T>,
    ) -> Option<T> {
        let quoted = matches!(self.kind(), Kind::Text { plain: false, .. });
        self.read(findings, what, |text| {
            let value = read(text)?;
            if quoted {
                return Err(format!(
                    "must be {what}, not the text {}; leave the quotes out",
                    shown(text)
                ));
            }
            Ok(value)
        })
    }

    /// `true` or `false`.
    pub fn truth(&self, findings: &mut Findings) -> Option<bool> {
        self.read_plain(findings, "true or false", scalar::truth)
    }

    /// Its items, if it is a list.
    pub fn list(
        &'a self,
        findings: &mut Findings,
    ) -> Option<impl Iterator<Item = Value<'a>> + use<'a>> {
        if !matches!(self.kind(), Kind::List { .. }) {
            self.is_not(findings, "a list");
            return None;
        }
        let (tree, file, parent) = (self.tree, self.path.file, Some(&self.path));
        Some(tree.within(self.at).enumerate().map(move |(number, at)| {
            let path = Path {
                file,
                parent,
                step: Step::Item(number),
            };
            Value { tree, at, path }
        }))
    }

    /// Whether it is this text, with or without quotes.
    pub fn is_text(&self, wanted: &str) -> bool {
        self.tree.text(self.at) == Some(wanted)
    }

    /// Whether it is a list without items.
    pub fn is_empty_list(&self) -> bool {
        matches!(self.kind(), Kind::List { .. }) && self.tree.within(self.at).next().is_none()
    }

    /// Its keys, whatever they are called.
    pub fn mapping(&self, findings: &mut Findings) -> Option<Section<'a>> {
        if !matches!(self.kind(), Kind::Map { .. }) {
            self.is_not(findings, "a mapping");
            return None;
        }
        Some(Section {
            tree: self.tree,
            at: self.at,
            path: self.path,
        })
    }

    /// Its keys, each of which must be one of `known`.
    pub fn section(&self, findings: &mut Findings, known: &[&str]) -> Option<Section<'a>> {
        let section = self.mapping(findings)?;
        for (key, _) in self.tree.entries(self.at) {
            let word = self.tree.text(key).unwrap_or_default();
            if known.contains(&word) {
                continue;
            }
            let mut meant = did_you_mean(word, known.iter().copied());
            if meant.is_empty() {
                meant = format!("; known here are {}", known.join(", "));
            }
            let path = section.to(word);
            let place = at_line(&path, self.tree.node(key).line);
            findings.fault(place, path.to_string(), format!("unknown key{meant}"));
        }
        Some(section)
    }
}

/// A mapping and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    tree: &'a Tree,
    at: At,
    path: Path<'a>,
}

impl<'a> Section<'a> {
    fn to<'s>(&'s self, key: &'s str) -> Path<'s> {
        Path {
            file: self.path.file,
            parent: Some(&self.path),
            step: Step::Key(key),
        }
    }

    /// The values with their keys, in the file's order.
    pub fn each(&self) -> impl Iterator<Item = (&'a str, Value<'_>)> {
        let tree = self.tree;
        tree.entries(self.at).map(move |(key, at)| {
            let key = tree.text(key).unwrap_or_default();
            (
                key,
                Value {
                    tree,
                    at,
                    path: self.to(key),
                },
            )
        })
    }

    /// The value of `key`, even if it says nothing.
    pub fn get(&self, key: &'static str) -> Option<Value<'_>> {
        let mut entries = self.tree.entries(self.at);
        let (_, at) = entries.find(|(at, _)| self.tree.text(*at) == Some(key))?;
        Some(Value {
            tree: self.tree,
            at,
            path: self.to(key),
        })
    }

    /// The value of `key`; one that says nothing is as good as none.
    pub fn given(&self, key: &'static str) -> Option<Value<'_>> {
        self.get(key).filter(|value| !value.is_nothing())
    }

    /// The value of `key`, without which the section makes no sense.
    pub fn required(&self, findings: &mut Findings, key: &'static str) -> Option<Value<'_>> {
        let value = self.get(key);
        if value.is_none() {
            let path = self.to(key);
            let place = at_line(&path, self.tree.node(self.at).line);
            findings.fault(place, path.to_string(), "is missing");
        }
        value
    }
}

fn at_line(path: &Path<'_>, line: u32) -> Place {
    Place::File {
        name: path.file.clone(),
        line,
    }
}
