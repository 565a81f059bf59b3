//! Which operations a model has, and what their values look like.

use super::Model;
use super::operation::F;

/// What a value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Anything; nobody looks.
    Ignored,
    /// Any value, as it is.
    Value,
    /// Any value but `null`.
    Item,
    /// `[from, to]`.
    Pair,
    /// A whole number, not negative.
    Token,
    /// `[token, value]`.
    Guarded,
    /// `{from, to, amount}`.
    Transfer,
    /// `null`, or `"overdraft"` where balances may be negative.
    Overdraft,
    /// `{account: balance, …}`.
    Balances,
    /// `[value, …]`.
    List,
    /// A message: any value, or `null` when it was said in the question.
    Message,
}

impl Shape {
    /// For messages.
    pub(super) fn wants(self) -> &'static str {
        match self {
            Self::Ignored | Self::Value => "any value",
            Self::Item => "any value but null, which stands for an empty queue",
            Self::Pair => "a pair [from, to]",
            Self::Token => "a token, a whole number from 0",
            Self::Guarded => "a pair [token, value] with a whole number from 0 as its token",
            Self::Transfer => {
                "an object {\"from\", \"to\", \"amount\"} with a whole amount, not negative"
            }
            Self::Overdraft => "null, or \"overdraft\" where balances may be negative",
            Self::Balances => "an object {account: balance} of whole numbers",
            Self::List => "a list of values",
            Self::Message => "a message, in the question or in the answer",
        }
    }
}

/// One operation of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub name: &'static str,
    pub f: F,
    /// The value of its `invoke`.
    pub asked: Shape,
    /// The value of its `ok`.
    pub answered: Shape,
}

const fn spec(name: &'static str, f: F, asked: Shape, answered: Shape) -> Spec {
    Spec { name, f, asked, answered }
}

const READ: Spec = spec("read", F::Read, Shape::Ignored, Shape::Value);
const WRITE: Spec = spec("write", F::Write, Shape::Value, Shape::Ignored);
const CAS: Spec = spec("cas", F::Cas, Shape::Pair, Shape::Ignored);
const ACQUIRE: Spec = spec("acquire", F::Acquire, Shape::Ignored, Shape::Ignored);
const RELEASE: Spec = spec("release", F::Release, Shape::Ignored, Shape::Ignored);

impl Model {
    pub(super) fn specs(self) -> &'static [Spec] {
        match self {
            Self::Register | Self::Sequential | Self::Causal => const { &[READ, WRITE] },
            Self::CasRegister => const { &[READ, WRITE, CAS] },
            Self::Mutex | Self::Holder => const { &[ACQUIRE, RELEASE] },
            Self::FencedLock => {
                const {
                    &[
                        spec("acquire", F::Acquire, Shape::Ignored, Shape::Token),
                        RELEASE,
                        spec("write", F::Write, Shape::Guarded, Shape::Ignored),
                        READ,
                    ]
                }
            }
            Self::Queue => {
                const {
                    &[
                        spec("enqueue", F::Enqueue, Shape::Item, Shape::Ignored),
                        spec("dequeue", F::Dequeue, Shape::Ignored, Shape::Value),
                    ]
                }
            }
            Self::TotalOrder => {
                const { &[spec("deliver", F::Deliver, Shape::Value, Shape::Message)] }
            }
            Self::Bank => {
                const {
                    &[
                        spec("transfer", F::Transfer, Shape::Transfer, Shape::Ignored),
                        spec("read", F::Read, Shape::Overdraft, Shape::Balances),
                    ]
                }
            }
            Self::Updates => {
                const {
                    &[
                        spec("update", F::Update, Shape::Value, Shape::Ignored),
                        spec("read", F::Read, Shape::Ignored, Shape::List),
                    ]
                }
            }
        }
    }

    /// The operations that it has: a history with another one is of another kind of object.
    #[must_use]
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Register | Self::Sequential | Self::Causal => &["read", "write"],
            Self::CasRegister => &["read", "write", "cas"],
            Self::Mutex | Self::Holder => &["acquire", "release"],
            Self::FencedLock => &["acquire", "release", "write", "read"],
            Self::Queue => &["enqueue", "dequeue"],
            Self::TotalOrder => &["deliver"],
            Self::Bank => &["transfer", "read"],
            Self::Updates => &["update", "read"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_operations() {
        for model in Model::ALL {
            let names: Vec<_> = model.specs().iter().map(|spec| spec.name).collect();
            assert_eq!(names, model.operations(), "{model}");
        }
    }
}
