//! What operators can do with sagas and dead letters, for the admin listener.

use std::fmt::Display;

use futures::future::FutureExt;
use serde::Serialize;
use serde_json::{Value, json};
use steadfast_api::admin::{
    Answer, DeadLetterAdmin, Error, Finding, ListDeadLetters, ListSagas, Page, Replay, Resolve,
    Retry, SagaAdmin, Skip,
};
use steadfast_dispatch::saga::OrderSaga;
use steadfast_messaging::dead_letters::{self, DeadLetters, Pace, Scope};
use steadfast_transactions::{self as transactions, Attention, Handled, Id, Json};

/// Dead letters replayed in a second, unless the operator says otherwise.
const REPLAYS_PER_SECOND: u32 = 50;

/// Sagas of orders.
pub(super) struct SagaOffice {
    saga: OrderSaga,
}

impl SagaOffice {
    pub(super) const fn new(saga: OrderSaga) -> Self {
        Self { saga }
    }

    fn page(&self, query: &ListSagas) -> Result<Page, Error> {
        let statuses: Vec<Attention> = match &query.status {
            None => Attention::ALL.to_vec(),
            Some(name) => vec![attention(name)?],
        };
        let (mut from, mut after) = match &query.cursor {
            None => (statuses[0], None),
            Some(cursor) => cursor_of(cursor)?,
        };
        let mut page = Page::default();
        let start = statuses.iter().position(|status| *status == from).unwrap_or(0);
        for status in &statuses[start..] {
            if *status != from {
                (from, after) = (*status, None);
            }
            let left = query.limit - page.entries.len();
            if left == 0 {
                page.next_cursor = Some(status.status().to_string());
                break;
            }
            let found = self.saga.orchestrator().list(*status, after, left).map_err(broken)?;
            for listed in found.sagas {
                let mut value = to_value(&listed)?;
                value["status"] = json!(status.status());
                page.entries.push(value);
            }
            if let Some(next) = found.next {
                page.next_cursor = Some(format!("{}/{next}", status.status()));
                break;
            }
        }
        Ok(page)
    }

    fn show(&self, id: &str) -> Result<Value, Error> {
        let id = saga_id(id)?;
        let report = self.saga.orchestrator().show(id).map_err(saga_error)?;
        let report = report.ok_or_else(|| Error::NotFound(format!("saga {id}")))?;
        Ok(json!({
            "id": id,
            "saga": self.saga.orchestrator().definition().name(),
            "status": report.state.status(),
            "step": report.state.step().map(transactions::Step::name),
            "attempts": report.state.attempts(),
            "problem": report.state.problem(),
            "wakes_at": report.state.wakes_at(),
            "version": report.version,
            "history": to_value(&report.history)?,
        }))
    }
}

impl SagaAdmin for SagaOffice {
    fn list(&self, query: ListSagas) -> Answer<'_, Page> {
        async move { self.page(&query) }.boxed()
    }

    fn get(&self, id: String) -> Answer<'_, Value> {
        async move { self.show(&id) }.boxed()
    }

    fn retry(&self, id: String, request: Retry) -> Answer<'_, Value> {
        async move { handled(self.saga.retry(saga_id(&id)?, request.by).await) }.boxed()
    }

    fn skip(&self, id: String, request: Skip) -> Answer<'_, Value> {
        async move {
            let Skip { step, by, reason } = request;
            handled(self.saga.skip(saga_id(&id)?, step, by, reason).await)
        }
        .boxed()
    }

    fn resolve(&self, id: String, request: Resolve) -> Answer<'_, Value> {
        async move {
            let Resolve { step, by, reason, finding, result } = request;
            let finding = match finding {
                Finding::NotDone => transactions::Finding::NotDone,
                Finding::Done => {
                    let result = Json::of(&result.unwrap_or(Value::Null));
                    let invalid = |error: transactions::JsonError| Error::Invalid {
                        field: "result",
                        rule: error.to_string(),
                    };
                    transactions::Finding::Done(result.map_err(invalid)?)
                }
            };
            handled(self.saga.resolve(saga_id(&id)?, step, by, reason, finding).await)
        }
        .boxed()
    }
}

fn attention(name: &str) -> Result<Attention, Error> {
    let all = Attention::ALL;
    let found = all.into_iter().find(|candidate| candidate.status().to_string() == name);
    found.ok_or_else(|| {
        let names = all.map(|candidate| candidate.status().to_string()).join(", ");
        Error::Invalid { field: "status", rule: format!("must be one of {names}") }
    })
}

fn cursor_of(cursor: &str) -> Result<(Attention, Option<Id>), Error> {
    let invalid = || Error::Invalid {
        field: "cursor",
        rule: "must be the next_cursor of the page before".to_owned(),
    };
    let (status, id) = match cursor.split_once('/') {
        None => (cursor, None),
        Some((status, id)) => (status, Some(id.parse().map_err(|_| invalid())?)),
    };
    Ok((attention(status).map_err(|_| invalid())?, id))
}

fn saga_id(text: &str) -> Result<Id, Error> {
    text.parse().map_err(|_| Error::NotFound(format!("saga {text:?}")))
}

fn handled(result: Result<Handled, transactions::Error>) -> Result<Value, Error> {
    let handled = result.map_err(saga_error)?;
    Ok(
        json!({ "status": handled.status, "version": handled.version, "recorded": handled.recorded }),
    )
}

fn saga_error(error: transactions::Error) -> Error {
    use transactions::Error as E;

    match error {
        E::NotFound { id } => Error::NotFound(format!("saga {id}")),
        E::NotPossible { .. } | E::Contended { .. } => Error::State(error.to_string()),
        E::NoSuchStep { .. } | E::NotAWait { .. } => {
            Error::Invalid { field: "step", rule: error.to_string() }
        }
        other => broken(other),
    }
}

/// Dead letters of the order saga's consumer.
pub(super) struct DeadLetterOffice {
    letters: DeadLetters,
}

impl DeadLetterOffice {
    pub(super) const fn new(letters: DeadLetters) -> Self {
        Self { letters }
    }

    fn check(&self, consumer: Option<&str>) -> Result<(), Error> {
        let own = self.letters.consumer();
        match consumer {
            Some(other) if other != own => {
                Err(Error::Invalid { field: "consumer", rule: format!("must be {own:?}") })
            }
            _ => Ok(()),
        }
    }
}

impl DeadLetterAdmin for DeadLetterOffice {
    fn list(&self, query: ListDeadLetters) -> Answer<'_, Page> {
        async move {
            self.check(query.consumer.as_deref())?;
            let more = query.limit + 1;
            let mut letters =
                self.letters.list(query.cursor.as_deref(), more).map_err(letter_error)?;
            let is_last = letters.len() < more;
            letters.truncate(query.limit);
            let next_cursor = letters.last().filter(|_| !is_last).map(|last| last.place.clone());
            let entries = letters.iter().map(to_value).collect::<Result<_, _>>()?;
            Ok(Page { entries, next_cursor })
        }
        .boxed()
    }

    fn get(&self, place: String) -> Answer<'_, Value> {
        async move {
            let (letter, payload) = self.letters.show(&place).map_err(letter_error)?;
            let mut value = to_value(&letter)?;
            value["payload"] = serde_json::from_slice(&payload)
                .unwrap_or_else(|_| json!(String::from_utf8_lossy(&payload)));
            Ok(value)
        }
        .boxed()
    }

    fn replay(&self, request: Replay) -> Answer<'_, Value> {
        async move {
            self.check(request.consumer.as_deref())?;
            let scope = request.key.map_or(Scope::All, Scope::Key);
            let pace = Pace::per_second(request.per_second.unwrap_or(REPLAYS_PER_SECOND));
            let replayed = self.letters.replay(&scope, pace).await.map_err(letter_error)?;
            to_value(&replayed)
        }
        .boxed()
    }

    fn discard(&self, place: String, reason: String) -> Answer<'_, Value> {
        async move {
            let letter = self.letters.discard(&place, &reason).await.map_err(letter_error)?;
            to_value(&letter)
        }
        .boxed()
    }
}

fn letter_error(error: dead_letters::Error) -> Error {
    use dead_letters::Error as E;

    match error {
        E::Unknown { place } => Error::NotFound(format!("dead letter {place:?}")),
        E::NotFirst { .. } | E::Gap { .. } | E::Busy => Error::State(error.to_string()),
        other => broken(other),
    }
}

fn broken(error: impl Display) -> Error {
    Error::Unavailable(error.to_string())
}

fn to_value(value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(broken)
}
