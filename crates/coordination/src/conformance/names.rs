//! Names that a server with ideas of its own about paths, patterns or case would confuse.

use super::bench::{Bench, Checked, Problem, ensure_eq};
use crate::limits::RESOURCE_BYTES_MAX;
use crate::port::{Mode, Name};

fn odd(bench: &Bench) -> Result<Vec<Name>, Problem> {
    let texts = [
        "a",
        "a/b",
        "a-",
        "ab",
        "a/",
        "a//b",
        "/a",
        "A",
        "a ",
        " a",
        "a b",
        "a%2Fb",
        "a%2fb",
        "%",
        "%%",
        "%2F",
        "a.",
        ".",
        "..",
        "a/../a",
        "*",
        "a?",
        "[a]",
        "{a}",
        "a:b",
        "a\\b",
        "'a'",
        "\"a\"",
        "a_",
        "a0",
        "a0000000001",
        "강남",
        "강남/역",
        "é",
        "e\u{301}",
        "🛵",
        "\u{feff}",
    ];
    let mut names = Vec::new();
    for text in texts {
        names.push(bench.name(text)?);
    }
    let room = RESOURCE_BYTES_MAX - bench.prefix().len();
    names.push(bench.name(&"x".repeat(room))?);
    names.push(bench.name(&"x".repeat(room - 1))?);
    names.push(bench.name(&"/".repeat(room))?);
    names.push(bench.name(&format!("{}{}", "%".repeat(room % 3), "강".repeat(room / 3)))?);
    Ok(names)
}

pub(super) async fn names_are_kept_apart_in_queues(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    let names = odd(bench)?;
    let mut tokens = Vec::new();
    for name in &names {
        let value = name.as_str().as_bytes();
        let place = bench.a.enter(name, bench.request(session, Mode::Exclusive, value)).await?;
        ensure_eq(place.ahead, None, &format!("who is ahead in {name:?}"))?;
        tokens.push(place.token);
    }
    for (name, token) in names.iter().zip(&tokens) {
        let entries = bench.b.list(name, None).await?.entries;
        let found: Vec<_> = entries.into_iter().map(|entry| (entry.token, entry.value)).collect();
        let value = name.as_str().as_bytes().to_vec();
        ensure_eq(found, vec![(*token, value)], &format!("the entries of {name:?}"))?;
    }
    for (name, token) in names.iter().zip(&tokens).step_by(2) {
        bench.b.leave(name, *token).await?;
    }
    for (at, (name, token)) in names.iter().zip(&tokens).enumerate() {
        let expected = if at % 2 == 0 { vec![] } else { vec![*token] };
        ensure_eq(bench.tokens(name).await?, expected, &format!("who stays in {name:?}"))?;
    }
    Ok(())
}

pub(super) async fn names_are_kept_apart_in_registers(bench: &Bench) -> Checked {
    let names = odd(bench)?;
    for name in &names {
        bench.a.store(name, None, name.as_str().as_bytes()).await?;
    }
    for name in &names {
        let found = bench.b.load(name).await?.map(|register| register.value);
        let value = name.as_str().as_bytes().to_vec();
        ensure_eq(found, Some(value), &format!("the register {name:?}"))?;
    }
    Ok(())
}

pub(super) async fn a_register_and_a_queue_may_have_one_name(bench: &Bench) -> Checked {
    let session = bench.session().await?;
    for name in [bench.name("one")?, bench.name("one/two")?] {
        ensure_eq(bench.b.load(&name).await?, None, "the register before")?;
        let request = bench.request(session, Mode::Exclusive, b"of the entry");
        let place = bench.a.enter(&name, request).await?;
        ensure_eq(bench.b.load(&name).await?, None, "the register beside an entry")?;
        bench.a.store(&name, None, b"of the register").await?;
        ensure_eq(bench.tokens(&name).await?, vec![place.token], "the queue beside a register")?;
        bench.a.leave(&name, place.token).await?;
        ensure_eq(bench.tokens(&name).await?, vec![], "the queue that all have left")?;
        let found = bench.b.load(&name).await?.map(|register| register.value);
        ensure_eq(found, Some(b"of the register".to_vec()), "the register that stays")?;
    }
    Ok(())
}
