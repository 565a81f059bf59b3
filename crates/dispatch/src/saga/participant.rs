//! The saga's hands: the provider calls, and the order's events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use steadfast_journal::Write;
use steadfast_time::Monotonic;
use steadfast_transactions::{
    Call, Change, EffectError, Event, Follow, Id, Json, Outcome, Participant,
};

use super::handler::resumes;
use super::steps::{AUTHORIZE_PAYMENT, CAPTURE_PAYMENT, FIND_COURIER, RESERVE_STOCK, SagaOptions};
use crate::Error;
use crate::draft::{Capacity, Draft};
use crate::names::OrderId;
use crate::order::{CANCELLED_BY_CUSTOMER, Command, Order, Refused, Undo};
use crate::provider::{self, Failure, Payment, Stock};
use crate::service::Core;

/// Carries the order saga's decisions out.
pub struct OrderParticipant {
    core: Arc<Core>,
    stock: Arc<dyn Stock>,
    payment: Arc<dyn Payment>,
    options: SagaOptions,
    /// Orders as the writes under way will leave them, by order; see [`Self::settle`].
    staged: Mutex<HashMap<OrderId, Arc<Order>>>,
}

impl OrderParticipant {
    pub(super) fn new(
        core: Arc<Core>,
        stock: Arc<dyn Stock>,
        payment: Arc<dyn Payment>,
        options: SagaOptions,
    ) -> Self {
        Self { core, stock, payment, options, staged: Mutex::default() }
    }

    fn staged(&self) -> MutexGuard<'_, HashMap<OrderId, Arc<Order>>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The input has been handled: what its write has made of the order is now so, if it was
    /// committed.
    pub(super) fn settle(&self, order: OrderId, committed: bool) {
        let staged = self.staged().remove(&order);
        if let (Some(order), true) = (staged, committed) {
            self.core.repository.put(order);
        }
    }

    /// When the saga gives up. A call's own limit is the policy's, and begins once it has its
    /// place: what was spent on waiting for one must not look like slowness of the service.
    fn deadline(&self) -> Monotonic {
        self.core.clock.monotonic() + self.options.call_timeout * 2
    }

    fn provider_call(&self, call: &Call<'_>) -> provider::Call {
        let (key, attempt) = (call.key().to_owned(), call.attempt());
        provider::Call { key, deadline: self.deadline(), attempt }
    }

    async fn ask(&self, call: &Call<'_>) -> Outcome {
        let id = OrderId(call.saga().0);
        let order = match self.core.repository.get(id) {
            Ok(order) => order,
            Err(error) => return Outcome::unavailable(error.to_string()),
        };
        let request = self.provider_call(call);
        match call.step() {
            RESERVE_STOCK => answer(self.stock.reserve(&request, id, &order.request.items).await),
            AUTHORIZE_PAYMENT => {
                answer(self.payment.authorize(&request, id, &order.request.amount).await)
            }
            CAPTURE_PAYMENT => answer(self.payment.capture(&request, id).await),
            step => Outcome::unavailable(format!("{step} is not a step that anybody is asked for")),
        }
    }

    async fn undo(&self, call: &Call<'_>) -> Outcome {
        let id = OrderId(call.saga().0);
        let request = self.provider_call(call);
        match call.step() {
            RESERVE_STOCK => done(self.stock.release(&request, id).await),
            AUTHORIZE_PAYMENT => done(self.payment.void(&request, id).await),
            step => Outcome::unavailable(format!("{step} is not a step that is undone")),
        }
    }

    /// Puts what the saga's events ask of an order into a write; answers the order after that. Any
    /// refusal counts only on a `fresh` order, as the journal has it.
    fn decide(
        &self,
        change: &Change<'_>,
        mut order: Arc<Order>,
        fresh: bool,
        write: &mut Write,
    ) -> Result<Arc<Order>, Undecided> {
        let mut draft = Draft::on(write, &self.core.ids);
        for event in change.events() {
            let Some((command, must)) = command(event, &order, change)? else { continue };
            match draft.decide(&mut order, command, Capacity::NONE) {
                Ok(()) | Err(Error::Refused(Refused::Done)) => {}
                // What is undone on suspicion has left nothing on the order to undo.
                Err(Error::Refused(_)) if fresh && !must => {}
                Err(error @ Error::Refused(_)) => return Err(Undecided::Refused(error)),
                Err(error) => return Err(Undecided::Failed(error.into())),
            }
        }
        drop(draft);
        Ok(order)
    }

    fn write_effects(&self, change: &Change<'_>, write: &mut Write) -> Result<Follow, EffectError> {
        let id = OrderId(change.saga().0);
        // A second call for the same input means that somebody else wrote first.
        let again = self.staged().remove(&id).is_some();
        let repository = &self.core.repository;
        let before = write.messages.len();
        let order = if again { repository.reload(id)? } else { repository.get(id)? };
        let decided = {
            let mut attempt = write.clone();
            self.decide(change, order, again, &mut attempt).map(|order| (order, attempt))
        };
        let (order, decided) = match decided {
            // What is cached may be behind, when another process has written.
            Err(Undecided::Refused(_)) if !again => {
                let mut attempt = write.clone();
                let order = self.decide(change, repository.reload(id)?, true, &mut attempt)?;
                (order, attempt)
            }
            decided => decided?,
        };
        *write = decided;
        self.staged().insert(id, order);
        // If one of the order's events in this write comes back as an input, the saga goes on
        // then; otherwise its timer has to see to it.
        let goes_on = write.messages[before..].iter().any(|message| resumes(&message.event_type));
        Ok(if goes_on { Follow::Message } else { Follow::Timer })
    }
}

/// Why the order does not follow the saga.
enum Undecided {
    /// As it is, it must not.
    Refused(Error),
    Failed(EffectError),
}

impl From<EffectError> for Undecided {
    fn from(error: EffectError) -> Self {
        Self::Failed(error)
    }
}

impl From<Undecided> for EffectError {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Refused(error) => error.into(),
            Undecided::Failed(error) => error,
        }
    }
}

impl Participant for OrderParticipant {
    async fn call(&self, call: &Call<'_>) -> Outcome {
        self.ask(call).await
    }

    async fn compensate(&self, call: &Call<'_>) -> Outcome {
        self.undo(call).await
    }

    async fn effects(&self, change: &Change<'_>, write: &mut Write) -> Result<Follow, EffectError> {
        self.write_effects(change, write)
    }
}

/// What a saga event asks of the order, and whether the order must agree.
fn command(
    event: &Event,
    order: &Order,
    change: &Change<'_>,
) -> Result<Option<(Command, bool)>, EffectError> {
    let undo = |outcome, code: &str, reason: &str| {
        let (code, reason) = (code.to_owned(), reason.to_owned());
        Some((Command::Undo { outcome, code, reason }, true))
    };
    Ok(match event {
        Event::Succeeded { step, output } => match &**step {
            RESERVE_STOCK => Some((Command::ReserveStock { reservation: output.read()? }, true)),
            AUTHORIZE_PAYMENT => {
                Some((Command::AuthorizePayment { authorization: output.read()? }, true))
            }
            CAPTURE_PAYMENT => Some((Command::CapturePayment { capture: output.read()? }, true)),
            _ => None,
        },
        Event::Waiting { step, until } if step == FIND_COURIER => {
            let until = until.unwrap_or(change.now());
            // Called off in the meantime: no courier is wanted any more.
            Some((Command::SeekCourier { until }, false))
        }
        Event::Refused { code, reason, .. } => undo(Undo::Rejected, code, reason),
        Event::GaveUp { reason, .. } => undo(Undo::Rejected, "provider_unavailable", reason),
        Event::TimedOut { .. } if order.offer.is_some() && !is_offered(order) => {
            // A courier has it; the message that says so is on its way.
            return Err("the search timed out, but a courier has been found".into());
        }
        Event::TimedOut { .. } => undo(Undo::Cancelled, "no_courier_found", "no courier was found"),
        Event::CancelRequested { reason } => undo(Undo::Cancelled, CANCELLED_BY_CUSTOMER, reason),
        Event::Undone { step, .. } => match &**step {
            RESERVE_STOCK => Some((Command::ReleaseStock, false)),
            AUTHORIZE_PAYMENT => Some((Command::VoidPayment, false)),
            _ => None,
        },
        Event::Compensated { .. } => Some((Command::Close, true)),
        _ => None,
    })
}

fn is_offered(order: &Order) -> bool {
    order.status == crate::order::Status::Offered
}

fn answer(result: Result<String, Failure>) -> Outcome {
    match result {
        Ok(name) => match Json::of(&name) {
            Ok(name) => Outcome::Done(name),
            // It has happened; only its name cannot be kept. Asking again will not mend that.
            Err(error) => Outcome::unknown(format!("the provider's answer: {error}")),
        },
        Err(failure) => failed(failure),
    }
}

fn done(result: Result<(), Failure>) -> Outcome {
    result.map_or_else(failed, |()| Outcome::done())
}

fn failed(failure: Failure) -> Outcome {
    match failure {
        Failure::Refused { code, reason } => Outcome::refused(code, reason),
        Failure::Unavailable { reason, retry_after } => {
            Outcome::Unavailable { reason, retry_after }
        }
        Failure::Held { reason, retry_after } => Outcome::Held { reason, retry_after },
        Failure::Unknown { reason } => Outcome::unknown(reason),
    }
}

/// The saga of an order has the order's name.
pub(super) const fn saga_of(order: OrderId) -> Id {
    Id(order.0)
}
