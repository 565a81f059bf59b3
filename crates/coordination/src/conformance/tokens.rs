//! Tokens are unique in the engine and rise.

use futures::future::try_join_all;

use super::bench::{Bench, Checked, ensure, ensure_eq};
use crate::port::Mode;

pub(super) async fn tokens_rise_over_all_queues(bench: &Bench) -> Checked {
    let sessions = [bench.session().await?, bench.session_b().await?];
    let clients = [&bench.a, &bench.b];
    let mut last = None;
    for round in 0..12 {
        let queue = bench.name(["z", "a", "m"][round % 3])?;
        let mode = if round % 4 == 0 { Mode::Shared } else { Mode::Exclusive };
        let request = bench.request(sessions[round % 2], mode, b"");
        let place = clients[round % 2].enter(&queue, request).await?;
        ensure(Some(place.token) > last, "a later entry of another queue has no higher token")?;
        last = Some(place.token);
    }
    Ok(())
}

pub(super) async fn tokens_rise_after_an_entry_has_left(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let mut last = None;
    for _ in 0..10 {
        let place = bench.enter(&queue, session).await?;
        ensure(Some(place.token) > last, "the next entry of an emptied queue has no higher token")?;
        last = Some(place.token);
        bench.a.leave(&queue, place.token).await?;
    }
    Ok(())
}

pub(super) async fn tokens_rise_after_a_session_has_ended(bench: &Bench) -> Checked {
    let queue = bench.name("q")?;
    let mut last = None;
    for _ in 0..4 {
        let session = bench.session().await?;
        for _ in 0..2 {
            let place = bench.enter(&queue, session).await?;
            ensure(Some(place.token) > last, "an entry of a later session has no higher token")?;
            last = Some(place.token);
        }
        bench.a.close(session).await?;
    }
    Ok(())
}

pub(super) async fn tokens_of_concurrent_entries_are_distinct(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let entries = (0..50).map(|number| async move {
        let queue = bench.name(&number.to_string())?;
        let place = bench.enter(&queue, session).await?;
        ensure_eq(place.ahead, None, "the only entry of a queue waits")?;
        Ok::<_, super::Problem>(place.token)
    });
    let mut tokens = try_join_all(entries).await?;
    tokens.sort_unstable();
    tokens.dedup();
    ensure_eq(tokens.len(), 50, "tokens are given twice")
}
