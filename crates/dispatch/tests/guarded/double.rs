//! A stock and payment service that remembers every call, and fails as it is told to.
//!
//! Its ledger is as strict as a real one is careless: a second effect for an order under another
//! key is not refused but noted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use fastrand::Rng;
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::{Item, Money};
use steadfast_dispatch::provider::{Answer, Call, Failure, Payment, Stock};
use steadfast_time::{Clock, Monotonic};

/// How it is today.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// It does what it is asked for, at once.
    Well,
    /// It does nothing, and says so.
    Away,
    /// It does nothing, and asks to be left alone for so long.
    Busy(Duration),
    /// It does what it is asked for, and says so after so long.
    Late(Duration),
    /// It does nothing for as long as the caller waits, and gives up in the same moment.
    Punctual,
    /// It does what it is asked for, and nobody hears of it.
    Mute,
    /// One of the above for each call, and well in half of them.
    Fickle,
}

/// A call as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub at: Monotonic,
    pub what: &'static str,
    pub order: OrderId,
    pub key: String,
    pub attempt: u32,
    /// How long the caller was still going to wait.
    pub left: Duration,
}

#[derive(Default)]
struct Books {
    asked: Vec<Asked>,
    /// Keys of what has been done.
    done: BTreeSet<String>,
    /// Held, per order: more than 1 is a violation.
    held: BTreeMap<OrderId, i32>,
    closed: BTreeSet<OrderId>,
}

pub struct Double {
    clock: Clock,
    mood: Mutex<Mood>,
    rng: Mutex<Rng>,
    books: Mutex<Books>,
}

impl Double {
    pub fn new(clock: Clock, seed: u64) -> Self {
        Self {
            clock,
            mood: Mutex::new(Mood::Well),
            rng: Mutex::new(Rng::with_seed(seed)),
            books: Mutex::default(),
        }
    }

    pub fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Every call so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.books().asked.clone()
    }

    /// How many effects stand for an order.
    pub fn holds(&self, order: OrderId) -> i32 {
        self.books().held.get(&order).copied().unwrap_or_default()
    }

    fn fate(&self) -> Mood {
        match *self.mood.lock().unwrap() {
            Mood::Fickle => {
                let mut rng = self.rng.lock().unwrap();
                let length = Duration::from_millis(rng.u64(1..400));
                match rng.u8(..8) {
                    0 => Mood::Away,
                    1 => Mood::Busy(length),
                    2 => Mood::Late(length),
                    3 => Mood::Mute,
                    _ => Mood::Well,
                }
            }
            mood => mood,
        }
    }

    async fn answer(&self, call: &Call, what: &'static str, order: OrderId) -> Result<(), Failure> {
        let at = self.clock.monotonic();
        let (key, attempt, left) = (call.key.clone(), call.attempt, call.deadline - at);
        self.books().asked.push(Asked { at, what, order, key, attempt, left });
        let mood = self.fate();
        match mood {
            Mood::Away => return Err(Failure::unavailable("away")),
            Mood::Busy(after) => {
                let (reason, retry_after) = ("busy".to_owned(), Some(after));
                return Err(Failure::Unavailable { reason, retry_after });
            }
            Mood::Punctual => {
                self.clock.sleep(left).await;
                return Err(Failure::Unknown { reason: "no answer".to_owned() });
            }
            _ => {}
        }
        let outcome = self.enter(&call.key, what, order);
        match mood {
            Mood::Late(length) => self.clock.sleep(length).await,
            Mood::Mute => return Err(Failure::Unknown { reason: "mute".to_owned() }),
            _ => {}
        }
        outcome
    }

    /// Writes it down. What has been done under this key is done.
    fn enter(&self, key: &str, what: &'static str, order: OrderId) -> Result<(), Failure> {
        let mut books = self.books();
        if books.done.contains(key) {
            return Ok(());
        }
        match what {
            "reserve" | "authorize" if books.closed.contains(&order) => {
                let (code, reason) = ("released".to_owned(), "it was undone".to_owned());
                return Err(Failure::Refused { code, reason });
            }
            "reserve" | "authorize" => *books.held.entry(order).or_default() += 1,
            "release" | "void" => {
                books.closed.insert(order);
                books.held.remove(&order);
            }
            _ => {}
        }
        books.done.insert(key.to_owned());
        Ok(())
    }
}

impl Stock for Double {
    fn reserve<'a>(&'a self, call: &'a Call, order: OrderId, _: &'a [Item]) -> Answer<'a, String> {
        Box::pin(async move {
            self.answer(call, "reserve", order).await?;
            Ok(format!("reservation of {order}"))
        })
    }

    fn release<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        Box::pin(self.answer(call, "release", order))
    }
}

impl Payment for Double {
    fn authorize<'a>(&'a self, call: &'a Call, order: OrderId, _: &'a Money) -> Answer<'a, String> {
        Box::pin(async move {
            self.answer(call, "authorize", order).await?;
            Ok(format!("authorization of {order}"))
        })
    }

    fn capture<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, String> {
        Box::pin(async move {
            self.answer(call, "capture", order).await?;
            Ok(format!("capture of {order}"))
        })
    }

    fn void<'a>(&'a self, call: &'a Call, order: OrderId) -> Answer<'a, ()> {
        Box::pin(self.answer(call, "void", order))
    }
}
