//! Waiting for one's turn.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::try_join_all;
use futures::poll;
use steadfast_fencing::FencingToken;

use super::bench::{Bench, Checked, Problem, ensure, ensure_eq};
use crate::port::{Mode, Notification};

pub(super) async fn waiting_for_what_is_gone_ends_at_once(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let gone = bench.enter(&queue, session).await?.token;
    let stays = bench.enter(&queue, session).await?.token;
    bench.a.leave(&queue, gone).await?;
    bench.b.gone(&queue, gone).await?;
    bench.b.gone(&bench.name("r")?, stays).await?;
    Ok(())
}

pub(super) async fn a_leave_wakes_who_waits_for_it(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    for (here, there) in [(&bench.a, &bench.b), (&bench.b, &bench.a)] {
        let held = bench.enter(&queue, session).await?.token;
        let mut waits = [here.gone(&queue, held), there.gone(&queue, held)];
        for wait in &mut waits {
            bench.quiet(wait, "waiting for an entry").await?;
        }
        here.leave(&queue, held).await?;
        try_join_all(waits).await?;
    }
    Ok(())
}

pub(super) async fn only_who_waits_for_an_entry_is_woken(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let mut tokens = Vec::new();
    for _ in 0..6 {
        tokens.push(bench.enter(&queue, session).await?.token);
    }
    let mut waits: Vec<_> = tokens.iter().map(|token| bench.b.gone(&queue, *token)).collect();
    for wait in &mut waits {
        bench.quiet(wait, "waiting for an entry").await?;
    }
    let is_pushed = bench.capabilities().notification == Notification::Pushed;
    for token in tokens {
        bench.a.leave(&queue, token).await?;
        let woken = waits.remove(0);
        woken.await?;
        if is_pushed && !waits.is_empty() {
            let mut any = futures::future::select_all(waits.iter_mut());
            bench.quiet(&mut any, "waiting for another entry").await?;
        }
    }
    Ok(())
}

pub(super) async fn dropped_waits_leave_nothing_behind(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let held = bench.enter(&queue, session).await?.token;
    let version = bench.a.list(&queue, None).await?.version;
    for round in 0..40 {
        let at = if round % 2 == 0 { &bench.a } else { &bench.b };
        let mut gone = at.gone(&queue, held);
        let mut list = at.list(&queue, Some(version));
        if round == 0 {
            // Long enough to be at the server.
            bench.quiet(&mut gone, "waiting for an entry").await?;
            bench.quiet(&mut list, "waiting for a change").await?;
        }
        let pending = (poll!(&mut gone).is_pending(), poll!(&mut list).is_pending());
        ensure_eq(pending, (true, true), "waits for what has not happened")?;
    }
    let (gone, list) = (bench.b.gone(&queue, held), bench.b.list(&queue, Some(version)));
    let leave = async {
        bench.clock.sleep(std::time::Duration::from_millis(50)).await;
        bench.a.leave(&queue, held).await
    };
    let ((), listing, ()) = futures::try_join!(gone, list, leave)?;
    ensure_eq(listing.entries, vec![], "the queue")?;
    let next = bench.enter(&queue, session).await?;
    ensure_eq(next.ahead, None, "the next one's turn")
}

/// Whatever has become of what was dropped, the repetition finds it.
pub(super) async fn a_dropped_enter_can_be_repeated(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    for round in 0..20 {
        let queue = bench.name(&round.to_string())?;
        let request = bench.request(session, Mode::Exclusive, b"");
        let mut enter = bench.a.enter(&queue, request);
        for _ in 0..round % 4 {
            if poll!(&mut enter).is_ready() {
                break;
            }
            bench.clock.sleep(std::time::Duration::from_micros(200)).await;
        }
        drop(enter);
        let place = bench.a.enter(&queue, request).await?;
        ensure_eq(place.ahead, None, "the turn of the only one")?;
        ensure_eq(bench.tokens(&queue).await?, vec![place.token], "the queue")?;
    }
    Ok(())
}

pub(super) async fn thirty_two_take_their_turns_in_order(bench: &Bench) -> Checked {
    let sessions = [bench.session().await?, bench.session_b().await?];
    let queue = &bench.name("q")?;
    let inside = &AtomicU64::new(0);
    let turns = (0..32).map(|number| {
        let at = if number % 2 == 0 { &bench.a } else { &bench.b };
        let request = bench.request(sessions[number % 2], Mode::Exclusive, b"");
        async move {
            let mut place = at.enter(queue, request).await?;
            while let Some(ahead) = place.ahead {
                at.gone(queue, ahead).await?;
                place = at.place(queue, place.token).await?;
                if place.ahead == Some(ahead) {
                    // The wait has ended early.
                    bench.pause().await;
                }
            }
            let before = inside.swap(place.token.get(), Ordering::SeqCst);
            ensure(before < place.token.get(), "a turn before an earlier one")?;
            // The others could come in meanwhile.
            bench.clock.sleep(std::time::Duration::from_millis(1)).await;
            ensure_eq(inside.load(Ordering::SeqCst), place.token.get(), "two are in at once")?;
            at.leave(queue, place.token).await?;
            Ok::<FencingToken, Problem>(place.token)
        }
    });
    let tokens = try_join_all(turns).await?;
    ensure_eq(tokens.len(), 32, "turns")?;
    ensure_eq(bench.tokens(queue).await?, vec![], "the queue")
}
