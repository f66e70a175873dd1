//! Waiting for events, always with a bound and a name for what did not come.

use std::future::Future;
use std::time::{Duration, Instant};

/// Longer than anything here takes, also on a busy machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often a condition that cannot be awaited is looked at.
const POLL: Duration = Duration::from_millis(10);

/// What `done` gives, which must not take for ever.
pub async fn soon<T>(what: &str, done: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, done).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Asks again and again until the answer is `Ok`; panics with the last other answer after [`PATIENCE`].
pub async fn until<T, E: std::fmt::Debug>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(done) => return done,
            Err(not_yet) if began.elapsed() > PATIENCE => {
                panic!("{what}: not within {PATIENCE:?}; at last {not_yet:?}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
