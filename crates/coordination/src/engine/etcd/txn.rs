//! The requests, as values.

use super::keys::Range;
use super::proto::{
    Against, Compare, DeleteRequest, Op, PutRequest, RangeRequest, TxnRequest, order, sort_by,
    target,
};
use crate::limits::LIST_MAX;

/// Reads a key.
pub(super) fn get(key: Vec<u8>) -> RangeRequest {
    RangeRequest { key, ..RangeRequest::default() }
}

/// Asks only whether a key is there: the cheapest thing that needs a majority.
pub(super) fn count(key: Vec<u8>) -> RangeRequest {
    RangeRequest { count_only: true, ..get(key) }
}

fn range(Range { key, end }: Range) -> RangeRequest {
    RangeRequest { key, range_end: end, ..RangeRequest::default() }
}

/// The newest entries of a range, from the newest; at most `limit`.
fn newest(of: Range, limit: i64) -> RangeRequest {
    RangeRequest {
        limit,
        sort_order: order::DESCEND,
        sort_target: sort_by::CREATE,
        keys_only: true,
        ..range(of)
    }
}

/// The key of a range that was created at a revision.
pub(super) fn created_at(of: Range, revision: i64) -> RangeRequest {
    let bounds = (revision, revision);
    RangeRequest {
        limit: 1,
        keys_only: true,
        min_create_revision: bounds.0,
        max_create_revision: bounds.1,
        ..range(of)
    }
}

/// A page of keys.
pub(super) fn page(of: Range, limit: i64) -> RangeRequest {
    RangeRequest {
        limit,
        sort_order: order::ASCEND,
        sort_target: sort_by::KEY,
        keys_only: true,
        ..range(of)
    }
}

/// That nothing in a range was ever created, or is gone.
fn empty(Range { key, end }: Range) -> Compare {
    let against = Some(Against::CreateRevision(0));
    Compare { target: target::CREATE, key, against, range_end: end }
}

/// Creates an entry and tells who blocks it, unless it is there already, or somebody blocks it and
/// it is not to wait. Then tells the entry, and who blocks.
pub(super) fn enter(put: PutRequest, blocking: Range, wait: bool) -> TxnRequest {
    let key = put.key.clone();
    let mut compare = vec![empty(Range::one(key.clone()))];
    let mut success = vec![Op::Put(put).into()];
    if wait {
        // The entry itself may be among them.
        success.push(Op::Range(newest(blocking.clone(), 2)).into());
    } else {
        compare.push(empty(blocking.clone()));
    }
    let own = RangeRequest { keys_only: true, ..get(key) };
    let failure = vec![Op::Range(own).into(), Op::Range(newest(blocking, 1)).into()];
    TxnRequest { compare, success, failure }
}

/// Reads an entry, and who blocks it.
pub(super) fn place(key: Vec<u8>, blocking: Range, create: i64, limit: i64) -> TxnRequest {
    let own = RangeRequest { keys_only: true, ..get(key) };
    let ahead = RangeRequest { max_create_revision: create - 1, ..newest(blocking, limit) };
    let success = vec![Op::Range(own).into(), Op::Range(ahead).into()];
    TxnRequest { success, ..TxnRequest::default() }
}

/// Does something to a key if it is still the one that was created at a revision.
pub(super) fn if_created_at(key: Vec<u8>, create: i64, what: impl Into<Op>) -> TxnRequest {
    let against = Some(Against::CreateRevision(create));
    let compare = vec![Compare { target: target::CREATE, key, against, range_end: Vec::new() }];
    TxnRequest { compare, success: vec![what.into().into()], failure: Vec::new() }
}

impl From<PutRequest> for Op {
    fn from(put: PutRequest) -> Self {
        Self::Put(put)
    }
}

impl From<DeleteRequest> for Op {
    fn from(delete: DeleteRequest) -> Self {
        Self::Delete(delete)
    }
}

/// The entries of a queue from the oldest, and which was changed last.
pub(super) fn list(of: Range) -> TxnRequest {
    let all = RangeRequest {
        limit: i64::try_from(LIST_MAX).unwrap_or(i64::MAX),
        sort_order: order::ASCEND,
        sort_target: sort_by::CREATE,
        ..range(of.clone())
    };
    let last = RangeRequest { sort_target: sort_by::MOD, ..newest(of, 1) };
    let success = vec![Op::Range(all).into(), Op::Range(last).into()];
    TxnRequest { success, ..TxnRequest::default() }
}

/// Writes a key that was last changed at a revision, or is not there; else reads it.
pub(super) fn store(key: Vec<u8>, expected: Option<i64>, value: Vec<u8>) -> TxnRequest {
    let compare = match expected {
        None => empty(Range::one(key.clone())),
        Some(revision) => Compare {
            target: target::MOD,
            key: key.clone(),
            against: Some(Against::ModRevision(revision)),
            range_end: Vec::new(),
        },
    };
    let put = PutRequest { key: key.clone(), value, ..PutRequest::default() };
    let read = RangeRequest { keys_only: true, ..get(key) };
    TxnRequest {
        compare: vec![compare],
        success: vec![Op::Put(put).into()],
        failure: vec![Op::Range(read).into()],
    }
}
