//! Every configuration key, with its meaning and its default.
//!
//! A section is declared once, by `settings!`. From that declaration come the struct, its
//! defaults, the reading of each key on its own (so that all mistakes are reported, not only the
//! first), and the reference page.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use figment::Figment;
use serde::Serialize;

use super::error::Problem;
use super::value::{
    Adaptive, ClockSource, Concurrency, Coordination, Distribution, Duplicates, Length, Locations,
    LogFormat, OrOff, Policy, Provider, Routes, Servers, Setting, Share, Size, Store, Window,
};

/// What a section or a key says about itself.
pub enum Item {
    /// A table.
    Section {
        /// Its dotted path, for example `providers.sandbox`.
        path: String,
        /// What it is about, line by line.
        about: &'static [&'static str],
    },
    /// A key.
    Value {
        /// Its dotted path, for example `limits.order`.
        path: String,
        /// What it means, line by line.
        about: &'static [&'static str],
        /// What it accepts.
        allowed: &'static str,
        /// What it is set to, as TOML; nothing when it is not set.
        value: Option<String>,
    },
}

/// A section of the configuration.
pub trait Section: Default {
    /// What it is about, line by line.
    const ABOUT: &'static [&'static str];

    /// Calls `each` for every key and section within, keys first.
    fn visit(&self, path: &str, each: &mut dyn FnMut(Item));

    /// Reads each key on its own; what cannot be read becomes a problem and keeps its default.
    fn read(figment: &Figment, path: &str, problems: &mut Vec<Problem>) -> Self;
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn toml<T: Serialize>(value: &T) -> Option<String> {
    toml::Value::try_from(value).ok().map(|value| value.to_string())
}

fn read<T: Setting>(figment: &Figment, path: String, default: T, problems: &mut Vec<Problem>) -> T {
    match figment.extract_inner(&path) {
        Ok(value) => value,
        Err(error) => {
            problems.extend(error.into_iter().map(|error| Problem::of_value::<T>(&path, error)));
            default
        }
    }
}

/// Declares a section: `key: type = default;` lines, then the sections within.
macro_rules! settings {
    ($($(#[doc = $about:literal])* $name:ident {
        $($(#[doc = $doc:literal])* $key:ident: $kind:ty = $default:expr;)*
        $(..$section:ident: $section_kind:ty;)*
    })*) => {
        $(
            $(#[doc = $about])*
            #[derive(Clone, Debug, PartialEq, Serialize)]
            pub struct $name {
                $($(#[doc = $doc])* pub $key: $kind,)*
                $(#[doc = "See the section's type."] pub $section: $section_kind,)*
            }

            impl Default for $name {
                fn default() -> Self {
                    Self {
                        $($key: $default,)*
                        $($section: <$section_kind>::default(),)*
                    }
                }
            }

            impl Section for $name {
                const ABOUT: &'static [&'static str] = &[$($about),*];

                fn visit(&self, path: &str, each: &mut dyn FnMut(Item)) {
                    $(each(Item::Value {
                        path: join(path, stringify!($key)),
                        about: &[$($doc),*],
                        allowed: <$kind as Setting>::ALLOWED,
                        value: toml(&self.$key),
                    });)*
                    $(
                        let inner = join(path, stringify!($section));
                        let about = <$section_kind as Section>::ABOUT;
                        each(Item::Section { path: inner.clone(), about });
                        self.$section.visit(&inner, each);
                    )*
                }

                fn read(figment: &Figment, path: &str, problems: &mut Vec<Problem>) -> Self {
                    Self {
                        $($key: read(figment, join(path, stringify!($key)), $default, problems),)*
                        $($section: Section::read(figment, &join(path, stringify!($section)), problems),)*
                    }
                }
            }
        )*
    };
}

settings! {
    /// The whole configuration.
    Config {
        /// Where the public API listens. Port 0 picks a free one.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7070));
        /// Where the administration listens: health, metrics, sagas, dead letters.
        admin: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 7071));
        /// The data directory. It is made when it does not exist, and used by one process at a
        /// time.
        data: PathBuf = PathBuf::from("steadfast-data");
        /// Where everything is stored.
        store: Store = Store::Sqlite;
        /// Who grants leases on zones and other ownership: the engine in this process, which other
        /// processes of the machine reach through `coordination.sock` in the data directory, or a
        /// server of that kind. A password in the URL belongs into the environment:
        /// `STEADFAST_COORDINATION`.
        coordination: Coordination = Coordination::Embedded;
        ..clock: Clock;
        ..http: Http;
        ..limits: Limits;
        ..orders: Orders;
        ..dispatch: Dispatch;
        ..providers: Providers;
        ..policies: Policies;
        ..sqlite: Sqlite;
        ..log: Log;
    }

    /// The clock. A node whose clock leaves these bounds gives up its leases and refuses them, and
    /// `/readyz` says why; it comes back by itself.
    Clock {
        /// Who says how far the date may be off: the operator (`error`), the machine's time
        /// service through the kernel (chronyd, ntpd), or `servers`, of which a majority must agree.
        source: ClockSource = ClockSource::Assumed;
        /// How far the date may be off, with `source = "assumed"`.
        error: Length = Length::new(steadfast_time::wall::DEFAULT_ERROR);
        /// NTP servers: four, to survive a liar and a loss. The clock follows them with
        /// `source = "ntp"`; otherwise it is compared with them (`max_offset`).
        servers: Servers = Servers::default();
        /// How often the servers are asked. Public ones ask not to be asked more often.
        ask_every: Length = Length::secs(64);
        /// How far two nodes' clocks may be apart. From four fifths of it on, a node takes itself out.
        max_offset: Length = Length::millis(500);
        /// The largest error that the clock may admit.
        max_uncertainty: Length = Length::millis(250);
        /// The largest step of the date against the time that has passed.
        max_jump: Length = Length::millis(100);
        /// How long the process may stand still before it takes itself out. A stall that is longer
        /// than a lease's margin costs the leases in any case.
        max_stall: OrOff<Length> = OrOff::Off;
        /// How long all must have been well before a node comes back.
        hold: Length = Length::secs(10);
        /// The log tells of times in which the process stood still for longer than this.
        stall_warning: Length = Length::millis(500);
    }

    /// The two listeners. One that is not on a loopback address needs a token, or
    /// `allow_remote`.
    Http {
        /// The environment variable that holds the bearer token of the public listener.
        token_env: Option<String> = None;
        /// The environment variable that holds the bearer token of the admin listener.
        admin_token_env: Option<String> = None;
        /// Lets a listener without a token be reached from other machines.
        allow_remote: bool = false;
        /// Connections that a listener keeps open at once; more are refused.
        connections_max: usize = 8_192;
        /// How long requests that are at work may take to end after SIGTERM or Ctrl-C.
        drain_timeout: Length = Length::secs(10);
    }

    /// Deadlines: the hop budget. `steadfast config check` prints the tree and refuses one that
    /// does not add up.
    Limits {
        /// What the gateway may spend of its own. It does not retry.
        gateway: Length = Length::millis(100);
        /// What the order service may spend: its calls, which run in parallel, and then the
        /// database. Also the deadline of a request that names none.
        order: Length = Length::millis(350);
        /// What a commit may take. It is not retried.
        database: Length = Length::millis(250);
    }

    /// Taking orders.
    Orders {
        /// What a request hears whose idempotency key is at work: the first one's answer once
        /// there is one (`attach`), or 409 with `Retry-After` (`reject`).
        duplicates: Duplicates = Duplicates::Attach;
        /// Orders between being placed and looking for a courier, at once. More than that wait
        /// to be accepted, as long as their deadline allows.
        preparing_max: usize = 2_048;
    }

    /// Finding couriers.
    Dispatch {
        /// How orders are matched with couriers, in zones that do not say otherwise.
        policy: Policy = Policy::Nearest;
        /// How often the `batch` policy decides.
        tick: Length = Length::secs(5);
        /// How long a courier has to answer an offer.
        offer_timeout: Length = Length::secs(30);
        /// How long a courier is looked for before the order is undone.
        search_timeout: Length = Length::secs(30 * 60);
        /// A courier who has not been heard of for this long gets no offers.
        heartbeat_timeout: OrOff<Length> = OrOff::On(Length::secs(60));
        /// Mean travel speed, in metres per minute.
        metres_per_minute: f64 = 320.0;
        /// How places are given: `{"x", "y"}` in metres, or `{"lat", "lon"}` in degrees.
        locations: Locations = Locations::Planar;
        /// Whether a courier who is on a trip may be offered more, up to the shift's capacity.
        stacking: bool = true;
        /// Orders in dispatch at once in a zone that nobody has set a capacity for.
        zone_capacity: u32 = 100_000;
        /// How long a dispatcher's lease on a zone lasts without being renewed. It must outlast
        /// the error of the clocks and a round trip.
        lease: Length = Length::secs(10);
        ..detector: Detector;
    }

    /// The failure detector (phi-accrual) over couriers' heartbeats: who is suspected gets no
    /// offers, before `dispatch.heartbeat_timeout`, which is the end of all doubt. `"off"` there
    /// switches both off.
    Detector {
        /// What a silence is compared with.
        distribution: Distribution = Distribution::Normal;
        /// From this phi on a courier is suspected: 8 means that one such silence in a hundred
        /// million is no failure.
        threshold: f64 = 8.0;
        /// Heartbeats that are remembered for each courier.
        samples: usize = 64;
        /// No rhythm is taken to be more regular than this.
        min_deviation: Length = Length::secs(1);
        /// The interval that is expected of somebody who has just begun.
        first_heartbeat: Length = Length::secs(15);
        /// A pause that means nothing: two missed beats, a tunnel, a lift.
        acceptable_pause: Length = Length::secs(40);
        /// How often everybody is looked at.
        tick: Length = Length::secs(1);
        /// When the process itself has stood still for longer than this, nobody's silence counts.
        stall_tolerance: Length = Length::secs(1);
    }

    /// Stock and payment: the built-in sandbox, or services of your own.
    Providers {
        /// The stock service.
        stock: Provider = Provider::Sandbox;
        /// The payment service.
        payment: Provider = Provider::Sandbox;
        /// How long one call may take before its outcome counts as unknown.
        call_timeout: Length = Length::millis(100);
        ..retry: Retry;
        ..sandbox: Sandbox;
    }

    /// When the saga asks a provider again. Its pauses survive a crash, and each repetition is paid
    /// from the provider's budget (`policies.stock.budget`, `policies.payment.budget`).
    Retry {
        /// The pause after the first attempt; it doubles with each, and is drawn from its upper
        /// half.
        base: Length = Length::millis(100);
        /// The longest pause. Also how long a provider's `Retry-After` is heeded at most.
        cap: Length = Length::secs(60);
        /// After this many attempts that surely had no effect an order is given up, as long as it
        /// can be. What may have had an effect is asked about until somebody knows.
        attempts: u32 = 7;
    }

    /// The sandbox: durable ledgers that can be told to misbehave.
    Sandbox {
        /// How many pieces every article starts with.
        default_stock: u32 = 1_000_000;
        /// The seed of injected faults.
        seed: u64 = 0;
        ..reserve: Fault;
        ..release: Fault;
        ..authorize: Fault;
        ..capture: Fault;
        ..void: Fault;
    }

    /// What goes wrong with one operation of the sandbox. Nothing, unless told.
    Fault {
        /// It is away: nothing happens, and the caller knows.
        unavailable: Share = Share::ZERO;
        /// It refuses; the same orders each time.
        refuse: Share = Share::ZERO;
        /// It does the work and loses the answer: the caller knows nothing.
        lose_reply: Share = Share::ZERO;
        /// It takes at least this long.
        delay: Length = Length::secs(0);
        /// It takes longer by this in the mean, exponentially distributed.
        delay_extra: Length = Length::secs(0);
        /// It never takes longer than this.
        delay_max: Length = Length::secs(60);
    }

    /// What stands between the parts. `steadfast policies list` shows how each of them stands.
    Policies {
        ..gateway: Gate;
        ..reads: Reads;
        ..objective: Objective;
        ..stock: Dependency;
        ..payment: Dependency;
    }

    /// The way in. A request waits here for no longer than `limits.gateway`; under overload the
    /// newest are served first, lists are shed before orders, and couriers' reports last.
    Gate {
        /// Requests at work at once; or how the number is found out.
        concurrency: Concurrency = Concurrency::Fixed(1_024);
        /// Requests that wait for a place.
        queue: u32 = 1_024;
        /// When for as long as `limits.gateway` somebody has always waited for longer than this,
        /// that is overload, and nobody waits for longer than this.
        target: Length = Length::millis(5);
    }

    /// Reads of single orders, on threads of their own.
    Reads {
        /// Threads, and so reads at work at once.
        threads: u32 = 4;
        /// Reads that wait for one.
        queue: u32 = 256;
        /// Routes that are read a second time when they are slow.
        hedged: Routes = Routes::safe();
        ..budget: Budget;
        ..hedge: Hedge;
    }

    /// What counts as good enough: hedging looks at what is left of the error budget.
    Objective {
        /// The share of calls that must not fail.
        target: Share = Share::permille(999);
        /// Over which time.
        window: Length = Length::secs(30 * 24 * 3_600);
    }

    /// Calls of one provider.
    Dependency {
        /// Lets the time limit of a call follow what calls take at present (2d + r, to its 99.8 %
        /// quantile), between this and `providers.call_timeout`; or `"off"`.
        adaptive_timeout: OrOff<Length> = OrOff::Off;
        /// Whether a slow call gets a second one beside it. Each carries an idempotency key, so it
        /// is safe.
        hedged: bool = false;
        /// How the number of calls at once is found out by watching, below the bulkhead's limit.
        adaptive_limit: Adaptive = Adaptive::Off;
        ..budget: Budget;
        ..breaker: Breaker;
        ..bulkhead: Bulkhead;
        ..hedge: Hedge;
    }

    /// What retries and hedges are paid from.
    Budget {
        /// Extra attempts for each call.
        ratio: Share = Share::permille(50);
        /// Extra attempts a second beyond that, so that a quiet service may retry at all.
        floor_per_second: f64 = 1.0;
        /// How far back calls and extra attempts count.
        window: Length = Length::secs(10);
    }

    /// When to stop asking.
    Breaker {
        /// Which calls are judged: the last so many, or those of the last so long.
        window: Window = Window::Calls(100);
        /// The circuit opens when at least this share of them failed.
        failure_rate: Share = Share::permille(500);
        /// What takes longer than this is slow, whether or not it failed.
        slow_call: OrOff<Length> = OrOff::Off;
        /// The circuit opens when at least this share of them was slow.
        slow_call_rate: Share = Share::permille(1_000);
        /// No judgement on fewer calls than these.
        minimum_calls: u32 = 20;
        /// How long it stays open before it sends probes.
        open_for: Length = Length::secs(60);
        /// How many calls are let through to see whether it may close again.
        probes: u32 = 10;
        /// Probes that have not answered by then count as failed.
        probe_timeout: Length = Length::secs(60);
        /// Whether it opens at once when the retry budget is spent.
        open_when_budget_spent: bool = false;
    }

    /// How many calls at once.
    Bulkhead {
        /// Calls at work.
        limit: u32 = steadfast_dispatch::limits::PROVIDER_CALLS_MAX;
        /// Calls that wait for a place.
        queue: u32 = steadfast_dispatch::limits::PROVIDER_WAITS_MAX;
        /// How long one of them waits at most.
        wait: Length = Length::millis(100);
    }

    /// When a slow call gets a second attempt beside it.
    Hedge {
        /// Only while 5 % of calls take longer than this.
        p95_above: Length = Length::millis(300);
        /// Only while more than this is left of the error budget.
        error_budget_above: Share = Share::permille(500);
        /// At most this share of the calls within the last minute.
        share_max: Share = Share::permille(20);
        /// Only when so many answers have been observed within the last minute.
        observed_min: u64 = 100;
        /// The first attempt is left alone for as long as this share of calls takes.
        delay: Share = Share::permille(950);
    }

    /// The `sqlite` store.
    Sqlite {
        /// Memory for the writer's page cache.
        writer_cache: Size = Size::mebibytes(48);
        /// Memory for the page cache of each reader.
        reader_cache: Size = Size::mebibytes(2);
        /// Reads that can be under way at the same time.
        readers: usize = 4;
        /// How far the log grows before a thread of its own copies it into the database.
        checkpoint: Size = Size::mebibytes(16);
        /// How far the log grows before the writer helps.
        log: Size = Size::mebibytes(64);
        /// A quota for the database file.
        size_max: OrOff<Size> = OrOff::Off;
    }

    /// The log, on stderr.
    Log {
        /// What is logged: a level, or directives such as `info,steadfast_messaging=debug`.
        filter: String = "info".to_owned();
        /// How it is written.
        format: LogFormat = LogFormat::Text;
    }
}
