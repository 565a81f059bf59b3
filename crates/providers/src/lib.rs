//! Stock and payment behind the dispatch provider port: a durable sandbox, and HTTP.
