//! What can be chosen about the engine.

/// The engine's settings. The defaults suit two cores and a process of 150 MB.
///
/// How often it syncs is not among them: an answer is given after the `fsync` or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Memory for the writer's page cache, in bytes. It holds the pages that every commit
    /// touches: the ends of the tables and the index of the idempotency keys.
    pub writer_cache_bytes: usize,
    /// Memory for the page cache of each reader, in bytes. The operating system caches the file
    /// as well, so this needs to hold little more than the inner pages of the trees.
    pub reader_cache_bytes: usize,
    /// Reads that can be under way at the same time; more of them wait for one another.
    pub readers: usize,
    /// Once the log has grown by this much, a thread of its own copies it into the database.
    /// Larger: pages that change often are copied less often. Smaller: a crash leaves less to
    /// read at the next start.
    pub checkpoint_bytes: u64,
    /// Once the log is this large, the writer itself copies the little that is left between two
    /// batches, so that the next one starts at the beginning of the log again.
    pub log_bytes: u64,
    /// A quota for the database file, in bytes; nothing for what the disk holds. Over it, a
    /// commit fails as on a full disk.
    pub size_bytes_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            writer_cache_bytes: 48 << 20,
            reader_cache_bytes: 2 << 20,
            readers: 4,
            checkpoint_bytes: 16 << 20,
            log_bytes: 64 << 20,
            size_bytes_max: None,
        }
    }
}
