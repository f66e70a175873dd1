//! The apps that operators register in the ledger, and how both stores write them down.

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::{AUDIT_TEXT_MAX, StoreFault};
use crate::quota::{AppId, AppSpec, ExpiredHolds, Limit, OwnLimits, PlanName, Registered};

/// The most registrations that are read or stated at a time.
pub const REGISTER_PAGE_MAX: usize = 500;

/// Stands between the words of a row. No word holds it: a reason and a name have no control characters.
const BETWEEN: char = '\u{1f}';

/// A change that an operator makes to the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The app.
    pub app: AppId,
    /// What holds from now on; `None`: it is deleted.
    pub spec: Option<AppSpec>,
    /// What the change was made from: the version that was seen, 0 where there was none; `None`: whatever is there.
    pub seen: Option<u64>,
    /// Who acts, at most [`AUDIT_TEXT_MAX`] bytes.
    pub who: Box<str>,
    /// Why, as long at most.
    pub why: Box<str>,
}

/// What became of a [`Registration`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// It is done.
    Done(Registered),
    /// Somebody changed the app meanwhile: this is there, if anything is.
    Changed(Option<Registered>),
    /// There is nothing to delete.
    Absent,
}

/// Some rows of the register, in the order in which the ledger came to know them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegisterPage {
    /// At most [`REGISTER_PAGE_MAX`].
    pub rows: Vec<Registered>,
    /// Where the next page begins.
    pub next: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// A row as it is stored: the registration, and its place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) registered: Registered,
    pub(super) order: u64,
}

impl Row {
    pub(super) fn write(&self) -> String {
        let Registered {
            app,
            version,
            life,
            spec,
            deleted,
            by,
        } = &self.registered;
        let words = [
            app.to_string(),
            version.to_string(),
            self.order.to_string(),
            u8::from(*deleted).to_string(),
            life.to_string(),
            by.to_string(),
            write_spec(spec),
        ];
        words.join(&BETWEEN.to_string())
    }

    /// # Errors
    /// [`StoreFault::Unusable`]: it is nothing that this version of the program writes.
    pub(super) fn read(text: &str) -> Result<Self, StoreFault> {
        read(text).ok_or_else(|| {
            StoreFault::Unusable(format!(
                "the register of apps holds {text:?}, which makes no sense"
            ))
        })
    }
}

fn read(text: &str) -> Option<Row> {
    let words: Vec<&str> = text.split(BETWEEN).collect();
    let &[app, version, order, deleted, life, by, spec] = words.as_slice() else {
        return None;
    };
    Some(Row {
        registered: Registered {
            app: AppId::new(app.parse().ok()?)?,
            version: version.parse().ok()?,
            life: life.parse().ok()?,
            spec: read_spec(spec)?,
            deleted: deleted == "1",
            by: by.into(),
        },
        order: order.parse().ok()?,
    })
}

/// A name or a reason as a row and an entry of the audit list hold it.
pub(super) fn word(text: &str) -> String {
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > AUDIT_TEXT_MAX {
            break;
        }
        word.push(if c.is_control() { ' ' } else { c });
    }
    word
}

/// What an app's registration says, as JSON: what is the plan's or the default is left out.
pub(super) fn write_spec(spec: &AppSpec) -> String {
    let mut said = Map::new();
    said.insert("plan".into(), json!(spec.plan.as_str()));
    let own = &spec.limits;
    for (key, limit) in [
        ("accounts", own.accounts),
        ("groups", own.groups),
        ("av_rooms", own.av_rooms),
        ("groups_gained_daily", own.groups_gained_daily),
    ] {
        match limit {
            None => {}
            Some(Limit::AtMost(most)) => drop(said.insert(key.into(), json!(most))),
            Some(Limit::Unlimited) => drop(said.insert(key.into(), json!("unlimited"))),
        }
    }
    if let Some(set) = own.av_rooms_are_groups {
        said.insert("av_rooms_are_groups".into(), json!(set));
    }
    for (key, set, default) in [
        ("shadow", spec.shadow, false),
        ("disabled", spec.disabled, false),
        ("share_ids", spec.share_ids, false),
        ("track_objects", spec.track_objects, true),
    ] {
        if set != default {
            said.insert(key.into(), json!(set));
        }
    }
    if spec.expired_holds != ExpiredHolds::default() {
        said.insert(
            "expired_holds".into(),
            json!(spec.expired_holds.to_string()),
        );
    }
    if let Some(day) = spec.activated {
        said.insert("activated".into(), json!(day.to_string()));
    }
    Value::Object(said).to_string()
}

fn read_spec(text: &str) -> Option<AppSpec> {
    let said: Map<String, Value> = serde_json::from_str(text).ok()?;
    let limit = |key: &str| match said.get(key) {
        None => Some(None),
        Some(Value::String(word)) if word == "unlimited" => Some(Some(Limit::Unlimited)),
        Some(most) => most
            .as_u64()
            .filter(|most| *most <= Limit::MAX)
            .map(|most| Some(Limit::AtMost(most))),
    };
    let set = |key: &str, default: bool| said.get(key).map_or(Some(default), Value::as_bool);
    let rooms = match said.get("av_rooms_are_groups") {
        None => None,
        Some(set) => Some(set.as_bool()?),
    };
    let expired_holds = match said.get("expired_holds").map(Value::as_str) {
        None => ExpiredHolds::default(),
        Some(Some("ask")) => ExpiredHolds::Ask,
        Some(Some("free")) => ExpiredHolds::Free,
        Some(Some("charge")) => ExpiredHolds::Charge,
        Some(_) => return None,
    };
    let activated = match said.get("activated") {
        None => None,
        Some(day) => Some(day.as_str()?.parse::<Date>().ok()?),
    };
    Some(AppSpec {
        plan: PlanName::parse(said.get("plan")?.as_str()?)?,
        limits: OwnLimits {
            accounts: limit("accounts")?,
            groups: limit("groups")?,
            av_rooms: limit("av_rooms")?,
            groups_gained_daily: limit("groups_gained_daily")?,
            av_rooms_are_groups: rooms,
        },
        shadow: set("shadow", false)?,
        disabled: set("disabled", false)?,
        share_ids: set("share_ids", false)?,
        track_objects: set("track_objects", true)?,
        expired_holds,
        activated,
    })
}

impl RegisterPage {
    /// `rows`, which begin after `since`; as many as were asked for, or fewer.
    pub(super) fn of(rows: Vec<Row>, since: u64, most: usize) -> Self {
        Self {
            next: rows.last().map_or(since, |row| row.order),
            more: rows.len() >= most,
            rows: rows.into_iter().map(|row| row.registered).collect(),
        }
    }
}

/// A registration as a journal keeps it.
pub fn write_registered(registered: &Registered) -> String {
    let registered = registered.clone();
    Row {
        registered,
        order: 0,
    }
    .write()
}

/// What [`write_registered`] wrote; `None`: it is nothing that it writes.
pub fn read_registered(text: &str) -> Option<Registered> {
    read(text).map(|row| row.registered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let plain = AppSpec::of(PlanName::parse("pro").unwrap());
        let full = AppSpec {
            limits: OwnLimits {
                accounts: Some(Limit::AtMost(Limit::MAX)),
                groups: Some(Limit::Unlimited),
                av_rooms: Some(Limit::AtMost(0)),
                groups_gained_daily: None,
                av_rooms_are_groups: Some(false),
            },
            shadow: true,
            disabled: true,
            share_ids: true,
            track_objects: false,
            expired_holds: ExpiredHolds::Charge,
            activated: Some(jiff::civil::date(2026, 11, 3)),
            ..plain.clone()
        };
        for (spec, deleted) in [(plain, false), (full, true)] {
            let registered = Registered {
                app: AppId::new(u64::MAX).unwrap(),
                version: 7,
                life: 3,
                spec,
                deleted,
                by: "uid 0 at pod-a".into(),
            };
            let row = Row {
                registered,
                order: 9,
            };
            assert_eq!(Row::read(&row.write()).unwrap(), row);
            assert_eq!(
                read_registered(&write_registered(&row.registered)),
                Some(row.registered)
            );
        }
        for wrong in [
            "",
            "1",
            "1\u{1f}2\u{1f}3\u{1f}0\u{1f}0\u{1f}x\u{1f}{\"plan\":\"pro\",\"shadow\":1}",
        ] {
            assert!(Row::read(wrong).is_err(), "{wrong:?}");
        }
    }
}
