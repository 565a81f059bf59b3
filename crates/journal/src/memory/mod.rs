//! Storage in memory, with crash semantics.
