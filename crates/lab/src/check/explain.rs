//! Says in a sentence what is wrong with a piece.
//!
//! Looks for the shapes that violations nearly always have once they are small: something read that
//! nobody wrote, something read after it was overwritten, a lock given twice. What has none of these
//! shapes is told as it is: who did what.

use super::Model;
use super::operation::{F, History, NIL, Op, moment};
use crate::history::Outcome;

/// The most operations that are told one by one.
const TOLD_MAX: usize = 8;

/// The most operations among which a known shape is looked for: each is held against each pair of
/// the others. A piece that stays larger has none of these shapes.
const LOOKED_AT_MAX: usize = 250;

pub(super) fn explain(history: &History, ops: &[Op]) -> String {
    let say = Say { history, ops };
    // What was answered last is what made it a violation.
    let mut answered: Vec<&Op> = ops.iter().filter(|op| op.is_ok()).collect();
    answered.sort_unstable_by_key(|op| std::cmp::Reverse(op.completed));
    let sentence = match history.model {
        _ if ops.len() > LOOKED_AT_MAX => None,
        Model::Sequential | Model::Causal => say.thin_air(&answered),
        Model::Mutex => answered.iter().find_map(|op| say.lock(op)),
        Model::FencedLock => {
            let token = answered.iter().find_map(|op| say.token(op));
            token.or_else(|| say.thin_air(&answered)).or_else(|| say.stale(&answered))
        }
        Model::Queue => say.queue(&answered),
        _ => say.thin_air(&answered).or_else(|| say.stale(&answered)),
    };
    sentence.unwrap_or_else(|| say.all(answered.first().copied()))
}

struct Say<'a> {
    history: &'a History,
    ops: &'a [Op],
}

impl Say<'_> {
    fn who(&self, op: &Op) -> String {
        format!("process {}", self.history.process(op))
    }

    fn value(&self, id: u32) -> String {
        self.history.show(id)
    }

    /// What it did, without who and when.
    fn did(&self, op: &Op) -> String {
        let value = |id| self.value(id);
        let key = match self.history.model {
            Model::Sequential | Model::Causal => self.history.of_key(op).replace(" of", " to"),
            _ => String::new(),
        };
        match op.f {
            F::Read => format!("read {}{}", value(op.answered[0]), self.history.of_key(op)),
            F::Write if self.history.model == Model::FencedLock => {
                format!("wrote {} under token {}", value(op.asked[0]), value(op.asked[1]))
            }
            F::Write => format!("wrote {}{key}", value(op.asked[0])),
            F::Cas => format!("replaced {} by {}", value(op.asked[0]), value(op.asked[1])),
            F::Acquire if self.history.model == Model::FencedLock => {
                format!("got token {}", value(op.answered[0]))
            }
            F::Acquire => "got the lock".to_owned(),
            F::Release => "released the lock".to_owned(),
            F::Enqueue => format!("put {} in", value(op.asked[0])),
            F::Dequeue if !op.is_ok() => "may have taken something out".to_owned(),
            F::Dequeue if op.answered[0] == NIL => "found the queue empty".to_owned(),
            F::Dequeue => format!("took {} out", value(op.answered[0])),
            F::Deliver | F::Transfer | F::Update => self.history.show(op.asked[0]),
        }
    }

    fn end(&self, op: &Op) -> String {
        format!("{} {} at {}", self.who(op), self.did(op), moment(op.to))
    }

    /// Something was read that nobody wrote, or not yet.
    fn thin_air(&self, answered: &[&Op]) -> Option<String> {
        let is_timed = !matches!(self.history.model, Model::Sequential | Model::Causal);
        for op in answered {
            let Some(value) = op.found().filter(|&value| value != NIL) else { continue };
            let wrote = |it: &&Op| {
                it.invoked != op.invoked && it.key == op.key && it.written() == Some(value)
            };
            let mut writers = self.ops.iter().filter(wrote).peekable();
            if writers.peek().is_none() {
                let failed = self
                    .history
                    .ops
                    .iter()
                    .filter(wrote)
                    .find(|it| it.outcome == Outcome::Fail && it.written() == Some(value));
                let because = match failed {
                    Some(failed) => {
                        format!("; {} had been told that its write of it failed", self.who(failed))
                    }
                    None => String::new(),
                };
                return Some(format!("{}, which nobody had written{because}", self.end(op)));
            }
            let first = writers.min_by_key(|it| it.invoked)?;
            if is_timed && op.is_before(first) {
                return Some(format!(
                    "{}, and {} began to write it only at {}",
                    self.end(op),
                    self.who(first),
                    moment(first.from)
                ));
            }
        }
        None
    }

    /// Something was read after it was overwritten.
    fn stale(&self, answered: &[&Op]) -> Option<String> {
        for op in answered {
            let Some(value) = op.found() else { continue };
            let is_old = |newer: &Op| {
                newer.written() != Some(value)
                    && self
                        .ops
                        .iter()
                        .filter(|it| it.written() == Some(value))
                        .all(|older| older.is_before(newer))
            };
            let newer = |it: &&Op| it.written().is_some() && it.invoked != op.invoked && is_old(it);
            let told = self.ops.iter().filter(newer).filter(|it| it.is_before(op));
            if let Some(told) = told.max_by_key(|it| it.completed) {
                return Some(format!(
                    "{} after {} had been told at {} that it {}",
                    self.end(op),
                    self.who(told),
                    moment(told.to),
                    self.did(told)
                ));
            }
            for wrote in self.ops.iter().filter(newer) {
                let is_read =
                    |it: &&Op| it.f == F::Read && it.found() == wrote.written() && it.is_before(op);
                if let Some(read) = self.ops.iter().find(is_read) {
                    return Some(format!(
                        "{} after {}, which is newer",
                        self.end(op),
                        self.end(read)
                    ));
                }
            }
        }
        None
    }

    fn lock(&self, op: &Op) -> Option<String> {
        let own = |it: &&Op| it.process == op.process && it.invoked < op.invoked;
        if op.f == F::Release {
            let last = self.ops.iter().filter(own).max_by_key(|it| it.invoked);
            let holds = last.is_some_and(|it| it.f == F::Acquire);
            return (!holds).then(|| format!("{}, which it did not hold", self.end(op)));
        }
        // Whose release, if any, began only after this one had the lock.
        let holder =
            self.ops.iter().filter(|it| it.f == F::Acquire && it.is_before(op)).find(|it| {
                let release = self.ops.iter().find(|release| {
                    release.f == F::Release
                        && release.process == it.process
                        && release.invoked > it.invoked
                });
                release.is_none_or(|release| release.invoked > op.completed)
            })?;
        Some(format!(
            "{} while {} held it, which had got it at {}",
            self.end(op),
            self.who(holder),
            moment(holder.to)
        ))
    }

    fn token(&self, op: &Op) -> Option<String> {
        let values = &self.history.values;
        let (token, is_grant) = match op.f {
            F::Acquire => (values.token(op.answered[0]), true),
            F::Write => (values.token(op.asked[1]), false),
            _ => return None,
        };
        let clash = self.ops.iter().filter(|it| it.f == op.f && it.is_ok()).find(|it| {
            let (slot, is_other) = (it.asked[1], it.invoked != op.invoked);
            let other = values.token(if is_grant { it.answered[0] } else { slot });
            let is_clash = if is_grant { other >= token } else { other > token };
            is_other && is_clash && (it.is_before(op) || (is_grant && other == token))
        })?;
        let after = if clash.is_before(op) { "after" } else { "and" };
        Some(format!("{} {after} {}", self.end(op), self.end(clash)))
    }

    fn queue(&self, answered: &[&Op]) -> Option<String> {
        for op in answered.iter().filter(|op| op.f == F::Dequeue && op.answered[0] != NIL) {
            let value = op.answered[0];
            let about = |f: F| {
                self.ops.iter().filter(move |it| {
                    it.f == f && [it.written(), it.found()].contains(&Some(value))
                })
            };
            let Some(first) = about(F::Enqueue).min_by_key(|it| it.invoked) else {
                return Some(format!("{}, which nobody had put in", self.end(op)));
            };
            if op.is_before(first) {
                let (who, from) = (self.who(first), moment(first.from));
                return Some(format!(
                    "{}, and {who} began to put it in only at {from}",
                    self.end(op)
                ));
            }
            if about(F::Dequeue).count() > about(F::Enqueue).count() {
                let other = about(F::Dequeue).find(|it| it.invoked != op.invoked)?;
                return Some(format!(
                    "{}, and {} had taken it out already, at {}",
                    self.end(op),
                    self.who(other),
                    moment(other.to)
                ));
            }
        }
        None
    }

    /// Who did what, each in its order.
    fn all(&self, last: Option<&Op>) -> String {
        let (Some(last), true) = (last, self.ops.len() <= TOLD_MAX) else {
            let last = last.map_or_else(String::new, |op| format!(" by the time {}", self.end(op)));
            return format!("no order of these {} operations is allowed{last}", self.ops.len());
        };
        let mut processes: Vec<u32> = self.ops.iter().map(|op| op.process).collect();
        processes.sort_unstable();
        processes.dedup();
        let told = processes.iter().filter_map(|process| {
            let own: Vec<&Op> = self.ops.iter().filter(|op| op.process == *process).collect();
            let did: Vec<String> = own
                .iter()
                .map(|op| match op.is_ok() {
                    true => self.did(op),
                    false => format!("{} (or not: it had no answer)", self.did(op)),
                })
                .collect();
            Some(format!("{} {}", self.who(own.first()?), did.join(", then ")))
        });
        let told = told.collect::<Vec<_>>().join("; ");
        match self.history.model {
            Model::Sequential => {
                format!("no one order keeps what each process did in its own order: {told}")
            }
            Model::Causal => {
                format!("an effect is seen without its cause: {told}")
            }
            _ => format!("no order is left when {}: {told}", self.end(last)),
        }
    }
}
