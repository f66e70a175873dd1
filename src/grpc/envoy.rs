//! Envoy's rate limit service: the same checks, for gateways that are an Envoy and need no code of their own.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tonic::{Request, Response, Status};

use super::codec::Asked;
use super::deadline::{deadline, within};
use super::fault::Violations;
use super::pass::Pass;
use super::proto::envoy::config::core::v3::HeaderValue;
use super::proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use super::proto::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit;
use super::proto::envoy::service::ratelimit::v3::rate_limit_response::{
    Code, DescriptorStatus, RateLimit,
};
use super::proto::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use super::proto::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use super::witness::Witness;
use super::{parse, proto, render};
use crate::access::Role;
use crate::admission::Admission;
use crate::config::EnvoyKeys;

/// The most descriptors of one request.
const DESCRIPTORS_MAX: usize = 32;
/// What a resource is called, as in the verbs of the program.
const RESOURCES: [(&str, proto::Resource); 3] = [
    ("account", proto::Resource::Account),
    ("group", proto::Resource::Group),
    ("av-room", proto::Resource::AvRoom),
];

/// The service; its clones share one [`Admission`].
#[derive(Clone)]
pub(super) struct Envoy {
    admission: Arc<Admission>,
    witness: Witness,
    keys: EnvoyKeys,
}

impl Envoy {
    /// The service in front of `admission`.
    pub(super) fn new(admission: Arc<Admission>, witness: Witness, keys: EnvoyKeys) -> Self {
        Self {
            admission,
            witness,
            keys,
        }
    }
}

#[tonic::async_trait]
impl RateLimitService for Envoy {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let pass = Pass::of(&request);
        let (metadata, _, message) = request.into_parts();
        let mut call = self.witness.envoys_call(metadata.as_ref());
        let answer = async {
            let deadline = deadline(metadata.as_ref())?;
            let passed = DescriptorStatus {
                code: Code::Ok.into(),
                ..DescriptorStatus::default()
            };
            let mut response = RateLimitResponse {
                overall_code: Code::Ok.into(),
                statuses: vec![passed; message.descriptors.len()],
                ..RateLimitResponse::default()
            };
            let Some((at, check)) = asked(&message, &self.keys)? else {
                return Ok(response);
            };
            pass.admits(Role::Check, &check)?;
            let creation = parse::check(&check)?;
            let patience = deadline.patience(Instant::now);
            let work = pin!(self.admission.check(creation, patience));
            let verdict = within(deadline, work).await?;
            let answer = render::check(&verdict);
            call.about(check.app_id);
            call.decided(&check, &answer);
            let status = status(&answer);
            response.overall_code = status.code;
            response.response_headers_to_add = headers(&answer);
            response.statuses[at] = status;
            Ok::<_, Status>(response)
        };
        let answer = answer.await;
        call.end(answer).map(Response::new)
    }
}

/// The creation that a request asks for, and by which of its descriptors; `None`: none of them is this program's.
fn asked<'a>(
    request: &'a RateLimitRequest,
    keys: &EnvoyKeys,
) -> Result<Option<(usize, Asked<'a>)>, Violations> {
    let mut faults = Violations::default();
    let all = &request.descriptors;
    if all.len() > DESCRIPTORS_MAX {
        let problem = format!("has {}; at most {DESCRIPTORS_MAX} are allowed", all.len());
        faults.add("descriptors", problem);
        return Err(faults);
    }
    let mut ours = all
        .iter()
        .enumerate()
        .filter(|(_, of)| word(of, &keys.app_id).is_some());
    let Some((at, descriptor)) = ours.next() else {
        return Ok(None);
    };
    if ours.next().is_some() {
        // One of two could be counted, and the other refused.
        faults.add(
            "descriptors",
            format!(
                "more than one has {}: one request creates one thing",
                keys.app_id
            ),
        );
        return Err(faults);
    }
    let field = |name: &str| format!("descriptors[{at}].{name}");
    let id = word(descriptor, &keys.app_id).and_then(|text| text.parse::<u64>().ok());
    let id = faults.check(&field(&keys.app_id), id.ok_or("must be a whole number"));
    let name = word(descriptor, &keys.resource).unwrap_or_default();
    let resource = RESOURCES.iter().find(|(known, _)| *known == name);
    let resource = resource.ok_or("must be account, group or av-room");
    let resource = faults.check(&field(&keys.resource), resource);
    let hits = match &descriptor.hits_addend {
        Some(own) => u32::try_from(*own).map_err(|_| "is too large"),
        None => Ok(request.hits_addend),
    };
    let amount = faults.check("hits_addend", hits);
    let text = |key| word(descriptor, key).unwrap_or_default();
    let check = (|| {
        Some(Asked {
            app_id: id?,
            resource: resource?.1.into(),
            amount: amount?,
            request_id: text(&keys.request_id),
            resource_id: text(&keys.resource_id),
            ..Asked::default()
        })
    })();
    faults.or(check.map(|check| Some((at, check))))
}

/// For the fuzzer: decodes a request with descriptors, and reads what it asks for.
///
/// # Panics
/// If a check is said to be asked by a descriptor that is not there.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) {
    use prost::Message as _;
    let Ok(request) = RateLimitRequest::decode(bytes) else {
        return;
    };
    if let Ok(Some((at, asked))) = asked(&request, &EnvoyKeys::default()) {
        assert!(at < request.descriptors.len());
        drop(parse::check(&asked));
    }
}

/// What a descriptor says under `key`.
fn word<'a>(descriptor: &'a RateLimitDescriptor, key: &str) -> Option<&'a str> {
    let entry = descriptor.entries.iter().find(|entry| entry.key == key);
    entry.map(|entry| &*entry.value)
}

fn status(answer: &proto::CheckResponse) -> DescriptorStatus {
    let allowed = answer.decision() == proto::Decision::Allow;
    let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let daily = answer.reason() == proto::DenyReason::DailyGainReached;
    let current_limit = answer.limit.map(|limit| RateLimit {
        requests_per_unit: small(limit),
        // A net count knows no time; the daily gain does.
        unit: if daily { Unit::Day } else { Unit::Unknown }.into(),
        name: String::new(),
    });
    DescriptorStatus {
        code: if allowed { Code::Ok } else { Code::OverLimit }.into(),
        current_limit,
        limit_remaining: answer.remaining.map_or(0, small),
        duration_until_reset: answer.retry_after,
    }
}

/// What the client is told, in the headers that users of Envoy know; and why, in one of this program's.
fn headers(answer: &proto::CheckResponse) -> Vec<HeaderValue> {
    let mut headers = Vec::new();
    let mut add = |key: &str, value: String| {
        headers.push(HeaderValue {
            key: key.into(),
            value,
            raw_value: Vec::new(),
        });
    };
    if let (Some(limit), Some(remaining)) = (answer.limit, answer.remaining) {
        add("x-ratelimit-limit", limit.to_string());
        add("x-ratelimit-remaining", remaining.to_string());
        let reset = answer.retry_after.map_or(0, |after| after.seconds);
        add("x-ratelimit-reset", reset.to_string());
    }
    if answer.reason() != proto::DenyReason::Unspecified {
        let name = answer.reason().as_str_name();
        let name = name.strip_prefix("DENY_REASON_").unwrap_or(name);
        add("x-imquota-reason", name.to_owned());
    }
    if answer.im_error_code != 0 {
        add("x-imquota-im-error-code", answer.im_error_code.to_string());
    }
    headers
}
