//! Typed access to the tree: each step that does not fit is a fault with its line and key, and the
//! reading goes on.

use std::fmt;
use std::sync::Arc;

use super::finding::{Findings, Place};
use super::scalar::{self, Read};
use super::tree::{Entry, Kind, Node};
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
    node: &'a Node,
    path: Path<'a>,
}

impl<'a> Value<'a> {
    /// The whole of a file.
    pub fn root(file: &'a Arc<str>, node: &'a Node) -> Self {
        let step = Step::Root;
        let parent = None;
        Self {
            node,
            path: Path { file, parent, step },
        }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        at_line(&self.path, self.node.line)
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
        let found = match &self.node.kind {
            Kind::Refused => return,
            _ if self.node.is_nothing() => "left empty".into(),
            Kind::Text { text, .. } => shown(text),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
        };
        self.fault(findings, format!("must be {what}, not {found}"));
    }

    /// Its text, whatever stands there in one piece.
    pub fn text(&self, findings: &mut Findings) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Text { text, .. } if !self.node.is_nothing() => Some(text),
            _ => {
                self.is_not(findings, "text");
                None
            }
        }
    }

    /// Its text as `read` takes it; `what` names what is expected where there is no text.
    pub fn read<T>(
        &self,
        findings: &mut Findings,
        what: &str,
        read: impl FnOnce(&str) -> Read<T>,
    ) -> Option<T> {
        let Kind::Text { text, .. } = &self.node.kind else {
            self.is_not(findings, what);
            return None;
        };
        if self.node.is_nothing() {
            self.is_not(findings, what);
            return None;
        }
        read(text)
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
        let quoted = matches!(self.node.kind, Kind::Text { plain: false, .. });
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

    /// Its items.
    pub fn list(
        &'a self,
        findings: &mut Findings,
    ) -> Option<impl ExactSizeIterator<Item = Value<'a>> + use<'a>> {
        let Kind::List(items) = &self.node.kind else {
            self.is_not(findings, "a list");
            return None;
        };
        Some(items.iter().enumerate().map(|(at, node)| Value {
            node,
            path: Path {
                file: self.path.file,
                parent: Some(&self.path),
                step: Step::Item(at),
            },
        }))
    }

    /// Whether it is this text, with or without quotes.
    pub fn is_text(&self, wanted: &str) -> bool {
        matches!(&self.node.kind, Kind::Text { text, .. } if **text == *wanted)
    }

    /// Whether it is a list without items.
    pub fn is_empty_list(&self) -> bool {
        matches!(&self.node.kind, Kind::List(items) if items.is_empty())
    }

    /// Its keys, whatever they are called.
    pub fn mapping(&self, findings: &mut Findings) -> Option<Section<'a>> {
        let Kind::Map(entries) = &self.node.kind else {
            self.is_not(findings, "a mapping");
            return None;
        };
        Some(Section {
            entries,
            line: self.node.line,
            path: self.path,
        })
    }

    /// Its keys, each of which must be one of `known`.
    pub fn section(&self, findings: &mut Findings, known: &[&str]) -> Option<Section<'a>> {
        let section = self.mapping(findings)?;
        for Entry { key, line, value } in section.entries {
            if known.contains(&&**key) {
                continue;
            }
            let mut meant = did_you_mean(key, known.iter().copied());
            if meant.is_empty() {
                meant = format!("; known here are {}", known.join(", "));
            }
            let path = section.to(key);
            let place = at_line(&path, (*line).min(value.line));
            findings.fault(place, path.to_string(), format!("unknown key{meant}"));
        }
        Some(section)
    }
}

/// A mapping and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    entries: &'a [Entry],
    line: u32,
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
        self.entries.iter().map(|entry| {
            let path = self.to(&entry.key);
            let node = &entry.value;
            (&*entry.key, Value { node, path })
        })
    }

    /// The value of `key`, even if it says nothing.
    pub fn get(&self, key: &'static str) -> Option<Value<'_>> {
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        Some(Value {
            node: &entry.value,
            path: self.to(key),
        })
    }

    /// The value of `key`; one that says nothing is as good as none.
    pub fn given(&self, key: &'static str) -> Option<Value<'_>> {
        self.get(key).filter(|value| !value.node.is_nothing())
    }

    /// The value of `key`, without which the section makes no sense.
    pub fn required(&self, findings: &mut Findings, key: &'static str) -> Option<Value<'_>> {
        let value = self.get(key);
        if value.is_none() {
            let path = self.to(key);
            findings.fault(at_line(&path, self.line), path.to_string(), "is missing");
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
