//! The suite's broken twins: the memory engine with one flaw each. Every flaw is found, by the check
//! that is there for it, and every check has found one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use steadfast_coordination::conformance::{Report, Subject, checks, run_all};
use steadfast_coordination::engine::memory::Memory;
use steadfast_coordination::limits::VALUE_BYTES_MAX;
use steadfast_coordination::port::{
    Capabilities, Coordinator, Error, Listing, Mode, Name, Opened, Place, Register, Request,
    SessionId,
};
use steadfast_fencing::FencingToken;
use steadfast_time::Uuid;
use steadfast_time::sim::Simulation;
use tokio::sync::Notify;

/// Declares the flaws, and for each the check that must find it.
macro_rules! flaws {
    ($($flaw:ident => $check:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Flaw { None, $($flaw),* }

        const FLAWS: &[(Flaw, &str)] = &[$((Flaw::$flaw, $check)),*];
    };
}

flaws! {
    TokensPerQueue => "tokens::tokens_rise_over_all_queues",
    TokensStartAnew => "tokens::tokens_rise_after_an_entry_has_left",
    TokensFallAtClose => "tokens::tokens_rise_after_a_session_has_ended",
    TokensTwice => "tokens::tokens_of_concurrent_entries_are_distinct",
    SharedExcludes => "turns::entries_wait_for_those_ahead_that_exclude_them",
    ExclusiveShares => "turns::entries_wait_for_those_ahead_that_exclude_them",
    LastComesFirst => "turns::a_hundred_who_enter_at_once_have_one_order",
    NoWaitStays => "turns::who_will_not_wait_gets_in_or_leaves_nothing",
    NoWaitWaits => "turns::who_will_not_wait_gets_in_or_leaves_nothing",
    EntryEachTime => "turns::a_repeated_enter_is_the_same_entry",
    RepetitionSets => "turns::a_repeated_enter_keeps_the_value",
    IdsOfAllSessions => "turns::an_id_belongs_to_a_session_and_a_queue",
    StalePlace => "turns::an_entry_moves_up_when_one_ahead_leaves",
    PlaceOfTheGone => "turns::a_place_is_over_when_the_entry_is_gone",
    LeavingEndsTheFirst => "leaving::a_stale_token_ends_nobody",
    LeavingFailsTwice => "leaving::leaving_twice_is_fine",
    LeavingFailsForNobody => "leaving::leaving_what_never_was_is_fine",
    LeavingIgnoresTheQueue => "leaving::a_token_of_another_queue_ends_nobody",
    GrantsLess => "sessions::a_session_has_at_least_the_length_that_was_asked_for",
    ShortSessions => "sessions::a_silent_session_ends_after_its_length_and_wakes_those_who_wait",
    AnyLength => "sessions::lengths_that_cannot_be_are_refused",
    OneSession => "sessions::sessions_have_numbers_of_their_own",
    CloseDoesNothing => "sessions::closing_ends_all_entries_of_the_session_and_no_other",
    CloseEndsAll => "sessions::closing_ends_all_entries_of_the_session_and_no_other",
    CloseWakesNobody => "sessions::closing_wakes_those_who_wait",
    RenewDoesNothing => "sessions::a_renewed_session_goes_on",
    RenewForEver => "sessions::a_renewed_session_goes_on",
    RenewForAll => "sessions::renewing_one_session_is_not_renewing_another",
    RenewRevives => "sessions::a_closed_session_is_over",
    ExpiryWakesNobody => "sessions::a_silent_session_ends_after_its_length_and_wakes_those_who_wait",
    FirstValueStays => "values::a_value_is_what_was_set_last",
    SetMovesToTheEnd => "values::setting_moves_nobody",
    SetOfTheGone => "values::setting_what_is_gone_is_refused",
    ValuesAreText => "values::values_are_bytes",
    ValuesAreCut => "values::values_that_do_not_fit_are_refused",
    ListReversed => "lists::a_list_shows_all_in_order",
    ListHasAGhost => "lists::an_empty_queue_is_an_empty_list",
    VersionIsLength => "lists::the_version_is_another_one_after_every_change",
    VersionMissesValues => "lists::a_list_since_now_waits_for_a_value",
    VersionOfAllQueues => "lists::the_version_stays_when_nothing_changes",
    SinceIsIgnored => "lists::a_list_since_now_waits_for_an_arrival",
    SinceIsNow => "lists::a_list_since_another_version_is_answered_at_once",
    ListMissesDepartures => "lists::a_list_since_now_waits_for_a_departure",
    QueuesReversed => "lists::queues_with_entries_are_named_in_order",
    QueuesFromTheStart => "lists::queues_with_entries_are_named_in_order",
    NamesFolded => "names::names_are_kept_apart_in_queues",
    NamesUnescaped => "names::names_are_kept_apart_in_registers",
    OneNameSpace => "names::a_register_and_a_queue_may_have_one_name",
    AbsentIsEmpty => "registers::a_register_is_absent_until_it_is_stored",
    ConflictHidesTheVersion => "registers::a_register_is_created_once",
    CreateOverwrites => "registers::of_many_creators_one_wins",
    StoreOverwrites => "registers::a_store_compares_the_version",
    StoreRaces => "registers::concurrent_counting_loses_nothing",
    VersionOfContent => "registers::every_store_has_another_version",
    StaleLoad => "registers::a_store_is_seen_by_everybody_at_once",
    GoneIsForgotten => "waits::waiting_for_what_is_gone_ends_at_once",
    LeaveWakesNobody => "waits::a_leave_wakes_who_waits_for_it",
    Herd => "waits::only_who_waits_for_an_entry_is_woken",
    DroppedWaitsPoison => "waits::dropped_waits_leave_nothing_behind",
    DroppedEnterStays => "waits::a_dropped_enter_can_be_repeated",
    TwoAtOnce => "waits::thirty_two_take_their_turns_in_order",
}

/// The memory engine with a flaw.
struct Flawed {
    inner: Memory,
    flaw: Flaw,
    state: Mutex<State>,
    ids: AtomicU64,
    poisoned: AtomicBool,
    /// Tells of all changes that were asked for.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The tokens of each queue (or of all): the one at index n is called n + 1.
    tokens: BTreeMap<Option<Name>, Vec<FencingToken>>,
    places: HashMap<FencingToken, Place>,
    sessions: Vec<SessionId>,
    /// By queue and version, the version that it is shown as.
    shown: HashMap<(Name, u64), u64>,
    changes: u64,
    last: HashMap<Name, Option<Register>>,
    entered: BTreeMap<(Name, Uuid), FencingToken>,
    left: BTreeSet<FencingToken>,
    renewed: BTreeSet<SessionId>,
    values: HashMap<Name, Vec<u8>>,
}

type Answer<'a, T> = BoxFuture<'a, Result<T, Error>>;

impl Flawed {
    fn new(inner: Memory, flaw: Flaw) -> Self {
        Self {
            inner,
            flaw,
            state: Mutex::default(),
            ids: AtomicU64::new(1 << 40),
            poisoned: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn another_id(&self) -> Uuid {
        Uuid::from_u64_pair(7, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// The name by which a server knows a queue or register that folds them.
    fn known(&self, name: &Name) -> Name {
        match self.flaw {
            Flaw::NamesFolded => Name::new(name.as_str().to_lowercase()).unwrap(),
            Flaw::NamesUnescaped => Name::new(name.as_str().replace("%2F", "/")).unwrap(),
            _ => name.clone(),
        }
    }

    fn renumbers(&self) -> bool {
        use Flaw::{TokensFallAtClose, TokensPerQueue, TokensStartAnew, TokensTwice};
        matches!(self.flaw, TokensPerQueue | TokensStartAnew | TokensFallAtClose | TokensTwice)
    }

    fn group(&self, queue: &Name) -> Option<Name> {
        (self.flaw != Flaw::TokensFallAtClose).then(|| queue.clone())
    }

    /// What a token is called.
    fn shown(&self, queue: &Name, token: FencingToken) -> FencingToken {
        if !self.renumbers() {
            return token;
        }
        let mut state = self.state();
        let tokens = state.tokens.entry(self.group(queue)).or_default();
        let at = tokens.iter().position(|known| *known == token).unwrap_or_else(|| {
            tokens.push(token);
            tokens.len() - 1
        });
        FencingToken::new(at as u64 + 1).unwrap()
    }

    /// The token that is called so.
    fn real(&self, queue: &Name, shown: FencingToken) -> FencingToken {
        if !self.renumbers() {
            return shown;
        }
        let mut state = self.state();
        let tokens = state.tokens.entry(self.group(queue)).or_default();
        let known = tokens.get(shown.get() as usize - 1).copied();
        known.unwrap_or_else(|| FencingToken::new(u64::MAX).unwrap())
    }

    fn shown_place(&self, queue: &Name, mut place: Place) -> Place {
        place.token = self.shown(queue, place.token);
        place.ahead = place.ahead.map(|ahead| self.shown(queue, ahead));
        place
    }

    fn shown_error(&self, queue: &Name, error: Error) -> Error {
        match error {
            Error::Busy { name, holder } => Error::Busy { name, holder: self.shown(queue, holder) },
            Error::Over { name, token } => Error::Over { name, token: self.shown(queue, token) },
            other => other,
        }
    }

    async fn is_over(&self, session: SessionId) -> bool {
        let probe = Name::new("probe").unwrap();
        let id = self.another_id();
        let request = Request { session, id, mode: Mode::Shared, value: b"", wait: true };
        match self.inner.enter(&probe, request).await {
            Ok(place) => {
                self.inner.leave(&probe, place.token).await.unwrap();
                false
            }
            Err(_) => true,
        }
    }

    fn value(&self, value: &[u8]) -> Vec<u8> {
        match self.flaw {
            Flaw::ValuesAreText => String::from_utf8_lossy(value).into_owned().into_bytes(),
            Flaw::ValuesAreCut => value.iter().take(VALUE_BYTES_MAX).copied().collect(),
            _ => value.to_vec(),
        }
    }

    async fn entered(&self, queue: &Name, mut request: Request<'_>) -> Result<Place, Error> {
        match self.flaw {
            Flaw::SharedExcludes => request.mode = Mode::Exclusive,
            Flaw::ExclusiveShares => request.mode = Mode::Shared,
            Flaw::EntryEachTime => request.id = self.another_id(),
            Flaw::NoWaitWaits => request.wait = true,
            Flaw::NoWaitStays if !request.wait => {
                let waiting = Request { wait: true, id: self.another_id(), ..request };
                let place = self.inner.enter(queue, waiting).await?;
                if place.ahead.is_none() {
                    self.inner.leave(queue, place.token).await?;
                }
            }
            Flaw::RepetitionSets => {
                let place = self.inner.enter(queue, request).await?;
                self.inner.set(queue, place.token, request.value).await?;
            }
            Flaw::IdsOfAllSessions => {
                let known = self.state().entered.get(&(queue.clone(), request.id)).copied();
                if let Some(token) = known {
                    return self.inner.place(queue, token).await;
                }
            }
            Flaw::DroppedEnterStays => {
                let key = (queue.clone(), request.id);
                let known = self.state().entered.get(&key).copied();
                if let Some(token) = known {
                    return self.inner.place(queue, token).await;
                }
                request.id = self.another_id();
                let place = self.inner.enter(queue, request).await?;
                // The answer is under way when the caller may drop the call.
                yield_once().await;
                self.state().entered.insert(key, place.token);
                return Ok(place);
            }
            Flaw::TokensStartAnew if self.inner.list(queue, None).await?.entries.is_empty() => {
                self.state().tokens.clear();
            }
            _ => {}
        }
        let place = self.inner.enter(queue, request).await?;
        self.state().entered.insert((queue.clone(), request.id), place.token);
        Ok(place)
    }

    async fn listed(&self, queue: &Name) -> Result<Listing, Error> {
        let mut listing = self.inner.list(queue, None).await?;
        let mut state = self.state();
        match self.flaw {
            Flaw::ListReversed => listing.entries.reverse(),
            Flaw::ListHasAGhost if listing.entries.is_empty() && listing.version == 0 => {
                let session = state.sessions[0];
                let (token, mode) = (FencingToken::FIRST, Mode::Shared);
                let ghost =
                    steadfast_coordination::port::Entry { token, session, mode, value: vec![] };
                listing.entries.push(ghost);
            }
            Flaw::VersionIsLength => listing.version = listing.entries.len() as u64,
            Flaw::VersionOfAllQueues => listing.version = state.changes,
            Flaw::VersionMissesValues => {
                let key = (queue.clone(), listing.version);
                listing.version = state.shown.get(&key).copied().unwrap_or(listing.version);
            }
            Flaw::FirstValueStays => {
                for entry in &mut listing.entries {
                    let first =
                        state.values.entry(Name::new(entry.token.get().to_string()).unwrap());
                    entry.value = first.or_insert_with(|| entry.value.clone()).clone();
                }
            }
            _ => {}
        }
        drop(state);
        for entry in &mut listing.entries {
            entry.token = self.shown(queue, entry.token);
        }
        Ok(listing)
    }

    fn has_changed(&self) {
        self.state().changes += 1;
        self.changed.notify_waiters();
    }
}

/// Gives others a turn.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Poisons the engine if it is dropped before it is defused.
struct Poison<'a>(&'a AtomicBool, bool);

impl Drop for Poison<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Coordinator for Flawed {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn open(&self, mut length: Duration) -> Answer<'_, Opened> {
        let Capabilities { session_min, session_max, .. } = self.capabilities();
        let asked = length;
        if self.is(Flaw::AnyLength) {
            length = length.clamp(session_min, session_max);
        }
        if self.is(Flaw::ShortSessions) {
            length = length.max(session_min * 4) / 4;
        }
        async move {
            let known = self.state().sessions.first().copied();
            if let (Flaw::OneSession, Some(session)) = (self.flaw, known) {
                return Ok(Opened { session, length });
            }
            let mut opened = self.inner.open(length).await?;
            match self.flaw {
                Flaw::ShortSessions => opened.length = asked * 4,
                Flaw::GrantsLess => opened.length = opened.length.min(session_min),
                _ => {}
            }
            self.state().sessions.push(opened.session);
            Ok(opened)
        }
        .boxed()
    }

    fn renew(&self, session: SessionId) -> Answer<'_, ()> {
        async move {
            match self.flaw {
                Flaw::RenewDoesNothing if self.is_over(session).await => {
                    Err(Error::SessionOver { session })
                }
                Flaw::RenewRevives | Flaw::RenewDoesNothing => Ok(()),
                Flaw::RenewForAll => {
                    let sessions = self.state().sessions.clone();
                    for session in sessions {
                        drop(self.inner.renew(session).await);
                    }
                    self.inner.renew(session).await
                }
                Flaw::RenewForEver => {
                    self.state().renewed.insert(session);
                    self.inner.renew(session).await
                }
                _ => self.inner.renew(session).await,
            }
        }
        .boxed()
    }

    fn close(&self, session: SessionId) -> Answer<'_, ()> {
        async move {
            if self.is(Flaw::CloseDoesNothing) {
                return Ok(());
            }
            self.inner.close(session).await?;
            if self.is(Flaw::CloseEndsAll) {
                for queue in self.inner.queues(None).await? {
                    for entry in self.inner.list(&queue, None).await?.entries {
                        self.inner.leave(&queue, entry.token).await?;
                    }
                }
            }
            if self.is(Flaw::TokensFallAtClose) {
                self.state().tokens.clear();
            }
            if !self.is(Flaw::CloseWakesNobody) {
                self.has_changed();
            }
            Ok(())
        }
        .boxed()
    }

    fn enter<'a>(&'a self, queue: &'a Name, request: Request<'a>) -> Answer<'a, Place> {
        async move {
            let known = self.known(queue);
            let value = self.value(request.value);
            let entered = self.entered(&known, Request { value: &value, ..request }).await;
            let mut place = entered.map_err(|error| self.shown_error(&known, error))?;
            self.state().places.insert(place.token, place);
            self.has_changed();
            if self.is(Flaw::LastComesFirst) {
                place.ahead = None;
            }
            let mut place = self.shown_place(&known, place);
            if self.is(Flaw::TokensTwice) {
                place.token = FencingToken::FIRST;
            }
            Ok(place)
        }
        .boxed()
    }

    fn place<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, Place> {
        async move {
            let queue = self.known(queue);
            let token = self.real(&queue, token);
            let first = self.state().places.get(&token).copied();
            let place = match (self.flaw, first, self.inner.place(&queue, token).await) {
                (Flaw::StalePlace, Some(first), Ok(_)) => Ok(first),
                (Flaw::PlaceOfTheGone, _, Err(_)) => Ok(Place { token, ahead: None, depth: 0 }),
                (Flaw::TwoAtOnce, _, Ok(place)) if place.depth < 2 => {
                    Ok(Place { ahead: None, depth: 0, ..place })
                }
                (_, _, place) => place,
            };
            let place = place.map_err(|error| self.shown_error(&queue, error))?;
            Ok(self.shown_place(&queue, place))
        }
        .boxed()
    }

    fn gone<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, ()> {
        async move {
            let queue = self.known(queue);
            let token = self.real(&queue, token);
            let mut poison = Poison(&self.poisoned, self.is(Flaw::DroppedWaitsPoison));
            if self.poisoned.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            match self.flaw {
                Flaw::GoneIsForgotten if self.inner.place(&queue, token).await.is_err() => {
                    std::future::pending().await
                }
                Flaw::LeaveWakesNobody | Flaw::CloseWakesNobody | Flaw::ExpiryWakesNobody => loop {
                    let changed = self.changed.notified();
                    if self.inner.place(&queue, token).await.is_err() {
                        return Ok(());
                    }
                    changed.await;
                },
                Flaw::TwoAtOnce => match self.inner.place(&queue, token).await {
                    Ok(place) if place.ahead.is_none() => {}
                    _ => self.inner.gone(&queue, token).await?,
                },
                Flaw::Herd => {
                    let version = self.inner.list(&queue, None).await?.version;
                    if self.inner.place(&queue, token).await.is_ok() {
                        self.inner.list(&queue, Some(version)).await?;
                    }
                }
                _ => self.inner.gone(&queue, token).await?,
            }
            poison.1 = false;
            Ok(())
        }
        .boxed()
    }

    fn leave<'a>(&'a self, queue: &'a Name, token: FencingToken) -> Answer<'a, ()> {
        async move {
            let queue = self.known(queue);
            let real = self.real(&queue, token);
            let is_there = self.inner.place(&queue, real).await.is_ok();
            match self.flaw {
                Flaw::LeavingEndsTheFirst if !is_there => {
                    let entries = self.inner.list(&queue, None).await?.entries;
                    if let Some(first) = entries.first() {
                        self.inner.leave(&queue, first.token).await?;
                    }
                }
                Flaw::LeavingFailsTwice if self.state().left.contains(&real) => {
                    return Err(Error::Over { name: queue, token });
                }
                Flaw::LeavingFailsForNobody if real == FencingToken::FIRST => {
                    return Err(Error::Over { name: queue, token });
                }
                Flaw::LeavingIgnoresTheQueue => {
                    for queue in self.inner.queues(None).await? {
                        self.inner.leave(&queue, real).await?;
                    }
                }
                Flaw::ListMissesDepartures => {
                    let before = self.listed(&queue).await?.version;
                    self.inner.leave(&queue, real).await?;
                    let after = self.inner.list(&queue, None).await?.version;
                    self.state().shown.insert((queue.clone(), after), before);
                }
                _ => {}
            }
            self.state().left.insert(real);
            self.inner.leave(&queue, real).await?;
            if !self.is(Flaw::LeaveWakesNobody) {
                self.has_changed();
            }
            Ok(())
        }
        .boxed()
    }

    fn set<'a>(&'a self, queue: &'a Name, token: FencingToken, value: &'a [u8]) -> Answer<'a, ()> {
        async move {
            let queue = self.known(queue);
            let real = self.real(&queue, token);
            let value = self.value(value);
            let before = self.listed(&queue).await?;
            if self.is(Flaw::SetMovesToTheEnd)
                && let Some(entry) = before.entries.iter().find(|entry| entry.token == real)
            {
                let (session, mode, id) = (entry.session, entry.mode, self.another_id());
                self.inner.leave(&queue, real).await?;
                let request = Request { session, id, mode, value: &value, wait: true };
                self.inner.enter(&queue, request).await?;
                return Ok(());
            }
            let result = self.inner.set(&queue, real, &value).await;
            self.has_changed();
            if self.is(Flaw::VersionMissesValues) {
                let after = self.inner.list(&queue, None).await?.version;
                self.state().shown.insert((queue.clone(), after), before.version);
            }
            match result {
                Err(Error::Over { .. }) if self.is(Flaw::SetOfTheGone) => Ok(()),
                other => other.map_err(|error| self.shown_error(&queue, error)),
            }
        }
        .boxed()
    }

    fn list<'a>(&'a self, queue: &'a Name, since: Option<u64>) -> Answer<'a, Listing> {
        async move {
            let queue = self.known(queue);
            let mut poison =
                Poison(&self.poisoned, self.is(Flaw::DroppedWaitsPoison) && since.is_some());
            if self.is(Flaw::SinceIsNow) && since.is_some() {
                let now = self.inner.list(&queue, None).await?.version;
                self.inner.list(&queue, Some(now)).await?;
            }
            loop {
                let changed = self.changed.notified();
                let now = self.inner.list(&queue, None).await?.version;
                let listing = self.listed(&queue).await?;
                let ours = self.state().shown.get(&(queue.clone(), now)).copied();
                let is_missed =
                    self.is(Flaw::ListMissesDepartures) && ours.is_some() && ours == since;
                if since.is_none()
                    || self.is(Flaw::SinceIsIgnored)
                    || (since != Some(listing.version) && !is_missed)
                {
                    poison.1 = false;
                    return Ok(listing);
                }
                match self.flaw {
                    Flaw::VersionOfAllQueues => changed.await,
                    Flaw::ExpiryWakesNobody | Flaw::CloseWakesNobody => changed.await,
                    _ => drop(self.inner.list(&queue, Some(now)).await?),
                }
            }
        }
        .boxed()
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> Answer<'a, Vec<Name>> {
        async move {
            let after = after.filter(|_| !self.is(Flaw::QueuesFromTheStart));
            let mut names = self.inner.queues(after).await?;
            if self.is(Flaw::QueuesReversed) {
                names.reverse();
            }
            Ok(names)
        }
        .boxed()
    }

    fn load<'a>(&'a self, register: &'a Name) -> Answer<'a, Option<Register>> {
        async move {
            let name = self.known(register);
            let mut found = self.inner.load(&name).await?;
            match self.flaw {
                Flaw::StaleLoad => {
                    if let Some(before) = self.state().last.remove(&name) {
                        return Ok(before);
                    }
                }
                Flaw::AbsentIsEmpty if found.is_none() => {
                    found = Some(Register { value: vec![], version: 1 });
                }
                Flaw::OneNameSpace if found.is_none() => {
                    let entries = self.inner.list(&name, None).await?.entries;
                    let first = entries.into_iter().next();
                    found = first.map(|it| Register { value: it.value, version: it.token.get() });
                }
                Flaw::VersionOfContent => {
                    if let Some(register) = &mut found {
                        register.version = of_content(&register.value);
                    }
                }
                _ => {}
            }
            Ok(found)
        }
        .boxed()
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> Answer<'a, u64> {
        async move {
            let name = self.known(register);
            let value = self.value(value);
            let found = self.inner.load(&name).await?;
            let real = found.as_ref().map(|register| register.version);
            let mut expected = expected;
            match self.flaw {
                Flaw::StoreOverwrites => expected = real,
                Flaw::CreateOverwrites if expected.is_none() => expected = real,
                Flaw::VersionOfContent => {
                    let current = found.as_ref().map(|register| of_content(&register.value));
                    if current != expected {
                        return Err(Error::Conflict { register: name, version: current });
                    }
                    self.inner.store(&name, real, &value).await?;
                    return Ok(of_content(&value));
                }
                Flaw::StoreRaces if expected == real => {
                    // Compares, and sets later.
                    yield_once().await;
                    expected = self.inner.load(&name).await?.map(|register| register.version);
                }
                _ => {}
            }
            let stored = self.inner.store(&name, expected, &value).await;
            match stored {
                Ok(version) => {
                    self.state().last.insert(name, found);
                    Ok(version)
                }
                Err(Error::Conflict { register, .. }) if self.is(Flaw::ConflictHidesTheVersion) => {
                    Err(Error::Conflict { register, version: None })
                }
                other => other,
            }
        }
        .boxed()
    }
}

/// A number that only the content decides.
fn of_content(value: &[u8]) -> u64 {
    value.iter().fold(7, |sum, byte| (sum * 257 + u64::from(*byte)) % 1_000_000_007)
}

fn report(flaw: Flaw) -> Report {
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    let flawed = Arc::new(Flawed::new(Memory::new(clock.clone()), flaw));
    if flaw == Flaw::RenewForEver {
        let (flawed, clock) = (Arc::clone(&flawed), clock.clone());
        sim.spawn(async move {
            loop {
                clock.sleep(Duration::from_millis(20)).await;
                let renewed = flawed.state().renewed.clone();
                for session in renewed {
                    drop(flawed.inner.renew(session).await);
                }
            }
        });
    }
    let subject = Subject::new(flawed, clock, "flaw/");
    sim.block_on(async move { run_all(&subject).await })
}

#[test]
fn without_a_flaw_all_checks_are_passed() {
    let report = report(Flaw::None);
    assert!(report.failed.is_empty(), "{report}");
    assert_eq!(report.passed.len(), checks().len());
}

#[test]
fn every_flaw_is_found_and_every_check_finds_one() {
    let mut silent: BTreeSet<&str> = checks().iter().map(|check| check.name).collect();
    let mut missed = Vec::new();
    for (flaw, check) in FLAWS {
        let report = report(*flaw);
        if !report.failed.iter().any(|failure| failure.check == *check) {
            missed.push(format!("{flaw:?} is not found by {check}: {report}"));
        }
        for failure in report.failed {
            silent.remove(failure.check);
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(silent.is_empty(), "checks that have found nothing: {silent:#?}");
}
