//! Histories as Jepsen's EDN.
