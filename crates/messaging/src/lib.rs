//! Outbox relay, bus, and a consumer that makes at-least-once delivery harmless.
