//! The built-in scenarios.
//!
//! Each is a file in `experiments/`, and can be printed, changed and run as a file of one's own.

use crate::Scenario;

/// Name and text of each, in the order in which they are listed.
pub const ALL: &[(&str, &str)] = &[
    ("idempotency", include_str!("../experiments/idempotency.toml")),
    ("dual-write", include_str!("../experiments/dual-write.toml")),
    ("platform", include_str!("../experiments/platform.toml")),
    ("fencing", include_str!("../experiments/fencing.toml")),
    ("redlock-clock-jump", include_str!("../experiments/redlock-clock-jump.toml")),
    ("hash-ring", include_str!("../experiments/hash-ring.toml")),
    ("lww-skew", include_str!("../experiments/lww-skew.toml")),
    ("failure-detector", include_str!("../experiments/failure-detector.toml")),
    ("quorum", include_str!("../experiments/quorum.toml")),
    ("retry-storm", include_str!("../experiments/retry-storm.toml")),
    ("bulkhead", include_str!("../experiments/bulkhead.toml")),
];

/// The text of a built-in scenario.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// A built-in scenario.
///
/// # Panics
/// Never: that each of them is a scenario is tested.
#[must_use]
pub fn find(name: &str) -> Option<Scenario> {
    let text = text(name)?;
    Some(match Scenario::parse(text, None) {
        Ok(scenario) => scenario,
        Err(error) => unreachable!("the built-in scenario {name}: {error}"),
    })
}

/// The built-in names that are close to a word, as a hint for a message.
#[must_use]
pub fn suggestion(word: &str) -> String {
    let names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
    crate::scenario::problem::suggestion(word, &names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_built_in_scenario_is_one_and_has_its_name() {
        for (name, _) in ALL {
            let scenario = find(name).unwrap();
            assert_eq!(scenario.name, *name);
            assert!(!scenario.source.is_empty(), "{name} does not say where its claim comes from");
            let twins = scenario.variants.iter().filter(|variant| !variant.protected);
            assert!(twins.count() > 0, "{name} has no broken twin");
        }
    }
}
