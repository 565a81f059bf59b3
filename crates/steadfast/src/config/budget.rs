//! The tree of deadlines, and whether it adds up.
//!
//! Each hop may spend only what its caller has left. A tree whose parts together take longer
//! than the whole promises an answer that cannot come in time, and that shows under load only;
//! so it is refused at the start instead.

use std::time::Duration;

use serde::Serialize;

use super::Config;
use super::error::Problem;
use super::value::Length;

/// How the parts of a hop follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Parts {
    /// One after the other: their lengths add up.
    InTurn,
    /// All at once: the longest counts.
    InParallel,
}

/// A hop, and what it may spend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// What it is.
    pub name: &'static str,
    /// The key that sets it, when there is one.
    pub key: Option<&'static str>,
    /// What it may spend, its parts included.
    pub budget: Length,
    /// How its parts follow one another.
    pub order: Parts,
    /// What it waits for.
    pub parts: Vec<Hop>,
}

impl Hop {
    fn leaf(name: &'static str, key: &'static str, budget: Length) -> Self {
        Self { name, key: Some(key), budget, order: Parts::InTurn, parts: Vec::new() }
    }

    /// What its parts need at most; nothing when it has none.
    fn needs(&self) -> Option<Duration> {
        let lengths = self.parts.iter().map(|part| part.budget.get());
        if self.parts.is_empty() {
            return None;
        }
        match self.order {
            Parts::InTurn => Some(lengths.fold(Duration::ZERO, Duration::saturating_add)),
            Parts::InParallel => lengths.max(),
        }
    }

    /// Every hop whose parts need more than it may spend.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.parts.iter().flat_map(Self::problems).collect();
        let needs = self.needs().filter(|needs| *needs > self.budget.get());
        if let (Some(needs), Some(key)) = (needs, self.key) {
            let sum: Vec<String> =
                self.parts.iter().map(|part| format!("{} {}", part.name, part.budget)).collect();
            let needs = Length::from(needs);
            let what = format!(
                "{} is less than its parts need: {} = {needs}; raise it to at least {needs}",
                self.budget,
                sum.join(" + "),
            );
            problems.push(Problem::new(key, what));
        }
        problems
    }

    /// The tree, a hop on each line.
    pub fn render(&self) -> String {
        let mut rows = Vec::new();
        self.rows("", "", &mut rows);
        let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        let lines = rows.into_iter().map(|(name, budget, key)| {
            let pad = " ".repeat(width - name.chars().count());
            format!("{name}{pad}  {budget:>8}  {key}").trim_end().to_owned() + "\n"
        });
        lines.collect()
    }

    fn rows(&self, stem: &str, branch: &str, rows: &mut Vec<(String, String, &'static str)>) {
        let name = format!("{stem}{branch}{}", self.name);
        rows.push((name, self.budget.to_string(), self.key.unwrap_or_default()));
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

impl From<Duration> for Length {
    fn from(length: Duration) -> Self {
        Self::new(length)
    }
}

/// The tree of a request to place an order.
pub fn tree(config: &Config) -> Hop {
    let limits = &config.limits;
    let call = config.providers.call_timeout;
    let calls = Hop {
        name: "calls, in parallel",
        key: None,
        budget: call,
        order: Parts::InParallel,
        parts: vec![
            Hop::leaf("stock", "providers.call_timeout", call),
            Hop::leaf("payment", "providers.call_timeout", call),
        ],
    };
    let order = Hop {
        name: "order service",
        key: Some("limits.order"),
        budget: limits.order,
        order: Parts::InTurn,
        parts: vec![calls, Hop::leaf("database, no retry", "limits.database", limits.database)],
    };
    Hop {
        name: "request",
        key: None,
        budget: Length::from(limits.gateway.get().saturating_add(limits.order.get())),
        order: Parts::InTurn,
        parts: vec![Hop::leaf("gateway, no retry", "limits.gateway", limits.gateway), order],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_add_up_exactly() {
        let tree = tree(&Config::default());
        assert_eq!(tree.problems(), []);
        assert_eq!(tree.budget, Length::millis(450));
        let order = &tree.parts[1];
        assert_eq!(order.needs(), Some(order.budget.get()));
    }

    #[test]
    fn parallel_calls_count_once_and_a_millisecond_too_much_is_refused() {
        let mut config = Config::default();
        config.providers.call_timeout = Length::millis(101);
        let problems = tree(&config).problems();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "limits.order");
        assert!(problems[0].what.contains("raise it to at least 351ms"), "{}", problems[0].what);
    }

    #[test]
    fn the_tree_is_drawn() {
        let expected = "\
request                      450ms
├─ gateway, no retry         100ms  limits.gateway
└─ order service             350ms  limits.order
   ├─ calls, in parallel     100ms
   │  ├─ stock               100ms  providers.call_timeout
   │  └─ payment             100ms  providers.call_timeout
   └─ database, no retry     250ms  limits.database
";
        assert_eq!(tree(&Config::default()).render(), expected);
    }
}
