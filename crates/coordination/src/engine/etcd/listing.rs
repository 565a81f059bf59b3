//! What others see: the entries of a queue, and the queues that have any.

use super::proto::RangeResponse;
use super::proto::path;
use super::table::Wanted;
use super::{Etcd, txn};
use crate::limits::LIST_MAX;
use crate::port::{Entry, Error, Listing, Name, SessionId};

/// Keys of one page when the queues are listed.
const PAGE: i64 = 512;

impl Etcd {
    pub(super) async fn list_queue(
        &self,
        queue: &Name,
        since: Option<u64>,
    ) -> Result<Listing, Error> {
        let range = self.keys.queue(queue);
        loop {
            let answer = self.transact(txn::list(range.clone())).await?;
            let revision = answer.revision();
            let mut ranges = answer.into_ranges();
            let all = ranges.next().unwrap_or_default();
            let newest = ranges.next().unwrap_or_default();
            let changed = newest.kvs.first().map_or(0, |entry| entry.mod_revision);
            let version = version(changed, all.count);
            if since != Some(version) {
                let mut entries = Vec::with_capacity(all.kvs.len());
                for entry in all.kvs {
                    // Keys that another program has put there are none of ours.
                    let Some(mode) = self.keys.mode(queue, &entry.key) else { continue };
                    let token = self.token(entry.create_revision)?;
                    let session = SessionId(u64::try_from(entry.lease).unwrap_or(0));
                    entries.push(Entry { token, session, mode, value: entry.value });
                }
                return Ok(Listing { version, entries });
            }
            let wanted = Wanted { range: range.clone(), from: revision + 1, filters: Vec::new() };
            self.watches.wait(wanted).await?;
        }
    }

    pub(super) async fn list_queues(&self, after: Option<&Name>) -> Result<Vec<Name>, Error> {
        let mut names: Vec<Name> = Vec::new();
        let mut range = self.keys.queues_after(after);
        while names.len() < LIST_MAX {
            let request = txn::page(range.clone(), PAGE);
            let page: RangeResponse = self.pool.call(path::RANGE, request).await?;
            for entry in &page.kvs {
                if let Some(name) = self.keys.queue_of(&entry.key)
                    && names.last() != Some(&name)
                    && names.len() < LIST_MAX
                {
                    names.push(name);
                }
            }
            let Some(last) = page.kvs.into_iter().next_back().filter(|_| page.more) else { break };
            range.key = match self.keys.queue_of(&last.key) {
                // The rest of that queue is passed over.
                Some(name) => self.keys.queue(&name).end,
                None => [last.key, vec![0]].concat(),
            };
        }
        Ok(names)
    }
}

/// A version of a queue: the revision of the last change to what is there, and how much is there.
/// Between two equal ones nothing was added or changed, for that takes a higher revision; so
/// nothing was removed either, for then there would be less.
fn version(changed: i64, count: i64) -> u64 {
    /// 2^44 revisions are 50 years of ten thousand a second; 2^20 entries no queue has.
    const COUNT_BITS: u32 = 20;
    let number = |it: i64| u64::try_from(it).unwrap_or(0);
    number(changed) << COUNT_BITS | number(count) & ((1 << COUNT_BITS) - 1)
}
