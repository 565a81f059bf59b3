//! Whose turn it is.

use futures::future::try_join_all;

use super::bench::{Bench, Checked, ensure, ensure_eq, ensure_refused};
use crate::port::{Error, Mode, Request};

/// All orders of four modes, against the rule itself.
pub(super) async fn entries_wait_for_those_ahead_that_exclude_them(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    for pattern in 0..16_u32 {
        let queue = bench.name(&format!("{pattern}"))?;
        let mut ahead = Vec::new();
        for bit in 0..4 {
            let mode = if pattern & (1 << bit) == 0 { Mode::Shared } else { Mode::Exclusive };
            let place = bench.a.enter(&queue, bench.request(session, mode, b"")).await?;
            let blocking = ahead.iter().filter(|(other, _)| mode.waits_for(*other));
            let nearest = blocking.clone().map(|(_, token)| *token).next_back();
            ensure_eq(place.ahead, nearest, &format!("the one ahead of {bit} in {pattern:04b}"))?;
            let depth_max = u32::try_from(blocking.count()).unwrap_or(u32::MAX);
            let depth_min = depth_max.min(1);
            ensure(
                (depth_min..=depth_max).contains(&place.depth),
                "the depth is not the number of those ahead, or less",
            )?;
            let again = bench.b.place(&queue, place.token).await?;
            ensure_eq(again.ahead, nearest, "place and enter differ")?;
            ahead.push((mode, place.token));
        }
    }
    Ok(())
}

pub(super) async fn an_entry_moves_up_when_one_ahead_leaves(bench: &Bench) -> Checked {
    let sessions = [bench.session().await?, bench.session_b().await?];
    let queue = bench.name("q")?;
    let mut tokens = Vec::new();
    for number in 0..5 {
        tokens.push(bench.enter(&queue, sessions[number % 2]).await?.token);
    }
    let (last, middle) = (tokens[4], tokens[3]);
    ensure_eq(bench.b.place(&queue, last).await?.ahead, Some(middle), "the one ahead")?;
    bench.a.leave(&queue, middle).await?;
    ensure_eq(bench.b.place(&queue, last).await?.ahead, Some(tokens[2]), "after one gave up")?;
    for ahead in [tokens[0], tokens[1]] {
        bench.b.leave(&queue, ahead).await?;
        ensure_eq(bench.a.place(&queue, last).await?.ahead, Some(tokens[2]), "the nearest stays")?;
    }
    ensure_eq(bench.a.place(&queue, tokens[2]).await?.ahead, None, "the first one's turn")?;
    bench.a.leave(&queue, tokens[2]).await?;
    let place = bench.b.place(&queue, last).await?;
    ensure_eq((place.ahead, place.depth), (None, 0), "the last one's turn")
}

pub(super) async fn who_will_not_wait_gets_in_or_leaves_nothing(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let attempt = |mode| Request { wait: false, ..bench.request(session, mode, b"") };
    let first = bench.a.enter(&queue, attempt(Mode::Exclusive)).await?;
    ensure_eq(first.ahead, None, "the only one waits")?;
    for mode in [Mode::Exclusive, Mode::Shared] {
        let busy = |error: &Error| matches!(error, Error::Busy { name, holder } if *name == queue && *holder == first.token);
        ensure_refused(bench.b.enter(&queue, attempt(mode)).await, busy, "a held queue is busy")?;
    }
    ensure_eq(bench.tokens(&queue).await?, vec![first.token], "who would not wait is left behind")?;
    bench.a.leave(&queue, first.token).await?;
    let shared = bench.a.enter(&queue, attempt(Mode::Shared)).await?;
    let beside = bench.b.enter(&queue, attempt(Mode::Shared)).await?;
    ensure_eq(beside.ahead, None, "who shares waits for who shares")?;
    let is_busy = |error: &Error| matches!(error, Error::Busy { .. });
    let refused = bench.a.enter(&queue, attempt(Mode::Exclusive)).await;
    ensure_refused(refused, is_busy, "an exclusive one beside shared ones")?;
    let standing = vec![shared.token, beside.token];
    ensure_eq(bench.tokens(&queue).await?, standing, "who would not wait is left behind")
}

pub(super) async fn a_repeated_enter_is_the_same_entry(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let first = bench.request(session, Mode::Exclusive, b"");
    let second = bench.request(session, Mode::Shared, b"");
    let one = bench.a.enter(&queue, first).await?;
    let two = bench.a.enter(&queue, second).await?;
    for _ in 0..2 {
        let again = bench.a.enter(&queue, first).await?;
        ensure_eq((again.token, again.ahead), (one.token, None), "the repeated first entry")?;
        let again = bench.a.enter(&queue, second).await?;
        let expected = (two.token, Some(one.token));
        ensure_eq((again.token, again.ahead), expected, "the repeated second entry")?;
    }
    let refusing = Request { wait: false, ..first };
    ensure_eq(bench.a.enter(&queue, refusing).await?.token, one.token, "its turn, repeated")?;
    ensure_eq(bench.tokens(&queue).await?, vec![one.token, two.token], "the queue")?;
    bench.a.leave(&queue, one.token).await?;
    let now = bench.a.enter(&queue, second).await?;
    ensure_eq((now.token, now.ahead), (two.token, None), "a repetition after the one ahead left")
}

pub(super) async fn a_repeated_enter_keeps_the_value(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let request = bench.request(session, Mode::Exclusive, b"first");
    let place = bench.a.enter(&queue, request).await?;
    bench.a.set(&queue, place.token, b"later").await?;
    bench.a.enter(&queue, request).await?;
    let listing = bench.b.list(&queue, None).await?;
    let values: Vec<_> = listing.entries.into_iter().map(|entry| entry.value).collect();
    ensure_eq(values, vec![b"later".to_vec()], "the value after a late repetition")
}

pub(super) async fn an_id_belongs_to_a_session_and_a_queue(bench: &Bench) -> Checked {
    let (one, two) = (bench.session().await?, bench.session_b().await?);
    let (queue, elsewhere) = (bench.name("q")?, bench.name("r")?);
    let request = bench.request(one, Mode::Exclusive, b"");
    let first = bench.a.enter(&queue, request).await?;
    let other = bench.b.enter(&queue, Request { session: two, ..request }).await?;
    ensure_eq(other.ahead, Some(first.token), "the same id of another session")?;
    let apart = bench.a.enter(&elsewhere, request).await?;
    ensure_eq(apart.ahead, None, "the same id in another queue")?;
    ensure(apart.token > other.token, "the same id in another queue is the same entry")?;
    bench.a.leave(&queue, first.token).await?;
    ensure_eq(bench.tokens(&queue).await?, vec![other.token], "the queue that one has left")?;
    ensure_eq(bench.tokens(&elsewhere).await?, vec![apart.token], "the other queue")
}

pub(super) async fn a_place_is_over_when_the_entry_is_gone(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let (queue, empty) = (bench.name("q")?, bench.name("r")?);
    let first = bench.enter(&queue, session).await?;
    let second = bench.enter(&queue, session).await?;
    bench.a.leave(&queue, first.token).await?;
    for (at, queue, token) in [(&bench.b, &queue, first.token), (&bench.a, &empty, second.token)] {
        let over = |error: &Error| matches!(error, Error::Over { name, token: which } if name == queue && *which == token);
        ensure_refused(at.place(queue, token).await, over, "the place of what is not there")?;
    }
    Ok(())
}

pub(super) async fn a_hundred_who_enter_at_once_have_one_order(bench: &Bench) -> Checked {
    let sessions = [bench.session().await?, bench.session_b().await?];
    let clients = [&bench.a, &bench.b];
    let queue = bench.name("q")?;
    let queue = &queue;
    let entries = (0..100).map(|number| {
        let request = bench.request(sessions[number % 2], Mode::Exclusive, b"");
        async move { clients[number % 2].enter(queue, request).await }
    });
    let places = try_join_all(entries).await?;
    let first = places.iter().filter(|place| place.ahead.is_none()).count();
    ensure_eq(first, 1, "entries that were first")?;
    let mut tokens: Vec<_> = places.iter().map(|place| place.token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    ensure_eq(tokens.len(), 100, "distinct tokens")?;
    ensure_eq(bench.tokens(queue).await?, tokens.clone(), "the order of turns")?;
    for pair in tokens.windows(2) {
        let place = bench.b.place(queue, pair[1]).await?;
        ensure_eq(place.ahead, Some(pair[0]), "the one ahead")?;
    }
    Ok(())
}
