//! Hybrid logical clocks (Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks and
//! Consistent Snapshots in Globally Distributed Databases", 2014).
//!
//! A stamp is a wall-clock reading `l`, in milliseconds, and a counter `c` for events within one
//! reading. It orders cause before effect as a Lamport clock does, and stays close to the date, so
//! that "everything up to noon" means something. Packed into 64 bits, `l` above `c`, the paper's
//! rules become one line: *the next stamp is one more than everything seen, or the wall clock if
//! that is greater*. A counter that overflows carries into `l`, and the order holds.
//!
//! - **Bounded**: a stamp too far ahead of our wall clock ([`Options::max_offset`]) is refused and
//!   not taken over, so one broken clock does not drag the others into the future.
//! - **No step back, ever**: not when the wall clock jumps back, and not across a restart: stamps
//!   are used only below a mark that is durable ([`crate::durable`]).
//!
//! Limits: after a wall clock that jumped far *ahead* and came back, this node's stamps stay ahead
//! until the date has caught up ([`Hybrid::ahead`]), and peers refuse them meanwhile. That is what
//! they should do; [`crate::health`] takes such a node out.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::durable::{self, HighMark, Store};
use crate::timestamp::Timestamp;

/// Bits of the counter: 65,536 events within a millisecond before it carries.
const COUNTER_BITS: u32 = 16;

/// A point in the order of events: 48 bits of milliseconds since 1970 (until the year 10889) above
/// 16 bits of counter. Written as `milliseconds.counter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// From `l` (milliseconds, of which 48 bits are kept) and `c`.
    #[must_use]
    pub const fn new(millis: u64, counter: u16) -> Self {
        Self((millis << COUNTER_BITS) | counter as u64)
    }

    /// From the packed form.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The packed form: it sorts as stamps do.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// `l`: the greatest wall-clock reading seen.
    #[must_use]
    pub const fn wall(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> COUNTER_BITS) as i64)
    }

    /// `c`: how many events there were within it.
    #[must_use]
    pub const fn counter(self) -> u16 {
        (self.0 & 0xFFFF) as u16
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> COUNTER_BITS, self.counter())
    }
}

/// The text is not a stamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hybrid stamp such as 1790000000000.7")]
pub struct StampError(String);

impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        let wrong = || StampError(text.to_owned());
        let (millis, counter) = text.split_once('.').ok_or_else(wrong)?;
        let millis: u64 = millis.parse().map_err(|_| wrong())?;
        let counter = counter.parse().map_err(|_| wrong())?;
        if millis >> 48 == 0 { Ok(Self::new(millis, counter)) } else { Err(wrong()) }
    }
}

/// As text where a human reads (a JavaScript number cannot hold 64 bits), packed elsewhere.
impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

/// How a hybrid clock is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Stamps further than this ahead of our wall clock are refused. Default: 500 ms,
    /// CockroachDB's `max-offset`.
    pub max_offset: Duration,
    /// How far ahead stamps are reserved in the durable mark, so one write in this time. A restart
    /// continues above the mark, and so begins up to this far ahead of the date, so it must be less
    /// than [`Options::max_offset`]. After a crash right after a message from a clock that was
    /// ahead itself, the two add up, and peers may refuse stamps for this long. Default: 250 ms.
    pub reserve: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_offset: Duration::from_millis(500), reserve: Duration::from_millis(250) }
    }
}

/// Why there is no stamp.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stamp from elsewhere is too far ahead of our wall clock. Its clock or ours is wrong.
    #[error("the stamp {stamp} is {ahead:?} ahead of this clock; {limit:?} is allowed")]
    TooFarAhead {
        /// The stamp, which was not taken over.
        stamp: Stamp,
        /// How far.
        ahead: Duration,
        /// [`Options::max_offset`].
        limit: Duration,
    },
    /// The mark could not be made durable; no stamp was used.
    #[error(transparent)]
    Durable(#[from] durable::Error),
    /// A restart would begin further ahead than peers allow.
    #[error("reserve ({reserve:?}) must be less than max_offset ({max_offset:?})")]
    Options {
        /// [`Options::reserve`].
        reserve: Duration,
        /// [`Options::max_offset`].
        max_offset: Duration,
    },
}

/// One node's hybrid clock. Shared by reference; many threads may use it.
pub struct Hybrid {
    clock: Clock,
    options: Options,
    last: AtomicU64,
    /// Stamps below this may be used without a write.
    reserved: AtomicU64,
    mark: Option<Mutex<HighMark<Box<dyn Store>>>>,
}

impl fmt::Debug for Hybrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = Stamp(self.last.load(Ordering::Relaxed));
        f.debug_struct("Hybrid").field("last", &last).finish_non_exhaustive()
    }
}

impl Hybrid {
    /// A clock that keeps nothing: after a restart with a wall clock that was set back, it steps
    /// back with it. For simulations, and where stamps do not outlive the process.
    #[must_use]
    pub fn volatile(clock: Clock, options: Options) -> Self {
        let reserved = AtomicU64::new(u64::MAX);
        Self { clock, options, last: AtomicU64::new(0), reserved, mark: None }
    }

    /// A clock that begins above every stamp it has given before.
    ///
    /// # Errors
    /// [`Error`] when the mark cannot be read, or the options make no sense.
    pub fn durable(clock: Clock, options: Options, store: Box<dyn Store>) -> Result<Self, Error> {
        let Options { reserve, max_offset } = options;
        if reserve >= max_offset {
            return Err(Error::Options { reserve, max_offset });
        }
        let mark = HighMark::open(store)?;
        Ok(Self {
            clock,
            options,
            last: AtomicU64::new(mark.floor()),
            reserved: AtomicU64::new(mark.reserved()),
            mark: Some(Mutex::new(mark)),
        })
    }

    /// The stamp of a local event, such as a message that is sent: greater than all before.
    ///
    /// About once in [`Options::reserve`] this writes the mark, which blocks on the disk; call
    /// [`Hybrid::reserve`] from a thread that may wait, and it does not.
    ///
    /// # Errors
    /// [`Error::Durable`] when the mark could not be written.
    pub fn now(&self) -> Result<Stamp, Error> {
        self.advance(0)
    }

    /// A message with `seen` has arrived: the stamp of that event, greater than `seen` and all
    /// before.
    ///
    /// # Errors
    /// [`Error::TooFarAhead`] beyond [`Options::max_offset`], and nothing is changed.
    pub fn observe(&self, seen: Stamp) -> Result<Stamp, Error> {
        let ahead = seen.wall().since(self.clock.now());
        let limit = self.options.max_offset;
        if ahead > limit {
            return Err(Error::TooFarAhead { stamp: seen, ahead, limit });
        }
        self.advance(seen.0)
    }

    /// How far the stamps are ahead of our wall clock. It stays above zero after the wall clock
    /// jumped ahead and came back, or after a message from a clock that is ahead.
    pub fn ahead(&self) -> Duration {
        Stamp(self.last.load(Ordering::Acquire)).wall().since(self.clock.now())
    }

    /// Makes stamps of the coming [`Options::reserve`] usable without a write. Blocks on the disk.
    ///
    /// # Errors
    /// [`Error::Durable`] when the mark could not be written.
    pub fn reserve(&self) -> Result<(), Error> {
        let next = self.last.load(Ordering::Acquire).max(self.physical());
        let half = self.block() / 2;
        if self.reserved.load(Ordering::Acquire) <= next.saturating_add(half) {
            self.cover(next.saturating_add(half))?;
        }
        Ok(())
    }

    fn physical(&self) -> u64 {
        u64::try_from(self.clock.now().as_millis()).unwrap_or(0) << COUNTER_BITS
    }

    fn block(&self) -> u64 {
        let millis = u64::try_from(self.options.reserve.as_millis()).unwrap_or(u64::MAX >> 17);
        millis.min(u64::MAX >> (COUNTER_BITS + 1)) << COUNTER_BITS
    }

    fn advance(&self, seen: u64) -> Result<Stamp, Error> {
        let mut last = self.last.load(Ordering::Acquire);
        loop {
            let least = last.max(seen);
            let next = least.checked_add(1).ok_or(durable::Error::Exhausted(least))?;
            let next = next.max(self.physical());
            if next >= self.reserved.load(Ordering::Acquire) {
                self.cover(next)?;
            }
            match self.last.compare_exchange_weak(last, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(Stamp(next)),
                Err(newer) => last = newer,
            }
        }
    }

    fn cover(&self, stamp: u64) -> Result<(), Error> {
        if let Some(mark) = &self.mark {
            let mut mark = mark.lock().unwrap_or_else(PoisonError::into_inner);
            mark.cover(stamp, self.block())?;
            self.reserved.store(mark.reserved(), Ordering::Release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::durable::MemoryMark;
    use crate::sim::{DEFAULT_START, SimClock};

    /// The algorithm as the paper's figure 5 has it, on (l, c).
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Paper(u64, u64);

    impl Paper {
        fn send(&mut self, pt: u64) -> Self {
            let before = self.0;
            self.0 = before.max(pt);
            self.1 = if self.0 == before { self.1 + 1 } else { 0 };
            *self
        }

        fn receive(&mut self, m: Self, pt: u64) -> Self {
            let before = self.0;
            self.0 = before.max(m.0).max(pt);
            self.1 = if self.0 == before && self.0 == m.0 {
                self.1.max(m.1) + 1
            } else if self.0 == before {
                self.1 + 1
            } else if self.0 == m.0 {
                m.1 + 1
            } else {
                0
            };
            *self
        }
    }

    fn at_zero() -> SimClock {
        SimClock::starting_at(Timestamp::EPOCH)
    }

    #[test]
    fn the_paper_s_example() {
        // Figure 6: node 0 at 10 sends; node 1, whose clock is at 0, receives and goes on.
        let (a, b) = (at_zero(), at_zero());
        a.advance(Duration::from_millis(10));
        let a = Hybrid::volatile(a.clock(), Options::default());
        let node = Hybrid::volatile(b.clock(), Options::default());
        let sent = a.now().unwrap();
        assert_eq!(sent, Stamp::new(10, 0));
        b.advance(Duration::from_millis(1));
        assert_eq!(node.observe(sent).unwrap(), Stamp::new(10, 1));
        b.advance(Duration::from_millis(1));
        assert_eq!(node.now().unwrap(), Stamp::new(10, 2));
        b.advance(Duration::from_millis(11));
        assert_eq!(node.now().unwrap(), Stamp::new(13, 0));
    }

    #[test]
    fn a_stamp_from_the_future_is_refused_and_drags_nobody() {
        let sim = SimClock::starting_at(DEFAULT_START);
        let node = Hybrid::volatile(sim.clock(), Options::default());
        let start = DEFAULT_START.as_millis() as u64;
        assert!(node.observe(Stamp::new(start + 500, 9)).is_ok());
        let error = node.observe(Stamp::new(start + 501, 0)).unwrap_err();
        assert!(matches!(error, Error::TooFarAhead { .. }), "{error}");
        assert_eq!(node.now().unwrap(), Stamp::new(start + 500, 11));
        assert_eq!(node.ahead(), Duration::from_millis(500));
    }

    #[test]
    fn a_full_counter_carries() {
        let node = Hybrid::volatile(at_zero().clock(), Options::default());
        node.observe(Stamp::new(5, u16::MAX - 1)).unwrap();
        assert_eq!(node.now().unwrap(), Stamp::new(6, 0));
    }

    #[test]
    fn after_the_last_stamp_there_is_none() {
        let options = Options { max_offset: Duration::MAX, ..Options::default() };
        let node = Hybrid::volatile(at_zero().clock(), options);
        let last = Stamp::from_bits(u64::MAX);
        assert!(matches!(node.observe(last), Err(Error::Durable(durable::Error::Exhausted(_)))));
        assert_eq!(node.now().unwrap(), Stamp::new(0, 1), "and nothing is changed");
    }

    #[test]
    fn a_restart_with_a_clock_set_back_does_not_step_back() {
        let sim = SimClock::starting_at(DEFAULT_START);
        let store = MemoryMark::default();
        let open = || Hybrid::durable(sim.clock(), Options::default(), Box::new(store.clone()));
        let volatile = || Hybrid::volatile(sim.clock(), Options::default());
        let before = open().unwrap().now().unwrap();
        let before_volatile = volatile().now().unwrap();
        sim.jump_wall(-3_600_000_000);
        assert!(open().unwrap().now().unwrap() > before);
        assert!(volatile().now().unwrap() < before_volatile, "the broken twin");
    }

    #[test]
    fn a_mark_that_fails_gives_no_stamp() {
        struct Broken;
        impl Store for Broken {
            fn load(&mut self) -> Result<u64, durable::Error> {
                Ok(0)
            }
            fn save(&mut self, _: u64) -> Result<(), durable::Error> {
                Err(durable::Error::Other("no disk".into()))
            }
        }
        let node =
            Hybrid::durable(at_zero().clock(), Options::default(), Box::new(Broken)).unwrap();
        assert!(matches!(node.now(), Err(Error::Durable(_))));
        let options = Options { reserve: Duration::from_secs(1), ..Options::default() };
        let refused = Hybrid::durable(at_zero().clock(), options, Box::new(Broken));
        assert!(matches!(refused, Err(Error::Options { .. })));
    }

    #[test]
    fn reserving_beforehand_takes_the_write_out_of_the_way() {
        let sim = SimClock::starting_at(DEFAULT_START);
        let store = MemoryMark::default();
        let node =
            Hybrid::durable(sim.clock(), Options::default(), Box::new(store.clone())).unwrap();
        for _ in 0..100 {
            node.reserve().unwrap();
            let mark = store.get();
            for _ in 0..5 {
                assert!(node.now().unwrap().to_bits() < mark);
                sim.advance(Duration::from_millis(10));
            }
            assert_eq!(store.get(), mark, "no write by now()");
        }
    }

    #[test]
    fn text_and_json() {
        let stamp = Stamp::new(1_790_000_000_000, 7);
        assert_eq!(stamp.to_string().parse(), Ok(stamp));
        assert_eq!(serde_json::to_string(&stamp).unwrap(), "\"1790000000000.7\"");
        assert_eq!(serde_json::from_str::<Stamp>("\"1790000000000.7\"").unwrap(), stamp);
        for wrong in ["", "7", "1.", "1.65536", "281474976710656.0", "-1.0"] {
            assert!(wrong.parse::<Stamp>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_packed_form_is_the_paper_s_algorithm(
            steps in prop::collection::vec((0_i64..40, prop::option::of((0_u64..400, 0_u64..9))), 1..60),
        ) {
            let sim = at_zero();
            let node = Hybrid::volatile(sim.clock(), Options::default());
            let mut paper = Paper::default();
            let mut last = Stamp::default();
            for (jump, message) in steps {
                // Forward, or back by up to 10 ms; never before 1970.
                let back = (jump - 30).min(sim.clock().now().as_millis());
                sim.jump_wall(if jump > 30 { -back * 1_000 } else { jump * 1_000 });
                let pt = sim.clock().now().as_millis() as u64;
                let (stamp, expected) = match message {
                    None => (node.now().unwrap(), paper.send(pt)),
                    Some((l, c)) => {
                        let seen = Stamp::new(l, c as u16);
                        (node.observe(seen).unwrap(), paper.receive(Paper(l, c), pt))
                    }
                };
                prop_assert_eq!(stamp, Stamp::new(expected.0, expected.1 as u16));
                prop_assert!(stamp > last);
                last = stamp;
            }
        }
    }
}
