//! What a terminal is told of the program itself: completions for shells, pages for man.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, say};

/// Writes completions for a shell.
pub fn completions(shell: Shell, out: &mut dyn Write) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "imquota", &mut text);
    // Whoever closed the other end wants no more of it.
    let _: io::Result<()> = out.write_all(&text).and_then(|()| out.flush());
    Exit::Done
}

/// Writes the manual: its first page, or into `folder` a page for each verb.
pub fn manual(folder: Option<&Path>, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let written = if let Some(folder) = folder {
        clap_mangen::generate_to(Cli::command(), folder)
    } else {
        let mut text = Vec::new();
        let page = clap_mangen::Man::new(Cli::command()).render(&mut text);
        page.map(|()| {
            let _: io::Result<()> = out.write_all(&text).and_then(|()| out.flush());
        })
    };
    match written {
        Ok(()) => Exit::Done,
        Err(problem) => {
            let at = folder.map_or(String::new(), |folder| folder.display().to_string());
            say(
                err,
                &format!("imquota: the manual cannot be written: {at}: {problem}"),
            );
            Exit::Fault
        }
    }
}
