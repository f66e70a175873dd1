//! Reads header blocks as far as a gRPC answer needs it: is `:status` 200, is `grpc-status` 0?
//!
//! Everything else is passed over, but entered into the dynamic table, so that indices stay right.
//! A full decoder would cost the load more than all the rest of an answer.

use std::collections::VecDeque;

use super::Broken;

/// Entries of HPACK's static table (RFC 7541, appendix A).
const STATIC_ENTRIES: usize = 61;
/// `:status: 200` in the static table; 8 to 14 are named `:status`.
const STATIC_OK: usize = 8;
const STATIC_STATUS: std::ops::RangeInclusive<usize> = 8..=14;
/// The most entries that a dynamic table of 4,096 bytes can hold: an entry counts 32 bytes and its
/// text. Indices count from the newest entry, so keeping an evicted one longer misleads nobody.
const DYNAMIC_ENTRIES_MAX: usize = 128;

/// What a header field means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    StatusOk,
    StatusOther,
    GrpcOk,
    GrpcOther,
    Passed,
}

/// What a header field's name means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Status,
    Grpc,
    Passed,
}

/// What one header block said.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// `:status`, where there was one: whether it was 200.
    pub(super) status_ok: Option<bool>,
    /// `grpc-status`, where there was one: whether it was 0.
    pub(super) grpc_ok: Option<bool>,
}

/// The reading end of one connection's header compression.
#[derive(Debug)]
pub(super) struct Fields {
    dynamic: VecDeque<Field>,
    grpc_name: Text,
    ok_status: Text,
    ok_grpc: Text,
}

impl Fields {
    pub(super) fn new() -> Self {
        Self {
            dynamic: VecDeque::with_capacity(DYNAMIC_ENTRIES_MAX),
            grpc_name: Text::new("grpc-status"),
            ok_status: Text::new("200"),
            ok_grpc: Text::new("0"),
        }
    }

    /// Reads one whole header block.
    pub(super) fn read(&mut self, mut block: &[u8]) -> Result<Seen, Broken> {
        let mut seen = Seen::default();
        while let Some(&first) = block.first() {
            let field = if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                self.indexed(index)?
            } else if first & 0x40 != 0 {
                let field = self.literal(&mut block, 6)?;
                self.dynamic.truncate(DYNAMIC_ENTRIES_MAX - 1);
                self.dynamic.push_front(field);
                field
            } else if first & 0x20 != 0 {
                // A new size of the table, at most the one that was asked for.
                integer(&mut block, 5)?;
                continue;
            } else {
                self.literal(&mut block, 4)?
            };
            match field {
                Field::StatusOk => seen.status_ok = Some(true),
                Field::StatusOther => seen.status_ok = Some(false),
                Field::GrpcOk => seen.grpc_ok = Some(true),
                Field::GrpcOther => seen.grpc_ok = Some(false),
                Field::Passed => {}
            }
        }
        Ok(seen)
    }

    fn indexed(&self, index: usize) -> Result<Field, Broken> {
        match index {
            0 => Err(Broken::Headers),
            STATIC_OK => Ok(Field::StatusOk),
            index if STATIC_STATUS.contains(&index) => Ok(Field::StatusOther),
            index if index <= STATIC_ENTRIES => Ok(Field::Passed),
            index => {
                let entry = self.dynamic.get(index - STATIC_ENTRIES - 1);
                entry.copied().ok_or(Broken::Headers)
            }
        }
    }

    fn literal(&self, block: &mut &[u8], bits: u32) -> Result<Field, Broken> {
        let name = match integer(block, bits)? {
            0 if self.grpc_name.is(&string(block)?) => Name::Grpc,
            0 => Name::Passed,
            index => match self.indexed(index)? {
                Field::StatusOk | Field::StatusOther => Name::Status,
                Field::GrpcOk | Field::GrpcOther => Name::Grpc,
                Field::Passed => Name::Passed,
            },
        };
        let value = string(block)?;
        Ok(match name {
            Name::Status if self.ok_status.is(&value) => Field::StatusOk,
            Name::Status => Field::StatusOther,
            Name::Grpc if self.ok_grpc.is(&value) => Field::GrpcOk,
            Name::Grpc => Field::GrpcOther,
            Name::Passed => Field::Passed,
        })
    }
}

/// A string as it stood on the wire.
struct Wire<'a> {
    coded: bool,
    bytes: &'a [u8],
}

/// A text in both forms that the wire may have it in.
#[derive(Debug)]
struct Text {
    plain: &'static str,
    coded: Vec<u8>,
}

impl Text {
    fn new(plain: &'static str) -> Self {
        let mut coded = Vec::new();
        let (mut bits, mut held) = (0_u32, 0_u32);
        for byte in plain.bytes() {
            let (code, length) = huffman(byte);
            bits = bits << length | code;
            held += length;
            while held >= 8 {
                held -= 8;
                coded.extend((bits >> held).to_le_bytes().first());
            }
        }
        if held > 0 {
            // The rest of the last byte is filled with ones.
            let last = bits << (8 - held) | (0xff >> held);
            coded.extend(last.to_le_bytes().first());
        }
        Self { plain, coded }
    }

    fn is(&self, wire: &Wire<'_>) -> bool {
        if wire.coded {
            wire.bytes == self.coded
        } else {
            wire.bytes == self.plain.as_bytes()
        }
    }
}

/// The code of a byte and its bits (RFC 7541, appendix B), for the texts that are looked for.
fn huffman(byte: u8) -> (u32, u32) {
    match byte {
        b'0' => (0x00, 5),
        b'2' => (0x02, 5),
        b'a' => (0x03, 5),
        b'c' => (0x04, 5),
        b's' => (0x08, 5),
        b't' => (0x09, 5),
        b'-' => (0x16, 6),
        b'g' => (0x26, 6),
        b'p' => (0x2b, 6),
        b'r' => (0x2c, 6),
        b'u' => (0x2d, 6),
        _ => unreachable!("no text that is looked for has {byte}"),
    }
}

fn integer(block: &mut &[u8], bits: u32) -> Result<usize, Broken> {
    let mask = (1_usize << bits) - 1;
    let mut value = usize::from(take(block)?) & mask;
    if value < mask {
        return Ok(value);
    }
    for shift in [0, 7, 14] {
        let byte = take(block)?;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Broken::Headers)
}

fn string<'a>(block: &mut &'a [u8]) -> Result<Wire<'a>, Broken> {
    let coded = block.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(Broken::Headers)?;
    *block = rest;
    Ok(Wire { coded, bytes })
}

fn take(block: &mut &[u8]) -> Result<u8, Broken> {
    let (&byte, rest) = block.split_first().ok_or(Broken::Headers)?;
    *block = rest;
    Ok(byte)
}
