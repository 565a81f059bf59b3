//! Values of entries and registers.

use super::bench::{Bench, Checked, ensure_eq, ensure_refused};
use crate::limits::VALUE_BYTES_MAX;
use crate::port::{Error, Mode};

pub(super) async fn a_value_is_what_was_set_last(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let request = bench.request(session, Mode::Exclusive, b"entered");
    let place = bench.a.enter(&queue, request).await?;
    for value in [&b"entered"[..], b"set", b"", b"set again"] {
        if value != b"entered" {
            bench.b.set(&queue, place.token, value).await?;
        }
        let found = bench.b.list(&queue, None).await?.entries;
        let found: Vec<_> = found.into_iter().map(|entry| entry.value).collect();
        ensure_eq(found, vec![value.to_vec()], "the value")?;
    }
    Ok(())
}

pub(super) async fn setting_moves_nobody(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(bench.enter(&queue, session).await?.token);
    }
    for (number, token) in tokens.iter().enumerate() {
        bench.a.set(&queue, *token, format!("{number}").as_bytes()).await?;
        let place = bench.a.place(&queue, *token).await?;
        let ahead = number.checked_sub(1).map(|before| tokens[before]);
        ensure_eq((place.token, place.ahead), (*token, ahead), "its place")?;
    }
    let found = bench.b.list(&queue, None).await?.entries;
    let values: Vec<_> = found.into_iter().map(|entry| (entry.token, entry.value)).collect();
    let expected = tokens.iter().enumerate();
    let expected = expected.map(|(number, token)| (*token, format!("{number}").into_bytes()));
    ensure_eq(values, expected.collect(), "the values")
}

pub(super) async fn setting_what_is_gone_is_refused(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let left = bench.enter(&queue, session).await?.token;
    let next = bench.enter(&queue, session).await?.token;
    bench.a.leave(&queue, left).await?;
    let over = |error: &Error| matches!(error, Error::Over { name, token } if *name == queue && *token == left);
    ensure_refused(bench.a.set(&queue, left, b"stale").await, over, "setting what is gone")?;
    let found = bench.b.list(&queue, None).await?.entries;
    let values: Vec<_> = found.into_iter().map(|entry| (entry.token, entry.value)).collect();
    ensure_eq(values, vec![(next, vec![])], "the queue")
}

/// Values that a server with ideas of its own about text, or lengths, would change.
fn samples() -> Vec<Vec<u8>> {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    vec![
        vec![],
        vec![0],
        every.repeat(VALUE_BYTES_MAX / 256),
        vec![0xFF; VALUE_BYTES_MAX],
        b"{\"json\":\"\\u0000\"}\r\n ' \" \\ %s".to_vec(),
    ]
}

pub(super) async fn values_are_bytes(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    for (number, value) in samples().into_iter().enumerate() {
        let name = bench.name(&number.to_string())?;
        bench.a.enter(&name, bench.request(session, Mode::Exclusive, &value)).await?;
        let place = bench.a.enter(&name, bench.request(session, Mode::Exclusive, b"")).await?;
        bench.a.set(&name, place.token, &value).await?;
        let version = bench.a.store(&name, None, &value).await?;
        let entries = bench.b.list(&name, None).await?.entries;
        let found: Vec<_> = entries.into_iter().map(|entry| entry.value).collect();
        ensure_eq(found, vec![value.clone(); 2], "values of entries")?;
        let register = bench.b.load(&name).await?;
        let found = register.map(|register| (register.version, register.value));
        ensure_eq(found, Some((version, value)), "the value of a register")?;
    }
    Ok(())
}

pub(super) async fn values_that_do_not_fit_are_refused(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let queue = bench.name("q")?;
    let held = bench.a.enter(&queue, bench.request(session, Mode::Shared, b"fits")).await?;
    let value = vec![b'x'; VALUE_BYTES_MAX + 1];
    let too_large = |error: &Error| {
        matches!(error, Error::TooLarge { bytes, limit, .. }
            if *bytes == VALUE_BYTES_MAX + 1 && *limit == VALUE_BYTES_MAX)
    };
    let entered = bench.a.enter(&queue, bench.request(session, Mode::Shared, &value)).await;
    ensure_refused(entered, too_large, "entering with 4097 bytes")?;
    let set = bench.a.set(&queue, held.token, &value).await;
    ensure_refused(set, too_large, "setting 4097 bytes")?;
    let stored = bench.a.store(&queue, None, &value).await;
    ensure_refused(stored, too_large, "storing 4097 bytes")?;
    ensure_eq(bench.b.load(&queue).await?, None, "the register")?;
    let entries = bench.b.list(&queue, None).await?.entries;
    let found: Vec<_> = entries.into_iter().map(|entry| entry.value).collect();
    ensure_eq(found, vec![b"fits".to_vec()], "the queue")
}
