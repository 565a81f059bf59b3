//! The algorithm over servers that do as they are told; real ones are in `tests/redlock.rs`.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use steadfast_time::sim::Simulation;

use super::*;

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    /// Takes the key, and nobody hears of it.
    Mute,
    /// Takes nothing, and says nothing.
    Away,
}

/// A server with one key and its expiry by the simulation's clock.
struct Fake {
    clock: Clock,
    mood: Mutex<Mood>,
    held: Mutex<Option<(String, Monotonic)>>,
    deletions: AtomicU32,
}

impl Fake {
    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }

    fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn holder(&self) -> Option<String> {
        self.held.lock().unwrap().clone().map(|(value, _)| value)
    }

    async fn answer(&self, vote: bool) -> bool {
        if self.mood() == Mood::Well { vote } else { std::future::pending().await }
    }
}

impl Node for Fake {
    fn address(&self) -> String {
        "fake".into()
    }

    fn set_if_absent<'a>(
        &'a self,
        _: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, bool> {
        let now = self.clock.monotonic();
        let mut held = self.held.lock().unwrap();
        let is_free = held.as_ref().is_none_or(|(_, end)| now > *end);
        let is_set = is_free && self.mood() != Mood::Away;
        if is_set {
            *held = Some((value.to_owned(), now + ttl));
        }
        self.answer(is_set).boxed()
    }

    fn delete_if_equal<'a>(&'a self, _: &'a str, value: &'a str) -> BoxFuture<'a, bool> {
        if self.mood() != Mood::Away {
            self.deletions.fetch_add(1, Ordering::Relaxed);
            self.held.lock().unwrap().take_if(|(held, _)| held == value);
        }
        self.answer(true).boxed()
    }
}

fn five(sim: &Simulation) -> (Vec<Arc<Fake>>, [Redlock; 2]) {
    let clock = sim.clock();
    let new = |_| {
        Arc::new(Fake {
            clock: clock.clone(),
            mood: Mutex::new(Mood::Well),
            held: Mutex::default(),
            deletions: AtomicU32::new(0),
        })
    };
    let fakes: Vec<Arc<Fake>> = (0..5).map(new).collect();
    let client = |seed| {
        let nodes = fakes.iter().map(|fake| Arc::clone(fake) as Arc<dyn Node>).collect();
        Redlock::over(nodes, sim.clock()).unwrap().seeded(seed)
    };
    let clients = [client(1), client(2)];
    (fakes, clients)
}

const TTL: Duration = Duration::from_secs(2);

#[test]
fn a_majority_is_enough_and_silence_costs_a_tenth_of_a_second() {
    let mut sim = Simulation::new(1);
    let (fakes, [one, _]) = five(&sim);
    fakes[0].set_mood(Mood::Away);
    fakes[1].set_mood(Mood::Mute);
    let clock = sim.clock();
    sim.block_on(async move {
        let lock = Name::new("lock").unwrap();
        let held = one.try_lock(&lock, TTL).await.unwrap().unwrap();
        assert_eq!(clock.monotonic().since_start(), PATIENCE);
        let left = held.believed_until() - clock.monotonic();
        assert_eq!(Some(left), validity(TTL, PATIENCE));
        assert_eq!(held.unlock().await, 3);
    });
}

#[test]
fn without_a_majority_everything_is_given_back_and_nothing_of_anybody_else() {
    let mut sim = Simulation::new(1);
    let (fakes, [one, other]) = five(&sim);
    // Two of them have the other's key, so that three are free; one of these is away.
    fakes[..3].iter().for_each(|fake| fake.set_mood(Mood::Away));
    let seen = fakes.clone();
    sim.block_on(async move {
        let lock = Name::new("lock").unwrap();
        assert!(other.try_lock(&lock, TTL).await.unwrap().is_none(), "two of five");
        assert!(fakes.iter().all(|fake| fake.holder().is_none()), "given back");
        fakes[3..].iter().for_each(|fake| {
            *fake.held.lock().unwrap() = Some(("other".into(), fake.clock.monotonic() + TTL));
        });
        fakes[1..3].iter().for_each(|fake| fake.set_mood(Mood::Well));
        assert!(one.try_lock(&lock, TTL).await.unwrap().is_none(), "two of five again");
    });
    assert!(seen[..3].iter().all(|fake| fake.holder().is_none()));
    assert!(seen[3..].iter().all(|fake| fake.holder().as_deref() == Some("other")));
    assert!(
        seen[1..].iter().all(|fake| fake.deletions.load(Ordering::Relaxed) > 0),
        "all are told"
    );
}

#[test]
fn a_seed_repeats_itself_and_two_seeds_are_two_holders() {
    let values = |seed| {
        let sim = Simulation::new(1);
        let (_, [client, _]) = five(&sim);
        let client = client.seeded(seed);
        (client.value(), client.value(), client.retry_delay())
    };
    assert_eq!(values(3), values(3));
    assert_ne!(values(3), values(4));
    assert_ne!(values(3).0, values(3).1);
    assert!(values(3).2 <= RETRY_DELAY_MAX);
    assert!(matches!(Redlock::over(Vec::new(), Clock::system()), Err(Error::Refused { .. })));
}

#[test]
fn quorum_and_validity_are_the_algorithms() {
    assert_eq!([1, 2, 3, 4, 5].map(quorum), [1, 2, 2, 3, 3]);
    let ms = Duration::from_millis;
    assert_eq!(validity(ms(1_000), ms(100)), Some(ms(888)));
    assert_eq!(validity(ms(1_000), ms(988)), None);
    assert_eq!(validity(ms(1_000), ms(2_000)), None);
}
