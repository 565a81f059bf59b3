//! A check that is fed event by event.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;
use steadfast_time::Monotonic;

use super::bank::Bank;
use super::operation::{F, History, Id, NEVER, NIL, Op, Values};
use super::shape::{Shape, Spec};
use super::updates::Updates;
use super::{Deadline, Error, Model, Options, Report, decide};
use crate::history::{Event, Kind, Malformed, Outcome};
use crate::limits::{CHECK_EVENTS_MAX, CHECK_VALUE_BYTES_MAX};

/// A check that is fed event by event, for histories that do not fit into memory as events: it keeps
/// 56 bytes for each operation, and each distinct value once.
///
/// ```
/// use std::time::Duration;
/// use steadfast_lab::Verdict;
/// use steadfast_lab::check::{Model, Options, Stream};
/// use steadfast_lab::history::{Event, Kind};
/// use steadfast_time::Clock;
///
/// let options = Options { time: Duration::from_secs(1), clock: Clock::system() };
/// let mut stream = Stream::new(Model::Register, options);
/// for (kind, value, time) in [(Kind::Invoke, None, 1), (Kind::Ok, Some(4), 2)] {
///     let (f, value) = ("read".into(), value.into());
///     stream.push(Event { process: 0, kind, f, key: None, value, time, error: None })?;
/// }
/// // Nobody ever wrote a 4.
/// assert_eq!(stream.finish()?.verdict, Verdict::Violated);
/// # Ok::<(), steadfast_lab::check::Error>(())
/// ```
#[derive(Debug)]
pub struct Stream {
    options: Options,
    history: History,
    /// What a process is doing, by its number; [`Doing::Gone`] after an `info`.
    doing: Vec<Doing>,
    processes: HashMap<u64, u32>,
    keys: HashMap<Cow<'static, str>, u32>,
    /// The number of "no key".
    unkeyed: Option<u32>,
    /// What the keys' names take, as an estimate.
    key_bytes: usize,
    place: u32,
    last: u64,
    bank: Bank,
    updates: Updates,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Nothing,
    /// The place of the operation in the history.
    Op(usize),
    Gone,
}

impl Stream {
    /// Nothing yet.
    #[must_use]
    pub fn new(model: Model, options: Options) -> Self {
        Self {
            options,
            history: History {
                model,
                ops: Vec::new(),
                values: Values::new(),
                processes: Vec::new(),
                keys: Vec::new(),
            },
            doing: Vec::new(),
            processes: HashMap::new(),
            keys: HashMap::new(),
            unkeyed: None,
            key_bytes: 0,
            place: 0,
            last: 0,
            bank: Bank::default(),
            updates: Updates::default(),
        }
    }

    /// The next event. After an error the check is of no more use.
    ///
    /// # Errors
    /// When it cannot follow what came before, or is none of the model's.
    pub fn push(&mut self, event: Event) -> Result<(), Error> {
        self.take(&event)
    }

    /// What was found, by `options.time` after this call.
    ///
    /// # Errors
    /// None today; a model that can only judge the whole may have some.
    pub fn finish(self) -> Result<Report, Error> {
        let until = self.options.clock.monotonic() + self.options.time;
        self.finish_by(until)
    }

    pub(super) fn finish_by(self, until: Monotonic) -> Result<Report, Error> {
        let deadline = Deadline { clock: self.options.clock, until };
        Ok(decide(self.history, self.bank, self.updates, &deadline))
    }

    pub(super) fn operations(&self) -> usize {
        self.history.ops.len()
    }

    pub(super) fn keys(&self) -> usize {
        self.history.keys.len()
    }

    pub(super) fn take(&mut self, event: &Event) -> Result<(), Error> {
        let place = self.place;
        if place >= CHECK_EVENTS_MAX {
            return Err(wrong(place, format!("more than {CHECK_EVENTS_MAX} events; check a part")));
        }
        if event.time < self.last {
            let what = format!("time runs backwards, from {} to {}", self.last, event.time);
            return Err(malformed(place, what));
        }
        self.last = event.time;
        self.place += 1;
        let process = self.process(event.process);
        match event.kind {
            Kind::Invoke => self.invoke(place, process, event)?,
            _ => self.complete(place, process, event)?,
        }
        if self.history.values.bytes() + self.key_bytes > CHECK_VALUE_BYTES_MAX {
            let most = CHECK_VALUE_BYTES_MAX >> 20;
            let what = format!(
                "values and keys take more than {most} MiB up to here; check a part, or let values \
                 be small numbers"
            );
            return Err(wrong(place, what));
        }
        Ok(())
    }

    fn invoke(&mut self, place: u32, process: u32, event: &Event) -> Result<(), Error> {
        match self.doing[process as usize] {
            Doing::Nothing => {}
            Doing::Op(_) => {
                let what = format!(
                    "process {} invokes {:?} before it has an answer to what it invoked before",
                    event.process, event.f
                );
                return Err(malformed(place, what));
            }
            Doing::Gone => {
                let what = format!(
                    "process {} invokes {:?} after an \"info\"; nobody knows what it is doing, so \
                     its client must go on under a new number",
                    event.process, event.f
                );
                return Err(malformed(place, what));
            }
        }
        let spec = self.spec(place, event)?;
        let key = self.key(event.key.as_ref());
        let asked = self.read(spec.asked, place, event)?;
        let op = Op {
            process,
            key,
            f: spec.f,
            outcome: Outcome::Info,
            asked,
            answered: [NIL; 2],
            invoked: place,
            completed: NEVER,
            from: event.time,
            to: u64::MAX,
        };
        if spec.f == F::Update {
            self.updates.asked(&op);
        }
        self.doing[process as usize] = Doing::Op(self.history.ops.len());
        self.history.ops.push(op);
        Ok(())
    }

    fn complete(&mut self, place: u32, process: u32, event: &Event) -> Result<(), Error> {
        let Doing::Op(at) = self.doing[process as usize] else {
            let what = format!("process {} hears an answer, and has asked nothing", event.process);
            return Err(malformed(place, what));
        };
        let mut op = self.history.ops[at];
        let specs = self.history.model.specs();
        let asked = specs.iter().find(|spec| spec.f == op.f);
        let spec = asked.filter(|spec| spec.name == event.f && self.has_key(op.key, event));
        let Some(spec) = spec else {
            let what = format!(
                "process {} asked {:?}, and hears an answer to {:?}",
                event.process,
                asked.map_or("", |spec| spec.name),
                event.f
            );
            return Err(malformed(place, what));
        };
        op.completed = place;
        op.to = event.time;
        op.outcome = match event.kind {
            Kind::Ok => Outcome::Ok,
            Kind::Fail => Outcome::Fail,
            Kind::Invoke | Kind::Info => Outcome::Info,
        };
        if op.outcome == Outcome::Ok {
            op.answered = match spec.answered {
                Shape::Message if event.value.is_null() => op.asked,
                shape => self.read(shape, place, event)?,
            };
            match spec.answered {
                Shape::Message if op.answered[0] == NIL => {
                    return Err(self.unfit(spec.name, Shape::Message, place, event));
                }
                Shape::Balances => self.bank.read(&op, &event.value),
                Shape::List => self.updates.read(&op, &event.value, &mut self.history.values),
                _ => {}
            }
        }
        self.doing[process as usize] = match op.outcome {
            Outcome::Info => Doing::Gone,
            Outcome::Ok | Outcome::Fail => Doing::Nothing,
        };
        self.history.ops[at] = op;
        Ok(())
    }

    fn spec(&self, place: u32, event: &Event) -> Result<&'static Spec, Error> {
        let model = self.history.model;
        model.specs().iter().find(|spec| spec.name == event.f).ok_or_else(|| {
            let has = model.operations().join(", ");
            wrong(place, format!("{model} has no operation {:?}; it has {has}", event.f))
        })
    }

    /// What the model needs of a value.
    fn read(&mut self, shape: Shape, place: u32, event: &Event) -> Result<[Id; 2], Error> {
        let values = &mut self.history.values;
        let ids = match (shape, &event.value) {
            (Shape::Ignored, _) => Some([NIL; 2]),
            (Shape::Value | Shape::Message, value) => Some([values.id(value), NIL]),
            (Shape::Pair, Value::Array(pair)) if pair.len() == 2 => {
                Some([values.id(&pair[0]), values.id(&pair[1])])
            }
            (Shape::Token, value @ Value::Number(number)) if number.is_u64() => {
                Some([values.id(value), NIL])
            }
            (Shape::Guarded, Value::Array(pair)) if pair.len() == 2 && pair[0].is_u64() => {
                Some([values.id(&pair[1]), values.id(&pair[0])])
            }
            (Shape::Item, value) => (!value.is_null()).then(|| [values.id(value), NIL]),
            (Shape::Transfer, value) => Bank::is_transfer(value).then_some([NIL; 2]),
            (Shape::Overdraft, value) => Bank::is_question(value).then(|| [values.id(value), NIL]),
            (Shape::Balances, value) => Bank::is_answer(value).then_some([NIL; 2]),
            (Shape::List, Value::Array(_)) => Some([NIL; 2]),
            _ => None,
        };
        ids.ok_or_else(|| self.unfit(&event.f, shape, place, event))
    }

    fn unfit(&self, name: &str, shape: Shape, place: u32, event: &Event) -> Error {
        let side = if event.kind == Kind::Invoke { "invoke" } else { "ok" };
        let what = format!(
            "{} wants {} as the value of {side} of {name:?}, not {}",
            self.history.model,
            shape.wants(),
            shortened(&event.value)
        );
        wrong(place, what)
    }

    fn process(&mut self, process: u64) -> u32 {
        let next = self.history.processes.len() as u32;
        let number = *self.processes.entry(process).or_insert(next);
        if number == next {
            self.history.processes.push(process);
            self.doing.push(Doing::Nothing);
        }
        number
    }

    fn key(&mut self, key: Option<&Cow<'static, str>>) -> u32 {
        let next = self.history.keys.len() as u32;
        let number = match key {
            None => *self.unkeyed.get_or_insert(next),
            Some(key) => match self.keys.get(key) {
                Some(&number) => number,
                None => *self.keys.entry(key.clone()).or_insert(next),
            },
        };
        if number == next {
            // Once in its place, and once in the map.
            self.key_bytes += 2 * (KEY_BYTES + key.map_or(0, |key| key.len()));
            self.history.keys.push(key.cloned());
        }
        number
    }

    fn has_key(&self, key: u32, event: &Event) -> bool {
        self.history.keys.get(key as usize).is_some_and(|key| *key == event.key)
    }
}

/// What a key costs beside its name.
const KEY_BYTES: usize = 32;

fn malformed(place: u32, what: String) -> Error {
    Error::Malformed(Malformed { place: place as usize, what })
}

fn wrong(place: u32, what: String) -> Error {
    Error::Operation { place: place as usize, what }
}

/// A value in a message: its beginning, when it is long.
fn shortened(value: &Value) -> String {
    const LONG: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
