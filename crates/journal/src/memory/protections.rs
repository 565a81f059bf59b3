//! The checks that can be taken away.

/// Which checks the engine makes. **This exists only to prove that a test can fail**: an
/// experiment runs once with a check and once without, and must find the violation in the second
/// run. The feature `broken-twins` lets it be chosen; it concerns this
/// engine only, which keeps no real data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protections {
    /// A key that holds an answer refuses a second effect. Without: the second effect happens,
    /// and its answer replaces the first.
    pub claims: bool,
    /// A message that has had its effect is refused. Without: it has it again.
    pub inbox: bool,
    /// A token lower than the highest seen is refused. Without: it is let in.
    pub fence: bool,
    /// A counter stays within its bounds. Without: it moves anyway (saturating).
    pub guards: bool,
}

impl Default for Protections {
    /// All of them.
    fn default() -> Self {
        Self { claims: true, inbox: true, fence: true, guards: true }
    }
}
