//! The settings file as a tree in which every value knows its line.
//!
//! The tree lies flat, in the file's order: a hundred thousand apps are two large pieces of memory,
//! which go back to the system as a whole, and not a million small ones.

/// A value or a key of a [`Tree`], by its place in it.
pub(super) type At = u32;

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Node {
    /// The line, from 1. What a key introduces on lines of its own counts as standing at the key.
    pub line: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a value is. `end` is the place after the value and all that lies within it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Text, as a part of all text. Plain text (without quotes) may also be a number, a truth value or
    /// nothing.
    Text { start: u32, len: u32, plain: bool },
    /// A list: its items follow.
    List { end: At },
    /// A mapping: its keys follow, each with its value behind it. A key that is [`Kind::Text`] stands
    /// in it once.
    Map { end: At },
    /// Something that was refused and reported when the file was parsed: nothing more is said of it,
    /// nor of the value behind it where it is a key.
    Refused { end: At },
}

/// A file's values. The first node is the whole of it.
#[derive(Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    text: String,
}

impl Tree {
    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The place of the node that is added next.
    pub fn next(&self) -> At {
        u32::try_from(self.nodes.len()).unwrap_or(At::MAX)
    }

    /// The node at `at`, which must be one of the tree's places.
    pub fn node(&self, at: At) -> Node {
        self.nodes[at as usize]
    }

    /// As [`Tree::node`], to change it.
    pub fn node_mut(&mut self, at: At) -> &mut Node {
        &mut self.nodes[at as usize]
    }

    /// Adds a node behind all others.
    pub fn add(&mut self, line: u32, kind: Kind) -> At {
        let at = self.next();
        self.nodes.push(Node { line, kind });
        at
    }

    /// Adds text behind all others.
    pub fn add_text(&mut self, line: u32, text: &str, plain: bool) -> At {
        // A file has at most 256 MiB, and no escape sequence is more than doubled by being read.
        let part = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (start, len) = (part(self.text.len()), part(text.len()));
        self.text.push_str(text);
        self.add(line, Kind::Text { start, len, plain })
    }

    /// The text at `at`, if it is text.
    pub fn text(&self, at: At) -> Option<&str> {
        match self.node(at).kind {
            Kind::Text { start, len, .. } => {
                let start = start as usize;
                self.text.get(start..start + len as usize)
            }
            _ => None,
        }
    }

    /// Whether the node says nothing: `null`, `~`, or no text at all.
    pub fn is_nothing(&self, at: At) -> bool {
        matches!(self.node(at).kind, Kind::Text { plain: true, .. })
            && matches!(self.text(at), Some("" | "~" | "null" | "Null" | "NULL"))
    }

    /// The place behind the node and all that lies within it.
    pub fn end(&self, at: At) -> At {
        match self.node(at).kind {
            Kind::Text { .. } => at + 1,
            Kind::List { end } | Kind::Map { end } | Kind::Refused { end } => end,
        }
    }

    /// The nodes that lie in `at` itself, in the file's order; of a mapping keys and values in turn.
    pub fn within(&self, at: At) -> impl Iterator<Item = At> {
        let end = match self.node(at).kind {
            Kind::List { end } | Kind::Map { end } => end,
            Kind::Text { .. } | Kind::Refused { .. } => at + 1,
        };
        let first = Some(at + 1).filter(|first| *first < end);
        std::iter::successors(first, move |last| {
            Some(self.end(*last)).filter(|next| *next < end)
        })
    }

    /// The keys of the mapping `at` that were not refused, each with its value.
    pub fn entries(&self, at: At) -> impl Iterator<Item = (At, At)> {
        let mut nodes = self.within(at);
        std::iter::from_fn(move || Some((nodes.next()?, nodes.next()?)))
            .filter(|(key, _)| self.text(*key).is_some())
    }
}
