//! Idempotency keys.
//!
//! A key is random, so each one lands on another page of whatever index holds it. To keep that
//! index small enough to stay in memory it has 64 bits of a hash instead of the key; the answer
//! itself goes to the end of a table, and a hit is compared with the full tenant and key there.
//! The hash is a cryptographic one: nobody can choose keys that crowd one place of the index.

use bytes::Bytes;
use rusqlite::Row;
use sha2::{Digest, Sha256};
use steadfast_time::Timestamp;

use super::fault::Result;
use super::rows::fixed;
use crate::{Claimed, StoredResponse, Version};

/// What stands for a tenant and a key in the index.
pub(super) fn digest(tenant: &str, key: &str) -> i64 {
    let mut hasher = Sha256::new();
    hasher.update((tenant.len() as u64).to_le_bytes());
    hasher.update(tenant);
    hasher.update(key);
    let hash: [u8; 32] = hasher.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Finds the rows with a digest, as [`is_for`] and [`read`] expect them.
pub(super) const FIND: &str = "SELECT id, tenant, key, fingerprint, expires_at, status, location, \
     version, body FROM claims WHERE digest = ?1";

/// Whether a row belongs to this key and not to another one with the same digest.
pub(super) fn is_for(row: &Row<'_>, tenant: &str, key: &str) -> Result<bool> {
    let same = |column, text: &str| -> Result<bool> {
        Ok(row.get_ref(column)?.as_str_or_null()? == Some(text))
    };
    Ok(same(1, tenant)? && same(2, key)?)
}

/// The number of a row, and what its key holds.
pub(super) fn read(row: &Row<'_>) -> Result<(i64, Claimed)> {
    let status: u16 = row.get(5)?;
    let version: Option<i64> = row.get(7)?;
    let claimed = Claimed {
        fingerprint: fixed(row, 3)?,
        expires_at: Timestamp::from_micros(row.get(4)?),
        response: StoredResponse {
            status,
            location: row.get(6)?,
            version: version.map(|version| Version(version.cast_unsigned())),
            body: Bytes::from(row.get::<_, Vec<u8>>(8)?),
        },
    };
    Ok((row.get(0)?, claimed))
}
