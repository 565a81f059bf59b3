//! What a service's error looks like from outside.

use steadfast_dispatch::Error;
use steadfast_dispatch::order::Problem as Rule;

use super::{Code, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        // Every code of the domain is in the table; a test holds it to that.
        let code = Code::from_name(error.code()).unwrap_or(Code::Internal);
        match error {
            Error::Invalid(Rule { field, problem }) => Self::new(code, problem).with_field(field),
            Error::KeyInFlight { retry_after } => {
                Self::new(code, error.to_string()).with_retry_after(retry_after)
            }
            Error::Overloaded { what, retry_after } => {
                Self::new(code, what).with_retry_after(retry_after)
            }
            Error::Unavailable { reason } => {
                tracing::error!(%reason, "a request was turned away");
                Self::new(code, "the service cannot do this at the moment")
            }
            Error::Unreadable(what) => {
                tracing::error!(%what, "the journal holds something that cannot be read");
                Self::new(code, "what is stored about this cannot be read by this version")
            }
            Error::NotFound { .. }
            | Error::Refused(_)
            | Error::VersionMismatch { .. }
            | Error::KeyReused
            | Error::DeadlineExceeded { .. } => Self::new(code, error.to_string()),
        }
    }
}

impl From<Rule> for Problem {
    fn from(Rule { field, problem }: Rule) -> Self {
        Self::invalid(field, problem)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use steadfast_dispatch::names::{CourierId, OfferId, OrderId};
    use steadfast_dispatch::order::{Refused, Status};
    use steadfast_time::{Timestamp, Uuid};

    use super::*;

    /// One of each, with what must and must not reach the client.
    fn samples() -> Vec<(Error, Code, u16)> {
        let offer = OfferId { order: OrderId(Uuid::from_u128(7)), number: 1 };
        let courier: CourierId = "c9".parse().unwrap();
        let not_found = |what| Error::NotFound { what, id: "x".to_owned() };
        let retry_after = Duration::from_secs(3);
        let secret = || "/var/lib/secret: disk I/O error".to_owned();
        vec![
            (not_found("order"), Code::OrderNotFound, 404),
            (not_found("offer"), Code::OfferNotFound, 404),
            (not_found("courier"), Code::CourierNotFound, 404),
            (not_found("zone"), Code::NotFound, 404),
            (Rule::new("items", "must have lines").into(), Code::InvalidRequest, 400),
            (Refused::Done.into(), Code::OrderState, 409),
            (
                Refused::Status { status: Status::PickedUp, what: "be cancelled" }.into(),
                Code::OrderState,
                409,
            ),
            (Refused::OfferClosed { offer }.into(), Code::OfferClosed, 410),
            (
                Refused::OfferExpired { offer, expired_at: Timestamp::EPOCH }.into(),
                Code::OfferExpired,
                410,
            ),
            (Refused::WrongCourier { offer, courier }.into(), Code::WrongCourier, 403),
            (Error::VersionMismatch { expected: 1, actual: 2 }, Code::VersionMismatch, 412),
            (Error::KeyReused, Code::KeyReused, 422),
            (Error::KeyInFlight { retry_after }, Code::KeyInFlight, 409),
            (Error::Overloaded { what: "full".into(), retry_after }, Code::Overloaded, 503),
            (Error::DeadlineExceeded { what: "late".into() }, Code::DeadlineExceeded, 504),
            (Error::Unavailable { reason: secret() }, Code::Unavailable, 503),
            (Error::Unreadable(secret()), Code::Unreadable, 500),
        ]
    }

    #[test]
    fn each_error_has_its_code_and_status() {
        for (error, code, status) in samples() {
            let text = format!("{error:?}");
            let problem = Problem::from(error);
            assert_eq!((problem.code(), code.status().as_u16()), (code, status), "{text}");
        }
    }

    #[test]
    fn what_only_the_operator_should_know_stays_inside() {
        for (error, ..) in samples() {
            let json = String::from_utf8(Problem::from(error).to_json()).unwrap();
            assert!(!json.contains("secret"), "{json}");
        }
    }

    #[test]
    fn whoever_can_try_again_is_told_when() {
        for (error, code, _) in samples() {
            let problem = Problem::from(error);
            let waits = matches!(code, Code::KeyInFlight | Code::Overloaded | Code::Unavailable);
            assert_eq!(problem.retry_after_s().is_some(), waits, "{code:?}");
        }
    }
}
