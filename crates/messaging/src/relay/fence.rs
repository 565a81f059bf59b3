//! The one fence between the immediate path and the polling path.
//!
//! Rows are taken in commit order, each once, from either path. The fence is a cursor: every row
//! up to it has been taken (or had been published before). A row that was just committed is
//! taken directly only while nothing between it and the cursor can have been missed; otherwise
//! the outbox is read from the cursor until it has no more, and the immediate path goes on from
//! there. What both paths show is taken from whichever comes first and skipped by the other.
//!
//! This needs two things. The outbox must show rows in an order in which no later commit fills a
//! gap, which the journal's port promises. And the immediate path must have been joined before
//! the read that closes the gap, and not be read from meanwhile, which the relay sees to: so a
//! row that the read is too early for is announced later.

use steadfast_journal::OutboxRow;

/// Which rows have been taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence {
    cursor: u64,
    behind: bool,
}

impl Fence {
    /// Nothing has been taken; what is unpublished must be read first.
    pub(super) fn new() -> Self {
        Self { cursor: 0, behind: true }
    }

    /// Every row up to here has been taken.
    pub(super) fn cursor(self) -> u64 {
        self.cursor
    }

    /// Whether the outbox must be read before the immediate path may be used.
    pub(super) fn behind(self) -> bool {
        self.behind
    }

    /// The immediate path has missed something.
    pub(super) fn missed(&mut self) {
        self.behind = true;
    }

    /// Whether a row is still to be taken; if so, it has been now. Rows of one path must be
    /// offered in order.
    pub(super) fn take(&mut self, row: &OutboxRow) -> bool {
        let fresh = row.seq > self.cursor;
        if fresh {
            self.cursor = row.seq;
        }
        fresh
    }

    /// A read from the cursor showed fewer rows than it might have: that was all.
    pub(super) fn caught_up(&mut self) {
        self.behind = false;
    }
}
