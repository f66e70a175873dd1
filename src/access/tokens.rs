//! Hashes of tokens, and the files that hold them: `sha256:` and 64 hexadecimal digits a line. Two lines
//! let the old token and the new one in while clients change over.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::ConstantTimeEq as _;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{Access, Grant};

/// What a line begins with.
const PREFIX: &str = "sha256:";
/// The most bytes of a file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The most tokens of one file: each is compared at every call.
const TOKENS_MAX: usize = 16;
/// How often the files are read. They are small, and links that are swapped as a whole are not noticed
/// by their own times.
const EVERY: Duration = Duration::from_secs(5);

/// Why there are no hashes.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct TokensFault {
    path: PathBuf,
    problem: String,
}

/// What is kept of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash([u8; SHA256_OUTPUT_LEN]);

impl Hash {
    /// The hash of a token as it is sent.
    pub fn of(token: &[u8]) -> Self {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(hash)
    }

    /// Whether it is the same, in the same time whether it is or not.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    fn parse(line: &str) -> Option<Self> {
        let digits = line.strip_prefix(PREFIX)?.as_bytes();
        if digits.len() != 2 * SHA256_OUTPUT_LEN {
            return None;
        }
        let mut hash = [0; SHA256_OUTPUT_LEN];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            let is_hex = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(pair, 16).ok().filter(|_| is_hex)?;
        }
        Some(Self(hash))
    }
}

/// All hashes of `files`.
pub(super) fn read(
    files: &[(PathBuf, Arc<Grant>)],
) -> Result<Vec<(Hash, Arc<Grant>)>, TokensFault> {
    let mut tokens = Vec::new();
    for (path, grant) in files {
        let hashes = hashes(path).map_err(|problem| TokensFault {
            path: path.clone(),
            problem,
        })?;
        tokens.extend(hashes.into_iter().map(|hash| (hash, grant.clone())));
    }
    Ok(tokens)
}

fn hashes(path: &Path) -> Result<Vec<Hash>, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|problem| format!("cannot be read: {problem}"))?;
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let hashes: Result<Vec<_>, _> = lines
        .map(|(at, line)| {
            // The line may be a token by mistake, and is not repeated.
            Hash::parse(line).ok_or_else(|| {
                let line = at + 1;
                format!(
                    "line {line} is no hash of a token: write {PREFIX} and 64 hexadecimal digits"
                )
            })
        })
        .collect();
    match hashes? {
        hashes if hashes.len() > TOKENS_MAX => {
            Err(format!("has more than {TOKENS_MAX} hashes of tokens"))
        }
        // A file without any lets nobody in, which is how tokens are withdrawn.
        hashes => Ok(hashes),
    }
}

impl Access {
    /// Follows the files of tokens for ever.
    pub async fn follow(self) {
        let mut told = String::new();
        loop {
            sleep(EVERY).await;
            let access = self.clone();
            // A panic in there is a fault of ours; what counted goes on counting.
            let refreshed = match spawn_blocking(move || access.refresh()).await {
                Ok(refreshed) => refreshed.map_err(|fault| fault.to_string()),
                Err(died) => Err(died.to_string()),
            };
            match refreshed {
                Ok(changed) => {
                    if changed {
                        tracing::info!("new tokens count");
                    }
                    told.clear();
                }
                Err(problem) if problem == told => {}
                Err(problem) => {
                    tracing::error!(%problem, "tokens cannot be read; those known go on counting");
                    told = problem;
                }
            }
        }
    }
}
