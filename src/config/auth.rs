//! Who may do what.

use std::sync::Arc;

use super::finding::Findings;
use super::scalar;
use super::tls::path;
use super::value::{Section, Value};
use super::words::{did_you_mean, shown};
use crate::access::{Binding, Grant, Role, Roles, Who};
use crate::quota::AppId;
use crate::tls::Name;

/// The most bindings.
const BINDINGS_MAX: usize = 1_000;
/// The most apps of one binding.
const APPS_MAX: usize = 10_000;
/// The longest name, in bytes: what the audit list has room for beside a sidecar's.
const NAME_BYTES_MAX: usize = 64;

const KEYS: [&str; 7] = [
    "spiffe",
    "dns",
    "uid",
    "token_file",
    "name",
    "roles",
    "apps",
];

/// The section; `None`: there is none.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> Option<Vec<Binding>> {
    let file = file?;
    let value = file.given("auth")?;
    let number = value.list(findings)?.count();
    if number == 0 || number > BINDINGS_MAX {
        let text =
            format!("must name 1 to {BINDINGS_MAX} of those who may; leave the key out for none");
        value.fault(findings, text);
        return None;
    }
    let mut bindings: Vec<Binding> = Vec::new();
    for value in value.list(findings)? {
        let Some(new) = binding(&value, findings) else {
            continue;
        };
        if bindings.iter().any(|before| before.who == new.who) {
            value.fault(
                findings,
                "is bound already: one line says all that somebody may",
            );
        }
        bindings.push(new);
    }
    Some(bindings)
}

fn binding(value: &Value<'_>, findings: &mut Findings) -> Option<Binding> {
    let section = value.section(findings, &KEYS)?;
    let given = section.given("name");
    let name = given.and_then(|value| value.read(findings, "a name", name));
    let who = who(value, &section, findings);
    let apps = section.given("apps");
    let apps = match apps {
        Some(value) => Some(apps_of(&value, findings)?),
        None => None,
    };
    let roles = roles(&section, findings)?;
    let who = who?;
    let known = match &who {
        Who::Named(name) => Some(name.to_string()),
        Who::User(uid) => Some(format!("uid {uid}")),
        Who::Token(_) => None,
    };
    let name = match (name, known) {
        (Some(name), None) => format!("token {name}"),
        (Some(name), Some(_)) | (None, Some(name)) => name,
        (None, None) => {
            value.fault(
                findings,
                "needs a name, for the audit list: a token has none of its own",
            );
            return None;
        }
    };
    let grant = Grant {
        name: name.into(),
        roles,
        apps,
    };
    Some(Binding {
        who,
        grant: Arc::new(grant),
    })
}

/// Who is meant: exactly one of four keys says it.
fn who(value: &Value<'_>, section: &Section<'_>, findings: &mut Findings) -> Option<Who> {
    let keys = ["spiffe", "dns", "uid", "token_file"];
    let mut given = keys
        .into_iter()
        .filter_map(|key| Some((key, section.given(key)?)));
    let (Some((key, said)), None) = (given.next(), given.next()) else {
        value.fault(
            findings,
            "must have exactly one of spiffe, dns, uid and token_file",
        );
        return None;
    };
    match key {
        "spiffe" => said
            .read(findings, "a SPIFFE id", Name::spiffe)
            .map(Who::Named),
        "dns" => said
            .read(findings, "a host's name", Name::dns)
            .map(Who::Named),
        "uid" => said.read_plain(findings, "a user's number", |text| {
            let uid = scalar::whole(text, 0, u64::from(u32::MAX))?;
            // It fits, by the line above.
            Ok(Who::User(u32::try_from(uid).unwrap_or(u32::MAX)))
        }),
        _ => said
            .read(findings, "the path of a file", path)
            .map(Who::Token),
    }
}

fn name(text: &str) -> scalar::Read<String> {
    let printable = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if (1..=NAME_BYTES_MAX).contains(&text.len()) && printable {
        return Ok(text.into());
    }
    Err(format!(
        "must be 1 to {NAME_BYTES_MAX} printable characters of ASCII, not {}",
        shown(text)
    ))
}

fn roles(section: &Section<'_>, findings: &mut Findings) -> Option<Roles> {
    let value = section.required(findings, "roles")?;
    let mut roles = Roles::default();
    for value in value.list(findings)? {
        let role = value.read(findings, "a role", |text| {
            let found = Role::ALL.iter().find(|(name, _)| *name == text);
            found.map(|(_, role)| *role).ok_or_else(|| {
                let names = Role::ALL.iter().map(|(name, _)| *name);
                format!(
                    "must be check, report, read, bill or admin, not {}{}",
                    shown(text),
                    did_you_mean(text, names)
                )
            })
        });
        role.map(|role| roles.add(role));
    }
    if roles == Roles::default() {
        value.fault(
            findings,
            "must name a role: check, report, read, bill or admin",
        );
    }
    Some(roles)
}

fn apps_of(value: &Value<'_>, findings: &mut Findings) -> Option<Box<[AppId]>> {
    let mut apps = Vec::new();
    for value in value.list(findings)? {
        let app = value.read_plain(findings, "an app's id", |text| {
            let id = scalar::whole(text, 1, u64::MAX)?;
            AppId::new(id).ok_or_else(|| "must be at least 1".to_owned())
        });
        apps.extend(app);
    }
    if apps.is_empty() || apps.len() > APPS_MAX {
        value.fault(
            findings,
            format!("must name 1 to {APPS_MAX} apps; leave the key out for all"),
        );
    }
    apps.sort_unstable();
    apps.dedup();
    Some(apps.into())
}
