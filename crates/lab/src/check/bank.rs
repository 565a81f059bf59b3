//! Money is neither made nor lost.
//!
//! Whatever is transferred, all accounts together hold the same at any time. A read that sees one
//! side of a transfer and not the other (read skew), or a transfer that was worked out on an old
//! balance (lost update, write skew), shows as another total, or as an account below zero.
//!
//! # Limits
//! What the total should be is not in the history: it is that of the first read that was answered.

use std::collections::BTreeMap;

use serde_json::Value;

use super::operation::{History, Op, moment};
use super::{Found, Piece};

/// What was read, as far as it matters. A read is judged when it is answered, and then forgotten.
#[derive(Debug, Default)]
pub(super) struct Bank {
    /// For each key: the first read, and the first that does not fit.
    reads: BTreeMap<u32, Reads>,
}

#[derive(Debug)]
struct Reads {
    first: Seen,
    odd: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    op: Op,
    value: Value,
    total: i128,
    below: Option<String>,
}

/// A balance, wide enough that no sum of them overflows.
fn amount(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from))
}

impl Bank {
    pub(super) fn is_transfer(value: &Value) -> bool {
        let is_account = |name| value.get(name).is_some_and(|it: &Value| !it.is_null());
        is_account("from") && is_account("to") && value.get("amount").is_some_and(Value::is_u64)
    }

    pub(super) fn is_question(value: &Value) -> bool {
        value.is_null() || value == OVERDRAFT
    }

    pub(super) fn is_answer(value: &Value) -> bool {
        let Value::Object(accounts) = value else { return false };
        accounts.values().all(|balance| amount(balance).is_some())
    }

    pub(super) fn read(&mut self, op: &Op, value: &Value) {
        let Value::Object(accounts) = value else { return };
        let mut total: i128 = 0;
        let mut below = None;
        for (account, balance) in accounts {
            let balance = amount(balance).unwrap_or(0);
            total = total.saturating_add(balance);
            // A read whose question is null: balances may not be negative.
            if balance < 0 && op.asked[0] == super::operation::NIL && below.is_none() {
                below = Some(format!("account {account:?} holds {balance}"));
            }
        }
        let seen = || Seen { op: *op, value: value.clone(), total, below: below.clone() };
        let reads = self.reads.entry(op.key).or_insert_with(|| Reads { first: seen(), odd: None });
        if reads.odd.is_none() && (below.is_some() || total != reads.first.total) {
            reads.odd = Some(seen());
        }
    }

    pub(super) fn check(&self, history: &History) -> Found {
        for Reads { first, odd } in self.reads.values() {
            let Some(odd) = odd else { continue };
            let who = history.process(&odd.op);
            let (at, key) = (moment(odd.op.to), history.of_key(&odd.op));
            let (what, shown) = match &odd.below {
                Some(below) => (format!("process {who} read at {at} that {below}{key}"), vec![odd]),
                None => (
                    format!(
                        "process {who} read a total of {} at {at}{key}, after process {} had read \
                         {} at {}: money was {}",
                        odd.total,
                        history.process(&first.op),
                        first.total,
                        moment(first.op.to),
                        if odd.total > first.total { "made" } else { "lost" },
                    ),
                    vec![first, odd],
                ),
            };
            let ops: Vec<Op> = shown.iter().map(|seen| seen.op).collect();
            let mut events = history.events(&ops);
            // Two answers may have one time, but never one place.
            let mut places: Vec<u32> =
                ops.iter().flat_map(|op| [op.invoked, op.completed]).collect();
            places.sort_unstable();
            for (place, event) in places.iter().zip(&mut events) {
                if let Some(seen) = shown.iter().find(|seen| seen.op.completed == *place) {
                    event.value = seen.value.clone();
                }
            }
            return Found::Violated(Piece { what, events });
        }
        match history.ops.iter().find(|op| !self.reads.contains_key(&op.key)) {
            Some(op) => Found::Unknown(format!(
                "no read{} was answered, so no balance was ever seen",
                history.of_key(op)
            )),
            None => Found::Holds,
        }
    }
}

/// The question of a read that may see balances below zero.
const OVERDRAFT: &str = "overdraft";
