//! The tree of deadlines of a request to place an order.
//!
//! Whether it adds up, and how it is drawn, is [`Hop`]'s business; here is what it is made of.

use serde_json::{Value, json};
use steadfast_resilience::deadline::{Hop, Parts};

use super::Config;
use super::error::Problem;
use super::value::Length;

/// The tree.
pub fn tree(config: &Config) -> Hop {
    let limits = &config.limits;
    let call = config.providers.call_timeout.get();
    let provider = |name: &'static str| Hop::new(name, call).key("providers.call_timeout");
    Hop::new("request", limits.gateway.get().saturating_add(limits.order.get())).in_turn([
        Hop::new("gateway, no retry", limits.gateway.get()).key("limits.gateway"),
        Hop::new("order service", limits.order.get()).key("limits.order").in_turn([
            Hop::new("calls, in parallel", call)
                .in_parallel([provider("stock"), provider("payment")]),
            Hop::new("database, no retry", limits.database.get()).key("limits.database"),
        ]),
    ])
}

/// What does not add up.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let problem = |invalid: steadfast_resilience::Invalid| {
        let what = format!("{} is not {}", invalid.value, invalid.allowed);
        Problem::new(&*invalid.key, what)
    };
    tree(config).check().into_iter().map(problem).collect()
}

/// The tree for programs.
pub fn document(hop: &Hop) -> Value {
    json!({
        "name": hop.name,
        "key": hop.key,
        "budget": Length::new(hop.budget),
        "order": match hop.order {
            Parts::InTurn => "in_turn",
            Parts::InParallel => "in_parallel",
        },
        "parts": hop.parts.iter().map(document).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_defaults_add_up_exactly() {
        let config = Config::default();
        assert_eq!(problems(&config), []);
        let tree = tree(&config);
        assert_eq!(tree.budget, Duration::from_millis(450));
        assert_eq!(tree.needs(), Some(tree.budget));
        assert_eq!(tree.parts[1].needs(), Some(tree.parts[1].budget));
    }

    #[test]
    fn a_child_that_is_larger_than_its_parent_is_refused() {
        let mut config = Config::default();
        config.providers.call_timeout = Length::millis(101);
        let problems = problems(&config);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "limits.order");
        assert!(problems[0].what.starts_with("350 ms is not at least 351 ms"), "{problems:?}");
    }

    #[test]
    fn the_document_is_the_tree() {
        let document = document(&tree(&Config::default()));
        assert_eq!(document["budget"], "450ms");
        assert_eq!(document["parts"][1]["key"], "limits.order");
        assert_eq!(document["parts"][1]["parts"][0]["order"], "in_parallel");
    }
}
