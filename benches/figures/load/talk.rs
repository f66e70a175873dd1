//! One HTTP/2 connection as a client of one call: bytes in, bytes out, no sockets.
//!
//! Every answer must have HTTP status 200, a message whose decision is ALLOW, which is what a rate limit service
//! calls OK, and `grpc-status` 0.

use rustc_hash::FxHashMap;

use super::Broken;
use super::fields::Fields;
use super::question::Question;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// A header's name and value.
pub(super) type Header = (&'static str, &'static str);
/// What gRPC's clients say.
pub(super) const PLAIN: Header = ("te", "trailers");
/// Says that messages may be packed, though none is.
pub(super) const MAY_BE_PACKED: Header = ("grpc-encoding", "identity");

const SETTING_STREAMS_MAX: u16 = 3;

/// What a connection may send before it is told that more is welcome (RFC 9113).
const FIRST_WINDOW: u32 = 65_535;
/// What the answers may take before the server hears that more is welcome.
const ANSWERS_WINDOW: u32 = 1 << 24;

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Asked,
    /// HTTP status 200 came.
    Opened,
    /// The message came, and allows.
    Allowed,
}

/// A connection's state.
pub(super) struct Talk {
    /// What is to be sent.
    pub(super) out: Vec<u8>,
    fields: Fields,
    calls: FxHashMap<u32, Call>,
    in_flight: usize,
    next_stream: u32,
    first_block: Vec<u8>,
    may_send: u64,
    heard_since_update: u32,
}

impl Talk {
    /// Opens a connection for at most `in_flight` calls of `path` at a time, each with this header more.
    pub(super) fn new(path: &str, header: Header, in_flight: usize) -> Self {
        let mut talk = Self {
            out: PREFACE.to_vec(),
            fields: Fields::new(),
            calls: FxHashMap::default(),
            in_flight,
            next_stream: 1,
            first_block: first_block(path, header),
            may_send: u64::from(FIRST_WINDOW),
            heard_since_update: 0,
        };
        talk.frame(SETTINGS, 0, 0, &[]);
        let more = ANSWERS_WINDOW - FIRST_WINDOW;
        talk.frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        talk
    }

    /// Whether one more call may be asked now.
    pub(super) fn has_room(&self, question: &Question) -> bool {
        self.calls.len() < self.in_flight && self.may_send >= question.length() as u64
    }

    /// How many calls were asked.
    pub(super) fn asked(&self) -> u32 {
        self.next_stream / 2
    }

    /// No call waits for its answer any more: what was asked was asked of no server.
    pub(super) fn forget(&mut self) {
        self.calls.clear();
    }

    /// How many calls have no answer yet.
    pub(super) fn open(&self) -> usize {
        self.calls.len()
    }

    /// Asks `message`, which [`Talk::has_room`] for.
    pub(super) fn ask(&mut self, message: &[u8]) {
        let stream = self.next_stream;
        self.next_stream += 2;
        if self.first_block.is_empty() {
            self.frame(HEADERS, END_HEADERS, stream, LATER_BLOCK);
        } else {
            let block = std::mem::take(&mut self.first_block);
            self.frame(HEADERS, END_HEADERS, stream, &block);
        }
        self.frame(DATA, END_STREAM, stream, message);
        // An echo gives no more room, and needs none.
        self.may_send = self.may_send.saturating_sub(message.len() as u64);
        self.calls.insert(stream, Call::Asked);
    }

    /// Hears what the server sent. Returns how many bytes were whole frames, and how many calls
    /// were answered by them.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<(usize, u64), Broken> {
        let (mut at, mut answered) = (0, 0);
        while let Some((head, rest)) = bytes[at..].split_first_chunk::<FRAME_HEAD>() {
            let &[l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
            let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
            let Some(payload) = rest.get(..length) else {
                break;
            };
            answered += u64::from(self.frame_came(kind, flags, stream, payload)?);
            at += FRAME_HEAD + length;
        }
        if self.heard_since_update > ANSWERS_WINDOW / 2 {
            let heard = std::mem::take(&mut self.heard_since_update);
            self.frame(WINDOW_UPDATE, 0, 0, &heard.to_be_bytes());
        }
        Ok((at, answered))
    }

    /// Whether the frame ended a call well.
    fn frame_came(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> Result<bool, Broken> {
        match kind {
            DATA => self.data(flags, stream, payload),
            HEADERS => self.headers(flags, stream, payload),
            SETTINGS => self.settings(flags, payload),
            WINDOW_UPDATE => {
                if let (0, Ok(more)) = (stream, <[u8; 4]>::try_from(payload)) {
                    self.may_send += u64::from(u32::from_be_bytes(more));
                }
                Ok(false)
            }
            PING => {
                if flags & ACK == 0 {
                    self.frame(PING, ACK, 0, payload);
                }
                Ok(false)
            }
            RST_STREAM | GOAWAY => Err(Broken::Refused),
            // No server that is measured here splits its headers.
            CONTINUATION => Err(Broken::Headers),
            _ => Ok(false),
        }
    }

    fn data(&mut self, flags: u8, stream: u32, payload: &[u8]) -> Result<bool, Broken> {
        self.heard_since_update += u32::try_from(payload.len()).map_err(|_| Broken::Answer)?;
        let call = self.calls.get_mut(&stream).ok_or(Broken::Answer)?;
        if payload.is_empty() {
            return Ok(false);
        }
        // Not compressed, four bytes of length, then the first field: the decision is 1, ALLOW.
        let allowed = matches!(payload, [0, _, _, _, _, 8, 1, ..]);
        if flags & (END_STREAM | PADDED) != 0 || *call != Call::Opened || !allowed {
            return Err(Broken::Answer);
        }
        *call = Call::Allowed;
        Ok(false)
    }

    fn headers(&mut self, flags: u8, stream: u32, payload: &[u8]) -> Result<bool, Broken> {
        if flags & (PADDED | PRIORITY) != 0 || flags & END_HEADERS == 0 {
            return Err(Broken::Headers);
        }
        let seen = self.fields.read(payload)?;
        let call = self.calls.get_mut(&stream).ok_or(Broken::Answer)?;
        if flags & END_STREAM == 0 {
            if seen.status_ok != Some(true) {
                return Err(Broken::Answer);
            }
            *call = Call::Opened;
            return Ok(false);
        }
        if *call != Call::Allowed || seen.grpc_ok != Some(true) {
            return Err(Broken::Answer);
        }
        self.calls.remove(&stream);
        Ok(true)
    }

    fn settings(&mut self, flags: u8, payload: &[u8]) -> Result<bool, Broken> {
        if flags & ACK != 0 {
            return Ok(false);
        }
        for setting in payload.chunks_exact(6) {
            let &[k0, k1, v0, v1, v2, v3] = setting else {
                continue;
            };
            let value = u32::from_be_bytes([v0, v1, v2, v3]) as usize;
            if u16::from_be_bytes([k0, k1]) == SETTING_STREAMS_MAX && value < self.in_flight {
                return Err(Broken::Streams(value));
            }
        }
        self.frame(SETTINGS, ACK, 0, &[]);
        Ok(false)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
        self.out.extend(&length[1..]);
        self.out.extend([kind, flags]);
        self.out.extend(stream.to_be_bytes());
        self.out.extend(payload);
    }
}

/// Headers that enter the table of the connection, in the order of [`LATER_BLOCK`].
fn first_block(path: &str, (name, value): Header) -> Vec<u8> {
    // :method POST and :scheme http are in the static table.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (Ok(4), path),
        (Ok(1), "localhost"),
        (Ok(31), "application/grpc"),
        (Err(name), value),
        (Ok(58), "imquota-figures"),
    ] {
        match name {
            Ok(index) => block.push(0x40 | index),
            Err(name) => {
                block.push(0x40);
                push_text(&mut block, name);
            }
        }
        push_text(&mut block, value);
    }
    block
}

/// The same headers when they are in the table: the newest is 62.
const LATER_BLOCK: &[u8] = &[0x83, 0x86, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe];

/// A short text, not coded.
fn push_text(block: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() < 127, "its length fits in seven bits");
    block.extend(u8::try_from(text.len()));
    block.extend(text.as_bytes());
}
