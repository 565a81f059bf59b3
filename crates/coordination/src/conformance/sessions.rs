//! Sessions: how long they live, and what ends with them.

use std::time::Duration;

use super::bench::{Bench, Checked, Problem, ensure, ensure_eq, ensure_refused};
use crate::port::{Error, Mode, Request, SessionId};

const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// How far a server's measure may be from ours over a few seconds: clocks of one host tick alike,
/// but a server may count in milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);

/// How long after its end a session may still be there: servers look every so often.
const LATE_MAX: Duration = Duration::from_secs(10);

fn is_over(session: SessionId) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::SessionOver { session: over } if *over == session)
}

pub(super) async fn a_session_has_at_least_the_length_that_was_asked_for(bench: &Bench) -> Checked {
    let shortest = bench.capabilities().session_min;
    for length in [shortest, shortest.mul_f64(1.37)] {
        let (_, granted) = bench.open(&bench.a, length).await?;
        ensure(granted >= length, &format!("of {length:?} only {granted:?} are granted"))?;
    }
    Ok(())
}

pub(super) async fn lengths_that_cannot_be_are_refused(bench: &Bench) -> Checked {
    for length in [Duration::ZERO, YEAR, Duration::MAX] {
        let is_length = |error: &Error| matches!(error, Error::Length { asked, min, max } if *asked == length && min <= max);
        let opened = bench.open(&bench.a, length).await;
        ensure_refused(opened, is_length, &format!("a session of {length:?}"))?;
    }
    Ok(())
}

pub(super) async fn sessions_have_numbers_of_their_own(bench: &Bench) -> Checked {
    let mut seen = Vec::new();
    for _ in 0..4 {
        for session in [bench.session().await?, bench.session_b().await?] {
            ensure(!seen.contains(&session), "two sessions have one number")?;
            seen.push(session);
            bench.a.close(session).await?;
        }
    }
    Ok(())
}

pub(super) async fn closing_ends_all_entries_of_the_session_and_no_other(bench: &Bench) -> Checked {
    let (ending, staying) = (bench.session().await?, bench.session_b().await?);
    let queues = [bench.name("q")?, bench.name("r")?];
    let mut left = Vec::new();
    for queue in &queues {
        let mut tokens = Vec::new();
        for _ in 0..3 {
            bench.enter(queue, ending).await?;
            let request = bench.request(staying, Mode::Exclusive, b"");
            tokens.push(bench.b.enter(queue, request).await?.token);
        }
        left.push(tokens);
    }
    bench.a.close(ending).await?;
    for (queue, tokens) in queues.iter().zip(left) {
        ensure_eq(bench.tokens(queue).await?, tokens.clone(), "what stays")?;
        let first = bench.a.place(queue, tokens[0]).await?;
        ensure_eq(first.ahead, None, "the turn of the first that stays")?;
    }
    Ok(())
}

pub(super) async fn closing_wakes_those_who_wait(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let held = bench.enter(&queue, session).await?;
    let version = bench.b.list(&queue, None).await?.version;
    let (mut gone, mut list) =
        (bench.b.gone(&queue, held.token), bench.b.list(&queue, Some(version)));
    bench.quiet(&mut gone, "waiting for an entry").await?;
    bench.quiet(&mut list, "waiting for a change").await?;
    bench.a.close(session).await?;
    let (gone, listing) = futures::try_join!(gone, list)?;
    let () = gone;
    ensure_eq(listing.entries, vec![], "the queue")
}

pub(super) async fn a_closed_session_is_over(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let request = bench.request(session, Mode::Exclusive, b"");
    bench.a.enter(&queue, request).await?;
    for _ in 0..2 {
        bench.a.close(session).await?;
        ensure_refused(bench.a.renew(session).await, is_over(session), "renewing it")?;
        for request in [request, bench.request(session, Mode::Shared, b"")] {
            for wait in [true, false] {
                let entered = bench.a.enter(&queue, Request { wait, ..request }).await;
                ensure_refused(entered, is_over(session), "entering with it")?;
            }
        }
    }
    ensure_eq(bench.tokens(&queue).await?, vec![], "the queue")
}

pub(super) async fn a_silent_session_ends_after_its_length_and_wakes_those_who_wait(
    bench: &Bench,
) -> Checked {
    let staying = bench.session_b().await?;
    let queue = bench.name("q")?;
    let sent = bench.clock.monotonic();
    let (session, length) = bench.open(&bench.a, bench.capabilities().session_min).await?;
    let held = bench.enter(&queue, session).await?;
    let next = bench.b.enter(&queue, bench.request(staying, Mode::Exclusive, b"")).await?;
    let version = bench.b.list(&queue, None).await?.version;
    // Two who wait, and nobody who calls: the server has to find out by itself.
    let gone = async {
        loop {
            bench.b.gone(&queue, held.token).await?;
            // The wait may have ended early.
            if bench.b.place(&queue, next.token).await?.ahead.is_none() {
                return Ok::<_, Problem>(bench.since(sent));
            }
            bench.pause().await;
        }
    };
    let changed = async { Ok::<_, Problem>(bench.b.list(&queue, Some(version)).await?) };
    let both = futures::future::try_join(gone, changed);
    let both = bench.clock.timeout(length + LATE_MAX, both).await;
    let Ok(both) = both else {
        return Err(Problem::new(format!("after {:?} nobody is woken", length + LATE_MAX)));
    };
    let (after, listing) = both?;
    ensure(after + ROUNDING >= length, &format!("of {length:?} it lived {after:?}"))?;
    let tokens: Vec<_> = listing.entries.iter().map(|entry| entry.token).collect();
    ensure_eq(tokens, vec![next.token], "the queue")?;
    for _ in 0..2 {
        ensure_refused(bench.a.renew(session).await, is_over(session), "renewing it")?;
        let entered = bench.enter(&queue, session).await;
        ensure_refused(entered, is_over(session), "entering with it")?;
    }
    Ok(())
}

pub(super) async fn a_renewed_session_goes_on(bench: &Bench) -> Checked {
    let queue = bench.name("q")?;
    // Long enough for a test on a busy machine to renew it in time.
    let length = bench.capabilities().session_min.max(Duration::from_millis(500));
    let (session, length) = bench.open(&bench.a, length).await?;
    let held = bench.enter(&queue, session).await?;
    let mut sent = bench.clock.monotonic();
    // One third is a round trip's allowance.
    for _ in 0..3 {
        bench.clock.sleep(length.mul_f64(0.66)).await;
        sent = bench.clock.monotonic();
        bench.a.renew(session).await?;
    }
    let place = bench.b.place(&queue, held.token).await?;
    ensure_eq(place.ahead, None, "its entry, at twice its length")?;
    let end = bench.clock.timeout(length + LATE_MAX, bench.b.gone(&queue, held.token)).await;
    let Ok(gone) = end else {
        return Err(Problem::new("it goes on without being renewed"));
    };
    gone?;
    let after = bench.since(sent);
    ensure(
        after + ROUNDING >= length,
        &format!("of {length:?} it lived {after:?} after the last renewal"),
    )
}

pub(super) async fn renewing_one_session_is_not_renewing_another(bench: &Bench) -> Checked {
    let queue = bench.name("q")?;
    let shortest = bench.capabilities().session_min.max(Duration::from_millis(200));
    let (renewed, length) = bench.open(&bench.a, shortest).await?;
    let (silent, _) = bench.open(&bench.a, shortest).await?;
    let held = bench.enter(&queue, silent).await?;
    let start = bench.clock.monotonic();
    let renewals = async {
        loop {
            bench.clock.sleep(length / 4).await;
            if let Err(error) = bench.a.renew(renewed).await {
                return Problem::from(error);
            }
        }
    };
    let gone = async {
        loop {
            bench.b.gone(&queue, held.token).await?;
            if bench.tokens(&queue).await?.is_empty() {
                return Ok::<_, Error>(());
            }
            bench.pause().await;
        }
    };
    let (renewals, gone) = (std::pin::pin!(renewals), std::pin::pin!(gone));
    let race = futures::future::select(gone, renewals);
    match bench.clock.timeout(length + LATE_MAX, race).await {
        Err(_) => Err(Problem::new("the silent one goes on with the other")),
        Ok(futures::future::Either::Right((problem, _))) => Err(problem),
        Ok(futures::future::Either::Left((gone, _))) => {
            gone?;
            ensure(bench.since(start) + length / 4 >= length / 2, "it ended at once")?;
            Ok(bench.a.renew(renewed).await?)
        }
    }
}
