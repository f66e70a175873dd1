//! The verbs against a server that answers what the test tells it to.

mod admin;
mod answers;
mod arguments;
mod failures;
mod stub;

use clap::Parser as _;

use super::{Cli, Command, Exit, ask};
use crate::config::Environment;

/// Runs `imquota` with these arguments, parted by spaces: how it ends, and what it says to standard
/// output and to standard error.
fn run(arguments: &str) -> (Exit, String, String) {
    let words = std::iter::once("imquota").chain(arguments.split_whitespace());
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    let Command::Ask(what) = cli.command else {
        panic!("{arguments} asks no server");
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = ask(&what, &Environment::default(), &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (exit, text(out), text(err))
}
