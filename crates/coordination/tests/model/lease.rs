//! The model.

use std::collections::BTreeSet;

use stateright::{Model, Property};
use steadfast_fencing::{FencingToken, HighWater};

pub const CLIENTS: usize = 2;

/// What the storage does with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// The rule: refuse a lower one.
    HighWater,
    /// Nothing.
    None,
    /// Refuses every other one than the first.
    Equal,
}

/// The rules of a run.
#[derive(Clone, Debug)]
pub struct Lease {
    pub fence: Fence,
    /// Ticks of the server's clock for which a lease lasts.
    pub length: u8,
    /// How much earlier, by its own clock, a holder stops.
    pub margin: u8,
    /// A clock misses at most one of so many ticks in a row. A bound on the *rate* is what is needed:
    /// as a share of all time so far, two misses could fall into one lease, and the checker finds it.
    pub drift_one_in: u8,
    /// Whether a holder counts from the answer (wrong) or from its request.
    pub count_from_answer: bool,
    /// When the run ends.
    pub ticks: u8,
    /// How many messages are in flight at once.
    pub in_flight: usize,
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            fence: Fence::HighWater,
            length: 2,
            margin: 1,
            drift_one_in: 2,
            count_from_answer: false,
            ticks: 4,
            in_flight: 2,
        }
    }
}

/// What a client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    Idle,
    /// Has asked, at this moment of its own clock.
    Asked {
        sent: u8,
    },
    /// Holds a lease until this moment of its own clock.
    Holds {
        token: u64,
        deadline: u8,
    },
    /// Has looked at its clock and found the lease good; the next step is the write. It may stop
    /// here for any time.
    AboutToWrite {
        token: u64,
        deadline: u8,
    },
}

/// In flight, in any order, for any time, or for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Message {
    /// The moment at which it was sent comes back with the answer.
    Ask {
        client: u8,
        sent: u8,
    },
    Granted {
        client: u8,
        sent: u8,
        token: u64,
    },
    Release {
        token: u64,
    },
    Write {
        client: u8,
        token: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The server's clock, which is the true time.
    now: u8,
    /// The clients' clocks.
    clocks: [u8; CLIENTS],
    /// Ticks that each clock has kept since it missed one, as far as they matter.
    kept: [u8; CLIENTS],
    clients: [Client; CLIENTS],
    /// Token and end of the lease that is out.
    out: Option<(u64, u8)>,
    last_token: u64,
    network: BTreeSet<Message>,
    /// The highest token that the storage has seen.
    seen: Option<u64>,
    /// Whose writes got in.
    wrote: [bool; CLIENTS],
    /// A write of a replaced holder got in after one of its successor.
    stale: bool,
}

impl State {
    /// Whether a client would find its lease good, if it looked now.
    fn believes(&self, client: usize) -> bool {
        match self.clients[client] {
            Client::Holds { deadline, .. } | Client::AboutToWrite { deadline, .. } => {
                self.clocks[client] < deadline
            }
            Client::Idle | Client::Asked { .. } => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Time passes; the clocks of these clients miss it.
    Tick {
        slow: [bool; CLIENTS],
    },
    Ask(usize),
    /// Looks at the clock before it writes.
    Check(usize),
    Write(usize),
    Release(usize),
    Deliver(Message),
    Lose(Message),
}

impl Lease {
    fn deliver(&self, state: &mut State, message: Message) {
        match message {
            Message::Ask { client, sent } => {
                if state.out.is_none_or(|(_, end)| end <= state.now) {
                    state.last_token += 1;
                    let token = state.last_token;
                    state.out = Some((token, state.now + self.length));
                    state.network.insert(Message::Granted { client, sent, token });
                }
            }
            Message::Granted { client, sent, token } => {
                let client = usize::from(client);
                // An answer to an earlier request is none to this one.
                if state.clients[client] == (Client::Asked { sent }) {
                    let from = if self.count_from_answer { state.clocks[client] } else { sent };
                    let deadline = from + self.length - self.margin;
                    state.clients[client] = Client::Holds { token, deadline };
                }
            }
            Message::Release { token } => {
                if state.out.is_some_and(|(held, _)| held == token) {
                    state.out = None;
                }
            }
            Message::Write { client, token } => {
                let presented = FencingToken::new(token).unwrap();
                let mut mark = state
                    .seen
                    .and_then(FencingToken::new)
                    .map_or_else(HighWater::default, HighWater::at);
                let admitted = match self.fence {
                    Fence::HighWater => mark.admit(presented).is_ok(),
                    Fence::None => true,
                    Fence::Equal => mark.highest().is_none_or(|known| known == presented),
                };
                if admitted {
                    state.stale |= state.seen.is_some_and(|seen| token < seen);
                    state.seen = state.seen.max(Some(token));
                    state.wrote[usize::from(client)] = true;
                }
            }
        }
    }
}

impl Model for Lease {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: 0,
            clocks: [0; CLIENTS],
            kept: [self.drift_one_in; CLIENTS],
            clients: [Client::Idle; CLIENTS],
            out: None,
            last_token: 0,
            network: BTreeSet::new(),
            seen: None,
            wrote: [false; CLIENTS],
            stale: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.ticks {
            let may_miss = |client: usize| state.kept[client] + 1 >= self.drift_one_in;
            for slow in [[false, false], [true, false], [false, true], [true, true]] {
                if (0..CLIENTS).all(|client| !slow[client] || may_miss(client)) {
                    actions.push(Action::Tick { slow });
                }
            }
        }
        for client in 0..CLIENTS {
            match state.clients[client] {
                Client::Idle if state.last_token < 2 => actions.push(Action::Ask(client)),
                Client::Holds { .. } => {
                    if state.believes(client) {
                        actions.push(Action::Check(client));
                    }
                    actions.push(Action::Release(client));
                }
                Client::AboutToWrite { .. } => actions.push(Action::Write(client)),
                Client::Idle | Client::Asked { .. } => {}
            }
        }
        for &message in &state.network {
            actions.push(Action::Deliver(message));
            actions.push(Action::Lose(message));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick { slow } => {
                state.now += 1;
                for (client, slow) in slow.into_iter().enumerate() {
                    state.clocks[client] += u8::from(!slow);
                    let kept = (state.kept[client] + 1).min(self.drift_one_in);
                    state.kept[client] = if slow { 0 } else { kept };
                }
            }
            Action::Ask(client) => {
                let sent = state.clocks[client];
                state.clients[client] = Client::Asked { sent };
                let client = u8::try_from(client).unwrap();
                state.network.insert(Message::Ask { client, sent });
            }
            Action::Check(client) => {
                if let Client::Holds { token, deadline } = state.clients[client] {
                    state.clients[client] = Client::AboutToWrite { token, deadline };
                }
            }
            Action::Write(client) => {
                if let Client::AboutToWrite { token, deadline } = state.clients[client] {
                    state.clients[client] = Client::Holds { token, deadline };
                    let client = u8::try_from(client).unwrap();
                    state.network.insert(Message::Write { client, token });
                }
            }
            Action::Release(client) => {
                if let Client::Holds { token, .. } = state.clients[client] {
                    state.clients[client] = Client::Idle;
                    state.network.insert(Message::Release { token });
                }
            }
            Action::Deliver(message) => {
                state.network.remove(&message);
                self.deliver(&mut state, message);
            }
            Action::Lose(message) => {
                state.network.remove(&message);
            }
        }
        Some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.network.len() <= self.in_flight
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(super::STALE, |_, state: &State| !state.stale),
            Property::always(super::TWO, |_, state: &State| {
                (0..CLIENTS).filter(|&client| state.believes(client)).count() < 2
            }),
            Property::sometimes(super::BOTH, |_, state: &State| state.wrote == [true; CLIENTS]),
        ]
    }
}
