//! A small city that orders, accepts and delivers, so that there is something to see.
//!
//! Its people use the same services as everybody else. They are in a hurry: a ride takes seconds,
//! so that an order is at its end within half a minute. What they do is told on stderr.

mod city;
mod courier;
mod customer;
mod story;

use fastrand::Rng;
use steadfast_time::Clock;
use tokio::task::JoinSet;

use crate::platform::Platform;
use city::City;
use story::Story;

/// Couriers of the city.
const COURIERS: usize = 6;

/// A city at work.
pub struct Demo {
    people: JoinSet<()>,
}

/// Lets the city begin.
pub fn start(platform: &Platform, clock: Clock) -> Demo {
    let mut rng = Rng::new();
    let city = City::new(&mut rng);
    let services = platform.services().clone();
    let mut people = JoinSet::new();
    people.spawn(Story::of(platform.journal(), clock.clone()).tell());
    for number in 0..COURIERS {
        let (services, clock) = (services.clone(), clock.clone());
        people.spawn(courier::work(number, services, clock, rng.fork()));
    }
    people.spawn(customer::order(services, city, clock, rng));
    Demo { people }
}

impl Demo {
    /// Everybody goes home. What they had in hand is found again when the city starts anew.
    pub async fn stop(mut self) {
        self.people.shutdown().await;
    }
}
