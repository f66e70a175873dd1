//! `check-config`: what a settings file means, or everything that is wrong with it; and what it would change of
//! a server that runs.

use std::io::Write;

use super::against::differences;
use super::args::{AdminCommon, CheckConfigArgs};
use super::client::{explain, on_a_runtime};
use super::{Exit, say, summary};
use crate::config::{self, Environment, Settings, StoreSettings};
use crate::store::redis::{Probed, RedisOptions, probe};

/// Says "ok" and what was understood to `out`, or the faults to `err`. Against a server it says what differs.
pub fn check_config(
    args: CheckConfigArgs,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let settings = match config::check(&args.file, args.probe.then_some(environment)) {
        Ok(settings) => settings,
        Err(faults) => {
            say(err, &faults.to_string());
            return Exit::Usage;
        }
    };
    let Some(target) = args.against else {
        say(out, &format!("ok\n{}", summary::of(&settings)));
        if args.probe {
            return probed(&settings, out, err);
        }
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

/// Looks at the Redis that the settings name.
fn probed(settings: &Settings, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    match look(settings) {
        Ok(None) => {
            say(
                out,
                "\nprobe: the ledger is embedded; there is nothing to look at",
            );
            Exit::Done
        }
        Ok(Some(probed)) => report(&probed, out, err),
        Err(problem) => {
            say(err, &format!("probe: {problem}"));
            Exit::Fault
        }
    }
}

fn look(settings: &Settings) -> std::io::Result<Option<Probed>> {
    let StoreSettings::Redis(redis) = &settings.store else {
        return Ok(None);
    };
    let options = RedisOptions::of(redis, settings.zone.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(Some(runtime.block_on(probe(&options))))
}

fn report(probed: &Probed, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    say(out, "");
    for line in &probed.weak {
        say(out, &format!("probe: warning: {line}"));
    }
    if let Some(fault) = &probed.fault {
        say(err, &format!("probe: {fault}"));
        return Exit::Fault;
    }
    let ledger = if probed.has_ledger {
        "has a ledger"
    } else {
        "has no ledger yet"
    };
    say(
        out,
        &format!("probe: {} can be used, and {ledger}", probed.at),
    );
    Exit::Done
}
