//! What a sidecar that is never ended takes of its machine: no more at the end of a run than early in it.

use std::time::Duration;

use crate::http;
use crate::sidecar::Sidecar;

/// Until it is looked at for the first time, of a long run; of a short one it is a quarter. Longer than ids are remembered.
const EARLY_MAX: Duration = Duration::from_mins(15);
/// What may be more in the end: ids that are remembered, apps that are known by then. In KiB.
const MORE_KIB_MAX: u64 = 48 * 1024;
/// As many descriptors: connections to a ledger that was away are made anew, some at the same time.
const MORE_FILES_MAX: u64 = 16;

/// What a process has.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    kib: u64,
    files: u64,
}

impl Taken {
    async fn by(sidecar: &Sidecar) -> Self {
        let page = http::get(&sidecar.pages(), "/metrics").await;
        let files = page.series("process_open_fds").expect("it is told");
        Self {
            kib: sidecar.process().resident_kib(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a small whole number"
            )]
            files: files as u64,
        }
    }

    /// What `sidecar` has early in a run of that length.
    pub async fn early(sidecar: &Sidecar, time: Duration) -> Self {
        tokio::time::sleep((time / 4).min(EARLY_MAX)).await;
        Self::by(sidecar).await
    }

    /// When the load is over, it has little more.
    pub async fn is_nearly_all(self, sidecar: &Sidecar) {
        let now = Self::by(sidecar).await;
        println!("a sidecar that was never ended had {self:?}, and has {now:?} in the end");
        assert!(
            now.kib <= self.kib + self.kib / 4 + MORE_KIB_MAX,
            "its memory grows"
        );
        assert!(
            now.files <= self.files + MORE_FILES_MAX,
            "its descriptors grow in number"
        );
    }
}
