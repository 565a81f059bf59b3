//! Registers: a key each, whose version is its mod revision.

use super::proto::{RangeResponse, path};
use super::{Etcd, txn};
use crate::port::{Error, Name, Register, check_value};

impl Etcd {
    pub(super) async fn load_register(&self, register: &Name) -> Result<Option<Register>, Error> {
        let request = txn::get(self.keys.register(register));
        let range: RangeResponse = self.pool.call(path::RANGE, request).await?;
        Ok(range.kvs.into_iter().next().map(|found| Register {
            version: u64::try_from(found.mod_revision).unwrap_or(0),
            value: found.value,
        }))
    }

    pub(super) async fn store_register(
        &self,
        register: &Name,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<u64, Error> {
        check_value("the value of a register", value)?;
        let key = self.keys.register(register);
        // No key was ever changed at revision -1: what is not a version fits nothing.
        let expected =
            expected.map(|version| i64::try_from(version).ok().filter(|v| *v > 0).unwrap_or(-1));
        let answer = self.transact(txn::store(key, expected, value.to_vec())).await?;
        let revision = answer.revision();
        if answer.succeeded {
            return u64::try_from(revision).map_err(|_| self.strange());
        }
        let found = answer.into_ranges().next().unwrap_or_default();
        let version = found.kvs.first().and_then(|found| u64::try_from(found.mod_revision).ok());
        Err(Error::Conflict { register: register.clone(), version })
    }
}
