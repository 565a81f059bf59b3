//! All limits of this crate, in one place.

use std::time::Duration;

/// Longest name of a resource, in bytes; the same as the journal's limit for a fence.
pub const RESOURCE_BYTES_MAX: usize = 400;

/// Leases that are out at once. A deployment has some hundreds of zones.
pub const LEASES_MAX: usize = 65_536;

/// Tokens reserved on disk at once. A restart skips at most so many; with one restart a second,
/// 64 bits last for more than fifty million years.
pub const TOKENS_RESERVED: u64 = 10_000;

/// The longest lease. A holder that stops without a word blocks its resource for so long.
pub const LENGTH_MAX: Duration = Duration::from_secs(3_600);

/// Largest file of reserved tokens that is read, in bytes. A good one has less than a hundred.
pub const TOKEN_FILE_BYTES_MAX: u64 = 4_096;

/// Largest value of an entry or a register, in bytes: who holds it, what a leader proclaims, a
/// counter. Data belong into the journal.
pub const VALUE_BYTES_MAX: usize = 4_096;

/// Entries in one answer of [`list`](crate::port::Coordinator::list), and names in one of
/// [`queues`](crate::port::Coordinator::queues).
pub const LIST_MAX: usize = 1_024;

/// Entries in one queue of the embedded engine. A herd larger than that is a mistake, and each of
/// them would wait for hours.
pub const QUEUE_ENTRIES_MAX: usize = 10_000;

/// Entries, sessions and registers that the embedded engine keeps, each.
pub const ENTRIES_MAX: usize = 262_144;

/// The shortest session: below, one slow `fsync` ends it.
pub const LENGTH_MIN: Duration = Duration::from_millis(50);

/// How often a replica of a quorum register tries to write its register while others write it.
/// Each loss means that somebody else got on.
pub const REGISTER_RACES_MAX: u32 = 64;

/// Replicas of a quorum register. Each operation asks all of them.
pub const REPLICAS_MAX: usize = 15;

/// Longest time that a client waits for the answer to one request before it asks again. A third of
/// the usable length when that is shorter.
pub const CALL_MAX: Duration = Duration::from_secs(10);

/// Shortest pause of a client before it asks again what was not answered; doubled with each failure,
/// up to [`Options::ask_every`](crate::Options::ask_every).
pub const BACKOFF_MIN: Duration = Duration::from_millis(5);

/// How long a request may still be under way after its caller has given it up: as long as TCP sends
/// again what was not acknowledged, which is some 15 minutes with Linux's `tcp_retries2` of 15.
pub const LATE_MAX: Duration = Duration::from_secs(15 * 60);

/// Entries of one client that are looked for once more after they have left.
pub const DOUBTS_MAX: usize = 1_024;

/// Releases of one client that the server has not confirmed. More than that, and it is cheaper to
/// give up the session, which ends them all.
pub const DEBTS_MAX: usize = 1_024;

/// Releases that a client's keeper works on at once.
pub const DEBTS_AT_ONCE: usize = 32;

/// Guards whose entries a client's keeper looks at at once.
pub const LOOKS_AT_ONCE: usize = 32;

/// Permits of one semaphore. An attempt may look at each of them, and whoever is next waits for all.
pub const PERMITS_MAX: u32 = 256;

/// Nodes of one ring: their numbers have 16 bits, within the points of the ring.
pub const RING_NODES_MAX: usize = 65_535;

/// Virtual nodes of one ring, of all of its nodes together: 100 MiB.
pub const RING_POINTS_MAX: usize = 8 << 20;

/// Places in which a ring looks a key up. Eight are as even as fifteen times the virtual nodes.
pub const RING_PROBES_MAX: u32 = 8;

/// Members of one etcd cluster that a client knows of. More than seven vote for nothing; a search
/// for one that answers asks each in turn.
pub const ETCD_ENDPOINTS_MAX: usize = 16;

/// Largest answer of etcd that is taken, in bytes: [`LIST_MAX`] entries of [`VALUE_BYTES_MAX`] with
/// the longest names, and as much again.
pub const ETCD_ANSWER_BYTES_MAX: usize = 2 * LIST_MAX * (VALUE_BYTES_MAX + 2 * RESOURCE_BYTES_MAX);

/// Waits of one etcd client at a time.
pub const ETCD_WATCHES_MAX: usize = 65_536;

/// Entries whose keys an etcd client remembers. Beyond that it asks once more for each.
pub const ETCD_SEEN_MAX: usize = 16_384;

/// Requests that wait for the embedded engine's commit thread. It takes them all at once, so that
/// many are there only while the disk does not answer.
pub const EMBEDDED_REQUESTS_MAX: usize = 65_536;

/// Waits for an entry to go or a queue to change that the embedded engine keeps.
pub const EMBEDDED_WAITS_MAX: usize = 262_144;

/// A batch of the embedded engine's log is closed when it has so many bytes: some thousand
/// commands, more than a disk's latency asks for.
pub const EMBEDDED_BATCH_BYTES: usize = 256 * 1_024;

/// A segment of the embedded engine's log, in bytes: some 200,000 commands, replayed within a
/// second at a restart.
pub const EMBEDDED_SEGMENT_BYTES: u64 = 16 * 1_024 * 1_024;

/// The smallest segment that can be asked for, in bytes: some of the largest commands fit.
pub const EMBEDDED_SEGMENT_BYTES_MIN: u64 = 64 * 1_024;

/// Clients of one embedded server.
pub const EMBEDDED_CONNECTIONS_MAX: usize = 1_024;

/// Longest request on the embedded engine's socket, in bytes: the longest name and value, and the
/// numbers around them.
pub const EMBEDDED_ASK_BYTES_MAX: usize = 8_192;

/// Longest answer there, in bytes: a listing with the largest values.
pub const EMBEDDED_ANSWER_BYTES_MAX: usize = LIST_MAX * (VALUE_BYTES_MAX + 64) + 64;

/// Answers that a client has not read yet, in bytes, from which on the embedded server reads
/// nothing more of it; with waits that end meanwhile it is cut off at one largest answer above that.
pub const EMBEDDED_PEER_BYTES: usize = 1_024 * 1_024;

/// Requests that an embedded client has not sent yet, in bytes. More pile up only while the server
/// does not read.
pub const EMBEDDED_UNSENT_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// How long an embedded server and its client wait for each other's first word. Both are on one
/// machine.
pub const EMBEDDED_GREETING_MAX: Duration = Duration::from_secs(5);

/// Revisions of an etcd that a resumed wait has read over again. Beyond that it is cheaper to look
/// at the present.
pub const ETCD_HISTORY_MAX: i64 = 10_000;

/// Largest value of a candidate in an election, in bytes: one is taken by its mark.
pub const ELECTION_VALUE_BYTES_MAX: usize = VALUE_BYTES_MAX - 1;

/// How often a sequence or a counter tries to write its register. Each loss to a faster one means
/// that somebody got on; without an answer, the pauses between so many attempts take half a minute.
pub const CAS_ATTEMPTS_MAX: u32 = 32;

/// Longest pause after the first loss to a faster one; doubled with each.
pub const CAS_PAUSE_MIN: Duration = Duration::from_millis(1);

/// Longest pause after any loss to a faster one.
pub const CAS_PAUSE_MAX: Duration = Duration::from_millis(64);

/// Numbers that a sequence reserves at once. With a million restarts a second, 63 bits last for
/// three months.
pub const SEQUENCE_BLOCK_MAX: u64 = 1_000_000;

/// Operations that a counter remembers: so many of the longest fit into a register.
pub const COUNTER_OPERATIONS_KEPT: usize = 64;

/// Largest value of a member of a group, in bytes: what is left of an entry beside the longest name
/// and a number.
pub const MEMBER_VALUE_BYTES_MAX: usize = 3_584;

/// The shortest time between two heartbeats: each is a durable write.
pub const BEAT_MIN: Duration = Duration::from_millis(10);

/// Servers of one ZooKeeper ensemble that a client knows of.
pub const ZOOKEEPER_SERVERS_MAX: usize = 16;

/// Longest root in ZooKeeper, in bytes. Names of nodes are below it, and all paths stay short of
/// what a request may have.
pub const ZOOKEEPER_ROOT_BYTES_MAX: usize = 512;

/// Sessions that are open through one ZooKeeper client. Each is a connection.
pub const ZOOKEEPER_SESSIONS_MAX: usize = 1_024;

/// Entries whose nodes a ZooKeeper client remembers. Beyond that it lists the queue for each.
pub const ZOOKEEPER_SEEN_MAX: usize = 16_384;

/// Watches of one ZooKeeper client at a time. A wait for a queue counts as many as it may need.
pub const ZOOKEEPER_WATCHES_MAX: usize = 262_144;

/// The shortest session in ZooKeeper. The client library takes a connection for lost after two
/// fifths of it without a word; below that, a busy processor would be enough.
pub const ZOOKEEPER_LENGTH_MIN: Duration = Duration::from_secs(1);

/// The shortest session of the PostgreSQL engine. On two cores, a client that renewed sessions of
/// 50 ms after two thirds of them came too late in 2 of 150: entering on a new connection and the
/// renewal took up to 26 ms together. A third of this is six times as much.
#[cfg(feature = "postgres")]
pub const POSTGRES_LENGTH_MIN: Duration = Duration::from_millis(500);
