//! Where traces go.

use super::finding::Findings;
use super::scalar::{self, Read};
use super::value::Section;
use super::words::shown;
use crate::trace::Traces;

/// Of calls without a trace one in so many begins one, where the settings do not say.
const ONE_IN_DEFAULT: u32 = 1_000;

/// The section; `None`: nowhere.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> Option<Traces> {
    let value = file.as_ref().and_then(|file| file.given("traces"))?;
    let section = value.section(findings, &["endpoint", "one_in"])?;
    let one_in = section.given("one_in").and_then(|value| {
        let read = value.read_plain(findings, "a whole number", |text| {
            scalar::whole(text, 0, u32::MAX.into())
        });
        // It is bounded by what fits.
        read.and_then(|number| u32::try_from(number).ok())
    });
    let endpoint = section.required(findings, "endpoint")?;
    Some(Traces {
        endpoint: endpoint.read(findings, "an address", address)?,
        one_in: one_in.unwrap_or(ONE_IN_DEFAULT),
    })
}

fn address(text: &str) -> Read<String> {
    let uri: Option<http::Uri> = text.parse().ok();
    let is_plain = uri.is_some_and(|uri| {
        uri.scheme_str() == Some("http") && uri.port_u16().is_some() && uri.path() == "/"
    });
    if is_plain {
        return Ok(text.to_owned());
    }
    Err(format!(
        "must be http://host:port, where OTLP is received over gRPC, not {}",
        shown(text)
    ))
}
