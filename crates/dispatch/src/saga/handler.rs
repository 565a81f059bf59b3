//! From an order's messages to the saga's inputs.

use std::sync::Arc;

use steadfast_journal::{Processed, Timer};
use steadfast_messaging::consumer::{Delivery, Failure, Handled, Handler};
use steadfast_transactions::{
    DefinitionError, Error, Finding, Handled as Progress, Id, Input, Json, Orchestrator, Signal,
    StepName, timers,
};

use super::participant::{OrderParticipant, saga_of};
use super::steps::{DELIVER, FIND_COURIER, SagaOptions, definition};
use crate::names::OrderId;
use crate::order::{CANCELLED_BY_CUSTOMER, OrderEvent};
use crate::provider::{Payment, Stock};
use crate::service::Services;

/// The name under which the saga's inbox marks are kept.
pub const CONSUMER: &str = "order-saga";

/// The saga of all orders: handles their messages and their timers.
#[derive(Clone, Debug)]
pub struct OrderSaga {
    orchestrator: Arc<Orchestrator<OrderParticipant>>,
}

impl OrderSaga {
    /// The saga over the services' journal, with these providers.
    ///
    /// # Errors
    /// The options give a step a time limit that makes no sense.
    pub fn new(
        services: &Services,
        stock: Arc<dyn Stock>,
        payment: Arc<dyn Payment>,
        options: SagaOptions,
    ) -> Result<Self, DefinitionError> {
        let core = Arc::clone(&services.core.0);
        let definition = definition(&options, core.options.search_timeout)?;
        let (journal, clock) = (core.journal.clone(), core.clock.clone());
        let participant = OrderParticipant::new(core, stock, payment, options);
        let orchestrator = Orchestrator::new(definition, participant, journal, clock);
        Ok(Self { orchestrator: Arc::new(orchestrator) })
    }

    /// For operators: reports, retries, skips.
    #[must_use]
    pub fn orchestrator(&self) -> &Orchestrator<OrderParticipant> {
        &self.orchestrator
    }

    /// Makes the next attempt at what the saga is at now.
    ///
    /// # Errors
    /// Nothing is to be tried again.
    pub async fn retry(&self, id: Id, by: String) -> Result<Progress, Error> {
        self.settled(id, self.orchestrator.retry(id, by).await)
    }

    /// Goes on without the step that the saga is at.
    ///
    /// # Errors
    /// It is not at that step, or cannot go on without it.
    pub async fn skip(
        &self,
        id: Id,
        step: String,
        by: String,
        reason: String,
    ) -> Result<Progress, Error> {
        self.settled(id, self.orchestrator.skip(id, step, by, reason).await)
    }

    /// Records what an operator has found out about the step that the saga is at.
    ///
    /// # Errors
    /// It is not at that step, or cannot take that for an answer.
    pub async fn resolve(
        &self,
        id: Id,
        step: String,
        by: String,
        reason: String,
        finding: Finding,
    ) -> Result<Progress, Error> {
        self.settled(id, self.orchestrator.resolve(id, step, by, reason, finding).await)
    }

    async fn input(
        &self,
        id: Id,
        input: Input,
        mark: Option<Processed>,
    ) -> Result<Progress, Error> {
        self.settled(id, self.orchestrator.handle(id, input, mark).await)
    }

    fn settled(&self, id: Id, result: Result<Progress, Error>) -> Result<Progress, Error> {
        self.orchestrator.participant().settle(OrderId(id.0), result.is_ok());
        result
    }
}

impl Handler for OrderSaga {
    async fn handle(&self, delivery: &Delivery) -> Result<Handled, Failure> {
        let message = delivery.message();
        let Some(input) = input_of(&message.event_type, &message.payload)? else {
            return Ok(Handled::Ignored);
        };
        let order: OrderId = message
            .aggregate_id
            .parse()
            .map_err(|error| Failure::Poison(format!("the message's key: {error}")))?;
        match self.input(saga_of(order), input, Some(delivery.mark())).await {
            Ok(handled) if handled.duplicate => Ok(Handled::Duplicate),
            Ok(_) => Ok(Handled::Committed),
            Err(error) => Err(failure(error)),
        }
    }
}

/// A saga's durable timer.
impl timers::Handler for OrderSaga {
    async fn fire(&self, timer: &Timer) -> Result<(), timers::HandlerError> {
        let id = Id::from_timer(&timer.id)
            .ok_or_else(|| format!("{:?} is not a saga's timer", timer.id))?;
        self.input(id, Input::Due, None).await?;
        Ok(())
    }
}

/// Whether an order event, in a write of the saga itself, makes it go on when it comes back.
pub(super) fn resumes(kind: &str) -> bool {
    matches!(kind, "stock_reserved" | "payment_voided" | "stock_released" | "undo_started")
}

/// What an order event means to the saga; nothing for most.
fn input_of(kind: &str, payload: &[u8]) -> Result<Option<Input>, Failure> {
    let signal = |step: &'static str| Input::Signal {
        step: StepName::Borrowed(step),
        signal: Signal::Done(Json::null()),
    };
    Ok(match kind {
        "placed" => Some(Input::Start { data: Json::null() }),
        "assigned" => Some(signal(FIND_COURIER)),
        "delivered" => Some(signal(DELIVER)),
        "undo_started" => match OrderEvent::read(kind, 1, payload) {
            // Called off from outside: the saga does not know yet. Otherwise it began this.
            Ok(OrderEvent::UndoStarted(undo)) if undo.code == CANCELLED_BY_CUSTOMER => {
                Some(Input::Cancel { reason: undo.reason })
            }
            Ok(_) => Some(Input::Continue),
            Err(error) => return Err(Failure::Poison(error.to_string())),
        },
        other if resumes(other) => Some(Input::Continue),
        _ => None,
    })
}

/// How a failure bears on the message.
fn failure(error: Error) -> Failure {
    match error {
        Error::Journal(error) => error.into(),
        other => Failure::Transient(other.to_string()),
    }
}
