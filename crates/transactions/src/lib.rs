//! Orchestrated sagas whose every state can be seen, retried and skipped.
