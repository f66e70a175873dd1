//! What one creation moves: a resource's own counter and those that follow it.

use super::{Amount, Counter, Limit, Limits, Resource};

/// One counter's share of a charge. Every part of a charge moves by the charge's amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The counter that moves.
    pub counter: Counter,
    /// The limit it must stay within.
    pub limit: Limit,
}

impl Part {
    /// Whether it is a hard limit: the gain of a day guards the platform, and stops nothing that the ledger
    /// cannot be asked for.
    #[must_use]
    pub fn is_hard(&self) -> bool {
        self.limit != Limit::Unlimited && self.counter != Counter::GroupsGained
    }
}

/// A creation of `amount` objects as counters: all parts move, or none.
///
/// The resource's own counter stands first. A group also counts as gained today; an AV room also
/// counts as a group and as gained (rules S2, S3 of the domain page).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    amount: Amount,
    parts: [Part; 3],
    len: u8,
    edition: u64,
}

impl Charge {
    /// The charge for creating `amount` of `resource` under `limits`.
    #[must_use]
    pub fn new(resource: Resource, amount: Amount, limits: &Limits) -> Self {
        let own = Part {
            counter: resource.counter(),
            limit: limits.of(resource.counter()),
        };
        let mut parts = [own; 3];
        let mut len = 1;
        let mut follow = |counter: Counter| {
            parts[len] = Part {
                counter,
                limit: limits.of(counter),
            };
            len += 1;
        };
        match resource {
            Resource::Account => {}
            Resource::Group => follow(Counter::GroupsGained),
            Resource::AvRoom => {
                if limits.av_rooms_are_groups {
                    follow(Counter::Groups);
                    follow(Counter::GroupsGained);
                }
            }
        }
        // At most 3 by the match above.
        let len = u8::try_from(len).unwrap_or(3);
        Self {
            amount,
            parts,
            len,
            edition: 0,
        }
    }

    /// A charge read back from where it was written; `None` unless it has 1 to 3 parts.
    #[must_use]
    pub fn from_parts(amount: Amount, read: &[Part]) -> Option<Self> {
        let mut parts = [*read.first()?; 3];
        parts.get_mut(..read.len())?.copy_from_slice(read);
        Some(Self {
            amount,
            parts,
            len: u8::try_from(read.len()).ok()?,
            edition: 0,
        })
    }

    /// The same, with limits of this edition of the app's rules: see
    /// [`AppRules::edition`](super::AppRules::edition).
    #[must_use]
    pub fn of_edition(self, edition: u64) -> Self {
        Self { edition, ..self }
    }

    /// Of which edition of the app's rules the limits are; 0: of a settings file, or not known.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// How many objects are created: what each part moves by.
    #[must_use]
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// The parts, the resource's own counter first; 1 to 3.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts[..usize::from(self.len)]
    }

    /// Whether no part has a limit, so that the charge can be counted from memory alone.
    #[must_use]
    pub fn is_metered(&self) -> bool {
        self.parts()
            .iter()
            .all(|part| part.limit == Limit::Unlimited)
    }
}
