//! The program's arguments, and the verbs that run to their end: checking settings, and asking a
//! running server.

mod admin;
mod against;
mod args;
mod bill;
mod check_config;
mod client;
mod estimate;
mod glance;
mod manual;
mod page;
mod secure;
mod summary;
mod support;
mod table;
mod target;
mod top;
mod verbs;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::process::ExitCode;

pub use args::{Ask, BillArgs, CheckConfigArgs, Cli, Command, Common, ServeArgs};
pub use check_config::check_config;
pub use client::ask;
pub use manual::{completions, manual};
pub use support::support;
pub use target::Target;
pub use top::top;

use args::BillVerb;
use estimate::estimate;

use crate::config::Environment;

/// Does what is wanted of bills.
pub fn bill(
    args: BillArgs,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
    err_is_terminal: bool,
) -> Exit {
    let what = match args.verb {
        Some(BillVerb::Estimate(args)) => return estimate(&args, out, err),
        Some(BillVerb::Run(args)) => Ask::RunBills(args),
        Some(BillVerb::Correct(args)) => Ask::CorrectDay(args),
        None => Ask::Bill(args.show),
    };
    ask(&what, environment, out, err, err_is_terminal)
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Allowed, or done.
    Done,
    /// Something failed: no server, an error from it, a server that could not serve.
    Fault,
    /// The arguments or the settings are wrong.
    Usage,
    /// The creation is refused.
    Denied,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Fault => 1,
            Exit::Usage => 2,
            Exit::Denied => 3,
        })
    }
}

/// Writes `text` and the end of its line. Whoever closed the other end wants no more of it, which is
/// no reason to fail.
pub fn say(to: &mut dyn Write, text: &str) {
    let _: io::Result<()> = writeln!(to, "{text}").and_then(|()| to.flush());
}
