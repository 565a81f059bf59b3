//! Load on a coordinator while its server is killed, and what must be true afterwards.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use steadfast_coordination::port::{Coordinator, Error, Mode, Name, Request};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Uuid};

const TASKS: usize = 16;

/// What was answered.
#[derive(Default)]
pub struct Answered {
    pub tokens: Vec<FencingToken>,
    /// Entries that were answered and not left.
    pub kept: Vec<(Name, FencingToken)>,
    pub stored: u64,
    pub unknown: u64,
    /// Tokens that were not above one that was answered before they were asked for.
    pub low: Vec<FencingToken>,
}

/// Enters, leaves and counts until told to stop.
pub async fn load(
    coordinator: Arc<dyn Coordinator>,
    counter: Name,
    stop: Arc<AtomicBool>,
) -> Answered {
    let highest = Arc::new(AtomicU64::new(0));
    let tasks = (0..TASKS).map(|task| {
        let (coordinator, counter) = (Arc::clone(&coordinator), counter.clone());
        let (stop, highest) = (Arc::clone(&stop), Arc::clone(&highest));
        tokio::spawn(async move {
            let clock = Clock::system();
            let mut answered = Answered::default();
            let session = coordinator.open(Duration::from_secs(600)).await.unwrap().session;
            for turn in 0.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let queue = Name::new(format!("{counter}/{task}/{turn}")).unwrap();
                let before = highest.load(Ordering::SeqCst);
                let id = Uuid::from_u128(fastrand::u128(..));
                let request =
                    Request { session, id, mode: Mode::Exclusive, value: b"v", wait: true };
                match coordinator.enter(&queue, request).await {
                    Ok(place) => {
                        if place.token.get() <= before {
                            answered.low.push(place.token);
                        }
                        highest.fetch_max(place.token.get(), Ordering::SeqCst);
                        answered.tokens.push(place.token);
                        if turn % 2 == 0 {
                            answered.kept.push((queue, place.token));
                        } else {
                            let _ = coordinator.leave(&queue, place.token).await;
                        }
                    }
                    Err(error) => {
                        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
                        clock.sleep(Duration::from_millis(20)).await;
                    }
                }
                let Ok(register) = coordinator.load(&counter).await else { continue };
                let (count, expected) = register.map_or((0, None), |register| {
                    let bytes = register.value.as_slice().try_into().unwrap();
                    (u64::from_be_bytes(bytes), Some(register.version))
                });
                let next = (count + 1).to_be_bytes();
                match coordinator.store(&counter, expected, &next).await {
                    Ok(_) => answered.stored += 1,
                    Err(Error::Conflict { .. }) => {}
                    Err(error) => {
                        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
                        answered.unknown += 1;
                    }
                }
            }
            answered
        })
    });
    let mut all = Answered::default();
    for answered in join_all(tasks).await {
        let answered = answered.unwrap();
        all.tokens.extend(answered.tokens);
        all.kept.extend(answered.kept);
        all.low.extend(answered.low);
        all.stored += answered.stored;
        all.unknown += answered.unknown;
    }
    all
}

/// What is wrong with what was answered, in words; empty when nothing is.
pub async fn faults(coordinator: &dyn Coordinator, counter: &Name, all: Answered) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tokens = all.tokens.clone();
    tokens.sort_unstable();
    tokens.dedup();
    if tokens.len() != all.tokens.len() {
        faults.push(format!("{} tokens were given twice", all.tokens.len() - tokens.len()));
    }
    if !all.low.is_empty() {
        faults.push(format!("{} tokens were below one answered before", all.low.len()));
    }
    let mut lost = 0;
    for (queue, token) in &all.kept {
        let listing = coordinator.list(queue, None).await.unwrap();
        lost += usize::from(!listing.entries.iter().any(|entry| entry.token == *token));
    }
    if lost > 0 {
        faults.push(format!("{lost} of {} entries are lost", all.kept.len()));
    }
    let register = coordinator.load(counter).await.unwrap();
    let count = register.map_or(0, |r| u64::from_be_bytes(r.value.as_slice().try_into().unwrap()));
    if count < all.stored || count > all.stored + all.unknown {
        let (stored, unknown) = (all.stored, all.unknown);
        faults.push(format!("counted {count}, with {stored} answered and {unknown} unknown"));
    }
    faults
}
