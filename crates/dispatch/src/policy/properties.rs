//! What holds for every policy on every snapshot.

use proptest::prelude::*;

use super::{
    Batch, CandidateCourier, Metric, Nearest, Options, Plan, Point, Policy, Rounding, ServiceTimes,
    Snapshot, Travel, WaitingOrder,
};

const NOW_S: i64 = 1_000_000;

/// Merchants and doors in a city of six by six kilometres, in the plane or near Seoul.
fn point(geographic: bool) -> impl Strategy<Value = Point> + Clone {
    (0..6000_i32, 0..6000_i32).prop_map(move |(x, y)| {
        let (x, y) = (f64::from(x), f64::from(y));
        if geographic {
            Point::geographic(37.5 + y / 111_000.0, 127.0 + x / 88_000.0)
        } else {
            Point::planar(x, y)
        }
    })
}

fn order(merchants: Vec<Point>, geographic: bool, couriers: usize) -> BoxedStrategy<WaitingOrder> {
    (
        0..merchants.len(),
        point(geographic),
        0..3600_i64,
        -1800..3600_i64,
        prop::collection::vec(0..couriers.max(1), 0..3),
    )
        .prop_map(move |(merchant, dropoff, age_s, ready_in_s, excluded)| WaitingOrder {
            merchant: merchant as u32,
            pickup: merchants[merchant],
            dropoff,
            placed_s: NOW_S - age_s,
            ready_s: NOW_S + ready_in_s,
            excluded,
        })
        .boxed()
}

fn courier(geographic: bool) -> impl Strategy<Value = CandidateCourier> {
    (point(geographic), -600..3000_i64, -300..7200_i64, 0..5_usize, any::<bool>()).prop_map(
        |(position, free_in_s, off_in_s, spare, may_instruct_now)| CandidateCourier {
            position,
            free_s: NOW_S + free_in_s,
            off_s: NOW_S + off_in_s,
            spare,
            may_instruct_now,
        },
    )
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    (any::<bool>(), any::<bool>(), 0..12_usize)
        .prop_flat_map(|(geographic, minutes, couriers)| {
            (
                prop::collection::vec(point(geographic), 1..5),
                prop::collection::vec(courier(geographic), couriers),
                Just((geographic, minutes)),
            )
        })
        .prop_flat_map(|(merchants, couriers, (geographic, minutes))| {
            let orders = prop::collection::vec(order(merchants, geographic, couriers.len()), 0..20);
            (orders, Just(couriers), Just((geographic, minutes)))
        })
        .prop_map(|(orders, couriers, (geographic, minutes))| {
            let metric = if geographic { Metric::Haversine } else { Metric::Planar };
            let rounding = if minutes { Rounding::UpToMinute } else { Rounding::UpToSecond };
            Snapshot {
                now_s: NOW_S,
                orders,
                couriers,
                travel: Travel::new(metric, 320.0, rounding),
                service: ServiceTimes::RECORDED,
            }
        })
}

fn policies() -> [Box<dyn Policy>; 3] {
    let tiny = Options { orders_max: 5, couriers_max: 4, ruin_max: 3, ..Options::default() };
    [Box::new(Nearest), Box::new(Batch::default()), Box::new(Batch::new(tiny))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_plan_passes_the_check(snapshot in snapshot()) {
        for policy in policies() {
            let plan = policy.plan(&snapshot);
            prop_assert_eq!(plan.check(&snapshot), Ok(()), "{}", policy.name());
        }
    }

    #[test]
    fn the_same_snapshot_gives_the_same_plan(snapshot in snapshot()) {
        for policy in policies() {
            prop_assert_eq!(policy.plan(&snapshot), policy.plan(&snapshot.clone()));
        }
    }

    #[test]
    fn the_origin_of_time_does_not_matter(snapshot in snapshot(), shift_s in -10_000..10_000_i64) {
        let mut shifted = snapshot.clone();
        shifted.now_s += shift_s;
        for order in &mut shifted.orders {
            order.placed_s += shift_s;
            order.ready_s += shift_s;
        }
        for courier in &mut shifted.couriers {
            courier.free_s += shift_s;
            courier.off_s += shift_s;
        }
        for policy in policies() {
            prop_assert_eq!(policy.plan(&snapshot), policy.plan(&shifted), "{}", policy.name());
        }
    }

    #[test]
    fn the_numbers_of_merchants_do_not_matter(snapshot in snapshot()) {
        let mut renumbered = snapshot.clone();
        for order in &mut renumbered.orders {
            order.merchant = u32::MAX - order.merchant * 7919;
        }
        for policy in policies() {
            prop_assert_eq!(policy.plan(&snapshot), policy.plan(&renumbered));
        }
    }

    #[test]
    fn a_late_order_that_somebody_could_take_does_not_idle(snapshot in snapshot()) {
        // With one order that is long ready and everybody free, both policies send someone
        // whenever someone may go.
        let mut snapshot = snapshot;
        snapshot.orders.truncate(1);
        for order in &mut snapshot.orders {
            order.ready_s = NOW_S - 60;
        }
        for courier in &mut snapshot.couriers {
            courier.free_s = NOW_S;
            courier.may_instruct_now = true;
        }
        let possible = (0..snapshot.couriers.len()).any(|courier| {
            let plan = Plan { trips: vec![super::Trip { courier, orders: vec![0] }] };
            plan.check(&snapshot) == Ok(())
        });
        for policy in [&Nearest as &dyn Policy, &Batch::default()] {
            let sent = policy.plan(&snapshot).trips.len();
            prop_assert_eq!(sent, usize::from(possible), "{}", policy.name());
        }
    }
}
