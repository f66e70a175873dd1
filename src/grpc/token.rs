//! The token that lets an operator's call in over TCP, and the file that holds it.

use std::fmt::{self, Write as _};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::chance;

/// The file's name in the data folder.
pub const TOKEN_FILE: &str = "admin.token";
/// Bytes of a token that is made here, before they are written as hexadecimal digits.
const DRAWN_BYTES: usize = 32;
/// The shortest and the longest token that is taken from a file, in bytes.
const LENGTH: (usize, usize) = (32, 256);

/// A secret word. Whoever knows it may do what operators do.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct TokenFault {
    path: PathBuf,
    problem: String,
}

impl Token {
    /// The token of a data folder, made at the first time: a file that only its owner can read. The
    /// folder must be locked by this process.
    ///
    /// # Errors
    /// [`TokenFault`]: it can be read by others, is no token, or the system refuses it.
    pub fn of_folder(folder: &Path) -> Result<Self, TokenFault> {
        let path = folder.join(TOKEN_FILE);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.mode() & 0o077 != 0 => Err(TokenFault {
                problem: "can be read by other users; remove it, and the next start makes a new \
                          one, or set its mode to 600"
                    .into(),
                path,
            }),
            Ok(_) => Self::read(&path),
            Err(problem) if problem.kind() == ErrorKind::NotFound => {
                Self::make(&path).map_err(|problem| TokenFault {
                    problem: format!("cannot be made: {problem}"),
                    path,
                })
            }
            Err(problem) => Err(TokenFault {
                problem: format!("cannot be read: {problem}"),
                path,
            }),
        }
    }

    /// The token in a file.
    ///
    /// # Errors
    /// [`TokenFault`]: it cannot be read, or holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenFault> {
        let fault = |problem: String| TokenFault {
            path: path.into(),
            problem,
        };
        let text = fs::read_to_string(path)
            .map_err(|problem| fault(format!("cannot be read: {problem}")))?;
        let text = text.trim_end();
        let (min, max) = LENGTH;
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !printable || !(min..=max).contains(&text.len()) {
            return Err(fault(format!(
                "holds no token: that is {min} to {max} letters, digits or signs on one line"
            )));
        }
        Ok(Self(text.into()))
    }

    fn make(path: &Path) -> io::Result<Self> {
        let mut text = String::with_capacity(2 * DRAWN_BYTES);
        for byte in chance::draw::<[u8; DRAWN_BYTES]>() {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        // Under another name first: a process that is killed here leaves no half of a token.
        let new = path.with_extension("token.new");
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        Ok(Self(text.into()))
    }

    /// The text, to send.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is the token. How long that takes does not tell how much of it is right.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let pairs = own.iter().zip(text);
        let differ = pairs.fold(0, |differ, (a, b)| differ | (a ^ b));
        own.len() == text.len() && differ == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_gets_one_token_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::of_folder(folder.path()).unwrap();
        assert_eq!(token.as_str().len(), 64);
        assert!(token.is(token.as_str().as_bytes()));
        assert!(!token.is(b"") && !token.is(&token.as_str().as_bytes()[1..]));
        assert!(!token.is(&[b'x'; 64]));
        assert_eq!(Token::of_folder(folder.path()).unwrap(), token);
        let path = folder.path().join(TOKEN_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(format!("{token:?}"), "Token(…)");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let fault = Token::of_folder(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("can be read by other users"), "{fault}");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        for text in ["", "\n", "short", &"x".repeat(257), &"a b".repeat(20)] {
            fs::write(&path, text).unwrap();
            let fault = Token::read(&path).unwrap_err().to_string();
            assert!(fault.contains("holds no token"), "{text:?}: {fault}");
        }
        fs::write(&path, "y".repeat(32) + "\n").unwrap();
        assert_eq!(Token::read(&path).unwrap().as_str(), "y".repeat(32));
        let fault = Token::read(&folder.path().join("none")).unwrap_err();
        assert!(fault.to_string().contains("cannot be read"), "{fault}");
    }
}
