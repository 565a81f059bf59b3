//! Faults of one kind on one node that overlap.
//!
//! A proxy has one setting, and so has a disk. When two faults meet there, the later one counts; when
//! it ends first, the earlier one is still at work and must be set again, for otherwise its end would
//! have come with that of the other.

use std::collections::BTreeMap;

use super::Fault;

/// What is at work, by its number in the schedule.
#[derive(Debug, Default)]
pub(crate) struct AtWork<'a>(BTreeMap<usize, &'a Fault>);

impl<'a> AtWork<'a> {
    /// Notes that a fault has begun or ended. When it has ended and another one of its kind is still
    /// at work on its node, that is given: the latest, if there are several.
    pub(crate) fn change(
        &mut self,
        number: usize,
        fault: &'a Fault,
        begins: bool,
    ) -> Option<(usize, &'a Fault)> {
        if begins {
            self.0.insert(number, fault);
            return None;
        }
        self.0.remove(&number);
        let is_like =
            |other: &Fault| other.kind() == fault.kind() && other.nodes().eq(fault.nodes());
        let mut latest = self.0.iter().rev().map(|(number, other)| (*number, *other));
        latest.find(|(_, other)| is_like(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lie(node: &str, share: f64) -> Fault {
        Fault::Lie { node: node.to_owned(), share }
    }

    #[test]
    fn whoever_is_still_at_work_comes_back() {
        let (first, second, elsewhere) = (lie("a", 0.1), lie("a", 0.2), lie("b", 0.3));
        let mut at_work = AtWork::default();
        for (number, fault) in [(0, &first), (1, &second), (2, &elsewhere)] {
            assert_eq!(at_work.change(number, fault, true), None);
        }
        assert_eq!(at_work.change(1, &second, false), Some((0, &first)));
        assert_eq!(at_work.change(0, &first, false), None);
        assert_eq!(at_work.change(2, &elsewhere, false), None);
    }
}
