//! Customers: each wants one order, and asks until it has an answer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt as _;
use serde_json::json;
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{MerchantId, OrderId};
use steadfast_dispatch::order::{Item, Money, PlaceOrder};
use steadfast_time::Clock;

use super::shop::Shop;
use super::{CLIENTS, SERVICE, Setup, Trial};
use crate::history::{Event, Recorder};
use crate::sim::{Host, Net, Stage};

pub(super) use super::super::platform::order_id;

/// The size of a request, for links of limited bandwidth.
const BYTES: usize = 600;

/// The part of a trial in which customers come; the rest is for those who are still asking.
const COMING: f64 = 0.9;

/// What the customers need of the stage.
pub(super) struct Outside {
    pub(super) host: Host,
    /// The clock that is true.
    pub(super) clock: Clock,
    pub(super) net: Net,
}

/// One wish for one order.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) at: Duration,
    /// Requests sent for it.
    pub(super) asked: u64,
    /// The first answer.
    pub(super) answer: Option<(OrderId, Vec<u8>)>,
    /// Until the first answer.
    pub(super) took: Option<Duration>,
    /// Later answers that are not the same bytes.
    pub(super) different: u64,
}

/// What they have seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) wishes: Vec<Wish>,
}

/// All customers.
pub(super) struct Customers {
    outside: Outside,
    shop: Shop,
    setup: Setup,
    merchant: MerchantId,
    seen: RefCell<Seen>,
    recorder: Recorder,
}

/// Lets customers come, in an open loop.
pub(super) fn start(
    stage: &Stage,
    outside: Outside,
    shop: Shop,
    setup: &Setup,
    trial: &Trial<'_>,
) -> Rc<Customers> {
    let merchant = match "r1".parse() {
        Ok(merchant) => merchant,
        Err(error) => unreachable!("r1 is a name: {error}"),
    };
    let recorder = Recorder::new(outside.clock.clone());
    let seen = RefCell::default();
    let customers = Rc::new(Customers { outside, shop, setup: *setup, merchant, seen, recorder });
    let (all, mut rng) = (Rc::clone(&customers), trial.rng("customers"));
    let (rate, until) = (setup.rate, trial.duration.mul_f64(COMING));
    let clock = stage.clock();
    stage.spawn(async move {
        for number in 0.. {
            // A Poisson process.
            let pause = -(1.0 - rng.f64()).ln() / rate;
            clock.sleep(Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX)).await;
            if clock.monotonic().since_start() >= until {
                return;
            }
            let (customers, rng) = (Rc::clone(&all), rng.fork());
            all.outside.host.spawn(async move { customers.want(number, rng).await });
        }
    });
    customers
}

impl Customers {
    /// What they have seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// What they did and heard, and in the end which wishes are on the disk.
    pub(super) fn history(&self, kept: &[u64]) -> Vec<Event> {
        let reader = self.seen.borrow().wishes.len() as u64;
        self.recorder.invoke(reader, "read", json!(null)).ok(json!(kept));
        self.recorder.take()
    }

    async fn want(&self, number: u64, mut rng: Rng) {
        let name = format!("customer-{number}");
        let at = self.outside.clock.monotonic();
        let place = {
            let mut seen = self.seen.borrow_mut();
            seen.wishes.push(Wish {
                number,
                name: name.clone(),
                at: at.since_start(),
                asked: 0,
                answer: None,
                took: None,
                different: 0,
            });
            seen.wishes.len() - 1
        };
        let request = self.request(&name, &mut rng);
        let pending = self.recorder.invoke(number, "update", json!(number));
        let nervous = rng.f64() < self.setup.nervous;
        let mut answered = false;
        for attempt in 0..self.setup.attempts {
            let key = self.key(&name, attempt, 0);
            let first = self.ask(place, &request, key);
            // A nervous finger sends it twice at once.
            let second = async {
                if nervous && attempt == 0 {
                    let key = self.key(&name, attempt, 1);
                    self.ask(place, &request, key).await
                } else {
                    false
                }
            };
            let (first, second) = futures::join!(first, second);
            answered = first || second;
            if answered {
                break;
            }
            let pause = Duration::from_millis(rng.u64(100..1_000));
            self.outside.host.clock().sleep(pause).await;
        }
        if answered {
            pending.ok(json!(number));
        } else {
            pending.info(json!(number), "no answer");
        }
    }

    /// One key for a wish, or another one for each request.
    fn key(&self, name: &str, attempt: u32, copy: u32) -> String {
        if self.setup.key { name.to_owned() } else { format!("{name}/{attempt}/{copy}") }
    }

    fn request(&self, name: &str, rng: &mut Rng) -> PlaceOrder {
        PlaceOrder {
            merchant: self.merchant.clone(),
            pickup: Location::planar(rng.f64() * 1_000.0, rng.f64() * 1_000.0),
            dropoff: Location::planar(rng.f64() * 1_000.0, rng.f64() * 1_000.0),
            items: vec![Item { sku: "bento".to_owned(), quantity: 1 + rng.u32(..3) }],
            amount: Money { currency: "KRW".into(), minor: rng.i64(1_000..50_000) },
            ready_at: None,
            customer: Some(name.to_owned()),
            note: None,
        }
    }

    /// Asks once; says whether there was an answer.
    async fn ask(&self, place: usize, request: &PlaceOrder, key: String) -> bool {
        self.seen.borrow_mut().wishes[place].asked += 1;
        let (shop, request) = (self.shop.clone(), request.clone());
        let call = self.outside.net.call(CLIENTS, SERVICE, BYTES, move || {
            shop.clone().serve(request.clone(), key.clone()).boxed()
        });
        let answer = self.outside.host.clock().timeout(self.setup.patience, call).await;
        let Ok(Ok(Some(body))) = answer else { return false };
        let Some(id) = order_id(&body) else { return false };
        let now = self.outside.clock.monotonic();
        let mut seen = self.seen.borrow_mut();
        let wish = &mut seen.wishes[place];
        match &wish.answer {
            None => {
                wish.took = Some(now.since_start().saturating_sub(wish.at));
                wish.answer = Some((id, body));
            }
            Some(known) => wish.different += u64::from(*known != (id, body)),
        }
        true
    }
}
