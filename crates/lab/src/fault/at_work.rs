//! Faults of one kind on one node that overlap.
//!
//! A disk has one setting, and a liar one share of lies. When two faults meet there, the later one
//! counts; when it ends first, the earlier one is still at work and must be set again, for otherwise
//! its end would have come with that of the other.

use super::Fault;

/// What is at work, in the order in which it began.
#[derive(Debug, Default)]
pub(crate) struct AtWork(Vec<Fault>);

impl AtWork {
    /// Notes that a fault has begun or ended. Gives what counts on its node from now on: the latest
    /// of its kind that is still at work; none when all is well.
    pub(crate) fn change(&mut self, fault: &Fault, begins: bool) -> Option<&Fault> {
        if begins {
            self.0.push(fault.clone());
        } else if let Some(place) = self.0.iter().position(|known| known == fault) {
            self.0.remove(place);
        }
        let is_like =
            |other: &&Fault| other.kind() == fault.kind() && other.nodes().eq(fault.nodes());
        self.0.iter().rev().find(is_like)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lie(node: &str, share: f64) -> Fault {
        Fault::Lie { node: node.to_owned(), share }
    }

    #[test]
    fn the_end_of_one_is_not_the_end_of_another() {
        let (first, second, elsewhere) = (lie("a", 0.1), lie("a", 0.2), lie("b", 0.3));
        let mut at_work = AtWork::default();
        assert_eq!(at_work.change(&first, true), Some(&first));
        assert_eq!(at_work.change(&second, true), Some(&second));
        assert_eq!(at_work.change(&elsewhere, true), Some(&elsewhere));
        assert_eq!(at_work.change(&second, false), Some(&first));
        assert_eq!(at_work.change(&first, false), None);
        assert_eq!(at_work.change(&elsewhere, false), None);
        // The same twice ends twice.
        for (begins, left) in [(true, true), (true, true), (false, true), (false, false)] {
            assert_eq!(at_work.change(&first, begins).is_some(), left);
        }
    }
}
