//! The verbs against a server that answers what the test tells it to.

mod admin;
mod answers;
mod arguments;
mod bills;
mod failures;
mod holds;
mod objects;
mod stub;

use clap::Parser as _;

use super::{Cli, Command, Exit, ask};
use crate::config::Environment;

/// Runs `imquota` with these arguments, parted by spaces: how it ends, and what it says to standard
/// output and to standard error.
fn run(arguments: &str) -> (Exit, String, String) {
    run_at(arguments, false)
}

/// As [`run`], with standard error at a terminal or not.
fn run_at(arguments: &str, is_terminal: bool) -> (Exit, String, String) {
    let words = std::iter::once("imquota").chain(arguments.split_whitespace());
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let environment = Environment::default();
    let exit = match cli.command {
        Command::Ask(what) => ask(&what, &environment, &mut out, &mut err, is_terminal),
        Command::Bill(args) => super::bill(*args, &environment, &mut out, &mut err, is_terminal),
        _ => panic!("{arguments} asks no server"),
    };
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (exit, text(out), text(err))
}
