//! What is held at a coordination engine, for an operator: who holds it, who waits, and how to take
//! it away.
//!
//! It asks the engine itself, not this process's client, so it shows what everybody holds, and the
//! commands use it without a platform as well. Taking a lease away ends the holder's entry by its
//! token: the next in line has its turn at once, under a higher token, and whatever the evicted one
//! still writes is refused by the storage. It notices within
//! [`Options::ask_every`](steadfast_coordination::Options::ask_every).
//!
//! # Limits
//! A list is not a moment: each name is asked for by itself, and one that comes free meanwhile is
//! left out. Of a queue at most [`LIST_MAX`] entries are seen; then `waiting` is a lower bound and
//! `more` is true.

use std::sync::Arc;

use futures::future::FutureExt;
use futures::stream::{StreamExt, TryStreamExt, iter};
use serde_json::{Value, json};
use steadfast_api::admin::{Answer, Error, LeaseAdmin, ListLeases, Page, Release};
use steadfast_coordination::limits::LIST_MAX;
use steadfast_coordination::port::{Entry, Listing};
use steadfast_coordination::{Coordinator, Error as EngineError, Name};

/// Names that are asked for at once.
const ASKED_AT_ONCE: usize = 16;

/// Pages of names that are searched for one page of those with a prefix. All engines have names in
/// order, so more than one is read only where the names right before the prefix are very many.
const PAGES_SEARCHED: usize = 16;

/// The leases at an engine.
pub struct LeaseOffice {
    engine: Arc<dyn Coordinator>,
}

impl LeaseOffice {
    /// The leases at this engine.
    pub fn new(engine: Arc<dyn Coordinator>) -> Self {
        Self { engine }
    }

    async fn page(&self, query: ListLeases) -> Result<Page, Error> {
        let ListLeases { prefix, cursor, limit } = query;
        let prefix = prefix.unwrap_or_default();
        let mut after = match cursor {
            Some(cursor) => Some(parse("cursor", &cursor)?),
            None if prefix.is_empty() => None,
            None => before(&parse("prefix", &prefix)?),
        };
        for _ in 0..PAGES_SEARCHED {
            let names = self.engine.queues(after.as_ref()).await.map_err(broken)?;
            let is_last = names.len() < LIST_MAX;
            let (seen, past) =
                (names.last().cloned(), names.last().is_some_and(|last| beyond(last, &prefix)));
            let mut found: Vec<Name> =
                names.into_iter().filter(|name| name.as_str().starts_with(&prefix)).collect();
            let cut = found.len() > limit;
            found.truncate(limit);
            let next = if cut { found.last().cloned() } else { seen.filter(|_| !is_last && !past) };
            if found.is_empty()
                && let Some(next) = next
            {
                after = Some(next);
                continue;
            }
            let entries = self.summaries(found).await?;
            return Ok(Page { entries, next_cursor: next.map(String::from) });
        }
        Ok(Page { entries: Vec::new(), next_cursor: after.map(String::from) })
    }

    async fn summaries(&self, names: Vec<Name>) -> Result<Vec<Value>, Error> {
        let ask = |name: Name| async move {
            let listing = self.engine.list(&name, None).await.map_err(broken)?;
            Ok(summary(&name, &listing))
        };
        let asked = iter(names).map(ask).buffered(ASKED_AT_ONCE);
        asked.try_filter_map(async |found| Ok(found)).try_collect().await
    }

    async fn listing(&self, name: &str) -> Result<(Name, Listing), Error> {
        let missing = || Error::NotFound(format!("holder of {name:?}"));
        // What cannot be a name is held by nobody.
        let name: Name = name.parse().map_err(|_| missing())?;
        let listing = self.engine.list(&name, None).await.map_err(broken)?;
        if listing.entries.is_empty() { Err(missing()) } else { Ok((name, listing)) }
    }

    async fn show(&self, name: &str) -> Result<Value, Error> {
        let (name, listing) = self.listing(name).await?;
        let holders = holders(&listing.entries).len();
        let mut shown = summary(&name, &listing).unwrap_or_default();
        let entries = listing.entries.iter().enumerate();
        shown["queue"] = entries.map(|(place, entry)| row(entry, place < holders)).collect();
        Ok(shown)
    }

    async fn take(&self, name: &str, request: Release) -> Result<Value, Error> {
        let (name, listing) = self.listing(name).await?;
        let holders = holders(&listing.entries);
        let found = match request.token {
            Some(token) => holders.iter().find(|entry| entry.token.get() == token),
            None => holders.first().filter(|_| holders.len() == 1),
        };
        let Some(held) = found else {
            return Err(Error::State(refusal(&name, request.token, holders)));
        };
        let released = row(held, true);
        let Release { by, .. } = request;
        tracing::warn!(%name, token = %held.token, holder = %text(&held.value), by, "a lease is taken away");
        self.engine.leave(&name, held.token).await.map_err(broken)?;
        let now = self.engine.list(&name, None).await.map_err(broken)?;
        Ok(json!({ "name": name, "released": released, "now": summary(&name, &now) }))
    }
}

impl LeaseAdmin for LeaseOffice {
    fn list(&self, query: ListLeases) -> Answer<'_, Page> {
        self.page(query).boxed()
    }

    fn get(&self, name: String) -> Answer<'_, Value> {
        async move { self.show(&name).await }.boxed()
    }

    fn release(&self, name: String, request: Release) -> Answer<'_, Value> {
        async move { self.take(&name, request).await }.boxed()
    }
}

/// Why nothing is taken away.
fn refusal(name: &Name, asked: Option<u64>, holders: &[Entry]) -> String {
    let who = |entry: &Entry| format!("{} (token {})", text(&entry.value), entry.token);
    let all: Vec<String> = holders.iter().map(who).collect();
    let all = all.join(", ");
    match asked {
        Some(token) => format!("{name} is not held under token {token}; {all} holds it"),
        None => format!("{name} is shared by {all}; say whose by its token"),
    }
}

/// The entries whose turn it is: the first one, and with it those that share.
fn holders(entries: &[Entry]) -> &[Entry] {
    let blocked = |at: &usize| {
        let ahead = &entries[..*at];
        ahead.iter().any(|ahead| entries[*at].mode.waits_for(ahead.mode))
    };
    &entries[..(0..entries.len()).find(blocked).unwrap_or(entries.len())]
}

/// A name in one row; nothing when nobody is there.
fn summary(name: &Name, listing: &Listing) -> Option<Value> {
    let first = listing.entries.first()?;
    let holders = holders(&listing.entries).len();
    Some(json!({
        "name": name,
        "holder": text(&first.value),
        "token": first.token,
        "mode": first.mode,
        "holders": holders,
        "waiting": listing.entries.len() - holders,
        "more": listing.entries.len() >= LIST_MAX,
        "session": first.session.to_string(),
    }))
}

fn row(entry: &Entry, holds: bool) -> Value {
    json!({
        "holds": holds,
        "token": entry.token,
        "mode": entry.mode,
        "session": entry.session.to_string(),
        "value": text(&entry.value),
    })
}

/// What an owner has written, as text; what is no text shows as the replacement character.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// Whether all names with the prefix are before this one.
fn beyond(name: &Name, prefix: &str) -> bool {
    name.as_str() > prefix && !name.as_str().starts_with(prefix)
}

/// A name that is before all that begin with `prefix`, and after nearly everything else that is.
fn before(prefix: &Name) -> Option<Name> {
    let mut shorter = prefix.as_str().to_owned();
    let last = shorter.pop()?;
    let lower = char::from_u32(u32::from(last).wrapping_sub(1));
    let close = lower.and_then(|lower| Name::new(format!("{shorter}{lower}\u{10FFFF}")).ok());
    close.or_else(|| Name::new(shorter).ok())
}

fn parse(field: &'static str, text: &str) -> Result<Name, Error> {
    text.parse().map_err(|error: steadfast_coordination::NameError| Error::Invalid {
        field,
        rule: error.to_string(),
    })
}

fn broken(error: EngineError) -> Error {
    Error::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use steadfast_coordination::engine::embedded::{Embedded, Options};
    use steadfast_coordination::port::{Mode, Request};
    use steadfast_time::{Clock, Uuid};

    use super::*;

    struct Bench {
        office: LeaseOffice,
        engine: Embedded,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            let engine = Embedded::open(path, Clock::system(), Options::default()).unwrap();
            let office = LeaseOffice::new(Arc::new(engine.clone()));
            Self { office, engine, _folder: folder }
        }

        async fn enter(&self, name: &str, mode: Mode, value: &str) -> u64 {
            let session = self.engine.open(Duration::from_secs(60)).await.unwrap().session;
            let (id, value) = (Uuid::new_v4(), value.as_bytes());
            let request = Request { session, id, mode, value, wait: true };
            self.engine.enter(&name.parse().unwrap(), request).await.unwrap().token.get()
        }

        async fn names(
            &self,
            prefix: &str,
            cursor: Option<&str>,
            limit: usize,
        ) -> (Vec<String>, Option<String>) {
            let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
            let query = ListLeases { prefix, cursor: cursor.map(str::to_owned), limit };
            let page = self.office.page(query).await.unwrap();
            let name = |entry: &Value| entry["name"].as_str().unwrap().to_owned();
            (page.entries.iter().map(name).collect(), page.next_cursor)
        }

        async fn release(&self, name: &str, token: Option<u64>) -> Result<Value, Error> {
            self.office.take(name, Release { token, ..Release::default() }).await
        }
    }

    #[tokio::test]
    async fn a_prefix_finds_all_of_its_names_and_no_other_page_by_page() {
        let bench = Bench::new();
        for name in ["zone", "zone.", "zone/a", "zone/b", "zone/강남", "zone0", "a", "é", "zonf"]
        {
            bench.enter(name, Mode::Exclusive, "x").await;
        }
        let (all, next) = bench.names("", None, 100).await;
        assert_eq!((all.len(), next), (9, None));
        assert!(all.is_sorted());
        assert_eq!(bench.names("zone/", None, 100).await.0, ["zone/a", "zone/b", "zone/강남"]);
        let expected = ["zone", "zone.", "zone/a", "zone/b", "zone/강남", "zone0"];
        assert_eq!(bench.names("zone", None, 100).await.0, expected);
        assert_eq!(bench.names("é", None, 100).await, (vec!["é".to_owned()], None));
        assert_eq!(bench.names("nothing", None, 100).await, (Vec::new(), None));
        let (mut pages, mut cursor) = (Vec::new(), None);
        for page in 0.. {
            assert!(page < 9, "{pages:?}");
            let (names, next) = bench.names("zone", cursor.as_deref(), 2).await;
            pages.extend(names);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(pages, expected);
    }

    #[tokio::test]
    async fn names_before_the_prefix_are_not_taken_for_the_end() {
        let bench = Bench::new();
        let session = bench.engine.open(Duration::from_secs(60)).await.unwrap().session;
        // A blank has no predecessor that a name may have, so the search begins further ahead.
        for number in 0..=LIST_MAX {
            let name = format!("a {number:05}");
            let request = Request {
                session,
                id: Uuid::new_v4(),
                mode: Mode::Exclusive,
                value: b"x",
                wait: true,
            };
            bench.engine.enter(&name.parse().unwrap(), request).await.unwrap();
        }
        let last = format!("a {LIST_MAX:05}");
        let (names, next) = bench.names(&last, None, 100).await;
        assert_eq!((names, next), (vec![last], None));
        let (names, next) = bench.names("a ", None, 2 * LIST_MAX).await;
        assert_eq!(
            (names.len(), next.as_deref()),
            (LIST_MAX, Some(format!("a {:05}", LIST_MAX - 1)).as_deref())
        );
    }

    #[tokio::test]
    async fn the_holder_goes_and_only_if_it_is_the_one_that_is_meant() {
        let bench = Bench::new();
        let first = bench.enter("zone/a", Mode::Exclusive, "steadfast 1").await;
        let second = bench.enter("zone/a", Mode::Exclusive, "steadfast 2").await;
        let shown = bench.office.show("zone/a").await.unwrap();
        assert_eq!((&shown["holder"], &shown["waiting"]), (&json!("steadfast 1"), &json!(1)));
        assert_eq!(
            (&shown["queue"][0]["holds"], &shown["queue"][1]["token"]),
            (&json!(true), &json!(second))
        );
        // Somebody who waits holds nothing that could be taken away.
        let refused = bench.release("zone/a", Some(second)).await.unwrap_err();
        assert!(
            matches!(&refused, Error::State(text) if text.contains("steadfast 1")),
            "{refused}"
        );
        let done = bench.release("zone/a", Some(first)).await.unwrap();
        assert_eq!(
            (&done["released"]["token"], &done["now"]["token"]),
            (&json!(first), &json!(second))
        );
        let refused = bench.release("zone/a", Some(first)).await.unwrap_err();
        assert!(matches!(refused, Error::State(_)), "{refused}");
        let done = bench.release("zone/a", None).await.unwrap();
        assert_eq!((&done["released"]["token"], &done["now"]), (&json!(second), &Value::Null));
        for name in ["zone/a", "", "a\n"] {
            let missing = bench.release(name, None).await.unwrap_err();
            assert!(matches!(missing, Error::NotFound(_)), "{missing}");
        }
    }

    #[tokio::test]
    async fn of_several_who_share_one_must_be_named() {
        let bench = Bench::new();
        let first = bench.enter("map", Mode::Shared, "r1").await;
        let second = bench.enter("map", Mode::Shared, "r2").await;
        bench.enter("map", Mode::Exclusive, "w").await;
        let last = bench.enter("map", Mode::Shared, "r3").await;
        let shown = bench.office.show("map").await.unwrap();
        assert_eq!((&shown["holders"], &shown["waiting"]), (&json!(2), &json!(2)));
        for token in [None, Some(last)] {
            let refused = bench.release("map", token).await.unwrap_err();
            assert!(matches!(refused, Error::State(_)), "{refused}");
        }
        bench.release("map", Some(second)).await.unwrap();
        let shown = bench.office.show("map").await.unwrap();
        assert_eq!((&shown["holders"], &shown["token"]), (&json!(1), &json!(first)));
    }
}
