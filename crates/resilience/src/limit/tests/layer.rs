//! The limit in front of a service.

use std::sync::Arc;

use fastrand::Rng;
use steadfast_time::sim::Simulation;
use tower::{Layer as _, ServiceExt, service_fn};

use super::*;
use crate::event::{Events, Recorder};
use crate::limit::{Algorithm, Bounds, Layer, Limit, Options};
use crate::{Class, Classify};

/// The request says how it ends, and after how many milliseconds.
type Request = (Class, u64);

#[derive(Clone)]
struct AsSaid;

impl Classify<Class, Class> for AsSaid {
    fn classify(&self, outcome: &Result<Class, Class>) -> Class {
        match outcome {
            Ok(class) | Err(class) => *class,
        }
    }
}

#[test]
fn outcomes_move_the_limit_by_their_class_and_cancelled_calls_do_not() {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let bounds = Bounds { initial: 2, min: 1, max: 9 };
    let algorithm = Algorithm::Aimd(Default::default());
    let options = Options { algorithm, bounds, window: Duration::ZERO, samples: 1 };
    let limit = Arc::new(Limit::new(&options, Rng::with_seed(1)).unwrap());
    let recorder = Arc::new(Recorder::default());
    let events = Events::to("stock", Arc::new(Arc::clone(&recorder)));
    let inner = {
        let clock = clock.clone();
        service_fn(move |(class, millis): Request| {
            let clock = clock.clone();
            async move {
                clock.sleep(ms(millis)).await;
                if class == Class::Success { Ok(class) } else { Err(class) }
            }
        })
    };
    let layer = Layer::new(Arc::clone(&limit), clock.clone(), events, AsSaid);
    let service = layer.layer(inner);
    sim.block_on(async move {
        let rows = [
            (Class::Success, 3),
            (Class::Permanent, 3),
            (Class::Refusal, 3), // An answer, but half of the limit is not used.
            (Class::TRANSIENT, 2),
        ];
        for (class, expected) in rows {
            let outcome = service.clone().oneshot((class, 10)).await;
            assert_eq!(outcome.is_ok(), class == Class::Success);
            assert_eq!(limit.limit(), expected, "after {class:?}");
        }
        let calls = [(); 3].map(|()| service.clone().oneshot((Class::Success, 10)));
        let cut = clock.timeout(ms(5), futures::future::join_all(calls)).await;
        assert!(cut.is_err());
        assert_eq!((limit.in_flight(), limit.limit()), (0, 2), "after calls were dropped");
        let calls = [(); 3].map(|()| service.clone().oneshot((Class::Success, 10)));
        let outcomes = futures::future::join_all(calls).await;
        assert_eq!(outcomes[2].as_ref().unwrap_err().policy(), Some("limit"));
        assert!(outcomes[..2].iter().all(Result::is_ok));
    });
    let lines: Vec<String> = recorder.take().iter().map(ToString::to_string).collect();
    let refused = "limit stock: 2 in flight, and the limit is 2 now";
    assert_eq!(lines[..2], ["limit stock: limit 2→3", "limit stock: limit 3→2"]);
    assert_eq!(lines[2..4], [refused, refused]);
}
