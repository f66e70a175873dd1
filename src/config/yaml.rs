//! From YAML text to a [`Node`] tree. What has no business in a settings file (anchors, tags, a
//! second document) is refused where it stands, so that nothing can be read in two ways.

use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::finding::{Findings, Place};
use super::tree::{Entry, Kind, Node};
use super::words::shown_key;

/// How deep lists and mappings may lie in each other; the deepest setting lies 6 deep.
const DEPTH_MAX: usize = 16;
/// The most values in a file: room for [`super::APPS_MAX`] apps with every key.
const NODES_MAX: usize = 20_000_000;

/// Parses `text`. `None` if the file says nothing, or if it cannot be read to its end, which is a
/// fault then.
pub(super) fn parse(file: &Arc<str>, text: &str, findings: &mut Findings) -> Option<Node> {
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
        nodes: 0,
        root: None,
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
    builder.root.filter(|root| !root.is_nothing())
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
    line: u32,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

struct Key {
    /// `None` for a key that was refused: its value is dropped.
    text: Option<Box<str>>,
    line: u32,
}

struct Builder<'a> {
    file: &'a Arc<str>,
    findings: &'a mut Findings,
    open: Vec<Open>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        let line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Step::On,
            Event::DocumentStart(_) => {
                if self.root.is_none() {
                    return Step::On;
                }
                self.fault(line, "begins a second document; settings are one document");
                Step::Stop
            }
            Event::Alias(_) => {
                self.fault(
                    line,
                    "aliases (*name) are not understood; write the value itself",
                );
                self.add(line, Kind::Refused)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plainly(line, anchor, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                let text = text.into_owned().into_boxed_str();
                self.add(line, Kind::Text { text, plain })
            }
            Event::SequenceStart(anchor, tag) => {
                self.plainly(line, anchor, tag.is_some());
                self.begin(line, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.plainly(line, anchor, tag.is_some());
                let entries = Vec::new();
                self.begin(line, Content::Map { entries, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
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

    fn begin(&mut self, line: u32, content: Content) -> Step {
        if self.open.len() == DEPTH_MAX {
            self.fault(line, &format!("lies more than {DEPTH_MAX} levels deep"));
            return Step::Stop;
        }
        // A value counts as standing where its key does: that is where its name is.
        let line = self.awaited_key().map_or(line, |key| key.line);
        self.open.push(Open { line, content });
        Step::On
    }

    fn end(&mut self) -> Step {
        let Some(Open { line, content }) = self.open.pop() else {
            return Step::Stop;
        };
        let kind = match content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(self.once_each(entries)),
        };
        self.add(line, kind)
    }

    fn awaited_key(&self) -> Option<&Key> {
        match &self.open.last()?.content {
            Content::Map { key, .. } => key.as_ref(),
            Content::List(_) => None,
        }
    }

    fn add(&mut self, line: u32, kind: Kind) -> Step {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            self.fault(
                line,
                &format!("is the value after {NODES_MAX}, the most there may be"),
            );
            return Step::Stop;
        }
        let mut node = Node { line, kind };
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key }) => match key.take() {
                Some(Key { text: None, .. }) => {}
                Some(Key {
                    text: Some(key),
                    line,
                }) => {
                    // The parser finds "nothing" where the next thing begins.
                    if node.is_nothing() {
                        node.line = line;
                    }
                    let value = node;
                    entries.push(Entry { key, line, value });
                }
                None => self.key(node),
            },
        }
        Step::On
    }

    fn key(&mut self, node: Node) {
        let line = node.line;
        let text = match node.kind {
            Kind::Text { text, .. } if &*text == "<<" => {
                self.fault(
                    line,
                    "merge keys (<<) are not understood; write the keys out",
                );
                None
            }
            Kind::Text { text, .. } if !text.is_empty() => Some(text),
            Kind::Refused => None,
            _ => {
                self.fault(line, "holds a key that is no word");
                None
            }
        };
        if let Some(Open {
            content: Content::Map { key, .. },
            ..
        }) = self.open.last_mut()
        {
            *key = Some(Key { text, line });
        }
    }

    /// Of a key that is given more than once the first stays, so that its value is checked too.
    fn once_each(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|&at| (&*entries[at].key, at));
        let mut again = vec![false; entries.len()];
        for same in order.chunk_by(|&a, &b| entries[a].key == entries[b].key) {
            let first = entries[same[0]].line;
            for &at in &same[1..] {
                let Entry { key, line, .. } = &entries[at];
                let path = join(&self.path(), &shown_key(key));
                let text = format!("is given twice, first on line {first}");
                self.findings.fault(self.place(*line), path, text);
                again[at] = true;
            }
        }
        let mut again = again.into_iter();
        entries.retain(|_| again.next() != Some(true));
        entries
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
            .fold(String::new(), |path, open| match &open.content {
                Content::List(items) => format!("{path}[{}]", items.len()),
                Content::Map { key, .. } => match key {
                    Some(Key {
                        text: Some(text), ..
                    }) => join(&path, &shown_key(text)),
                    _ => path,
                },
            })
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.into()
    } else {
        format!("{path}.{key}")
    }
}
