//! By which keys Envoy's descriptors say what is created.

use std::sync::Arc;

use super::finding::Findings;
use super::scalar::Read;
use super::value::Section;
use super::words::shown;

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 128;
const KEYS: [&str; 4] = ["app_id", "resource", "request_id", "resource_id"];

/// The keys of Envoy's descriptors, no two alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvoyKeys {
    /// Of the app's id. A descriptor without it is not this program's.
    pub app_id: Arc<str>,
    /// Of what is created.
    pub resource: Arc<str>,
    /// Of the request's id.
    pub request_id: Arc<str>,
    /// Of the object's name.
    pub resource_id: Arc<str>,
}

impl Default for EnvoyKeys {
    fn default() -> Self {
        let [app_id, resource, request_id, resource_id] = KEYS.map(Arc::from);
        Self {
            app_id,
            resource,
            request_id,
            resource_id,
        }
    }
}

impl EnvoyKeys {
    /// All of them, in the order of their names in the settings.
    #[must_use]
    pub fn all(&self) -> [&Arc<str>; 4] {
        let Self {
            app_id,
            resource,
            request_id,
            resource_id,
        } = self;
        [app_id, resource, request_id, resource_id]
    }
}

/// The section; what it leaves out is as by default.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> EnvoyKeys {
    let mut keys = EnvoyKeys::default();
    let value = file.as_ref().and_then(|file| file.given("envoy_keys"));
    let Some(value) = value else {
        return keys;
    };
    let Some(section) = value.section(findings, &KEYS) else {
        return keys;
    };
    for (name, of) in [
        (KEYS[0], &mut keys.app_id),
        (KEYS[1], &mut keys.resource),
        (KEYS[2], &mut keys.request_id),
        (KEYS[3], &mut keys.resource_id),
    ] {
        if let Some(value) = section.given(name) {
            *of = value.read(findings, "a key", key).unwrap_or(of.clone());
        }
    }
    let mut all = keys.all();
    all.sort_unstable();
    if let Some(twice) = all.windows(2).find(|pair| pair[0] == pair[1]) {
        let text = format!("two of them are {}: each must be another", shown(twice[0]));
        value.fault(findings, text);
    }
    keys
}

fn key(text: &str) -> Read<Arc<str>> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain && (1..=KEY_BYTES_MAX).contains(&text.len()) {
        return Ok(text.into());
    }
    Err(format!(
        "must be a descriptor's key, 1 to {KEY_BYTES_MAX} printable characters without spaces, not {}",
        shown(text)
    ))
}
