//! Where things are, and what there is to eat.

use fastrand::Rng;
use steadfast_dispatch::geo::Location;
use steadfast_dispatch::names::{MerchantId, NameError};
use steadfast_dispatch::order::{Item, Money, PlaceOrder};

/// The city is a square with sides of this many metres.
const SIDE: f64 = 3_000.0;

/// Dishes and their prices, in won.
const MENU: [(&str, i64); 6] = [
    ("bento", 9_000),
    ("bibimbap", 11_000),
    ("tteokbokki", 7_500),
    ("kimbap", 4_500),
    ("ramyeon", 5_000),
    ("fried chicken", 19_000),
];

/// A city.
pub(super) struct City {
    merchants: Vec<Location>,
}

impl City {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { merchants: (0..8).map(|_| place(rng)).collect() }
    }

    /// What somebody fancies.
    pub(super) fn wish(&self, rng: &mut Rng) -> Result<PlaceOrder, NameError> {
        let merchant = rng.usize(..self.merchants.len());
        let (dish, price) = MENU[rng.usize(..MENU.len())];
        let quantity = rng.u32(1..=3);
        Ok(PlaceOrder {
            merchant: format!("r{}", merchant + 1).parse::<MerchantId>()?,
            pickup: self.merchants[merchant],
            dropoff: place(rng),
            items: vec![Item { sku: dish.to_owned(), quantity }],
            amount: Money { currency: "KRW".to_owned(), minor: price * i64::from(quantity) },
            ready_at: None,
            customer: Some(format!("neighbour-{}", rng.u32(1..100))),
            note: None,
        })
    }
}

/// Somewhere in the city, to the metre.
pub(super) fn place(rng: &mut Rng) -> Location {
    Location::planar((rng.f64() * SIDE).round(), (rng.f64() * SIDE).round())
}
