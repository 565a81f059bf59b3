//! Leaving ends the entry that it names, and no other.

use steadfast_fencing::FencingToken;

use super::bench::{Bench, Checked, ensure_eq};

pub(super) async fn leaving_twice_is_fine(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let first = bench.enter(&queue, session).await?;
    let second = bench.enter(&queue, session).await?;
    for at in [&bench.a, &bench.b, &bench.a] {
        at.leave(&queue, first.token).await?;
        ensure_eq(bench.tokens(&queue).await?, vec![second.token], "the queue")?;
    }
    Ok(())
}

pub(super) async fn a_stale_token_ends_nobody(bench: &Bench) -> Checked {
    let (one, two) = (bench.session().await?, bench.session_b().await?);
    let queue = bench.name("q")?;
    let stale = bench.enter(&queue, one).await?;
    bench.a.leave(&queue, stale.token).await?;
    let holder = bench.enter(&queue, two).await?;
    bench.a.leave(&queue, stale.token).await?;
    let place = bench.b.place(&queue, holder.token).await?;
    ensure_eq(place.ahead, None, "the next holder, after a release that came late")?;
    let ended = bench.enter(&queue, one).await?;
    bench.a.close(one).await?;
    bench.a.leave(&queue, ended.token).await?;
    ensure_eq(bench.tokens(&queue).await?, vec![holder.token], "the queue")
}

pub(super) async fn a_token_of_another_queue_ends_nobody(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let (queue, other) = (bench.name("q")?, bench.name("r")?);
    let here = bench.enter(&queue, session).await?;
    let there = bench.enter(&other, session).await?;
    bench.a.leave(&queue, there.token).await?;
    bench.a.leave(&other, here.token).await?;
    ensure_eq(bench.tokens(&queue).await?, vec![here.token], "the queue")?;
    ensure_eq(bench.tokens(&other).await?, vec![there.token], "the other queue")
}

pub(super) async fn leaving_what_never_was_is_fine(bench: &Bench) -> Checked {
    bench.a.leave(&bench.name("q")?, FencingToken::FIRST).await?;
    Ok(())
}
