//! The runtime that the platform runs on, the same for `up` and for the benches.

/// A worker per processor.
///
/// # Errors
/// The operating system gave no threads.
pub fn build() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("steadfast").build()
}
