//! `check-config`: what a settings file means, or everything that is wrong with it; and what it would change of
//! a server that runs.

use std::io::Write;

use super::against::differences;
use super::args::{AdminCommon, CheckConfigArgs};
use super::client::{explain, on_a_runtime};
use super::{Exit, say, summary};
use crate::config::{self, Environment};

/// Says "ok" and what was understood to `out`, or the faults to `err`. Against a server it says what differs.
pub fn check_config(
    args: CheckConfigArgs,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let settings = match config::check(&args.file) {
        Ok(settings) => settings,
        Err(faults) => {
            say(err, &faults.to_string());
            return Exit::Usage;
        }
    };
    let Some(target) = args.against else {
        say(out, &format!("ok\n{}", summary::of(&settings)));
        return Exit::Done;
    };
    let common = AdminCommon {
        admin_endpoint: target,
        security: args.security,
        token_file: args.token_file,
        json: false,
        timeout: args.timeout,
    };
    match on_a_runtime(differences(&settings, &common, environment)) {
        Ok(Ok(told)) if told.is_empty() => {
            say(out, "ok\nnothing would change of limits, prices and apps");
            Exit::Done
        }
        Ok(Ok(told)) => {
            say(out, &format!("ok\n{}", told.join("\n")));
            Exit::Done
        }
        Ok(Err(no_answer)) => {
            say(
                err,
                &format!("imquota: {}", explain(common.manner(), &no_answer)),
            );
            Exit::Fault
        }
        Err(problem) => {
            say(err, &format!("imquota: cannot begin: {problem}"));
            Exit::Fault
        }
    }
}
