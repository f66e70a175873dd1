//! From YAML text to a [`Tree`]. What has no business in a settings file (anchors, tags, a second
//! document) is refused where it stands, so that nothing can be read in two ways.

use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::finding::{Findings, Place};
use super::tree::{At, Kind, Tree};
use super::words::shown_key;

/// How deep lists and mappings may lie in each other; the deepest setting lies 6 deep.
const DEPTH_MAX: usize = 16;
/// The most values and keys in a file: room for [`super::APPS_MAX`] apps with every key.
const NODES_MAX: usize = 40_000_000;

/// Parses `text`. `None` if the file says nothing, or if it cannot be read to its end, which is a
/// fault then.
pub(super) fn parse(file: &Arc<str>, text: &str, findings: &mut Findings) -> Option<Tree> {
    if let Some(line) = line_of_control(text) {
        let place = Place::File {
            name: file.clone(),
            line,
        };
        findings.fault(
            place,
            "",
            "holds a control character; settings are plain text",
        );
        return None;
    }
    let mut builder = Builder {
        file,
        findings,
        open: Vec::new(),
        tree: Tree::default(),
        keys: Vec::new(),
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => builder.not_yaml(&error),
        };
        if step == Step::Stop {
            return None;
        }
    }
    let tree = builder.tree;
    (tree.len() > 0 && !tree.is_nothing(0)).then_some(tree)
}

/// The parser takes a zero byte for the end of the file: what stands behind it would be lost unseen.
fn line_of_control(text: &str) -> Option<u32> {
    let at = text
        .bytes()
        .position(|byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r'))?;
    let line = text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
    Some(u32::try_from(line).unwrap_or(u32::MAX))
}

/// Whether to read on.
#[derive(PartialEq)]
enum Step {
    On,
    Stop,
}

/// A list or mapping whose end has not come yet.
struct Open {
    at: At,
    next: Next,
}

/// What comes next in it.
#[derive(Clone, Copy)]
enum Next {
    /// The item of this number.
    Item(usize),
    /// A key.
    Key,
    /// The value of this key.
    Value(At),
}

struct Builder<'a> {
    file: &'a Arc<str>,
    findings: &'a mut Findings,
    open: Vec<Open>,
    tree: Tree,
    /// The keys of the mapping that just ended; kept for its memory.
    keys: Vec<At>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        if self.tree.len() >= NODES_MAX {
            self.fault(
                line,
                &format!("there are more than {NODES_MAX} values and keys"),
            );
            return Step::Stop;
        }
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                if self.tree.len() > 0 {
                    self.fault(line, "begins a second document; settings are one document");
                    return Step::Stop;
                }
            }
            Event::Alias(_) => {
                self.fault(
                    line,
                    "aliases (*name) are not understood; write the value itself",
                );
                let end = self.tree.next() + 1;
                let at = self.tree.add(line, Kind::Refused { end });
                self.complete(at);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plainly(line, anchor, tag.is_some());
                let at = self.tree.add_text(line, &text, style == ScalarStyle::Plain);
                self.complete(at);
            }
            Event::SequenceStart(anchor, tag) => {
                self.plainly(line, anchor, tag.is_some());
                return self.begin(line, Kind::List { end: 0 }, Next::Item(0));
            }
            Event::MappingStart(anchor, tag) => {
                self.plainly(line, anchor, tag.is_some());
                return self.begin(line, Kind::Map { end: 0 }, Next::Key);
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
        Step::On
    }

    fn not_yaml(&mut self, error: &ScanError) -> Step {
        let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
        self.fault(line, &format!("is not YAML: {}", error.info()));
        Step::Stop
    }

    fn plainly(&mut self, line: u32, anchor: usize, tagged: bool) {
        if anchor > 0 {
            self.fault(
                line,
                "anchors (&name) are not understood; leave the anchor out",
            );
        }
        if tagged {
            self.fault(line, "tags (!name) are not understood; leave the tag out");
        }
    }

    fn begin(&mut self, line: u32, kind: Kind, next: Next) -> Step {
        if self.open.len() == DEPTH_MAX {
            self.fault(line, &format!("lies more than {DEPTH_MAX} levels deep"));
            return Step::Stop;
        }
        // It counts as standing where its key does: that is where its name is.
        let line = self
            .key_in_wait()
            .map_or(line, |key| self.tree.node(key).line);
        let at = self.tree.add(line, kind);
        self.open.push(Open { at, next });
        Step::On
    }

    fn end(&mut self) {
        let Some(Open { at, .. }) = self.open.pop() else {
            return;
        };
        let behind = self.tree.next();
        match &mut self.tree.node_mut(at).kind {
            Kind::List { end } => *end = behind,
            Kind::Map { end } => {
                *end = behind;
                self.refuse_doubles(at);
            }
            Kind::Text { .. } | Kind::Refused { .. } => {}
        }
        self.complete(at);
    }

    fn key_in_wait(&self) -> Option<At> {
        match self.open.last()?.next {
            Next::Value(key) => Some(key),
            Next::Item(_) | Next::Key => None,
        }
    }

    /// The node at `at` has all that belongs to it.
    fn complete(&mut self, at: At) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        match open.next {
            Next::Item(number) => open.next = Next::Item(number + 1),
            Next::Value(key) => {
                open.next = Next::Key;
                // The parser finds "nothing" where the next thing begins.
                if self.tree.is_nothing(at) {
                    self.tree.node_mut(at).line = self.tree.node(key).line;
                }
            }
            Next::Key => {
                self.check_key(at);
                if let Some(open) = self.open.last_mut() {
                    open.next = Next::Value(at);
                }
            }
        }
    }

    fn check_key(&mut self, at: At) {
        let line = self.tree.node(at).line;
        match self.tree.text(at) {
            Some("<<") => {
                self.fault(
                    line,
                    "merge keys (<<) are not understood; write the keys out",
                );
            }
            Some(text) if !text.is_empty() => return,
            _ if matches!(self.tree.node(at).kind, Kind::Refused { .. }) => return,
            _ => self.fault(line, "holds a key that is no word"),
        }
        self.refuse(at);
    }

    fn refuse(&mut self, at: At) {
        let end = self.tree.end(at);
        self.tree.node_mut(at).kind = Kind::Refused { end };
    }

    /// Of a key that is given more than once the first counts, so that its value is checked too.
    fn refuse_doubles(&mut self, map: At) {
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        keys.extend(self.tree.entries(map).map(|(key, _)| key));
        keys.sort_unstable_by_key(|&key| (self.tree.text(key), key));
        let mut first = 0;
        for at in 1..keys.len() {
            let (one, other) = (keys[first], keys[at]);
            if self.tree.text(one) != self.tree.text(other) {
                first = at;
                continue;
            }
            let path = join(&self.path(), self.tree.text(other).unwrap_or_default());
            let text = format!("is given twice, first on line {}", self.tree.node(one).line);
            let place = self.place(self.tree.node(other).line);
            self.findings.fault(place, path, text);
        }
        for at in (1..keys.len()).rev() {
            if self.tree.text(keys[at - 1]) == self.tree.text(keys[at]) {
                self.refuse(keys[at]);
            }
        }
        self.keys = keys;
    }

    fn place(&self, line: u32) -> Place {
        Place::File {
            name: self.file.clone(),
            line,
        }
    }

    fn fault(&mut self, line: u32, text: &str) {
        let path = self.path();
        self.findings.fault(self.place(line), path, text);
    }

    /// The key of the value that comes next.
    fn path(&self) -> String {
        self.open
            .iter()
            .fold(String::new(), |path, open| match open.next {
                Next::Item(number) => format!("{path}[{number}]"),
                Next::Key => path,
                Next::Value(key) => match self.tree.text(key) {
                    Some(key) => join(&path, key),
                    None => path,
                },
            })
    }
}

fn join(path: &str, key: &str) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    format!("{path}{dot}{}", shown_key(key))
}
