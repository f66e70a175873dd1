//! Who may do what: roles that are bound to the names of certificates, to users of this machine, and to
//! tokens, as the settings' `auth` says.
//!
//! Names and users are looked up once a connection, tokens once a call. Tokens are kept as hashes alone,
//! here and in their files.

mod caller;
mod role;
mod tokens;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

pub use caller::Caller;
pub use role::{Role, Roles};
pub use tokens::TokensFault;

use crate::quota::AppId;
use crate::tls::Name;
use tokens::Hash;

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Who shows a certificate of that name.
    Named(Name),
    /// A user of this machine, over a Unix socket.
    User(u32),
    /// Who knows a token whose hash stands in that file.
    Token(PathBuf),
}

/// One line of `auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Who.
    pub who: Who,
    /// What they may do, and to what.
    pub grant: Arc<Grant>,
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Their name in the audit list.
    pub name: Box<str>,
    /// What.
    pub roles: Roles,
    /// To which apps, in order; `None`: to all.
    pub apps: Option<Box<[AppId]>>,
}

impl Grant {
    /// Whether they may act in `role` on an app; 0 names none, and is what another refuses.
    pub fn allows(&self, role: Role, app: u64) -> bool {
        self.roles.has(role)
            && self.apps.as_ref().is_none_or(|apps| {
                AppId::new(app).is_none_or(|app| apps.binary_search(&app).is_ok())
            })
    }

    /// Whether they may act in `role` on all apps.
    pub fn allows_all(&self, role: Role) -> bool {
        self.roles.has(role) && self.apps.is_none()
    }
}

/// All bindings, and the hashes of tokens as the files have them now. Its clones share them.
#[derive(Clone)]
pub struct Access(Arc<Shared>);

struct Shared {
    names: HashMap<Name, Arc<Caller>>,
    users: HashMap<u32, Arc<Caller>>,
    files: Vec<(PathBuf, Arc<Grant>)>,
    /// Never held for longer than a copy.
    tokens: RwLock<Tokens>,
}

type Tokens = Arc<[(Hash, Arc<Caller>)]>;

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    /// Lets in whom `bindings` name; reads the files of tokens.
    ///
    /// # Errors
    /// [`TokensFault`] names the file.
    pub fn open(bindings: &[Binding]) -> Result<Self, TokensFault> {
        let (mut names, mut users) = (HashMap::new(), HashMap::new());
        let mut files = Vec::new();
        for Binding { who, grant } in bindings {
            let grant = grant.clone();
            match who {
                Who::Named(name) => drop(names.insert(name.clone(), Caller::by(grant))),
                Who::User(uid) => drop(users.insert(*uid, Caller::by(grant))),
                Who::Token(path) => files.push((path.clone(), grant)),
            }
        }
        let tokens = tokens::read(&files)?.into_iter();
        let tokens = tokens.map(|(hash, grant)| (hash, Caller::by(grant)));
        let tokens = RwLock::new(tokens.collect());
        Ok(Self(Arc::new(Shared {
            names,
            users,
            files,
            tokens,
        })))
    }

    /// What whoever bears these names may do: the first of them that is known counts.
    pub fn of_names(&self, names: &[Name]) -> Option<Arc<Caller>> {
        names
            .iter()
            .find_map(|name| self.0.names.get(name))
            .cloned()
    }

    /// What a user of this machine may do.
    pub fn of_user(&self, uid: u32) -> Option<Arc<Caller>> {
        self.0.users.get(&uid).cloned()
    }

    /// What whoever sent `token` may do. How long that takes does not tell how much of it is right.
    pub fn of_token(&self, token: &[u8]) -> Option<Arc<Caller>> {
        let sent = Hash::of(token);
        let tokens = self.tokens();
        let mut found = None;
        for (hash, caller) in tokens.iter() {
            if hash.is(&sent) {
                found = Some(caller);
            }
        }
        found.cloned()
    }

    fn tokens(&self) -> Tokens {
        // What is in there is whole, even if somebody panicked beside it.
        let tokens = self.0.tokens.read();
        tokens.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again: whether they had changed, and count from now on. Whoever came by a token that stands there
    /// no longer is told so.
    fn refresh(&self) -> Result<bool, TokensFault> {
        let (old, new) = (self.tokens(), tokens::read(&self.0.files)?);
        let stays = |hash: &Hash, grant: &Arc<Grant>| {
            let mut old = old.iter();
            let known = old.find(|(known, caller)| known == hash && caller.is_by(grant));
            known.map(|(_, caller)| Arc::clone(caller))
        };
        let new: Tokens = new
            .into_iter()
            .map(|(hash, grant)| {
                (
                    hash,
                    stays(&hash, &grant).unwrap_or_else(|| Caller::by(grant)),
                )
            })
            .collect();
        let gone = old.iter().map(|(_, caller)| caller).filter(|caller| {
            let mut new = new.iter();
            !new.any(|(_, other)| Arc::ptr_eq(caller, other))
        });
        let gone: Vec<_> = gone.collect();
        if gone.is_empty() && new.len() == old.len() {
            return Ok(false);
        }
        let tokens = self.0.tokens.write();
        *tokens.unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        for caller in gone {
            caller.withdraw();
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
