//! What lies in memory, and whether the file has it too.

/// Counts a shard's snapshots: what changes after a snapshot is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Round(u32);

impl Round {
    /// Before the first snapshot.
    pub(super) const FIRST: Self = Self(1);

    /// The round after a snapshot.
    pub(super) fn next(self) -> Self {
        // At one checkpoint a second it wraps after 136 years.
        Self(self.0.wrapping_add(1))
    }
}

/// A value, and the round in which it last changed, as long as the file does not have it.
#[derive(Debug)]
pub(super) struct Kept<T> {
    value: T,
    changed: Option<Round>,
}

impl<T> Kept<T> {
    /// A value that the file has, or need not have.
    pub(super) fn clean(value: T) -> Self {
        Self {
            value,
            changed: None,
        }
    }

    /// The value, to read.
    pub(super) fn get(&self) -> &T {
        &self.value
    }

    /// The value, to change.
    pub(super) fn change(&mut self, round: Round) -> &mut T {
        self.changed = Some(round);
        &mut self.value
    }

    /// Whether the next snapshot must have it.
    pub(super) fn is_changed(&self) -> bool {
        self.changed.is_some()
    }

    /// The value, for what does not change what it says.
    pub(super) fn form(&mut self) -> &mut T {
        &mut self.value
    }

    /// Takes note that the file has the snapshot of `round`. Answers the value if it has not changed
    /// since, and only if that snapshot was the first to have it.
    pub(super) fn saved(&mut self, round: Round) -> Option<&mut T> {
        let changed = self.changed?;
        if changed > round {
            return None;
        }
        self.changed = None;
        Some(&mut self.value)
    }
}
