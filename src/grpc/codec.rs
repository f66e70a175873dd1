//! The messages of the hot path, read and written without the generated types.
//!
//! Only what is plain is read here: known fields in their wire types, in any order. Of anything else the
//! generated codec decides, which a test also holds this one against.

use bytes::BufMut;
use prost::Message;

use super::proto::{CheckRequest, CheckResponse};

/// The most bytes of a number on the wire.
const NUMBER_BYTES_MAX: usize = 10;

const VARINT: u8 = 0;
const BYTES: u8 = 2;

/// A check as it stands on the wire; fields as in the contract.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asked<'a> {
    /// Field 1.
    pub app_id: u64,
    /// Field 2.
    pub resource: i32,
    /// Field 3.
    pub amount: u32,
    /// Field 4.
    pub request_id: &'a str,
    /// Field 5.
    pub resource_id: &'a str,
    /// Field 6.
    pub mode: i32,
    /// Field 7; where it is given, the generated codec read it.
    pub hold: Option<prost_types::Duration>,
}

impl<'a> From<&'a CheckRequest> for Asked<'a> {
    fn from(request: &'a CheckRequest) -> Self {
        Self {
            app_id: request.app_id,
            resource: request.resource,
            amount: request.amount,
            request_id: &request.request_id,
            resource_id: &request.resource_id,
            mode: request.mode,
            hold: request.hold,
        }
    }
}

impl From<&Asked<'_>> for CheckRequest {
    fn from(asked: &Asked<'_>) -> Self {
        Self {
            app_id: asked.app_id,
            resource: asked.resource,
            amount: asked.amount,
            request_id: asked.request_id.to_owned(),
            resource_id: asked.resource_id.to_owned(),
            mode: asked.mode,
            hold: asked.hold,
        }
    }
}

impl<'a> Asked<'a> {
    /// Reads a CheckRequest; `None`: the generated codec must.
    pub fn read(mut from: &'a [u8]) -> Option<Self> {
        let mut asked = Self::default();
        while let Some((&tag, rest)) = from.split_first() {
            from = rest;
            match (tag >> 3, tag & 7) {
                (1, VARINT) => asked.app_id = number(&mut from)?,
                (2, VARINT) => asked.resource = number(&mut from)?.try_into().ok()?,
                (3, VARINT) => asked.amount = number(&mut from)?.try_into().ok()?,
                (4, BYTES) => asked.request_id = text(&mut from)?,
                (5, BYTES) => asked.resource_id = text(&mut from)?,
                (6, VARINT) => asked.mode = number(&mut from)?.try_into().ok()?,
                _ => return None,
            }
        }
        Some(asked)
    }
}

/// How many checks a BatchCheckRequest has; `None`: it has something else, too.
pub fn count(mut from: &[u8]) -> Option<usize> {
    let mut checks = 0;
    while !from.is_empty() {
        item(&mut from)?;
        checks += 1;
    }
    Some(checks)
}

/// Reads the checks of a BatchCheckRequest; `None`: the generated codec must.
pub fn batch(mut from: &[u8]) -> Option<Vec<Asked<'_>>> {
    let mut checks = Vec::with_capacity(count(from)?);
    while !from.is_empty() {
        checks.push(Asked::read(item(&mut from)?)?);
    }
    Some(checks)
}

fn item<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&tag, rest) = from.split_first()?;
    *from = rest;
    if tag == (1 << 3 | BYTES) {
        bytes(from)
    } else {
        None
    }
}

fn number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (at, byte) in from.iter().take(NUMBER_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has one bit of the 64.
        if at == NUMBER_BYTES_MAX - 1 && bits > 1 {
            return None;
        }
        number |= bits << (7 * at);
        if byte & 0x80 == 0 {
            *from = &from[at + 1..];
            return Some(number);
        }
    }
    None
}

fn bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

fn text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(bytes(from)?).ok()
}

/// Writes a CheckResponse, as the generated codec does.
pub fn put_answer(answer: &CheckResponse, to: &mut Vec<u8>) {
    if answer.retry_after.is_some() || answer.fault.is_some() || answer.shadowed {
        // Can only fail for want of room, and a vector grows.
        let _ = answer.encode(to);
        return;
    }
    put(to, 1, widened(answer.decision));
    put(to, 2, widened(answer.reason));
    put(to, 3, answer.im_error_code.into());
    put_some(to, 4, answer.limit);
    put(to, 5, answer.used);
    put_some(to, 6, answer.remaining);
    put(to, 7, widened(answer.source));
    put(to, 8, answer.replayed.into());
    put(to, 9, answer.already_counted.into());
}

/// Writes a BatchCheckResponse of these answers.
pub fn put_answers(answers: &[CheckResponse], to: &mut Vec<u8>) {
    for answer in answers {
        put_result(answer, to);
    }
}

/// Adds one answer to a BatchCheckResponse.
pub fn put_result(answer: &CheckResponse, to: &mut Vec<u8>) {
    to.put_u8(1 << 3 | BYTES);
    // Nearly all are shorter than what a length of one byte says.
    let at = to.len();
    to.put_u8(0);
    put_answer(answer, to);
    let length = to.len() - at - 1;
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => to[at] = short,
        _ => {
            let answer = to.split_off(at + 1);
            to.truncate(at);
            put_number(to, length as u64);
            to.put_slice(&answer);
        }
    }
}

/// Writes a field unless it is 0.
fn put(to: &mut Vec<u8>, field: u8, number: u64) {
    put_some(to, field, (number != 0).then_some(number));
}

fn put_some(to: &mut Vec<u8>, field: u8, number: Option<u64>) {
    if let Some(number) = number {
        to.put_u8(field << 3 | VARINT);
        put_number(to, number);
    }
}

fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.put_u8(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    to.put_u8(number.to_le_bytes()[0]);
}

/// A number of an enum as it is written; below 0 it takes all of its 64 bits.
fn widened(number: i32) -> u64 {
    i64::from(number).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::proto::{BatchCheckRequest, BatchCheckResponse, Fault};
    use super::*;

    prop_compose! {
        fn requests()(
            app_id: u64, resource: i32, amount: u32, request_id in ".{0,70}", resource_id in "[a-z]{0,3}",
            mode in 0..6, hold in prop::option::weighted(0.1, (0..9_i64, 0..9)),
        ) -> CheckRequest {
            let hold = hold.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
            CheckRequest { app_id, resource, amount, request_id, resource_id, mode, hold }
        }
    }

    prop_compose! {
        fn answers()(
            (decision, reason, source, im_error_code) in any::<(i32, i32, i32, u32)>(),
            (limit, used, remaining) in any::<(Option<u64>, u64, Option<u64>)>(),
            [replayed, already_counted, shadowed] in any::<[bool; 3]>(),
            other in prop::option::weighted(0.1, "[a-z]{1,200}"),
        ) -> CheckResponse {
            let retry_after = other.as_ref().map(|_| prost_types::Duration { seconds: 1, nanos: 2 });
            let fault = other.map(|message| Fault { code: 3, field: "amount".into(), message });
            CheckResponse {
                decision, reason, im_error_code, limit, used, remaining, source, replayed,
                already_counted, shadowed, retry_after, fault,
            }
        }
    }

    /// What is read here the generated codec reads, too, and as the same.
    fn agrees(bytes: &[u8]) -> Result<bool, TestCaseError> {
        let Some(asked) = Asked::read(bytes) else {
            return Ok(false);
        };
        let oracle = CheckRequest::decode(bytes);
        let Ok(oracle) = oracle else {
            return Err(TestCaseError::fail(format!("{asked:?} cannot be read")));
        };
        prop_assert_eq!(&CheckRequest::from(&asked), &oracle);
        prop_assert_eq!(asked, Asked::from(&oracle));
        Ok(true)
    }

    proptest! {
        #[test]
        fn a_check_is_read_as_the_generated_codec_reads_it(request in requests()) {
            let plain = request.resource >= 0 && request.hold.is_none();
            prop_assert_eq!(agrees(&request.encode_to_vec())?, plain);
        }

        #[test]
        fn spoilt_bytes_are_read_no_other_way(request in requests(), at: prop::sample::Index, with: u8, cut: bool) {
            let mut bytes = request.encode_to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                if cut { bytes.truncate(at) } else { bytes[at] = with }
            }
            agrees(&bytes)?;
        }

        #[test]
        fn any_bytes_are_read_no_other_way(bytes: Vec<u8>) {
            agrees(&bytes)?;
        }

        #[test]
        fn a_batch_is_read_as_the_generated_codec_reads_it(checks in prop::collection::vec(requests(), 0..5)) {
            let batch_of = BatchCheckRequest { checks };
            let bytes = batch_of.encode_to_vec();
            let plain = batch_of.checks.iter().all(|check| check.resource >= 0 && check.hold.is_none());
            prop_assert_eq!(count(&bytes), Some(batch_of.checks.len()));
            let read = batch(&bytes);
            prop_assert_eq!(read.is_some(), plain);
            if let Some(read) = read {
                let oracle: Vec<_> = batch_of.checks.iter().map(Asked::from).collect();
                prop_assert_eq!(read, oracle);
            }
        }

        #[test]
        fn an_answer_is_written_as_the_generated_codec_writes_it(answer in answers()) {
            let mut bytes = vec![7];
            put_answer(&answer, &mut bytes);
            prop_assert_eq!(&bytes[1..], answer.encode_to_vec());
        }

        #[test]
        fn answers_are_written_as_the_generated_codec_writes_them(results in prop::collection::vec(answers(), 0..5)) {
            let mut bytes = Vec::new();
            put_answers(&results, &mut bytes);
            prop_assert_eq!(bytes, BatchCheckResponse { results }.encode_to_vec());
        }
    }
}
