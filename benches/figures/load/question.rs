//! The bytes of one `Check`: the same but for the app and a request id that no other call has. Or those of what
//! Envoy asks of a rate limit service: the same but for the app, since it knows no ids.

use std::time::{SystemTime, UNIX_EPOCH};

use imquota::grpc::proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use imquota::grpc::proto::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use imquota::grpc::proto::envoy::service::ratelimit::v3::RateLimitRequest;
use imquota::grpc::proto::{CheckRequest, Resource};

/// How many bytes gRPC puts before a message: not compressed, length.
const PREFIX: usize = 5;
/// Every app id must take this many bytes as a varint, so that it can be written over.
const APP_BYTES: usize = 5;
/// The digits of every app id.
const DIGITS: usize = 10;
/// A UUID as text.
const ID_BYTES: usize = 36;

/// Which calls are made: the `n`th is for app `first_app + n % apps`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Apps {
    pub(super) first: u64,
    pub(super) count: u64,
}

/// The name of a rate limit's domain, and of what its calls are counted by.
pub(crate) const DOMAIN: &str = "imquota";
pub(crate) const COUNTED_BY: &str = "app_id";

/// What differs from call to call, and where it stands.
enum Form {
    /// An app as a varint, and an id if it has one.
    Check { app_at: usize, id_at: Option<usize> },
    /// An app as text.
    RateLimit { app_at: usize },
}

/// Writes one message after another.
pub(super) struct Question {
    apps: Apps,
    message: Vec<u8>,
    form: Form,
    /// The part of the ids that tells this load from any other.
    salt: u64,
}

impl Question {
    /// The template for `apps`. The resource is one that unlisted apps may have without limit under
    /// the plan that the benchmark gives them.
    ///
    /// # Errors
    /// Where an app id would not have the five bytes that the template has room for.
    pub(super) fn new(apps: Apps, resource: Resource) -> Result<Self, String> {
        let id = "x".repeat(ID_BYTES);
        let message = check(apps, resource, &id)?;
        let id_at = Some(place(&message, &id)?);
        Ok(Self::of(apps, message, id_at))
    }

    /// As [`Question::new`], of calls without ids: nothing is remembered of them but their count.
    ///
    /// # Errors
    /// As there.
    pub(super) fn without_ids(apps: Apps, resource: Resource) -> Result<Self, String> {
        let message = check(apps, resource, "")?;
        Ok(Self::of(apps, message, None))
    }

    fn of(apps: Apps, message: Vec<u8>, id_at: Option<usize>) -> Self {
        // The app is the first field: one byte of key, then the id.
        let app_at = PREFIX + 1;
        Self {
            apps,
            message,
            form: Form::Check { app_at, id_at },
            salt: rand::random(),
        }
    }

    /// The template of what Envoy asks.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn rate_limit(apps: Apps) -> Result<Self, String> {
        let app = apps.first.to_string();
        let entries = vec![Entry {
            key: COUNTED_BY.into(),
            value: app.clone(),
        }];
        let message = framed(&RateLimitRequest {
            domain: DOMAIN.into(),
            descriptors: vec![RateLimitDescriptor {
                entries,
                ..RateLimitDescriptor::default()
            }],
            ..RateLimitRequest::default()
        })?;
        let app_at = place(&message, &app)?;
        Ok(Self {
            apps,
            message,
            form: Form::RateLimit { app_at },
            salt: 0,
        })
    }

    /// The path of the call.
    pub(super) fn path(&self) -> &'static str {
        match self.form {
            Form::Check { .. } => "/imquota.v1.QuotaService/Check",
            Form::RateLimit { .. } => {
                "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
            }
        }
    }

    /// How long every message is, with its prefix.
    pub(super) fn length(&self) -> usize {
        self.message.len()
    }

    /// The message of call `number`, asked at `now` (milliseconds since 1970): an id is a UUIDv7.
    pub(super) fn ask(&mut self, number: u64, now: u64) -> &[u8] {
        let mut app = self.apps.first + number % self.apps.count;
        match self.form {
            Form::RateLimit { app_at } => {
                for byte in self.message[app_at..].iter_mut().take(DIGITS).rev() {
                    *byte = b'0' + (app % 10) as u8;
                    app /= 10;
                }
            }
            Form::Check { app_at, id_at } => {
                for byte in &mut self.message[app_at..app_at + APP_BYTES] {
                    *byte = (app & 0x7f) as u8 | 0x80;
                    app >>= 7;
                }
                self.message[app_at + APP_BYTES - 1] &= 0x7f;
                let Some(id_at) = id_at else {
                    return &self.message;
                };
                // Multiplying by an odd number maps no two calls to one value.
                let tail = self.salt ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let high = now << 16 | 0x7000 | (self.salt >> 52);
                write_uuid(
                    &mut self.message[id_at..id_at + ID_BYTES],
                    high,
                    tail >> 2 | 1 << 63,
                );
            }
        }
        &self.message
    }
}

/// A check of the first of `apps`.
fn check(apps: Apps, resource: Resource, id: &str) -> Result<Vec<u8>, String> {
    let last = apps.first + apps.count.max(1) - 1;
    if [apps.first, last].map(varint_bytes) != [APP_BYTES, APP_BYTES] {
        return Err("app ids must lie between 2^28 and 2^35".into());
    }
    let mut message = CheckRequest {
        app_id: apps.first,
        request_id: id.into(),
        ..CheckRequest::default()
    };
    message.set_resource(resource);
    framed(&message)
}

/// A message behind its prefix.
fn framed(message: &impl prost::Message) -> Result<Vec<u8>, String> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).map_err(|error| error.to_string())?;
    Ok([&[0], &length.to_be_bytes()[..], &body].concat())
}

/// Where a text stands in a message.
fn place(message: &[u8], text: &str) -> Result<usize, &'static str> {
    let mut places = message.windows(text.len());
    let place = places.position(|window| window == text.as_bytes());
    place.ok_or("the template lacks what differs")
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(0))
}

fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn write_uuid(text: &mut [u8], high: u64, low: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bits = u128::from(high) << 64 | u128::from(low);
    for (at, byte) in text.iter_mut().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            *byte = b'-';
        } else {
            *byte = DIGITS[(bits >> 124) as usize];
            bits <<= 4;
        }
    }
}
