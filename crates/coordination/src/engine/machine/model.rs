//! The machine against a model that is too slow and too simple to be wrong: lists that are searched
//! from end to end. Only new numbers are taken from the machine, and they have to be new.

use std::time::Duration;

use proptest::prelude::*;
use steadfast_time::Uuid;

use super::*;

#[derive(Default)]
struct Model {
    now: MachineTime,
    /// No number up to this one may be given again.
    highest: u64,
    sessions: Vec<(SessionId, Duration, MachineTime)>,
    entries: Vec<(Name, EntryId, Entry)>,
    registers: Vec<(Name, Register)>,
    /// The last version of each queue that was not empty, and whether the queue has changed since.
    versions: BTreeMap<Name, (u64, bool)>,
}

impl Model {
    fn new_number(&mut self, number: u64) {
        assert!(number > self.highest, "{number} was given before");
        self.highest = number;
    }

    fn place(&self, queue: &Name, token: FencingToken) -> Option<crate::port::Place> {
        let ours =
            |(name, _, entry): &&(Name, EntryId, Entry)| name == queue && entry.token <= token;
        let mut ahead: Vec<&Entry> = self.entries.iter().filter(ours).map(|it| &it.2).collect();
        let me = ahead.pop().filter(|entry| entry.token == token)?;
        ahead.retain(|entry| me.mode == Mode::Exclusive || entry.mode == Mode::Exclusive);
        let depth = u32::try_from(ahead.len()).unwrap();
        Some(crate::port::Place { token, ahead: ahead.last().map(|entry| entry.token), depth })
    }

    fn end(&mut self, session: SessionId, changes: &mut Vec<Change>) {
        self.sessions.retain(|(id, ..)| *id != session);
        let gone = self.entries.extract_if(.., |(_, _, entry)| entry.session == session);
        changes.extend(gone.map(|(queue, _, entry)| Change { queue, gone: Some(entry.token) }));
    }

    /// What the machine must have answered, and changed.
    fn check(&mut self, at: MachineTime, command: &Command, answer: &Answer, found: &[Change]) {
        let mut changes = Vec::new();
        self.now = self.now.max(at);
        let now = self.now;
        if *command == Command::Restart {
            self.sessions.iter_mut().for_each(|(_, length, deadline)| *deadline = now + *length);
        }
        let due = self.sessions.iter().filter(|(.., deadline)| *deadline <= now);
        for id in due.map(|(id, ..)| *id).collect::<Vec<_>>() {
            self.end(id, &mut changes);
        }
        let expected = self.answer(command, answer, &mut changes);
        assert_eq!(*answer, expected, "{command:?} at {now:?}");
        let sorted = |changes: &[Change]| {
            let mut keys: Vec<_> =
                changes.iter().map(|change| (change.queue.clone(), change.gone)).collect();
            keys.sort();
            keys
        };
        assert_eq!(sorted(found), sorted(&changes), "{command:?} at {now:?}");
        self.changed(changes);
    }

    /// The next version of a changed queue has to be a new one.
    fn changed(&mut self, changes: Vec<Change>) {
        for Change { queue, .. } in changes {
            self.versions.entry(queue).or_default().1 = true;
        }
    }

    fn answer(&mut self, command: &Command, given: &Answer, changes: &mut Vec<Change>) -> Answer {
        match command.clone() {
            Command::Restart | Command::Expire => Ok(Output::Done),
            Command::Open { length } => {
                if length < LENGTH_MIN || length > LENGTH_MAX {
                    return Err(Refusal::Length(length));
                }
                let Ok(Output::Opened(id)) = given else { panic!("{given:?}") };
                self.new_number(id.0);
                self.sessions.push((*id, length, self.now + length));
                given.clone()
            }
            Command::Renew { session } => {
                let now = self.now;
                let mut sessions = self.sessions.iter_mut();
                let found = sessions.find(|(id, ..)| *id == session);
                let (_, length, deadline) = found.ok_or(Refusal::SessionOver(session))?;
                *deadline = now + *length;
                Ok(Output::Done)
            }
            Command::Close { session } => {
                self.end(session, changes);
                Ok(Output::Done)
            }
            Command::Enter { queue, session, id, mode, value, wait } => {
                if value.len() > VALUE_BYTES_MAX {
                    return Err(Refusal::TooLarge(value.len()));
                }
                if !self.sessions.iter().any(|(live, ..)| *live == session) {
                    return Err(Refusal::SessionOver(session));
                }
                let same = self.entries.iter().find(|(name, other, entry)| {
                    *name == queue && *other == id && entry.session == session
                });
                if let Some((_, _, entry)) = same {
                    let place = self.place(&queue, entry.token);
                    return Ok(Output::Place(place.unwrap()));
                }
                let blocking = self.entries.iter().rfind(|(name, _, entry)| {
                    *name == queue && (mode == Mode::Exclusive || entry.mode == Mode::Exclusive)
                });
                if let Some((_, _, entry)) = blocking.filter(|_| !wait) {
                    return Err(Refusal::Busy { queue, holder: entry.token });
                }
                let Ok(Output::Place(place)) = given else { panic!("{given:?}") };
                self.new_number(place.token.get());
                let entry = Entry { token: place.token, session, mode, value };
                self.entries.push((queue.clone(), id, entry));
                changes.push(Change { queue: queue.clone(), gone: None });
                Ok(Output::Place(self.place(&queue, place.token).unwrap()))
            }
            Command::Leave { queue, token } => {
                let left = |(name, _, entry): &mut (Name, EntryId, Entry)| {
                    *name == queue && entry.token == token
                };
                if self.entries.extract_if(.., left).count() > 0 {
                    changes.push(Change { queue, gone: Some(token) });
                }
                Ok(Output::Done)
            }
            Command::Set { queue, token, value } => {
                if value.len() > VALUE_BYTES_MAX {
                    return Err(Refusal::TooLarge(value.len()));
                }
                let mut entries = self.entries.iter_mut();
                let found = entries.find(|(name, _, it)| *name == queue && it.token == token);
                let Some((_, _, entry)) = found else { return Err(Refusal::Over { queue, token }) };
                entry.value = value;
                changes.push(Change { queue, gone: None });
                Ok(Output::Done)
            }
            Command::Store { register, expected, value } => {
                if value.len() > VALUE_BYTES_MAX {
                    return Err(Refusal::TooLarge(value.len()));
                }
                let at = self.registers.iter().position(|(name, _)| *name == register);
                let version = at.map(|at| self.registers[at].1.version);
                if version != expected {
                    return Err(Refusal::Conflict { register, version });
                }
                let Ok(Output::Version(version)) = *given else { panic!("{given:?}") };
                self.new_number(version);
                self.registers.retain(|(name, _)| *name != register);
                self.registers.push((register, Register { value, version }));
                given.clone()
            }
        }
    }

    /// Asks the machine everything.
    fn compare(&mut self, machine: &Machine, names: &[Name]) {
        let ask = |query| machine.query(machine.now(), &query);
        let next = self.sessions.iter().map(|(.., deadline)| *deadline).min();
        assert_eq!(machine.next_deadline(), next);
        if machine.is_due(self.now) {
            assert_eq!(ask(Query::Queues { after: None }), Err(Due));
            return;
        }
        for name in names {
            let entries = self.entries.iter().filter(|(queue, ..)| queue == name);
            let entries: Vec<Entry> = entries.map(|(.., entry)| entry.clone()).collect();
            let version = machine.version(name);
            assert_eq!(version == 0, entries.is_empty());
            let (last, has_changed) = self.versions.entry(name.clone()).or_default();
            if version != 0 {
                assert_eq!(version > *last, *has_changed, "{version} after {last}");
                (*last, *has_changed) = (version, false);
                self.highest = self.highest.max(version);
            }
            for entry in &entries {
                let place = self.place(name, entry.token).map(Output::Place);
                let query = Query::Place { queue: name.clone(), token: entry.token };
                assert_eq!(ask(query).unwrap().ok(), place);
                assert!(machine.holds(name, entry.token));
            }
            let listing = Output::Listing(Listing { version, entries });
            assert_eq!(ask(Query::List { queue: name.clone() }), Ok(Ok(listing)));
            let register = self.registers.iter().find(|(register, _)| register == name);
            let register = Output::Register(register.map(|(_, register)| register.clone()));
            assert_eq!(ask(Query::Load { register: name.clone() }), Ok(Ok(register)));
            let after: BTreeMap<&Name, ()> = self
                .entries
                .iter()
                .map(|(queue, ..)| (queue, ()))
                .filter(|it| it.0 > name)
                .collect();
            let after = Output::Queues(after.into_keys().cloned().collect());
            assert_eq!(ask(Query::Queues { after: Some(name.clone()) }), Ok(Ok(after)));
        }
    }
}

/// Draws commands that make sense often enough: of few names, ids, and sessions and tokens that
/// were given lately.
struct Source {
    rng: fastrand::Rng,
    names: Vec<Name>,
    /// Sessions, tokens, and versions of registers.
    numbers: [[u64; 6]; 3],
    now: MachineTime,
}

impl Source {
    fn new(seed: u64) -> Self {
        let names = ["a", "a/b", "b", "c"].map(|name| Name::new(name).unwrap()).to_vec();
        Self {
            rng: fastrand::Rng::with_seed(seed),
            names,
            numbers: [[1; 6]; 3],
            now: MachineTime::default(),
        }
    }

    /// Remembers a number that was given.
    fn learn(&mut self, answer: &Answer) {
        let (kind, number) = match answer {
            Ok(Output::Opened(session)) => (0, session.0),
            Ok(Output::Place(place)) => (1, place.token.get()),
            Ok(Output::Version(version)) => (2, *version),
            _ => return,
        };
        self.numbers[kind][self.rng.usize(..6)] = number;
    }

    fn draw(&mut self) -> (MachineTime, Command) {
        let rng = &mut self.rng;
        let ms = rng.choice([0, 0, 0, 0, 0, 1, 3, 60]).unwrap_or(0);
        let at = match rng.u8(..) {
            0 => MachineTime(self.now.0 / 2),
            _ => self.now + Duration::from_millis(ms),
        };
        self.now = self.now.max(at);
        let queue = self.names[rng.usize(..self.names.len())].clone();
        let [session, token, version] = self.numbers.map(|numbers| numbers[rng.usize(..6)]);
        // Now and then a number of another kind.
        let session = SessionId(if rng.u8(..) == 0 { token } else { session });
        let token = FencingToken::new(if rng.u8(..) == 0 { session.0 } else { token }).unwrap();
        let value = || version.to_le_bytes().to_vec();
        let command = match rng.u8(..100) {
            0..12 => {
                let ms = rng.choice([50, 400, 2_000, 49, 3_600_001]).unwrap_or(0);
                Command::Open { length: Duration::from_millis(ms) }
            }
            12..22 => Command::Renew { session },
            22..25 => Command::Close { session },
            25..60 => {
                let id = Uuid::from_u128(rng.u128(..4));
                let mode = if rng.bool() { Mode::Shared } else { Mode::Exclusive };
                Command::Enter { queue, session, id, mode, value: value(), wait: rng.u8(..4) > 0 }
            }
            60..80 => Command::Leave { queue, token },
            80..87 => Command::Set { queue, token, value: value() },
            87..95 => {
                let expected = (version != 1).then_some(version);
                Command::Store { register: queue, expected, value: value() }
            }
            95..97 => {
                let value = vec![0; VALUE_BYTES_MAX + 1];
                Command::Set { queue, token, value }
            }
            97 => Command::Restart,
            _ => Command::Expire,
        };
        (at, command)
    }
}

#[test]
fn a_million_random_steps_are_those_of_the_model() {
    let mut source = Source::new(20_261_120);
    let (mut machine, mut model) = (Machine::new(), Model::default());
    let mut changes = Vec::new();
    let (mut granted, mut ended) = (0, 0);
    for step in 0..1_000_000 {
        let (at, command) = source.draw();
        let answer = machine.apply(at, command.clone(), &mut changes);
        model.check(at, &command, &answer, &changes);
        source.learn(&answer);
        granted += usize::from(matches!(answer, Ok(Output::Place(_))));
        ended += changes.iter().filter(|change| change.gone.is_some()).count();
        changes.clear();
        if step % 64 == 0 {
            model.compare(&machine, &source.names);
        }
        if step % 4_096 == 0 {
            machine = Machine::restore(machine.snapshot()).unwrap();
        }
    }
    // The draw has not gone astray: most things happen often.
    assert!(granted > 100_000 && ended > 60_000, "{granted} granted, {ended} ended");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A copy that went through its written form is the same machine ever after, whatever the
    /// times of the log are.
    #[test]
    fn a_restored_machine_behaves_identically(
        seed: u64,
        before in 0..400_usize,
        after in 1..200_usize,
        strange_time: Option<u64>,
    ) {
        let mut source = Source::new(seed);
        let (mut machine, mut model) = (Machine::new(), Model::default());
        let mut run = |machine: &mut Machine, twin: Option<&mut Machine>, at, command: Command| {
            let mut changes = Vec::new();
            let answer = machine.apply(at, command.clone(), &mut changes);
            model.check(at, &command, &answer, &changes);
            model.compare(machine, &["a", "a/b", "b", "c"].map(|name| Name::new(name).unwrap()));
            if let Some(twin) = twin {
                let mut twins = Vec::new();
                assert_eq!(twin.apply(at, command, &mut twins), answer);
                assert_eq!(twins, changes);
                assert_eq!(twin.snapshot(), machine.snapshot());
            }
            answer
        };
        for _ in 0..before {
            let (at, command) = source.draw();
            let answer = run(&mut machine, None, at, command);
            source.learn(&answer);
        }
        if let Some(nanos) = strange_time {
            source.now = MachineTime(nanos);
        }
        let json = serde_json::to_string(&machine.snapshot()).unwrap();
        let mut twin = Machine::restore(serde_json::from_str(&json).unwrap()).unwrap();
        for _ in 0..after {
            let (at, command) = source.draw();
            let json = serde_json::to_string(&command).unwrap();
            let command = serde_json::from_str(&json).unwrap();
            let answer = run(&mut machine, Some(&mut twin), at, command);
            source.learn(&answer);
        }
    }
}

/// The model is worth nothing if it lets a mistake pass.
#[test]
fn the_model_finds_a_machine_that_forgets_to_expire() {
    let found = std::panic::catch_unwind(|| {
        let mut source = Source::new(1);
        let (mut machine, mut model) = (Machine::new(), Model::default());
        for _ in 0..1_000 {
            let (at, command) = source.draw();
            let mut changes = Vec::new();
            // Time stands still for the machine only.
            let answer = machine.apply(MachineTime(0), command.clone(), &mut changes);
            model.check(at, &command, &answer, &changes);
            source.learn(&answer);
        }
    });
    assert!(found.is_err());
}
