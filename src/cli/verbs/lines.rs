//! Names of objects, one a line, read in batches by a thread of its own: standard input may keep a
//! reader waiting, and calls are under way meanwhile.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, stdin};
use std::path::Path;
use std::thread;

use tokio::sync::mpsc;

use crate::quota::{ObjectId, RESOURCE_ID_BYTES_MAX};
use crate::store::OBJECTS_MAX;

/// The most bytes of a line that are read: a name, and the two that may end it.
const LINE_BYTES_MAX: usize = RESOURCE_ID_BYTES_MAX + 2;
/// How many batches wait to be sent: one, so that whoever sends finds the next one ready.
const WAITING_MAX: usize = 1;

/// Names that go into one call: 1 to [`OBJECTS_MAX`].
pub(super) type Batch = Vec<String>;

/// Opens the file of names; `-` is standard input.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>, String> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(stdin())));
    }
    let file = File::open(path).map_err(|problem| format!("{}: {problem}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// How many bytes the file of names has; `None`: nobody knows, as of what is piped.
pub(super) fn size(path: &Path) -> Option<u64> {
    let file = std::fs::metadata(path).ok()?;
    file.is_file().then_some(file.len())
}

/// The batches of `lines`, and behind them what was wrong, if anything was: nothing after that is read.
pub(super) fn batches(
    lines: Box<dyn BufRead + Send>,
) -> io::Result<mpsc::Receiver<Result<Batch, String>>> {
    let (send, batches) = mpsc::channel(WAITING_MAX);
    let reader = thread::Builder::new().name("names".into());
    // Nobody waits for its end: it may hang in standard input.
    reader.spawn(move || read(lines, |batch| send.blocking_send(batch).is_ok()))?;
    Ok(batches)
}

/// Reads batches and hands them to `take`, until it wants no more.
fn read(mut lines: impl BufRead, mut take: impl FnMut(Result<Batch, String>) -> bool) {
    let mut batch = Batch::new();
    for number in 1_u64.. {
        match name(&mut lines) {
            Ok(Line::Name(name)) => batch.push(name),
            Ok(Line::Empty) => {}
            Ok(Line::End) => {
                if !batch.is_empty() {
                    take(Ok(batch));
                }
                return;
            }
            Err(problem) => {
                // What stands before the line is good.
                if batch.is_empty() || take(Ok(batch)) {
                    take(Err(format!("line {number}: {problem}")));
                }
                return;
            }
        }
        if batch.len() == OBJECTS_MAX && !take(Ok(std::mem::take(&mut batch))) {
            return;
        }
    }
}

enum Line {
    Name(String),
    Empty,
    End,
}

fn name(lines: &mut impl BufRead) -> Result<Line, String> {
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    let mut bounded = lines.take(LINE_BYTES_MAX as u64);
    let read = bounded.read_until(b'\n', &mut line);
    if read.map_err(|problem| problem.to_string())? == 0 {
        return Ok(Line::End);
    }
    let text = match line.strip_suffix(b"\n") {
        Some(text) => text.strip_suffix(b"\r").unwrap_or(text),
        None if line.len() == LINE_BYTES_MAX => {
            return Err(format!(
                "is too long: a name has at most {RESOURCE_ID_BYTES_MAX} bytes"
            ));
        }
        None => &line,
    };
    if text.is_empty() {
        return Ok(Line::Empty);
    }
    let text = str::from_utf8(text).map_err(|_| "holds bytes that are no printable ASCII")?;
    match ObjectId::parse(text) {
        Ok(name) => Ok(Line::Name(name.as_str().to_owned())),
        Err(problem) => Err(problem.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The batches, as their sizes, first and last names, and what was wrong.
    fn read_all(text: &[u8]) -> (Vec<Batch>, Option<String>) {
        let (mut batches, mut wrong) = (Vec::new(), None);
        read(text, |batch| {
            assert_eq!(wrong, None, "nothing comes behind a bad line");
            match batch {
                Ok(batch) => batches.push(batch),
                Err(problem) => wrong = Some(problem),
            }
            true
        });
        (batches, wrong)
    }

    #[test]
    fn lines_of_every_usual_kind_are_names() {
        let (batches, wrong) = read_all(b"a\n\n b c \r\n\r\n@TGS#1");
        assert_eq!(batches, [["a", " b c ", "@TGS#1"]]);
        assert_eq!(wrong, None);
        for nothing in [&b""[..], b"\n", b"\r\n\n"] {
            assert_eq!(read_all(nothing), (vec![], None));
        }
        let longest = "x".repeat(48);
        for end in ["", "\n", "\r\n"] {
            let (batches, wrong) = read_all(format!("{longest}{end}").as_bytes());
            assert_eq!((batches, wrong), (vec![vec![longest.clone()]], None));
        }
    }

    #[test]
    fn a_bad_line_is_named_and_what_stands_before_it_is_kept() {
        for (bad, words) in [
            ("x".repeat(49), "has 49 bytes; at most 48 are allowed"),
            ("x".repeat(50), "is too long: a name has at most 48 bytes"),
            ("x".repeat(9999), "is too long: a name has at most 48 bytes"),
            ("a\tb".into(), "holds byte 0x09 at position 1; only"),
            ("a\rb".into(), "holds byte 0x0d at position 1; only"),
        ] {
            let (batches, wrong) = read_all(format!("a\n\nb\n{bad}\nc\n").as_bytes());
            assert_eq!(batches, [["a", "b"]]);
            let wrong = wrong.expect("it is bad");
            assert!(wrong.starts_with(&format!("line 4: {words}")), "{wrong}");
        }
        let (batches, wrong) = read_all(b"\xff\n");
        assert!(batches.is_empty());
        let words = "line 1: holds bytes that are no printable ASCII";
        assert_eq!(wrong.as_deref(), Some(words));
    }

    #[test]
    fn batches_are_full_but_the_last_and_end_when_nobody_wants_more() {
        let text = "a\n".repeat(2 * OBJECTS_MAX + 1);
        let (batches, _) = read_all(text.as_bytes());
        let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [OBJECTS_MAX, OBJECTS_MAX, 1]);
        let mut taken = 0;
        read(text.as_bytes(), |_| {
            taken += 1;
            false
        });
        assert_eq!(taken, 1);
    }
}
