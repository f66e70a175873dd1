//! The operator's calls to the shared ledger: not served yet, and said so.

use std::future::ready;

use super::redis::RedisStore;
use super::{
    AuditEntry, Freeze, MemberInfo, Operator, Recount, Recounted, Reply, Retired, StoreFault,
};
use crate::quota::{AppId, Resource};

fn not_yet<T: Send + 'static>() -> Reply<'static, T> {
    let words = "operators are not served on a shared ledger by this version";
    Box::pin(ready(Err(StoreFault::Unusable(words.into()))))
}

impl Operator for RedisStore {
    fn freeze(&self, _app: AppId, _resource: Resource) -> Reply<'_, Freeze> {
        not_yet()
    }

    fn awaited(&self, _app: AppId, _token: u64) -> Reply<'_, Vec<u64>> {
        not_yet()
    }

    fn unfreeze(&self, _app: AppId, _token: u64) -> Reply<'_, ()> {
        not_yet()
    }

    fn recount<'a>(&'a self, _recount: &'a Recount) -> Reply<'a, Recounted> {
        not_yet()
    }

    fn members(&self) -> Reply<'_, Vec<MemberInfo>> {
        not_yet()
    }

    fn retire<'a>(&'a self, _incarnation: u64, _who: &'a str, _why: &'a str) -> Reply<'a, Retired> {
        not_yet()
    }

    fn audit(&self, _app: Option<AppId>, _most: usize) -> Reply<'_, Vec<AuditEntry>> {
        not_yet()
    }
}
