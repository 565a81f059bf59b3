//! The order's promises, under random commands.

use std::time::Duration;

use proptest::prelude::*;
use steadfast_fencing::FencingToken;
use steadfast_time::{Timestamp, Uuid};

use super::place::tests::bento;
use super::*;
use crate::names::{CourierId, OfferId, OrderId, TenantId, ZoneId};

fn start() -> Order {
    let placed = Placed {
        number: None,
        request: bento(),
        zone: ZoneId::default_zone(),
        tenant: TenantId::public(),
    };
    Order::placed(OrderId(Uuid::from_u128(1)), Timestamp::EPOCH, placed)
}

fn courier(number: u8) -> CourierId {
    format!("c{number}").parse().unwrap()
}

fn offer(number: u32) -> OfferId {
    OfferId { order: OrderId(Uuid::from_u128(1)), number }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::EPOCH + Duration::from_secs(seconds)
}

fn command() -> impl Strategy<Value = Command> {
    let who = (1..4_u32, 1..3_u8);
    prop_oneof![
        Just(Command::ReserveStock { reservation: "r".into() }),
        Just(Command::AuthorizePayment { authorization: "a".into() }),
        Just(Command::SeekCourier { until: at(1_000) }),
        who.clone().prop_map(|(number, c)| Command::Offer {
            offer: offer(number),
            courier: courier(c),
            trip: vec![OrderId(Uuid::from_u128(1))],
            expires_at: at(30),
            token: FencingToken::FIRST,
        }),
        who.clone().prop_map(|(n, c)| Command::Accept { offer: offer(n), courier: courier(c) }),
        who.clone().prop_map(|(n, c)| Command::CloseOffer {
            offer: offer(n),
            courier: Some(courier(c)),
            reason: CloseReason::Declined,
        }),
        who.clone()
            .prop_map(|(n, c)| Command::Arrive { assignment: offer(n), courier: courier(c) }),
        who.clone()
            .prop_map(|(n, c)| Command::PickUp { assignment: offer(n), courier: courier(c) }),
        who.prop_map(|(n, c)| Command::Deliver { assignment: offer(n), courier: courier(c) }),
        Just(Command::CapturePayment { capture: "c".into() }),
        Just(Command::Undo {
            outcome: Undo::Cancelled,
            code: "test".into(),
            reason: String::new()
        }),
        Just(Command::VoidPayment),
        Just(Command::ReleaseStock),
        Just(Command::Close),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_the_order_keeps_its_promises(
        commands in prop::collection::vec((0_u64..60, command()), 0..80),
    ) {
        let mut order = start();
        let mut history = Vec::new();
        let mut paid = false;
        for (second, command) in commands {
            let before = order.clone();
            match order.decide(at(second), command.clone()) {
                Err(_) => prop_assert_eq!(&order, &before),
                Ok(events) => {
                    prop_assert!(!events.is_empty());
                    prop_assert!(
                        !before.status.is_final() || before.status == Status::Delivered,
                        "{} took {:?}", before.status, command
                    );
                    for event in events {
                        paid |= matches!(event, OrderEvent::PaymentCaptured(_));
                        history.push(event.kind());
                        order.apply(at(second), event);
                    }
                    // The same again finds its work done, or is too late.
                    let offers = matches!(command, Command::CloseOffer { .. } | Command::Offer { .. });
                    if !offers {
                        prop_assert!(order.decide(at(second), command).is_err());
                    }
                }
            }
            let count = |kind| history.iter().filter(|k| **k == kind).count();
            // One courier at a time: between two assignments there would have to be a way back,
            // and there is none.
            prop_assert!(count("assigned") <= 1);
            prop_assert!(count("delivered") <= 1);
            prop_assert!(count("delivered") == 0 || count("undo_started") == 0);
            prop_assert!(count("payment_captured") == 0 || count("payment_voided") == 0);
            prop_assert!(!paid || order.status == Status::Delivered);
            prop_assert_eq!(order.offer.is_some(),
                order.status.is_dispatched() || order.status == Status::Delivered);
        }
    }
}

#[test]
fn every_event_survives_the_journal() {
    let mut order = start();
    let (courier, offer) = (courier(1), offer(1));
    let commands = [
        Command::ReserveStock { reservation: "r-1".into() },
        Command::AuthorizePayment { authorization: "a-1".into() },
        Command::SeekCourier { until: at(600) },
        Command::Offer {
            offer,
            courier: courier.clone(),
            trip: vec![order.id],
            expires_at: at(30),
            token: FencingToken::FIRST,
        },
        Command::Accept { offer, courier: courier.clone() },
        Command::Arrive { assignment: offer, courier: courier.clone() },
        Command::PickUp { assignment: offer, courier: courier.clone() },
        Command::Deliver { assignment: offer, courier },
        Command::CapturePayment { capture: "c-1".into() },
    ];
    for command in commands {
        for event in order.decide(at(5), command).unwrap() {
            let new = event.to_new().unwrap();
            let read = OrderEvent::read(&new.kind, new.schema, &new.payload).unwrap();
            assert_eq!(read, event);
            order.apply(at(5), event);
        }
    }
    assert_eq!((order.status, order.version.0), (Status::Delivered, 10));
    assert!(OrderEvent::read("teleported", 1, b"{}").is_err());
    assert!(OrderEvent::read("assigned", 2, b"{}").is_err());
}

#[test]
fn an_answer_after_the_deadline_or_by_somebody_else_is_refused() {
    let mut order = start();
    order.status = Status::AwaitingCourier;
    let made = Command::Offer {
        offer: offer(1),
        courier: courier(1),
        trip: vec![order.id],
        expires_at: at(30),
        token: FencingToken::FIRST,
    };
    for event in order.decide(at(0), made).unwrap() {
        order.apply(at(0), event);
    }
    let accept = |courier| Command::Accept { offer: offer(1), courier };
    assert!(matches!(order.decide(at(31), accept(courier(1))), Err(Refused::OfferExpired { .. })));
    assert!(matches!(order.decide(at(30), accept(courier(2))), Err(Refused::WrongCourier { .. })));
    assert!(order.decide(at(30), accept(courier(1))).is_ok());
}
