//! How far a long work is: a bar on a terminal, or what was done where nobody knows how much there is; one line
//! that is written over and over.

use std::io::Write;

/// How wide the bar is, in characters.
const WIDTH: usize = 30;

/// A bar, or nothing where nobody looks.
pub(super) struct Progress<'a> {
    to: Option<&'a mut dyn Write>,
    /// How many bytes there are; `None`: that is not known, as of standard input.
    size: Option<u64>,
    done: u64,
    /// How long the line is that stands there.
    line: usize,
}

impl<'a> Progress<'a> {
    pub(super) fn new(to: Option<&'a mut dyn Write>, size: Option<u64>) -> Self {
        let size = size.filter(|size| *size > 0);
        Self {
            to,
            size,
            done: 0,
            line: 0,
        }
    }

    /// So many bytes more are done, and `text` says what that came to.
    pub(super) fn adds(&mut self, bytes: u64, text: &str) {
        self.done = self.done.saturating_add(bytes);
        self.draw(text, "\r");
    }

    /// It goes no further. `whole`: all was done, whatever the lines ended with.
    pub(super) fn ends(&mut self, whole: bool, text: &str) {
        if whole {
            self.done = self.size.unwrap_or(self.done);
        }
        self.draw(text, "\n");
    }

    /// Whoever does not look has no part in it.
    fn draw(&mut self, text: &str, end: &str) {
        let Some(to) = &mut self.to else { return };
        let line = match self.size {
            Some(size) => format!("{} {text}", bar(self.done, size)),
            None => text.to_owned(),
        };
        // What stood there may have been longer.
        let width = self.line;
        self.line = line.len();
        let written = write!(to, "{line:width$}{end}");
        let _ = written.and_then(|()| to.flush());
    }
}

fn bar(done: u64, size: u64) -> String {
    let percent = u128::from(done.min(size)) * 100 / u128::from(size);
    let percent = usize::try_from(percent).unwrap_or(100);
    let full = percent * WIDTH / 100;
    format!(
        "[{}{}] {percent:3} %",
        "#".repeat(full),
        " ".repeat(WIDTH - full)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_with_what_is_done() {
        let mut seen = Vec::new();
        let mut progress = Progress::new(Some(&mut seen), Some(300));
        progress.adds(100, "a long text");
        progress.adds(100, "short");
        progress.ends(true, "done");
        let seen = String::from_utf8(seen).expect("text");
        let lines: Vec<_> = seen.split(['\r', '\n']).collect();
        let (third, rest) = ("#".repeat(9), " ".repeat(21));
        assert_eq!(lines[0], format!("[{third}{rest}]  33 % a long text"));
        assert!(
            lines[1].starts_with(&format!("[{}", "#".repeat(19))),
            "{seen:?}"
        );
        assert_eq!(
            lines[1].len(),
            lines[0].len(),
            "nothing is left of what was longer"
        );
        assert!(lines[2].contains("] 100 % done"), "{seen:?}");
        assert_eq!(lines[3], "");
    }

    #[test]
    fn what_ends_early_is_not_full_and_what_has_no_size_has_no_bar() {
        let mut seen = Vec::new();
        let mut progress = Progress::new(Some(&mut seen), Some(u64::MAX));
        progress.adds(u64::MAX / 2, "half");
        progress.ends(false, "broken off");
        assert!(String::from_utf8_lossy(&seen).ends_with("]  49 % broken off\n"));
        for size in [None, Some(0)] {
            let mut seen = Vec::new();
            Progress::new(Some(&mut seen), size).adds(7, "text");
            assert_eq!(seen, b"text\r");
        }
        Progress::new(None, Some(1)).adds(1, "nobody looks");
    }
}
