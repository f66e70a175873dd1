//! A bound on how many lines of one kind the log gets.

use crate::clock::Millis;

/// The most lines of one minute.
const A_MINUTE_MAX: u32 = 30;

/// Counts the lines of a minute, and those that are left out.
#[derive(Debug, Default)]
pub struct Lines {
    minute: i64,
    written: u32,
    hushed: u64,
}

/// Leave to write a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// How many lines before it were left out.
    hushed: u64,
}

impl Lines {
    /// Whether one more line may be written.
    pub fn line(&mut self, now: Millis) -> Option<Line> {
        let minute = now.0.div_euclid(60_000);
        if minute != self.minute {
            self.minute = minute;
            self.written = 0;
        }
        if self.written >= A_MINUTE_MAX {
            self.hushed += 1;
            return None;
        }
        self.written += 1;
        let hushed = std::mem::take(&mut self.hushed);
        Some(Line { hushed })
    }
}

impl Line {
    /// What its end says of those before it; mostly nothing.
    pub fn end(self) -> String {
        match self.hushed {
            0 => String::new(),
            others => format!("; {others} more such lines were left out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_lines_and_the_next_says_how_many_were_left_out() {
        let mut lines = Lines::default();
        for _ in 0..A_MINUTE_MAX {
            let line = lines.line(Millis(59_999)).expect("there is room");
            assert_eq!(line.end(), "");
        }
        assert_eq!(lines.line(Millis(0)), None);
        assert_eq!(lines.line(Millis(59_999)), None);
        let line = lines.line(Millis(60_000)).expect("a new minute");
        assert_eq!(line.end(), "; 2 more such lines were left out");
    }
}
