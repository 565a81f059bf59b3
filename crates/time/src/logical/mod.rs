//! Clocks that count events instead of seconds.
//!
//! | clock | says | size | cannot say |
//! |---|---|---|---|
//! | [`lamport`] | if a caused b, then a < b | 8 bytes and a node | whether a < b means anything |
//! | [`vector`] | a caused b, b caused a, or neither | a number per node | a date |
//! | [`hybrid`] | as Lamport, and close to the date | 8 bytes | whether a < b means anything |
//!
//! None of them can be fooled by a wall clock that jumps: an event gets a greater stamp than
//! everything that its node had seen before it.

pub mod hybrid;
pub mod lamport;
pub mod vector;
