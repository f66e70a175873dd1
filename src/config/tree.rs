//! The settings file as a tree in which every value knows its line.

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// The line, from 1. What a key introduces on lines of its own counts as standing at the key.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Text. Plain text (without quotes) may also be a number, a truth value or nothing.
    Text {
        /// The text, without its quotes.
        text: Box<str>,
        /// Whether it stood there without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the file's order; a key stands in it once.
    Map(Vec<Entry>),
    /// Something that was refused and reported when the file was parsed: nothing more is said of it.
    Refused,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key.
    pub key: Box<str>,
    /// The key's line.
    pub line: u32,
    /// The value.
    pub value: Node,
}

impl Node {
    /// Whether it says nothing: `null`, `~`, or no text at all.
    pub fn is_nothing(&self) -> bool {
        match &self.kind {
            Kind::Text { text, plain: true } => {
                matches!(&**text, "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }
}
