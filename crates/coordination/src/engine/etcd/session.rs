//! Sessions: leases, and which renewals count.

use std::time::Duration;

use super::failure::Failure;
use super::proto::{
    Header, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseRevokeRequest, LeaseRevokeResponse, RangeResponse, path,
};
use super::{Etcd, txn};
use crate::limits::{LENGTH_MAX, LENGTH_MIN};
use crate::port::{Error, Opened, SessionId};

impl Etcd {
    pub(super) async fn open_session(&self, length: Duration) -> Result<Opened, Error> {
        if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
            return Err(Error::Length { asked: length, min: LENGTH_MIN, max: LENGTH_MAX });
        }
        let seconds = length.as_secs() + u64::from(length.subsec_nanos() > 0);
        let ttl = i64::try_from(seconds).unwrap_or(i64::MAX);
        let granted: LeaseGrantResponse =
            self.pool.call(path::LEASE_GRANT, LeaseGrantRequest { ttl }).await?;
        match (u64::try_from(granted.id), u64::try_from(granted.ttl)) {
            (Ok(id @ 1..), Ok(ttl)) if ttl >= seconds => {
                Ok(Opened { session: SessionId(id), length: Duration::from_secs(ttl) })
            }
            _ => Err(self.strange()),
        }
    }

    pub(super) async fn renew_session(&self, session: SessionId) -> Result<(), Error> {
        let over = || Error::SessionOver { session };
        let id = i64::try_from(session.0).map_err(|_| over())?;
        let link = self.pool.link().await?;
        let kept: Result<LeaseKeepAliveResponse, Failure> =
            self.pool.call_on(&link, path::LEASE_KEEP_ALIVE, LeaseKeepAliveRequest { id }).await;
        let before = match kept {
            Ok(kept) if kept.ttl > 0 => term(kept.header.as_ref()),
            Ok(_) | Err(Failure::LeaseGone) => return Err(over()),
            Err(failure) => return Err(self.pool.error(failure)),
        };
        let probe = txn::count(self.keys.queues_after(None).key);
        let confirmed: Result<RangeResponse, Failure> =
            self.pool.call_on(&link, path::RANGE, probe).await;
        let confirmed = confirmed.map_err(|failure| self.pool.error(failure))?;
        if led(before, term(confirmed.header.as_ref())) {
            return Ok(());
        }
        Err(self.pool.unavailable("its leader changed during the renewal"))
    }

    pub(super) async fn close_session(&self, session: SessionId) -> Result<(), Error> {
        let Ok(id) = i64::try_from(session.0) else { return Ok(()) };
        let link = self.pool.link().await?;
        let ended: Result<LeaseRevokeResponse, Failure> =
            self.pool.call_on(&link, path::LEASE_REVOKE, LeaseRevokeRequest { id }).await;
        match ended {
            Ok(_) | Err(Failure::LeaseGone) => Ok(()),
            Err(failure) => Err(self.pool.error(failure)),
        }
    }
}

/// The term of a member, as its answer says.
fn term(header: Option<&Header>) -> u64 {
    header.map_or(0, |header| header.raft_term)
}

/// Whether a renewal was done by the leader that counts, by the terms that the member had applied
/// before the renewal and after the linearizable read that followed it.
///
/// Leases are renewed by whoever takes itself for the leader, without asking a majority. If the
/// terms are equal, that leader had been elected before the renewal, since an entry of its term had
/// been applied, and had a majority after it, since a read was answered in that term: it led in
/// between. If they are not, an old leader may have answered that had just been frozen or cut off,
/// and the new one knows nothing of the renewal.
fn led(before: u64, after: u64) -> bool {
    before == after && before != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_counts_within_one_term_only() {
        assert!(led(7, 7));
        assert!(!led(7, 8), "another leader, who has not heard of it");
        assert!(!led(0, 0), "a server that does not say");
    }
}
