//! What may be done, in five parts.

use std::fmt;

/// A part of what can be asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Creations, reservations and deletions.
    Check,
    /// Telling who logged in.
    Report,
    /// Reading counts.
    Read,
    /// Reading bills.
    Bill,
    /// What operators do.
    Admin,
}

impl Role {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("check", Self::Check),
        ("report", Self::Report),
        ("read", Self::Read),
        ("bill", Self::Bill),
        ("admin", Self::Admin),
    ];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, role)| role == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// Some roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// Adds one; whether it is new.
    pub fn add(&mut self, role: Role) -> bool {
        let before = self.0;
        self.0 |= bit(role);
        self.0 != before
    }

    /// Whether it is among them.
    pub fn has(self, role: Role) -> bool {
        self.0 & bit(role) != 0
    }
}

fn bit(role: Role) -> u8 {
    match role {
        Role::Check => 1,
        Role::Report => 2,
        Role::Read => 4,
        Role::Bill => 8,
        Role::Admin => 16,
    }
}
