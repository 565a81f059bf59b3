//! Whether a server will do: what it says of itself.

/// The version of the keys. Whoever changes `engine.lua` so that old keys mean something else
/// raises it.
pub(super) const FORMAT: u32 = 1;

/// The oldest major version that runs scripts which ask for the time and then write.
const MAJOR_MIN: u32 = 5;

/// Reads the answer to INFO.
///
/// # Errors
/// Why the server will not do, and what to do about it.
pub(super) fn server(info: &str, address: &str) -> Result<(), String> {
    let find = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let version = find("redis_version").unwrap_or("unknown");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < MAJOR_MIN) {
        return Err(format!("the server's version is {version}; {MAJOR_MIN}.0 is the oldest"));
    }
    match find("redis_mode") {
        Some("standalone") | None => {}
        Some(mode) => {
            return Err(format!(
                "the server runs in {mode} mode; this engine is for a single server"
            ));
        }
    }
    if find("role").is_some_and(|role| role != "master") {
        return Err("this is a read-only replica; connect to the primary".to_owned());
    }
    // Full memory then means that sessions, entries or the counter go: two holders, and tokens
    // given twice.
    if let Some(policy) = find("maxmemory_policy")
        && policy != "noeviction"
        && find("maxmemory") != Some("0")
    {
        return Err(format!(
            "the server drops keys when its memory is full (maxmemory-policy {policy}), and locks \
             with them; set maxmemory-policy noeviction"
        ));
    }
    if find("aof_enabled") != Some("1") {
        tracing::warn!(
            address,
            "this Redis server keeps no append-only file: a crash loses all leases; \
             set appendonly yes and appendfsync always"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_would_lose_locks_are_refused() {
        let fine = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\n\
                    maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n";
        assert_eq!(server(fine, "db"), Ok(()));
        for (was, is, says) in [
            ("version:7", "version:4", "5.0 is the oldest"),
            ("redis_version:7.0.15", "", "unknown"),
            ("standalone", "cluster", "cluster mode"),
            ("standalone", "sentinel", "sentinel mode"),
            ("role:master", "role:slave", "replica"),
            ("maxmemory:0", "maxmemory:1000", "allkeys-lru"),
        ] {
            let reason = server(&fine.replace(was, is), "db").unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
    }
}
