//! An app as an operator describes it: its plan by name, and what it has of its own.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use super::{AppId, AppRules, ExpiredHolds, Limit, Limits, Plan, PlanName};

/// The limits that an app has of its own; what is `None` is the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnLimits {
    /// Live accounts.
    pub accounts: Option<Limit>,
    /// Live groups.
    pub groups: Option<Limit>,
    /// Live AV rooms.
    pub av_rooms: Option<Limit>,
    /// Groups gained in one day.
    pub groups_gained_daily: Option<Limit>,
    /// Whether an AV room also counts as a group.
    pub av_rooms_are_groups: Option<bool>,
}

impl OwnLimits {
    /// The plan's limits, each replaced by the app's own.
    #[must_use]
    pub fn over(&self, plan: &Limits) -> Limits {
        Limits {
            accounts: self.accounts.unwrap_or(plan.accounts),
            groups: self.groups.unwrap_or(plan.groups),
            av_rooms: self.av_rooms.unwrap_or(plan.av_rooms),
            groups_gained_daily: self.groups_gained_daily.unwrap_or(plan.groups_gained_daily),
            av_rooms_are_groups: self.av_rooms_are_groups.unwrap_or(plan.av_rooms_are_groups),
        }
    }
}

/// What an operator says of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the settings, and none excludes another"
)]
pub struct AppSpec {
    /// The plan's name.
    pub plan: PlanName,
    /// The app's own limits.
    pub limits: OwnLimits,
    /// See [`AppRules::shadow`].
    pub shadow: bool,
    /// See [`AppRules::disabled`].
    pub disabled: bool,
    /// See [`AppRules::share_ids`].
    pub share_ids: bool,
    /// See [`AppRules::track_objects`].
    pub track_objects: bool,
    /// See [`AppRules::expired_holds`].
    pub expired_holds: ExpiredHolds,
    /// See [`AppRules::activated`].
    pub activated: Option<Date>,
}

impl AppSpec {
    /// An app of `plan`, and nothing of its own.
    #[must_use]
    pub fn of(plan: PlanName) -> Self {
        Self {
            plan,
            limits: OwnLimits::default(),
            shadow: false,
            disabled: false,
            share_ids: false,
            track_objects: true,
            expired_holds: ExpiredHolds::default(),
            activated: None,
        }
    }

    /// What would have to be said for these rules.
    #[must_use]
    pub fn of_rules(rules: &AppRules) -> Self {
        let plan = &rules.plan.limits;
        let own = |own: Limit, plan: Limit| (own != plan).then_some(own);
        let limits = &rules.limits;
        let rooms = limits.av_rooms_are_groups;
        Self {
            plan: rules.plan.name.clone(),
            limits: OwnLimits {
                accounts: own(limits.accounts, plan.accounts),
                groups: own(limits.groups, plan.groups),
                av_rooms: own(limits.av_rooms, plan.av_rooms),
                groups_gained_daily: own(limits.groups_gained_daily, plan.groups_gained_daily),
                av_rooms_are_groups: (rooms != plan.av_rooms_are_groups).then_some(rooms),
            },
            shadow: rules.shadow,
            disabled: rules.disabled,
            share_ids: rules.share_ids,
            track_objects: rules.track_objects,
            expired_holds: rules.expired_holds,
            activated: rules.activated,
        }
    }

    /// The rules that it makes of its plan.
    #[must_use]
    pub fn rules(&self, plan: &Arc<Plan>, edition: u64) -> AppRules {
        AppRules {
            plan: plan.clone(),
            limits: self.limits.over(&plan.limits),
            disabled: self.disabled,
            shadow: self.shadow,
            share_ids: self.share_ids,
            track_objects: self.track_objects,
            activated: self.activated,
            expired_holds: self.expired_holds,
            edition,
        }
    }

    /// Each thing that it says, by its name in the settings file, as text.
    #[must_use]
    pub fn words(&self) -> Vec<(&'static str, String)> {
        let limit = |limit: Option<Limit>| match limit {
            None => "the plan's".into(),
            Some(Limit::Unlimited) => "unlimited".into(),
            Some(Limit::AtMost(most)) => most.to_string(),
        };
        let own = &self.limits;
        let rooms = own.av_rooms_are_groups;
        vec![
            ("plan", self.plan.to_string()),
            ("limits.accounts", limit(own.accounts)),
            ("limits.groups", limit(own.groups)),
            ("limits.av_rooms", limit(own.av_rooms)),
            ("limits.groups_gained_daily", limit(own.groups_gained_daily)),
            (
                "limits.av_rooms_are_groups",
                rooms.map_or("the plan's".into(), |set| set.to_string()),
            ),
            ("shadow", self.shadow.to_string()),
            ("disabled", self.disabled.to_string()),
            ("share_ids", self.share_ids.to_string()),
            ("track_objects", self.track_objects.to_string()),
            ("expired_holds", self.expired_holds.to_string()),
            (
                "activated",
                self.activated.map_or("never".into(), |day| day.to_string()),
            ),
        ]
    }

    /// In what `self` and `other` differ: `limits.av_rooms 80 -> 90`, comma separated.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> String {
        let both = self.words().into_iter().zip(other.words());
        let differ = both.filter(|(old, new)| old.1 != new.1);
        let said = differ.map(|((name, old), (_, new))| format!("{name} {old} -> {new}"));
        said.collect::<Vec<_>>().join(", ")
    }
}

/// An app as the ledger has it registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The app.
    pub app: AppId,
    /// Grows with each change, over all apps and whatever the ledger forgets: of two registrations of one
    /// app the higher one is true.
    pub version: u64,
    /// Which of its lives it is in: 0 until it is registered anew after a deletion. Objects of another life are other
    /// objects, whatever their names.
    pub life: u64,
    /// What holds, or held last.
    pub spec: AppSpec,
    /// Whether it was deleted: it is unknown then, whatever holds for apps that nobody names.
    pub deleted: bool,
    /// Who said so last, as the audit list has it.
    pub by: Box<str>,
}

impl fmt::Display for ExpiredHolds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ask => "ask",
            Self::Free => "free",
            Self::Charge => "charge",
        })
    }
}
