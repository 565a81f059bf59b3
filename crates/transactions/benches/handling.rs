//! What an input costs on the happy path, over the memory engine and beside the bare commits.
//!
//! ```text
//! cargo bench -p steadfast-transactions
//! ```
#![allow(clippy::expect_used, reason = "a failed measurement is a panic")]

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use futures::future::join_all;
use steadfast_journal::{
    Append, Expected, Journal, MessageRef, NewEvent, Processed, Timer, TimerChange, Version, Write,
    Writer, memory,
};
use steadfast_time::{Clock, Uuid};
use steadfast_transactions::{
    Call, Change, Definition, EffectError, Follow, Id, Input, Json, Orchestrator, Outcome,
    Participant, Signal, Step,
};

const INPUTS: usize = 4;

static NEXT: AtomicU64 = AtomicU64::new(1);

fn next_id() -> Id {
    Id(Uuid::from_u64_pair(NEXT.fetch_add(1, Relaxed), 7))
}

/// Answers at once, and adds nothing of its own.
struct Instant;

impl Participant for Instant {
    async fn call(&self, _: &Call<'_>) -> Outcome {
        Outcome::Done(Json::parse("{\"authorization\":\"a-7\"}").expect("valid"))
    }

    async fn compensate(&self, _: &Call<'_>) -> Outcome {
        Outcome::done()
    }

    async fn effects(&self, _: &Change<'_>, _: &mut Write) -> Result<Follow, EffectError> {
        Ok(Follow::Message)
    }
}

fn order() -> Definition {
    let hour = Duration::from_secs(3_600);
    let steps = vec![
        Step::call("reserve-stock").compensated(),
        Step::call("authorize-payment").compensated(),
        Step::wait("find-courier").timeout(hour).compensated(),
        Step::wait("pick-up").timeout(hour).pivot(),
        Step::call("capture-payment"),
    ];
    Definition::new("order", steps).expect("a sound definition")
}

fn signal(step: &'static str) -> Input {
    Input::Signal { step: step.into(), signal: Signal::Done(Json::null()) }
}

fn input(number: usize) -> Input {
    match number {
        0 => Input::Start { data: Json::null() },
        1 => Input::Continue,
        2 => signal("find-courier"),
        _ => signal("pick-up"),
    }
}

fn mark(id: Id, number: usize) -> Processed {
    let message = MessageRef::Sequence { key: format!("orders/{id}"), sequence: number as u64 + 1 };
    Processed { consumer: "saga".into(), message }
}

/// Polls the work, commits what it left in the queue as one batch, and so on until it is done.
fn run<T>(writer: &mut Writer, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
            return output;
        }
        writer.run_once().expect("memory does not fail");
    }
}

/// Whole sagas, this many at a time; one item is one input.
#[divan::bench(args = [1, 64], sample_count = 30, sample_size = 20)]
fn handle(bencher: Bencher<'_, '_>, sagas: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let (journal, mut writer) = Journal::new(memory::Engine::new(), Clock::system());
    let orchestrator = Orchestrator::new(order(), Instant, journal, Clock::system());
    bencher.counter(ItemsCount::new(sagas * INPUTS)).bench_local(|| {
        let ids: Vec<Id> = (0..sagas).map(|_| next_id()).collect();
        for number in 0..INPUTS {
            let inputs = ids
                .iter()
                .map(|&id| orchestrator.handle(id, input(number), Some(mark(id, number))));
            for handled in run(&mut writer, join_all(inputs)) {
                assert!(handled.expect("all goes well").recorded > 0);
            }
        }
    });
}

/// The same number of writes of the same shape, without a saga.
#[divan::bench(args = [1, 64], sample_count = 30, sample_size = 20)]
fn commit_alone(bencher: Bencher<'_, '_>, sagas: usize) {
    let (journal, mut writer) = Journal::new(memory::Engine::new(), Clock::system());
    let clock = Clock::system();
    bencher.counter(ItemsCount::new(sagas * INPUTS)).bench_local(|| {
        let ids: Vec<Id> = (0..sagas).map(|_| next_id()).collect();
        for number in 0..INPUTS {
            let writes = ids.iter().map(|&id| {
                let now = clock.now();
                let mut write = Write::at(now);
                write.processed.push(mark(id, number));
                let payload = Bytes::from_static(
                    br#"[{"succeeded":{"step":"authorize-payment","output":{"authorization":"a-7"}}}]"#,
                );
                write.appends.push(Append {
                    stream: id.stream(),
                    expected: Expected::Exactly(Version(number as u64)),
                    events: vec![NewEvent { kind: "succeeded".into(), schema: 1, payload }],
                });
                match number {
                    1 | 2 => write.timers.push(TimerChange::Set(Timer {
                        id: id.timer(),
                        due: now + Duration::from_secs(3_600),
                        payload: Bytes::from_static(b"order"),
                    })),
                    3 => write.timers.push(TimerChange::Clear { id: id.timer() }),
                    _ => {}
                }
                journal.commit(write)
            });
            for committed in run(&mut writer, join_all(writes)) {
                committed.expect("all goes well");
            }
        }
    });
}

fn main() {
    divan::main();
}
