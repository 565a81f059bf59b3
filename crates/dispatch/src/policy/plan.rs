//! What a policy answers: trips, their times, and the check every plan must pass.
//!
//! The check is the last thing between a search and a courier's telephone. It knows the rules
//! and nothing of how the plan was found.

use std::fmt;

use super::{Point, ServiceTimes, Snapshot, Travel};

/// The trips to start now. A courier has at most one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of [`Snapshot::couriers`].
    pub trips: Vec<Trip>,
}

/// Pick up some orders of one merchant together and deliver them in this sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    /// Index into [`Snapshot::couriers`].
    pub courier: usize,
    /// Indices into [`Snapshot::orders`], in the sequence of delivery.
    pub orders: Vec<usize>,
}

/// When a trip's events happen, in seconds on the origin of its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TripTimes {
    /// The courier leaves.
    pub depart_s: i64,
    /// The courier reaches the merchant.
    pub arrive_s: i64,
    /// All orders are handed over.
    pub pickup_s: i64,
    /// The hand-over to each customer, in the sequence of delivery.
    pub dropoffs_s: Vec<i64>,
    /// The courier is free again, at the last customer.
    pub free_s: i64,
}

/// Times of one trip by the rules of the meal delivery routing problem (Reyes et al. 2018):
/// half of a service time is spent before a hand-over and half after it, and the pickup waits
/// for the last order to be ready.
///
/// `ready_s` is the latest ready time of the trip's orders; `dropoffs` are in the sequence of
/// delivery.
pub fn trip_times(
    travel: &Travel,
    service: &ServiceTimes,
    (origin, depart_s): (Point, i64),
    (merchant, ready_s): (Point, i64),
    dropoffs: impl IntoIterator<Item = Point>,
) -> TripTimes {
    let arrive_s = depart_s + travel.seconds(origin, merchant);
    let pickup_s = ready_s.max(arrive_s + service.before_pickup_s());
    let mut here = merchant;
    let mut free_s = pickup_s + service.after_pickup_s();
    let mut dropoffs_s = Vec::new();
    for door in dropoffs {
        let dropoff_s = free_s + travel.seconds(here, door) + service.before_dropoff_s();
        dropoffs_s.push(dropoff_s);
        free_s = dropoff_s + service.after_dropoff_s();
        here = door;
    }
    TripTimes { depart_s, arrive_s, pickup_s, dropoffs_s, free_s }
}

/// Why a plan must not be carried out. Indices are those of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A trip names a courier that is not in the snapshot.
    UnknownCourier {
        /// The index out of range.
        courier: usize,
    },
    /// A trip names an order that is not in the snapshot.
    UnknownOrder {
        /// The index out of range.
        order: usize,
    },
    /// A trip carries nothing.
    EmptyTrip {
        /// Whose trip.
        courier: usize,
    },
    /// A courier has two trips.
    CourierTwice {
        /// The courier.
        courier: usize,
    },
    /// An order is carried twice.
    OrderTwice {
        /// The order.
        order: usize,
    },
    /// The courier is busy or has not answered an offer yet.
    MayNotInstruct {
        /// The courier.
        courier: usize,
    },
    /// The courier must not get this order.
    Excluded {
        /// The courier.
        courier: usize,
        /// The order he declined or let lapse.
        order: usize,
    },
    /// One trip visits two merchants.
    MixedMerchants {
        /// The courier.
        courier: usize,
        /// The first order of another merchant than the trip's first.
        order: usize,
    },
    /// The trip carries more than the courier can take.
    OverCapacity {
        /// The courier.
        courier: usize,
        /// Orders on the trip.
        orders: usize,
        /// Orders he can take.
        spare: usize,
    },
    /// The pickup would be after the end of the courier's shift.
    AfterShift {
        /// The courier.
        courier: usize,
        /// When he would pick up.
        pickup_s: i64,
        /// Until when he may.
        off_s: i64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UnknownCourier { courier } => write!(f, "there is no courier #{courier}"),
            Self::UnknownOrder { order } => write!(f, "there is no order #{order}"),
            Self::EmptyTrip { courier } => {
                write!(f, "the trip of courier #{courier} carries no order")
            }
            Self::CourierTwice { courier } => {
                write!(f, "courier #{courier} has two trips; one plan may give him one")
            }
            Self::OrderTwice { order } => write!(f, "order #{order} is carried twice"),
            Self::MayNotInstruct { courier } => {
                write!(f, "courier #{courier} is busy or has an open offer")
            }
            Self::Excluded { courier, order } => {
                write!(f, "courier #{courier} declined order #{order} or let its offer lapse")
            }
            Self::MixedMerchants { courier, order } => write!(
                f,
                "the trip of courier #{courier} mixes merchants: order #{order} is of another one"
            ),
            Self::OverCapacity { courier, orders, spare } => write!(
                f,
                "the trip of courier #{courier} carries {orders} orders, he can take {spare}"
            ),
            Self::AfterShift { courier, pickup_s, off_s } => write!(
                f,
                "courier #{courier} would pick up at {pickup_s} s, his last pickup is at {off_s} s"
            ),
        }
    }
}

impl std::error::Error for Error {}

impl Plan {
    /// Checks every rule a plan must keep.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, trips in their sequence. Nothing of such a plan should be
    /// committed: a policy that breaks one rule can not be trusted on the others.
    pub fn check(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let mut carried = vec![false; snapshot.orders.len()];
        let mut sent = vec![false; snapshot.couriers.len()];
        for trip in &self.trips {
            let courier = trip.courier;
            match sent.get_mut(courier) {
                None => return Err(Error::UnknownCourier { courier }),
                Some(true) => return Err(Error::CourierTwice { courier }),
                Some(seen) => *seen = true,
            }
            for &order in &trip.orders {
                match carried.get_mut(order) {
                    None => return Err(Error::UnknownOrder { order }),
                    Some(true) => return Err(Error::OrderTwice { order }),
                    Some(seen) => *seen = true,
                }
            }
            trip.check(snapshot)?;
        }
        Ok(())
    }
}

impl Trip {
    /// Times of the trip if the courier leaves as soon as he can; `None` if the trip is empty or
    /// an index is not in the snapshot.
    pub fn times(&self, snapshot: &Snapshot) -> Option<TripTimes> {
        let courier = snapshot.couriers.get(self.courier)?;
        let orders: Vec<_> =
            self.orders.iter().map(|&o| snapshot.orders.get(o)).collect::<Option<_>>()?;
        let ready_s = orders.iter().map(|o| o.ready_s).max()?;
        Some(trip_times(
            &snapshot.travel,
            &snapshot.service,
            (courier.position, courier.departs_s(snapshot.now_s)),
            (orders.first()?.pickup, ready_s),
            orders.iter().map(|o| o.dropoff),
        ))
    }

    /// The rules that concern one trip alone; indices are known to be in range.
    fn check(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let courier = self.courier;
        let candidate = &snapshot.couriers[courier];
        let Some(&first) = self.orders.first() else {
            return Err(Error::EmptyTrip { courier });
        };
        if !candidate.may_instruct_now || candidate.free_s > snapshot.now_s {
            return Err(Error::MayNotInstruct { courier });
        }
        for &order in &self.orders {
            let waiting = &snapshot.orders[order];
            if waiting.merchant != snapshot.orders[first].merchant {
                return Err(Error::MixedMerchants { courier, order });
            }
            if waiting.excluded.contains(&courier) {
                return Err(Error::Excluded { courier, order });
            }
        }
        if self.orders.len() > candidate.spare {
            return Err(Error::OverCapacity {
                courier,
                orders: self.orders.len(),
                spare: candidate.spare,
            });
        }
        match self.times(snapshot) {
            Some(times) if times.pickup_s > candidate.off_s => {
                Err(Error::AfterShift { courier, pickup_s: times.pickup_s, off_s: candidate.off_s })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::{busy, courier, east, order, snapshot};

    fn check(snapshot: &Snapshot, trips: &[(usize, &[usize])]) -> Result<(), Error> {
        let trip = |&(courier, orders): &(usize, &[usize])| Trip { courier, orders: orders.into() };
        Plan { trips: trips.iter().map(trip).collect() }.check(snapshot)
    }

    #[test]
    fn times_follow_the_rules_of_the_recorded_days() {
        let street = snapshot(vec![order(1, 13, 9), order(1, 15, 4)], vec![courier(8)]);
        let trip = Trip { courier: 0, orders: vec![0, 1] };
        let times = trip.times(&street).unwrap();
        let minutes = |m: i64| m * 60;
        assert_eq!(times.arrive_s, minutes(2));
        assert_eq!(times.pickup_s, minutes(9), "the last order decides");
        assert_eq!(times.dropoffs_s, [minutes(16), minutes(22)]);
        assert_eq!(times.free_s, minutes(24));
    }

    #[test]
    fn a_late_arrival_decides_the_pickup() {
        let service = ServiceTimes::RECORDED;
        let times = trip_times(
            &Travel::recorded(100.0),
            &service,
            (east(0), 600),
            (east(10), 0),
            [east(10)],
        );
        assert_eq!(times.pickup_s, 600 + 600 + 120);
        assert_eq!(times.dropoffs_s, [times.pickup_s + 240], "no drive, but both services");
    }

    #[test]
    fn a_trip_of_unknown_things_has_no_times() {
        let street = snapshot(vec![order(1, 13, 9)], vec![courier(8)]);
        for (courier, orders) in [(1, vec![0]), (0, vec![1]), (0, vec![])] {
            assert_eq!(Trip { courier, orders }.times(&street), None);
        }
    }

    #[test]
    fn every_rule_is_checked() {
        let mut orders = vec![order(1, 13, 9), order(1, 15, 9), order(2, 15, 9), order(1, 9, 9)];
        orders[3].excluded = vec![0];
        let mut couriers = vec![courier(8), busy(9, 1), courier(9), courier(0)];
        couriers[2].spare = 1;
        couriers[3].off_s = 719;
        let street = snapshot(orders, couriers);

        assert_eq!(check(&street, &[(0, &[0, 1]), (2, &[2])]), Ok(()));
        type Trips = &'static [(usize, &'static [usize])];
        let broken: [(Trips, Error); 10] = [
            (&[(4, &[0])], Error::UnknownCourier { courier: 4 }),
            (&[(0, &[9])], Error::UnknownOrder { order: 9 }),
            (&[(0, &[])], Error::EmptyTrip { courier: 0 }),
            (&[(0, &[0]), (0, &[1])], Error::CourierTwice { courier: 0 }),
            (&[(0, &[0]), (2, &[0])], Error::OrderTwice { order: 0 }),
            (&[(1, &[0])], Error::MayNotInstruct { courier: 1 }),
            (&[(0, &[3])], Error::Excluded { courier: 0, order: 3 }),
            (&[(0, &[0, 2])], Error::MixedMerchants { courier: 0, order: 2 }),
            (&[(2, &[0, 1])], Error::OverCapacity { courier: 2, orders: 2, spare: 1 }),
            (&[(3, &[0])], Error::AfterShift { courier: 3, pickup_s: 720, off_s: 719 }),
        ];
        for (trips, error) in broken {
            assert_eq!(check(&street, trips), Err(error), "{error}");
        }
    }
}
