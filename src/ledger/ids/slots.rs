//! Entries in the order in which they came, kept in blocks: when more come, none of the others is moved.

use std::collections::VecDeque;

/// Entries of a block. Of a window's memory one block is more than it needs, at most.
const BLOCK: usize = 128;

/// A queue that is read anywhere and grows by blocks.
#[derive(Debug)]
pub(super) struct Slots<T> {
    blocks: VecDeque<Vec<T>>,
    /// How many entries of the first block are gone.
    gone: usize,
    len: usize,
}

impl<T> Slots<T> {
    /// An empty one, without memory.
    pub(super) fn new() -> Self {
        Self {
            blocks: VecDeque::new(),
            gone: 0,
            len: 0,
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The entry behind `at` others, which is there.
    pub(super) fn at(&self, at: usize) -> &T {
        let at = self.gone + at;
        &self.blocks[at / BLOCK][at % BLOCK]
    }

    /// The same, to be changed.
    pub(super) fn at_mut(&mut self, at: usize) -> &mut T {
        let at = self.gone + at;
        &mut self.blocks[at / BLOCK][at % BLOCK]
    }

    /// The oldest.
    pub(super) fn front(&self) -> Option<&T> {
        (self.len > 0).then(|| self.at(0))
    }

    /// Adds one behind all others.
    pub(super) fn push_back(&mut self, entry: T) {
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK => block.push(entry),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(entry);
                self.blocks.push_back(block);
            }
        }
        self.len += 1;
    }

    /// Drops the oldest, if there is any.
    pub(super) fn pop_front(&mut self) {
        if self.len == 0 {
            return;
        }
        self.len -= 1;
        self.gone += 1;
        if self.gone == BLOCK {
            self.blocks.pop_front();
            self.gone = 0;
        }
    }

    /// Those behind the first `from`.
    pub(super) fn behind(&self, from: usize) -> impl Iterator<Item = &T> {
        (from..self.len).map(|at| self.at(at))
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let block = BLOCK * size_of::<T>();
        self.blocks.len() * block + self.blocks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_queue(steps in prop::collection::vec(prop::bool::weighted(0.6), 0..2000)) {
            let (mut slots, mut oracle) = (Slots::new(), VecDeque::new());
            for (number, push) in steps.into_iter().enumerate() {
                if push {
                    slots.push_back(number);
                    oracle.push_back(number);
                } else {
                    slots.pop_front();
                    oracle.pop_front();
                }
                prop_assert_eq!(slots.front(), oracle.front());
                prop_assert_eq!(slots.len(), oracle.len());
            }
            let from = oracle.len() / 3;
            prop_assert!(slots.behind(from).eq(oracle.range(from..)));
            prop_assert!((0..oracle.len()).all(|at| slots.at(at) == &oracle[at]));
        }
    }
}
