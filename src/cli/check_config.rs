//! `check-config`: what a settings file means, or everything that is wrong with it.

use std::io::Write;
use std::path::Path;

use super::{Exit, say, summary};
use crate::config;

/// Says "ok" and what was understood to `out`, or the faults to `err`.
pub fn check_config(file: &Path, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    match config::check(file) {
        Ok(settings) => {
            say(out, &format!("ok\n{}", summary::of(&settings)));
            Exit::Done
        }
        Err(faults) => {
            say(err, &faults.to_string());
            Exit::Usage
        }
    }
}
