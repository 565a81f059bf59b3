//! The last hop of a request: its write.

use steadfast_journal::{self as journal, Committed, Write};
use steadfast_resilience::Error as Guarded;

use super::Core;
use crate::policies;

impl Core {
    /// Commits a write on somebody's request, behind the journal's policy: not begun when the
    /// deadline has passed, and not waited for past its limit. It is made once; whether one that
    /// was given up took effect is found out by repeating the request.
    pub(crate) async fn commit(&self, write: Write) -> Result<Committed, Guarded<journal::Error>> {
        let commit = || self.journal.commit(write);
        match &self.options.journal {
            Some(policy) => policy.request().classify(policies::class).once(|_| commit()).await,
            None => commit().await.map_err(Guarded::Call),
        }
    }
}
