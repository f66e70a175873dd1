//! An app at rest: its books as one short row of bytes.
//!
//! A sidecar meets far more apps than it serves at a time, and nearly all numbers of an app are small.
//! So its books lie open only from a touch until the background has dealt with it; then they are put into
//! a row, which takes a tenth of the place. Nothing is lost by that, so it may be done at any time.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;

use super::books::Books;
use super::passage::{Pack, Unpack};

/// An app's books, open or at rest.
#[derive(Debug)]
pub enum Kept {
    /// To be read and changed.
    Open(Box<Books>),
    /// As a row.
    AtRest(Box<[u8]>),
}

impl Kept {
    /// Opens the books.
    pub fn open(&mut self) {
        if let Self::AtRest(row) = self {
            let mut books = Box::<Books>::default();
            let mut row = Unpack::new(row);
            books.pass(&mut row);
            debug_assert!(row.is_empty());
            *self = Self::Open(books);
        }
    }

    /// Puts the books to rest.
    pub fn rest(&mut self) {
        if let Self::Open(books) = self {
            let mut row = Pack::default();
            books.pass(&mut row);
            *self = Self::AtRest(row.done());
        }
    }
}

/// Open books, locked.
#[derive(Debug)]
pub struct OpenBooks<'a>(MutexGuard<'a, Kept>);

impl<'a> OpenBooks<'a> {
    /// Opens what is kept.
    pub fn new(mut kept: MutexGuard<'a, Kept>) -> Self {
        kept.open();
        Self(kept)
    }
}

impl Deref for OpenBooks<'_> {
    type Target = Books;

    fn deref(&self) -> &Books {
        match &*self.0 {
            Kept::Open(books) => books,
            Kept::AtRest(_) => unreachable!("opened with the lock, which was held since"),
        }
    }
}

impl DerefMut for OpenBooks<'_> {
    fn deref_mut(&mut self) -> &mut Books {
        match &mut *self.0 {
            Kept::Open(books) => books,
            Kept::AtRest(_) => unreachable!("opened with the lock, which was held since"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entry;
    use super::super::passage::Passage;
    use super::*;

    /// Fills books with whatever comes.
    struct Fill(u64);

    impl Passage for Fill {
        fn number(&mut self, number: &mut u64) {
            // Numbers of every length, in no order.
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *number = self.0 >> (self.0 % 64);
        }

        fn list<T>(
            &mut self,
            things: &mut Vec<T>,
            blank: impl Fn() -> T,
            mut each: impl FnMut(&mut Self, &mut T),
        ) {
            things.resize_with(3, blank);
            for thing in things {
                each(self, thing);
            }
        }
    }

    #[test]
    fn books_come_out_of_a_row_as_they_went_in() {
        for seed in 0..1_000 {
            let mut books = [Books::default(), Books::default()];
            for same in &mut books {
                same.pass(&mut Fill(seed));
            }
            let [books, expected] = books;
            let mut kept = Kept::Open(Box::new(books));
            kept.rest();
            assert!(matches!(kept, Kept::AtRest(_)));
            kept.open();
            let Kept::Open(books) = kept else {
                panic!("opened")
            };
            assert_eq!(*books, expected);
        }
    }

    #[test]
    fn an_app_at_rest_takes_little() {
        const COUNTS_OF_AN_ARC: usize = 2 * size_of::<usize>();
        assert!(size_of::<Entry>() + COUNTS_OF_AN_ARC <= 64);
        let mut kept = Kept::Open(Box::default());
        kept.rest();
        let Kept::AtRest(row) = kept else {
            panic!("at rest")
        };
        assert!(row.len() <= 24, "{} bytes of nothing", row.len());
    }
}
