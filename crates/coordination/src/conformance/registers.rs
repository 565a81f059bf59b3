//! Registers: compare and set.

use futures::future::{join_all, try_join_all};

use super::bench::{Bench, Checked, Problem, ensure, ensure_eq, ensure_refused};
use crate::port::{Error, Name};

fn conflict(register: &Name, expected: Option<u64>) -> impl Fn(&Error) -> bool {
    let name = register.clone();
    move |error| {
        matches!(error, Error::Conflict { register, version }
            if *register == name && *version == expected)
    }
}

pub(super) async fn a_register_is_absent_until_it_is_stored(bench: &Bench) -> Checked {
    let register = bench.name("r")?;
    ensure_eq(bench.b.load(&register).await?, None, "the register")?;
    let stored = bench.a.store(&register, Some(1), b"x").await;
    ensure_refused(stored, conflict(&register, None), "a store over a version that never was")?;
    ensure_eq(bench.b.load(&register).await?, None, "the register after it")
}

pub(super) async fn a_register_is_created_once(bench: &Bench) -> Checked {
    let register = bench.name("r")?;
    let version = bench.a.store(&register, None, b"").await?;
    ensure(version != 0, "a version is zero")?;
    for at in [&bench.a, &bench.b] {
        let again = at.store(&register, None, b"again").await;
        ensure_refused(again, conflict(&register, Some(version)), "creating it again")?;
    }
    let found = bench.b.load(&register).await?.map(|found| (found.version, found.value));
    ensure_eq(found, Some((version, vec![])), "the register")
}

pub(super) async fn of_many_creators_one_wins(bench: &Bench) -> Checked {
    for round in 0..3 {
        let register = &bench.name(&format!("{round}"))?;
        let creators = (0..10_u8).map(|number| async move {
            let at = if number % 2 == 0 { &bench.a } else { &bench.b };
            (number, at.store(register, None, &[number]).await)
        });
        let mut winners = Vec::new();
        for (number, result) in join_all(creators).await {
            match result {
                Ok(version) => winners.push((version, vec![number])),
                Err(Error::Conflict { version: Some(_), .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        ensure_eq(winners.len(), 1, "creators that won")?;
        let found = bench.b.load(register).await?.map(|found| (found.version, found.value));
        ensure_eq(found, winners.pop(), "the register")?;
    }
    Ok(())
}

pub(super) async fn a_store_compares_the_version(bench: &Bench) -> Checked {
    let register = bench.name("r")?;
    let first = bench.a.store(&register, None, b"first").await?;
    let second = bench.b.store(&register, Some(first), b"second").await?;
    for expected in [Some(first), None, Some(second.wrapping_add(1)), Some(0)] {
        let stored = bench.a.store(&register, expected, b"stale").await;
        let refused = conflict(&register, Some(second));
        ensure_refused(stored, refused, &format!("a store over {expected:?}, not {second}"))?;
    }
    let found = bench.a.load(&register).await?.map(|found| (found.version, found.value));
    ensure_eq(found, Some((second, b"second".to_vec())), "the register")
}

pub(super) async fn every_store_has_another_version(bench: &Bench) -> Checked {
    let register = bench.name("r")?;
    let mut seen = Vec::new();
    for round in 0..6 {
        let value = if round % 2 == 0 { b"one" } else { b"two" };
        for _ in 0..2 {
            let version = bench.a.store(&register, seen.last().copied(), value).await?;
            ensure(version != 0, "a version is zero")?;
            ensure(!seen.contains(&version), "a version has come back")?;
            seen.push(version);
        }
    }
    Ok(())
}

pub(super) async fn a_store_is_seen_by_everybody_at_once(bench: &Bench) -> Checked {
    let register = bench.name("r")?;
    let mut version = None;
    for round in 0..20_u8 {
        let (one, two) = if round % 2 == 0 { (&bench.a, &bench.b) } else { (&bench.b, &bench.a) };
        version = Some(one.store(&register, version, &[round]).await?);
        let found = two.load(&register).await?.map(|found| (Some(found.version), found.value));
        ensure_eq(found, Some((version, vec![round])), "what the other one reads")?;
    }
    Ok(())
}

pub(super) async fn concurrent_counting_loses_nothing(bench: &Bench) -> Checked {
    let register = &bench.name("r")?;
    let counters = (0..6).map(|number| async move {
        let at = if number % 2 == 0 { &bench.a } else { &bench.b };
        for _ in 0..5 {
            loop {
                let found = at.load(register).await?;
                let count = found.as_ref().and_then(|found| found.value.first()).unwrap_or(&0) + 1;
                let expected = found.map(|found| found.version);
                match at.store(register, expected, &[count]).await {
                    Ok(_) => break,
                    Err(Error::Conflict { .. }) => bench.pause().await,
                    Err(other) => return Err(Problem::from(other)),
                }
            }
        }
        Ok(())
    });
    try_join_all(counters).await?;
    let found = bench.a.load(register).await?.map(|found| found.value);
    ensure_eq(found, Some(vec![30]), "the count of thirty")
}
