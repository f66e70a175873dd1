//! Looks after the files: what a rotation puts there is used for the next handshake, and connections that
//! are open go on.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::ServerTls;

/// How often the files are read. They are small, and links that are swapped as a whole (which is how
/// volumes of secrets change) are not noticed by their own times.
const EVERY: Duration = Duration::from_secs(5);

impl ServerTls {
    /// Follows the files for ever.
    pub async fn follow(self) {
        let mut told = String::new();
        loop {
            sleep(EVERY).await;
            let tls = self.clone();
            // A panic in there is a fault of ours; what was in use stays so.
            let refreshed = match spawn_blocking(move || tls.refresh()).await {
                Ok(refreshed) => refreshed.map_err(|fault| fault.to_string()),
                Err(died) => Err(died.to_string()),
            };
            match refreshed {
                Ok(false) => {}
                Ok(true) => {
                    told.clear();
                    let cert = self.0.files.cert.display();
                    tracing::info!(%cert, not_after = self.not_after(), "new certificates are in use");
                }
                // Halfway through a rotation the key may not fit yet: the next look will tell.
                Err(problem) if problem == told => {}
                Err(problem) => {
                    tracing::error!(%problem, "new certificates cannot be used; the old ones stay");
                    told = problem;
                }
            }
        }
    }
}
