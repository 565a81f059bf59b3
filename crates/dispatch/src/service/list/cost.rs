use std::time::{Duration, Instant};
use steadfast_journal::{sqlite, Append, Expected, Journal, Write, Version};
use steadfast_time::{Clock, Ids, sim::Simulation};
use crate::order::*;
use crate::names::*;
use crate::service::{Options, Services};
use super::Filter;

// cargo test -p steadfast-dispatch --release --lib list::cost -- --ignored --nocapture
#[test] #[ignore]
#[allow(clippy::disallowed_methods)]
fn cost() {
    let orders: usize = std::env::var("ORDERS").unwrap().parse().unwrap();
    let lists = std::env::var("LIST").is_ok();
    let dir = tempdir();
    let mut sim = Simulation::new(1);
    let engine = sqlite::Engine::open(&dir.join("j.db"), sqlite::Options::default()).unwrap();
    let (journal, mut writer) = Journal::new(engine, sim.clock());
    let spent = std::rc::Rc::new(std::cell::RefCell::new((Duration::ZERO, Duration::ZERO, 0u64)));
    let s2 = spent.clone();
    sim.on_idle(move || { let t = Instant::now(); let n = writer.run_once().unwrap(); let d = t.elapsed(); let mut s = s2.borrow_mut(); s.0 += d; s.1 = s.1.max(d); s.2 += u64::from(n>0); n > 0 });
    let services = Services::new(journal.clone(), sim.clock(), Ids::seeded(1), Options::default());
    if lists { let run = services.list_projection(); sim.spawn(async move { run.await.unwrap() }); }
    let clock: Clock = sim.clock();
    let t0 = Instant::now();
    let req: PlaceOrder = serde_json::from_str(super::projection::BENTO).unwrap();
    let ids = Ids::seeded(3);
    let j2 = journal.clone(); let c2 = clock.clone();
    // 5,000 orders/s: groups of 50 orders each 10 ms. Steps of an order at 0, 20, 40, 60, 300 ms, 30 s.
    let all = sim.block_on(async move {
        let mut all: Vec<OrderId> = Vec::new();
        let groups = orders / 50;
        let offs = [0usize, 2, 4, 6, 30, 3000];
        for tick in 0..groups + 31 + 0 {
            let mut pend = Vec::new();
            for (k, off) in offs.iter().enumerate() {
                let Some(g) = tick.checked_sub(*off) else { continue };
                if g >= groups { continue }
                for n in 0..50 {
                    let event: OrderEvent = match k {
                        0 => { let id = OrderId(ids.next(c2.now())); all.push(id);
                            Placed { request: req.clone(), zone: format!("z{}", n % 10).parse().unwrap(), tenant: TenantId::public() }.into() }
                        1 => StockReserved { reservation: "r-00000001".into() }.into(),
                        2 => PaymentAuthorized { authorization: "a-00000001".into() }.into(),
                        3 => AwaitingCourier { until: c2.now() }.into(),
                        4 => Offered { offer: OfferId{order: all[g*50+n], number: 1}, courier: "c1".parse().unwrap(), trip: vec![all[g*50+n]], expires_at: c2.now(), token: steadfast_fencing::FencingToken::FIRST }.into(),
                        _ => Assigned { assignment: OfferId{order: all[g*50+n], number: 1}, courier: "c1".parse().unwrap() }.into(),
                    };
                    let mut w = Write::at(c2.now());
                    w.appends.push(Append { stream: all[g*50+n].stream(), expected: Expected::Exactly(Version(k as u64)), events: vec![event.to_new().unwrap()] });
                    pend.push(w);
                }
            }
            let done = pend.into_iter().map(|w| j2.commit(w));
            for r in futures::future::join_all(done).await { r.unwrap(); }
            c2.sleep(Duration::from_millis(10)).await;
        }
        all
    });
    sim.run_for(Duration::from_secs(1));
    let total = t0.elapsed();
    let s = *spent.borrow();
    println!("lists={lists} orders={orders} events={} wall={total:?} writer={:?} longest commit={:?} commits={} db={} MB", journal.store().head().unwrap().position, s.0, s.1, s.2,
        std::fs::metadata(dir.join("j.db")).map(|m| m.len()).unwrap_or(0) / 1_000_000);
    if lists {
        let filters = [("none", Filter::default()),
            ("zone", Filter { zone: Some("z3".parse().unwrap()), status: None }),
            ("status offered", Filter { zone: None, status: Some(Status::Offered) }),
            ("status assigned", Filter { zone: None, status: Some(Status::Assigned) }),
            ("zone+status", Filter { zone: Some("z3".parse().unwrap()), status: Some(Status::Offered) })];
        for (name, filter) in filters { for limit in [50, 200] {
            let (sv, ck) = (services.clone(), clock.clone());
            let name = name.to_owned(); let filter = filter.clone();
            sim.block_on(async move {
                let mut times = Vec::new(); let mut cursor = None; let mut n = 0;
                for _ in 0..50 { let t = Instant::now();
                    let p = sv.orders.list(filter.clone(), cursor, limit, ck.monotonic() + Duration::from_secs(1)).await.unwrap();
                    times.push(t.elapsed()); n += p.orders.len(); cursor = p.next_cursor; }
                times.sort();
                println!("{name} limit {limit}: median {:?} max {:?} ({n} orders)", times[25], times[49]);
            });
        } }
    }
    std::fs::remove_dir_all(dir).unwrap();
}
fn tempdir() -> std::path::PathBuf { let d = std::env::temp_dir().join(format!("listcost{}", std::process::id())); std::fs::create_dir_all(&d).unwrap(); d }
