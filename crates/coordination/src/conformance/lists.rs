//! Lists, their versions, and waiting for the next one.

use super::bench::{Bench, Checked, Problem, ensure, ensure_eq};
use crate::port::{Entry, Listing, Mode, Name};

pub(super) async fn a_list_shows_all_in_order(bench: &Bench) -> Checked {
    let (one, two) = (bench.session().await?, bench.session_b().await?);
    let queue = bench.name("q")?;
    let mut expected = Vec::new();
    for (number, session) in [one, two, one, two, two].into_iter().enumerate() {
        let mode = if number % 3 == 0 { Mode::Exclusive } else { Mode::Shared };
        let value = format!("{}", 9 - number).into_bytes();
        let place = bench.a.enter(&queue, bench.request(session, mode, &value)).await?;
        expected.push(Entry { token: place.token, session, mode, value });
    }
    for at in [&bench.a, &bench.b] {
        ensure_eq(&at.list(&queue, None).await?.entries, &expected, "the entries")?;
    }
    bench.a.leave(&queue, expected.remove(1).token).await?;
    for at in [&bench.a, &bench.b] {
        ensure_eq(&at.list(&queue, None).await?.entries, &expected, "the entries that stay")?;
    }
    Ok(())
}

pub(super) async fn an_empty_queue_is_an_empty_list(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    ensure_eq(bench.b.list(&queue, None).await?.entries, vec![], "a queue that never was")?;
    let place = bench.enter(&queue, session).await?;
    bench.a.leave(&queue, place.token).await?;
    ensure_eq(bench.b.list(&queue, None).await?.entries, vec![], "a queue that all have left")
}

pub(super) async fn the_version_is_another_one_after_every_change(bench: &Bench) -> Checked {
    let (session, ending) = (bench.session().await?, bench.session().await?);
    let queue = bench.name("q")?;
    let mut seen: Vec<Listing> = vec![bench.b.list(&queue, None).await?];
    let mut look = async |what: &str| -> Checked {
        let listing = bench.b.list(&queue, None).await?;
        let before = seen.iter().find(|before| before.version == listing.version);
        // What looks as it did before may have the version that it had then.
        let is_new = before.is_none_or(|before| before.entries == listing.entries);
        let is_changed = seen.last().is_none_or(|last| last.version != listing.version);
        ensure(is_new && is_changed, &format!("an old version after {what}"))?;
        seen.push(listing);
        Ok(())
    };
    for _ in 0..2 {
        let first = bench.enter(&queue, session).await?;
        look("an arrival").await?;
        bench.a.set(&queue, first.token, b"one").await?;
        look("a value").await?;
        let second = bench.enter(&queue, session).await?;
        look("a second arrival").await?;
        bench.a.set(&queue, second.token, b"two").await?;
        look("a second value").await?;
        bench.a.leave(&queue, first.token).await?;
        look("a departure").await?;
        bench.a.leave(&queue, second.token).await?;
        look("the last departure").await?;
    }
    bench.enter(&queue, session).await?;
    look("an arrival").await?;
    bench.enter(&queue, ending).await?;
    look("another's arrival").await?;
    bench.a.close(ending).await?;
    look("the end of a session").await
}

pub(super) async fn the_version_stays_when_nothing_changes(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let (queue, other, empty) = (bench.name("q")?, bench.name("q/x")?, bench.name("r")?);
    bench.enter(&queue, session).await?;
    let here = bench.a.list(&queue, None).await?.version;
    let nowhere = bench.a.list(&empty, None).await?.version;
    let mut wait = bench.b.list(&queue, Some(here));
    let mut wait_empty = bench.b.list(&empty, Some(nowhere));
    for _ in 0..3 {
        let place = bench.enter(&other, session).await?;
        bench.a.renew(session).await?;
        bench.a.leave(&other, place.token).await?;
    }
    bench.quiet(&mut wait, "waiting for a change of the queue").await?;
    bench.quiet(&mut wait_empty, "waiting for a change of an empty queue").await?;
    ensure_eq(bench.b.list(&queue, None).await?.version, here, "the version")?;
    ensure_eq(bench.b.list(&empty, None).await?.version, nowhere, "the version of an empty queue")
}

pub(super) async fn a_list_since_another_version_is_answered_at_once(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let before = bench.a.list(&queue, None).await?.version;
    let place = bench.enter(&queue, session).await?;
    let between = bench.a.list(&queue, None).await?;
    ensure_eq(&bench.b.list(&queue, Some(before)).await?, &between, "since it was empty")?;
    bench.a.set(&queue, place.token, b"value").await?;
    let now = bench.a.list(&queue, None).await?;
    for since in [before, between.version, now.version ^ (1 << 40)] {
        ensure_eq(&bench.b.list(&queue, Some(since)).await?, &now, "since another version")?;
    }
    Ok(())
}

/// Waits at both clients, lets something happen, and looks at what they hear.
async fn heard(bench: &Bench, queue: &Name, change: impl AsyncFnOnce() -> Checked) -> Checked {
    let version = bench.a.list(queue, None).await?.version;
    let mut one = bench.a.list(queue, Some(version));
    let mut two = bench.b.list(queue, Some(version));
    bench.quiet(&mut one, "waiting for a change").await?;
    bench.quiet(&mut two, "waiting for a change").await?;
    change().await?;
    let (one, two) = futures::try_join!(one, two)?;
    for heard in [&one, &two] {
        ensure(heard.version != version, "a wait has ended with the old version")?;
    }
    let now = bench.a.list(queue, None).await?;
    ensure_eq(one, now.clone(), "what the one who changed it hears")?;
    ensure_eq(two, now, "what the other hears")
}

pub(super) async fn a_list_since_now_waits_for_an_arrival(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    for _ in 0..2 {
        let enter = async || Ok::<_, Problem>(bench.enter(&queue, session).await.map(|_| ())?);
        heard(bench, &queue, enter).await?;
    }
    Ok(())
}

pub(super) async fn a_list_since_now_waits_for_a_departure(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let first = bench.enter(&queue, session).await?.token;
    let second = bench.enter(&queue, session).await?.token;
    for token in [second, first] {
        let leave = async || Ok::<_, Problem>(bench.a.leave(&queue, token).await?);
        heard(bench, &queue, leave).await?;
    }
    Ok(())
}

pub(super) async fn a_list_since_now_waits_for_a_value(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    bench.enter(&queue, session).await?;
    let last = bench.enter(&queue, session).await?.token;
    for value in [&b"1"[..], b"2"] {
        let set = async || Ok::<_, Problem>(bench.a.set(&queue, last, value).await?);
        heard(bench, &queue, set).await?;
    }
    Ok(())
}

pub(super) async fn queues_with_entries_are_named_in_order(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let mut names = Vec::new();
    for text in ["c", "a", "a/b", "a-", "b b", "강남", "é"] {
        let name = bench.name(text)?;
        bench.enter(&name, session).await?;
        bench.a.store(&bench.name(&format!("register/{text}"))?, None, b"").await?;
        names.push(name);
    }
    names.sort();
    // Every page after every name, so that what others have left there does not matter.
    for (at, after) in names.iter().enumerate() {
        let page = bench.b.queues(Some(after)).await?;
        ensure(page.is_sorted(), "the names are not in order")?;
        let ours: Vec<_> =
            page.into_iter().filter(|name| name.as_str().starts_with(bench.prefix())).collect();
        ensure_eq(ours, names[at + 1..].to_vec(), &format!("names after {after}"))?;
    }
    let first = bench.enter(&names[0], session).await?;
    for token in bench.tokens(&names[0]).await? {
        bench.a.leave(&names[0], token).await?;
    }
    ensure(first.ahead.is_some(), "the queue had an entry")?;
    let page = bench.b.queues(None).await?;
    ensure(page.is_sorted(), "the names are not in order")?;
    ensure(!page.contains(&names[0]), "an empty queue is named")
}
