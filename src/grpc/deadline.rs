//! How long a caller waits: its `grpc-timeout` header, turned into a [`Patience`].

use std::pin::Pin;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use tokio::time::timeout;
use tonic::Status;

use super::fault;
use crate::admission::Patience;

/// The header that carries a caller's deadline.
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The most digits that gRPC allows in it.
const DIGITS_MAX: usize = 8;
/// An answer's way back gets this part of the caller's time ...
const WAY_BACK_PART: u32 = 20;
/// ... but at least this much, where that is at most half of the time ...
const WAY_BACK_MIN: Duration = Duration::from_millis(5);
/// ... and at most this much: no answer of ours takes longer to write.
const WAY_BACK_MAX: Duration = Duration::from_millis(50);

/// The header is none that gRPC knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A caller's time, from when its call was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline(Option<Duration>);

impl Deadline {
    /// Reads the header, if there is one.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Malformed> {
        match headers.get(&GRPC_TIMEOUT) {
            None => Ok(Self(None)),
            Some(value) => parse(value.as_bytes()).map(|time| Self(Some(time))),
        }
    }

    /// Whether no time is left at all: whatever is done now, nobody hears of it.
    pub(super) fn is_over(self) -> bool {
        self.0.is_some_and(|time| time.is_zero())
    }

    /// The whole of it, if the caller named any.
    pub(super) fn time(self) -> Option<Duration> {
        self.0
    }

    /// When the answer must be ready, so that it is back in time.
    pub(super) fn patience(self, now: impl FnOnce() -> Instant) -> Patience {
        Patience(self.0.and_then(|time| {
            let way_back = (time / WAY_BACK_PART).clamp(WAY_BACK_MIN, WAY_BACK_MAX);
            now().checked_add(time.saturating_sub(way_back.min(time / 2)))
        }))
    }
}

/// How long the caller of a request with these headers waits.
pub(super) fn deadline(headers: &HeaderMap) -> Result<Deadline, Status> {
    match Deadline::of(headers) {
        Ok(deadline) if deadline.is_over() => Err(fault::too_late()),
        Ok(deadline) => Ok(deadline),
        Err(Malformed) => Err(fault::unreadable_deadline()),
    }
}

/// Waits for `work`, but not beyond the deadline. Work that keeps to its [`Patience`] is never cut.
pub(super) async fn within<T, E: Into<Status>>(
    deadline: Deadline,
    work: Pin<&mut impl Future<Output = Result<T, E>>>,
) -> Result<T, Status> {
    let done = match deadline.time() {
        None => work.await,
        Some(time) => timeout(time, work).await.map_err(|_| fault::too_late())?,
    };
    done.map_err(Into::into)
}

/// Reads one to eight digits and a unit.
fn parse(text: &[u8]) -> Result<Duration, Malformed> {
    let (unit, digits) = text.split_last().ok_or(Malformed)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX {
        return Err(Malformed);
    }
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(Malformed);
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    match unit {
        b'H' => Ok(Duration::from_hours(number)),
        b'M' => Ok(Duration::from_mins(number)),
        b'S' => Ok(Duration::from_secs(number)),
        b'm' => Ok(Duration::from_millis(number)),
        b'u' => Ok(Duration::from_micros(number)),
        b'n' => Ok(Duration::from_nanos(number)),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use http::HeaderValue;
    use tonic::Code;

    use super::*;
    use crate::admission::Fault;

    #[test]
    fn every_unit_is_read() {
        for (text, time) in [
            ("2H", Duration::from_hours(2)),
            ("99999999H", Duration::from_hours(99_999_999)),
            ("3M", Duration::from_mins(3)),
            ("0S", Duration::ZERO),
            ("00000007S", Duration::from_secs(7)),
            ("250m", Duration::from_millis(250)),
            ("1999u", Duration::from_micros(1999)),
            ("1n", Duration::from_nanos(1)),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_is_said_to_be_none() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "123456789m",
            "-1S",
            "1.5S",
            " 1S",
            "1S ",
            "+1S",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_answer_gets_time_for_its_way_back() {
        let now = Instant::now();
        for (time, work) in [
            (Duration::from_secs(2), Duration::from_millis(1950)),
            (Duration::from_millis(500), Duration::from_millis(475)),
            (Duration::from_millis(20), Duration::from_millis(15)),
            (Duration::from_millis(4), Duration::from_millis(2)),
            (Duration::ZERO, Duration::ZERO),
        ] {
            let Patience(until) = Deadline(Some(time)).patience(|| now);
            assert_eq!(until, Some(now + work), "{time:?}");
        }
        assert_eq!(Deadline(None).patience(|| now).0, None);
    }

    #[test]
    fn only_a_timeout_of_nothing_is_over() {
        assert!(Deadline(Some(Duration::ZERO)).is_over());
        assert!(!Deadline(Some(Duration::from_nanos(1))).is_over());
        assert!(!Deadline(None).is_over());
    }

    fn read(timeout: &'static str) -> Result<Deadline, Status> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_static(timeout));
        deadline(&headers)
    }

    #[test]
    fn a_call_without_time_is_not_begun() {
        let status = read("0m").expect_err("its time is over");
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_outlives_its_caller_is_cut() {
        let deadline = read("20m").expect("it is a time");
        let began = tokio::time::Instant::now();
        let work = pin!(pending::<Result<(), Fault>>());
        let status = within(deadline, work).await.expect_err("it never ends");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(began.elapsed(), Duration::from_millis(20));
    }

    #[tokio::test]
    async fn work_that_is_done_is_answered() {
        for deadline in [read("1n"), deadline(&HeaderMap::new())] {
            let deadline = deadline.expect("it is a time, or none");
            let work = pin!(ready(Ok::<_, Fault>(7)));
            assert_eq!(within(deadline, work).await.expect("it is done"), 7);
        }
    }
}
