//! What operators did, in the file: at most [`AUDIT_MAX`] entries, numbered from 1 on.

use redb::{ReadableTable, WriteTransaction};

use super::file::{AUDIT, LedgerFile, whole};
use super::format;
use crate::quota::AppId;
use crate::store::{AUDIT_MAX, AuditEntry, StoreFault};

/// Adds an entry, and forgets the oldest if there are too many. Answers its number, which no other
/// entry ever had.
pub(super) fn add(txn: &WriteTransaction, entry: &AuditEntry) -> Result<u64, redb::Error> {
    let mut table = txn.open_table(AUDIT)?;
    let number = table.last()?.map_or(1, |(number, _)| number.value() + 1);
    table.insert(number, format::write_audit(entry).as_slice())?;
    let oldest = number.saturating_sub(AUDIT_MAX as u64);
    table.retain_in(..=oldest, |_, _| false)?;
    Ok(number)
}

/// The newest entries first, of one app or of all; at most `most`.
pub(super) fn read(
    file: &LedgerFile,
    app: Option<AppId>,
    most: usize,
) -> Result<Vec<AuditEntry>, StoreFault> {
    file.read(|txn| {
        let mut found = Vec::new();
        for row in txn.open_table(AUDIT)?.iter()?.rev() {
            if found.len() >= most {
                break;
            }
            let entry = whole(format::read_audit(row?.1.value()), "audit")?;
            if app.is_none_or(|app| entry.app == Some(app)) {
                found.push(entry);
            }
        }
        Ok(found)
    })
}
