//! The names that a client's certificate bears.

use std::fmt;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The most names of one certificate that are looked at.
const NAMES_MAX: usize = 16;
/// The longest name, in bytes: what a SPIFFE id may have.
pub const NAME_BYTES_MAX: usize = 2048;

/// Who a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A URI `spiffe://…`.
    Spiffe(Box<str>),
    /// A host's name, in small letters.
    Dns(Box<str>),
}

impl Name {
    /// Reads `spiffe://domain/path`.
    ///
    /// # Errors
    /// What must be written instead.
    pub fn spiffe(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("spiffe://");
        let domain = rest.and_then(|rest| rest.split('/').next());
        if text.len() > NAME_BYTES_MAX
            || domain.is_none_or(str::is_empty)
            || !text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err("must be a SPIFFE id such as spiffe://example.org/gateway".into());
        }
        Ok(Self::Spiffe(text.into()))
    }

    /// Reads a host's name.
    ///
    /// # Errors
    /// What must be written instead.
    pub fn dns(text: &str) -> Result<Self, String> {
        let in_a_name =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if !(1..=253).contains(&text.len()) || !text.bytes().all(in_a_name) {
            return Err("must be a name such as gateway.example.org, without wildcards".into());
        }
        Ok(Self::Dns(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spiffe(name) | Self::Dns(name) => f.write_str(name),
        }
    }
}

/// The names of a certificate (DER) whose chain has been verified, as far as they can be read.
pub fn names_of(certificate: &[u8]) -> Vec<Name> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let known = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Name::spiffe(uri).ok(),
            GeneralName::DNSName(name) => Name::dns(name).ok(),
            _ => None,
        });
    known.take(NAMES_MAX).collect()
}
