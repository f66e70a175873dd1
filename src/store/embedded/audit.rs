//! What operators did, in the file: at most [`AUDIT_MAX`] entries, numbered from 1 on.

use redb::{ReadableTable, WriteTransaction};

use super::file::{AUDIT, LedgerFile, whole};
use super::format;
use crate::quota::AppId;
use crate::store::{AUDIT_MAX, AuditEntry, IMPORT_MS, StoreFault};

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

/// Adds the entry of an import, or its objects to the newest entry if that is the same import. There is something to
/// write in any case.
pub(super) fn add_import(txn: &WriteTransaction, entry: &AuditEntry) -> Result<bool, redb::Error> {
    let mut table = txn.open_table(AUDIT)?;
    let mut newest = None;
    if let Some((number, bytes)) = table.last()? {
        let read = whole(format::read_audit(bytes.value()), "audit")?;
        newest = Some((number.value(), read));
    }
    if let Some((number, begun)) = newest.filter(|(_, newest)| is_one_import(newest, entry)) {
        let sum = AuditEntry {
            to: begun.to.zip(entry.to).map(|(a, b)| a.saturating_add(b)),
            ..begun
        };
        table.insert(number, format::write_audit(&sum).as_slice())?;
    } else {
        drop(table);
        add(txn, entry)?;
    }
    Ok(true)
}

fn is_one_import(begun: &AuditEntry, goes_on: &AuditEntry) -> bool {
    let alike = AuditEntry {
        at: begun.at,
        to: begun.to,
        ..goes_on.clone()
    };
    alike == *begun && goes_on.at.0.saturating_sub(begun.at.0) < IMPORT_MS
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
