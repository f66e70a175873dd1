//! `support`: what somebody needs to see who is asked for help, without secrets.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::args::SupportArgs;
use super::{Exit, page, say, summary};
use crate::config;

/// The most bytes of a log's end.
const LOG_BYTES_MAX: u64 = 256 * 1024;

/// Writes the bundle. What cannot be had is said in its place; it ends with a fault only if it cannot be written.
pub fn support(args: &SupportArgs, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let bundle = bundle(args);
    let Some(path) = &args.out else {
        say(out, &bundle);
        return Exit::Done;
    };
    match std::fs::write(path, bundle + "\n") {
        Ok(()) => {
            say(
                out,
                &format!("written to {}; read it before you send it", path.display()),
            );
            Exit::Done
        }
        Err(problem) => {
            say(err, &format!("imquota: {}: {problem}", path.display()));
            Exit::Fault
        }
    }
}

fn bundle(args: &SupportArgs) -> String {
    let system = rustix::system::uname();
    let about = format!(
        "imquota {}\n{} {} {}",
        env!("CARGO_PKG_VERSION"),
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
    );
    let settings = match &args.config {
        Some(file) => match config::check(file, None) {
            // Addresses are shown without passwords.
            Ok(settings) => summary::of(&settings),
            Err(faults) => faults.to_string(),
        },
        None => "none were named: --config FILE".to_owned(),
    };
    let told = |path| page::read(&args.pages.endpoint, path).unwrap_or_else(|problem| problem);
    let log = match &args.log {
        Some(file) => end_of(file).unwrap_or_else(|why| format!("{}: {why}", file.display())),
        None => "none was named: --log FILE".to_owned(),
    };
    let parts = [
        ("program", about),
        ("settings", settings),
        ("readiness", told("/readyz?verbose")),
        ("status", told("/status")),
        ("metrics", told("/metrics")),
        ("log", log),
    ];
    let part = |(name, text): (&str, String)| format!("==== {name}\n{}", text.trim_end());
    parts.map(part).join("\n\n")
}

/// The last lines of a file, as many as fit.
fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // A line of which only the end fits says nothing.
    let cut = length > LOG_BYTES_MAX;
    let from = cut
        .then(|| text.find('\n'))
        .flatten()
        .map_or(0, |at| at + 1);
    Ok(text[from..].to_owned())
}
