//! Many checks at once: each is judged by itself, and they are answered in their order.

use std::future::Future;
use std::ops::Deref;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tonic::Status;

use super::codec::Asked;
use super::{fault, parse, proto, render};
use crate::admission::{Admission, Patience, Sitting};
use crate::quota::AppId;

/// The most checks of one call that wait for the ledger at a time.
pub(super) const WAITING_MAX: usize = 64;

/// An item, as far as it can be judged without waiting.
pub(super) enum Item<F> {
    /// Its answer.
    Answered(proto::CheckResponse),
    /// It waits for the ledger.
    Waits(F),
}

/// Judges one item of those that have come together.
pub(super) fn judge<A: Deref<Target = Admission> + Clone>(
    admission: &A,
    sitting: &mut Sitting,
    request: &Asked<'_>,
    patience: Patience,
) -> Item<impl Future<Output = proto::CheckResponse> + use<A>> {
    let check = match parse::check(request) {
        Ok(check) => check,
        Err(violations) => return Item::Answered(faulty(violations)),
    };
    match admission.decide_next(&check, sitting) {
        Ok(Ok(verdict)) => Item::Answered(render::check(&verdict)),
        Ok(Err(hard)) => {
            let admission = admission.clone();
            Item::Waits(async move {
                let decided = admission.with_ledger(check, hard, patience).await;
                decided.map_or_else(faulty, |verdict| render::check(&verdict))
            })
        }
        Err(fault) => Item::Answered(faulty(fault)),
    }
}

fn faulty(why: impl Into<Status>) -> proto::CheckResponse {
    proto::CheckResponse {
        fault: Some(fault::of_item(&why.into())),
        ..Default::default()
    }
}

/// Judges all of `requests`: those that need not wait at once, the others side by side.
pub(super) async fn judge_all(
    admission: &Admission,
    requests: &[Asked<'_>],
    patience: Patience,
) -> Vec<proto::CheckResponse> {
    let mut answers = Vec::with_capacity(requests.len());
    let mut waiting = FuturesUnordered::new();
    let apps = requests.iter().map(|request| AppId::new(request.app_id));
    admission.foresee(apps.flatten());
    let mut sitting = admission.sit();
    for (place, request) in requests.iter().enumerate() {
        match judge(&admission, &mut sitting, request, patience) {
            Item::Answered(answer) => answers.push(answer),
            Item::Waits(waits) => {
                answers.push(proto::CheckResponse::default());
                waiting.push(async move { (place, waits.await) });
            }
        }
        if waiting.len() == WAITING_MAX
            && let Some((place, answer)) = waiting.next().await
        {
            answers[place] = answer;
            sitting = admission.sit();
        }
    }
    while let Some((place, answer)) = waiting.next().await {
        answers[place] = answer;
    }
    answers
}
