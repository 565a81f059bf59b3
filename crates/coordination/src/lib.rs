//! Leases that yield fencing tokens.
