//! Reading a settings file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest settings file, in bytes: room for [`super::APPS_MAX`] apps with every key.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// The file's text, or why there is none, with the line (0: the whole file).
pub(super) fn read(path: &Path) -> Result<String, (u32, String)> {
    let cannot = |error| (0, format!("cannot be read: {error}"));
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too long from one that just fits.
    let mut bounded = file.take(FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err((0, format!("has more than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        (line, "holds bytes that are not text in UTF-8".into())
    })
}
