//! Histories as JSON lines.
