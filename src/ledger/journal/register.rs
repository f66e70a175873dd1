//! The registered apps that this member knows, durably: they outlive a ledger that forgets them, and a start without
//! the ledger goes by them.

use redb::{ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::Journal;
use super::checkpoint::Checkpoint;
use crate::quota::Registered;
use crate::store::{read_registered, write_registered};

/// By the app's id; under 0, which names no app, that the register was read whole once.
const REGISTER: TableDefinition<u64, &str> = TableDefinition::new("register");
const HEARD: u64 = 0;

/// Makes the table, so that reading never meets a missing one.
pub(super) fn prepare(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(REGISTER)?;
    Ok(())
}

impl Checkpoint {
    fn register(&self) -> Result<(Vec<Registered>, bool), redb::Error> {
        let table = self.db.begin_read()?.open_table(REGISTER)?;
        let (mut known, mut heard) = (Vec::new(), false);
        for row in table.iter()? {
            let (id, text) = row?;
            if id.value() == HEARD {
                heard = true;
            } else if let Some(registered) = read_registered(text.value()) {
                known.push(registered);
            }
            // A row of another version of this program is read from the ledger again.
        }
        Ok((known, heard))
    }

    fn keep_register(&self, rows: &[(u64, String)]) -> Result<(), redb::Error> {
        let write = self.begin_write()?;
        {
            let mut table = write.open_table(REGISTER)?;
            for (id, text) in rows {
                table.insert(id, text.as_str())?;
            }
        }
        write.commit()?;
        Ok(())
    }
}

impl Journal {
    /// The registered apps, and whether the register was ever read whole.
    ///
    /// # Errors
    /// What went wrong, in words for the log; so with all calls of this file.
    pub fn register(&self) -> Result<(Vec<Registered>, bool), String> {
        self.checkpoint
            .register()
            .map_err(|error| error.to_string())
    }

    /// Keeps registrations, durably.
    ///
    /// # Errors
    /// See [`Journal::register`].
    pub fn keep_register(&self, rows: &[Registered]) -> Result<(), String> {
        let rows = rows
            .iter()
            .map(|row| (row.app.get(), write_registered(row)));
        let rows: Vec<_> = rows.collect();
        self.checkpoint
            .keep_register(&rows)
            .map_err(|error| error.to_string())
    }

    /// Takes note that the register was read whole.
    ///
    /// # Errors
    /// See [`Journal::register`].
    pub fn heard_register(&self) -> Result<(), String> {
        let rows = [(HEARD, String::new())];
        self.checkpoint
            .keep_register(&rows)
            .map_err(|error| error.to_string())
    }
}
