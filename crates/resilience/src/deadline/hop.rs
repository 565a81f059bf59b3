//! The tree of hop budgets, and whether it adds up.
//!
//! Each hop may spend only what its caller has left. A tree whose parts together take longer than
//! the whole promises an answer that cannot come in time, and that shows under load only; so it is
//! refused at the start instead.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use crate::Invalid;
use crate::figures::Brief;

/// How the parts of a hop follow one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parts {
    /// One after the other: their lengths add up.
    #[default]
    InTurn,
    /// All at once: the longest counts.
    InParallel,
}

/// A hop, and what it may spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// What it is.
    pub name: Cow<'static, str>,
    /// The setting that decides its budget, when there is one.
    pub key: Option<Cow<'static, str>>,
    /// What it may spend, its parts included.
    pub budget: Duration,
    /// How its parts follow one another.
    pub order: Parts,
    /// What it waits for.
    pub parts: Vec<Self>,
}

impl Hop {
    /// A hop that waits for nobody else.
    pub fn new(name: impl Into<Cow<'static, str>>, budget: Duration) -> Self {
        Self { name: name.into(), key: None, budget, order: Parts::InTurn, parts: Vec::new() }
    }

    /// Names the setting that decides its budget.
    #[must_use]
    pub fn key(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Waits for these, one after the other.
    #[must_use]
    pub fn in_turn(self, parts: impl Into<Vec<Self>>) -> Self {
        Self { order: Parts::InTurn, parts: parts.into(), ..self }
    }

    /// Waits for these, all at once.
    #[must_use]
    pub fn in_parallel(self, parts: impl Into<Vec<Self>>) -> Self {
        Self { order: Parts::InParallel, parts: parts.into(), ..self }
    }

    /// What its parts need at most; nothing when it has none.
    #[must_use]
    pub fn needs(&self) -> Option<Duration> {
        let lengths = self.parts.iter().map(|part| part.budget);
        match self.order {
            _ if self.parts.is_empty() => None,
            Parts::InTurn => Some(lengths.fold(Duration::ZERO, Duration::saturating_add)),
            Parts::InParallel => lengths.max(),
        }
    }

    /// Every hop whose parts need more than it may spend. One without a key of its own is named
    /// by its path.
    #[must_use]
    pub fn check(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        self.check_into("", &mut problems);
        problems
    }

    fn check_into(&self, above: &str, problems: &mut Vec<Invalid>) {
        let path = if above.is_empty() {
            self.name.to_string()
        } else {
            format!("{above} / {}", self.name)
        };
        for part in &self.parts {
            part.check_into(&path, problems);
        }
        let Some(needs) = self.needs().filter(|needs| *needs > self.budget) else { return };
        let (join, sum) = match self.order {
            Parts::InTurn => (" + ", "the sum of its parts"),
            Parts::InParallel => (" | ", "the longest of its parts"),
        };
        let parts: Vec<String> =
            self.parts.iter().map(|part| format!("{} {}", part.name, Brief(part.budget))).collect();
        let allowed = format!("at least {}, {sum}: {}", Brief(needs), parts.join(join));
        problems.push(Invalid {
            key: self.key.clone().unwrap_or(Cow::Owned(path)),
            value: Brief(self.budget).to_string(),
            allowed: allowed.into(),
        });
    }

    /// The tree, a hop on each line, with its budget and its key.
    #[must_use]
    pub fn render(&self) -> String {
        let mut rows = Vec::new();
        self.rows("", "", &mut rows);
        let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, budget, key) in rows {
            let pad = " ".repeat(width - name.chars().count());
            let line = format!("{name}{pad}  {budget:>8}  {key}");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    fn rows<'a>(&'a self, stem: &str, branch: &str, rows: &mut Vec<(String, String, &'a str)>) {
        let name = format!("{stem}{branch}{}", self.name);
        rows.push((name, Brief(self.budget).to_string(), self.key.as_deref().unwrap_or_default()));
        let stem = match branch {
            "" => String::new(),
            "└─ " => format!("{stem}   "),
            _ => format!("{stem}│  "),
        };
        for (index, part) in self.parts.iter().enumerate() {
            let last = index + 1 == self.parts.len();
            part.rows(&stem, if last { "└─ " } else { "├─ " }, rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The sources' tree, with a call budget to vary.
    fn tree(call: u64) -> Hop {
        let calls = [
            Hop::new("stock", ms(call)).key("providers.stock.timeout"),
            Hop::new("payment", ms(call)),
        ];
        Hop::new("request", ms(450)).in_turn([
            Hop::new("gateway, no retry", ms(100)).key("limits.gateway"),
            Hop::new("order service", ms(350)).key("limits.order").in_turn([
                Hop::new("calls, in parallel", ms(call)).in_parallel(calls),
                Hop::new("database, no retry", ms(250)).key("limits.database"),
            ]),
        ])
    }

    #[test]
    fn the_sources_numbers_add_up_exactly() {
        let tree = tree(100);
        assert_eq!(tree.check(), []);
        assert_eq!(tree.needs(), Some(tree.budget));
        assert_eq!(tree.parts[1].needs(), Some(ms(350)));
    }

    #[test]
    fn a_millisecond_too_much_is_refused_with_key_value_and_what_is_allowed() {
        let problems: Vec<String> = tree(101).check().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            ["limits.order = 350 ms: must be at least 351 ms, the sum of its parts: \
              calls, in parallel 101 ms + database, no retry 250 ms"]
        );
        let lone = Hop::new("a", ms(1)).in_parallel([Hop::new("b", ms(2)), Hop::new("c", ms(3))]);
        let outer = Hop::new("top", ms(9)).in_turn([lone]);
        let problem = &outer.check()[0];
        assert_eq!(problem.key, "top / a");
        assert_eq!(problem.allowed, "at least 3 ms, the longest of its parts: b 2 ms | c 3 ms");
    }

    #[test]
    fn the_tree_is_drawn() {
        let expected = "\
request                     450 ms
├─ gateway, no retry        100 ms  limits.gateway
└─ order service            350 ms  limits.order
   ├─ calls, in parallel    100 ms
   │  ├─ stock              100 ms  providers.stock.timeout
   │  └─ payment            100 ms
   └─ database, no retry    250 ms  limits.database
";
        assert_eq!(tree(100).render(), expected);
    }
}
