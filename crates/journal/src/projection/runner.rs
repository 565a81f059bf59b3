//! The loop that applies events.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::{Either, select};
use steadfast_time::Clock;
use tokio::sync::{mpsc, oneshot, watch};

use super::changes::Changes;
use super::control::{Control, Generation, checkpoint, move_checkpoint};
use super::view::{Condition, Progress, Shared, View};
use super::{Error, Options, Projection};
use crate::limits::{
    PROJECTION_CLEAR_RECORDS, PROJECTION_REBUILDS_WAITING, PROJECTION_RETRY_MAX,
    PROJECTION_RETRY_MIN, PROJECTION_TURN_EVENTS,
};
use crate::{Event, Feed, Journal, Position, RecordChange, Refusal, StorageError, Write};

/// Applies the events of a journal to one projection.
pub struct Runner<P> {
    projection: P,
    name: Arc<str>,
    journal: Journal,
    clock: Clock,
    options: Options,
    shared: Arc<Shared>,
    progress: watch::Sender<Progress>,
    rebuilds: mpsc::Receiver<oneshot::Sender<()>>,
    /// Who wants to know when the rebuilding is done.
    waiting: Vec<oneshot::Sender<()>>,
}

/// What woke the runner.
enum Wake {
    Events(Result<Option<Vec<Event>>, StorageError>),
    Rebuild(Option<oneshot::Sender<()>>),
}

impl<P: Projection> Runner<P> {
    /// A runner and the view that it keeps. Nothing happens before [`Runner::run`].
    ///
    /// # Errors
    /// [`Error::Name`] when the projection's name is not one.
    pub fn new(
        journal: Journal,
        clock: Clock,
        projection: P,
        options: Options,
    ) -> Result<(Self, View), Error> {
        let name: Arc<str> = projection.name().into();
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=100).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(Error::Name { name: name.to_string() });
        }
        let shared = Arc::new(Shared::default());
        let (sender, progress) = watch::channel(Progress::default());
        let (asks, rebuilds) = mpsc::channel(PROJECTION_REBUILDS_WAITING);
        let view = View {
            name: Arc::clone(&name),
            version: projection.version(),
            journal: journal.clone(),
            clock: clock.clone(),
            shared: Arc::clone(&shared),
            progress,
            rebuilds: asks,
        };
        let runner = Self {
            projection,
            name,
            journal,
            clock,
            options,
            shared,
            progress: sender,
            rebuilds,
            waiting: Vec::new(),
        };
        Ok((runner, view))
    }

    /// Applies events until the journal is closed. Dropping the future loses nothing: what is not
    /// committed is applied again by the next runner.
    ///
    /// # Errors
    /// An event could not be applied, somebody else runs the same projection, or the storage
    /// failed. [`View::progress`] has the same reason.
    pub async fn run(mut self) -> Result<(), Arc<Error>> {
        self.progress.send_modify(|progress| progress.condition = Condition::Running);
        let ended = match self.follow().await {
            Err(Error::Journal { source: crate::Error::Closed, .. }) => Ok(()),
            ended => ended.map_err(Arc::new),
        };
        self.progress.send_modify(|progress| {
            progress.condition = match &ended {
                Ok(()) => Condition::Stopped,
                Err(error) => {
                    tracing::error!(projection = %self.name, %error, "a projection has stopped");
                    Condition::Failed(Arc::clone(error))
                }
            };
        });
        ended
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let mut control = self.start().await?;
        let mut feed: Option<(Generation, Feed)> = None;
        loop {
            while let Ok(done) = self.rebuilds.try_recv() {
                self.rebuild(&mut control, done).await?;
            }
            if control.building.is_some() {
                // Turn by turn: the view that readers see keeps up while the next one is built.
                if let Some(live) = control.readable(self.projection.version()) {
                    self.apply_stored(&control, live).await?;
                }
                self.build(&mut control).await?;
                continue;
            }
            let Some(live) = control.readable(self.projection.version()) else {
                // Not reached: `start` and `switch` leave a readable view or one in the making.
                control.begin(self.projection.version());
                self.store(&mut control).await?;
                continue;
            };
            if self.clear(&mut control).await? {
                self.apply_stored(&control, live).await?;
                continue;
            }
            let feed = match &mut feed {
                Some((of, feed)) if *of == live => feed,
                stale => {
                    let at = self.checkpoint(live)?;
                    &mut stale.insert((live, self.journal.follow(at))).1
                }
            };
            match self.wait(feed).await {
                Wake::Events(Ok(Some(mut events))) => {
                    let more = self.collect(feed, &mut events).await?;
                    self.apply(&control, live, &events).await?;
                    if !more {
                        return Ok(());
                    }
                }
                Wake::Events(Ok(None)) => return Ok(()),
                Wake::Events(Err(source)) => return Err(self.storage(source)),
                Wake::Rebuild(Some(done)) => self.rebuild(&mut control, done).await?,
                // No view is left that could ask.
                Wake::Rebuild(None) => {}
            }
        }
    }

    /// Reads where the projection stands, and begins a generation when there is none to go on
    /// with.
    async fn start(&mut self) -> Result<Control, Error> {
        // What a runner before has asked to be committed is committed, or never will be.
        self.commit(Write::at(self.clock.now())).await?;
        let version = self.projection.version();
        let mut control = Control::load(self.journal.store(), &self.name)?;
        let unfit = control.building.is_some_and(|building| building.version != version);
        if control.readable(version).is_some() && unfit {
            control.retired.extend(control.building.take());
            self.store(&mut control).await?;
        } else if control.readable(version).is_none() && (unfit || control.building.is_none()) {
            control.begin(version);
            self.store(&mut control).await?;
        }
        self.report(&control)?;
        Ok(control)
    }

    async fn wait(&mut self, feed: &mut Feed) -> Wake {
        let events = pin!(feed.next(self.options.batch_events));
        let asked = pin!(self.rebuilds.recv());
        match select(events, asked).await {
            Either::Left((events, _)) => Wake::Events(events),
            Either::Right((None, events)) => Wake::Events(events.await),
            Either::Right((asked, _)) => Wake::Rebuild(asked),
        }
    }

    /// Waits a moment for more events, unless there are enough or somebody waits for these. Says
    /// whether there can be more.
    async fn collect(&self, feed: &mut Feed, events: &mut Vec<Event>) -> Result<bool, Error> {
        let hurried = pin!(self.shared.hurried());
        let mut enough = pin!(select(hurried, self.clock.sleep(self.options.batch_delay)));
        while events.len() < self.options.batch_events {
            let left = self.options.batch_events - events.len();
            match select(pin!(feed.next(left)), &mut enough).await {
                Either::Left((more, _)) => match more.map_err(|source| self.storage(source))? {
                    Some(more) => events.extend(more),
                    None => return Ok(false),
                },
                Either::Right(_) => break,
            }
        }
        Ok(true)
    }

    /// Applies what the store has after a generation's checkpoint, one batch of it.
    async fn apply_stored(&mut self, control: &Control, of: Generation) -> Result<(), Error> {
        let at = self.checkpoint(of)?;
        let events = self.journal.store().events(at, self.options.batch_events.max(1));
        let events = events.map_err(|source| self.storage(source))?;
        self.apply(control, of, &events).await
    }

    /// Builds one batch further, and switches over when nothing is left to build.
    async fn build(&mut self, control: &mut Control) -> Result<(), Error> {
        let Some(building) = control.building else {
            return Ok(());
        };
        self.apply_stored(control, building).await?;
        let built = self.checkpoint(building)?;
        let live = control.readable(self.projection.version());
        let goal = match live {
            // The view never goes back, and it need not have run ahead.
            Some(live) => self.checkpoint(live)?,
            None => self.journal.store().head().map_err(|source| self.storage(source))?.position,
        };
        if built >= goal {
            control.switch();
            self.store(control).await?;
            for done in self.waiting.drain(..) {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
        Ok(())
    }

    async fn rebuild(
        &mut self,
        control: &mut Control,
        done: oneshot::Sender<()>,
    ) -> Result<(), Error> {
        self.waiting.retain(|waiting| !waiting.is_closed());
        self.waiting.push(done);
        if control.building.is_none() {
            control.begin(self.projection.version());
            self.store(control).await?;
        }
        Ok(())
    }

    /// Applies events and commits their changes with the checkpoint, in as many writes as needed.
    async fn apply(
        &mut self,
        control: &Control,
        of: Generation,
        events: &[Event],
    ) -> Result<(), Error> {
        let space = of.space(&self.name);
        let mut from = self.checkpoint(of)?;
        let mut rest = events;
        while let Some((event, later)) = rest.split_first()
            && event.position <= from
        {
            rest = later;
        }
        while !rest.is_empty() {
            let mut changes = Changes::new(self.journal.store(), &space);
            let mut failure = None;
            let mut to = from;
            while let Some((event, later)) = rest.split_first()
                && !changes.is_full()
            {
                if let Err(source) = self.projection.apply(&mut changes, event) {
                    changes.drop_event();
                    failure = Some(Error::Apply {
                        projection: self.name.to_string(),
                        position: event.position,
                        stream: event.stream.clone(),
                        version: event.version,
                        kind: event.kind.clone(),
                        source,
                    });
                    break;
                }
                changes.accept_event();
                to = event.position;
                rest = later;
                // Whoever shares the thread need not wait for a large batch.
                if to.0 % PROJECTION_TURN_EVENTS == 0 {
                    give_way().await;
                }
            }
            if to > from {
                let records = changes.into_records();
                let guards =
                    vec![control.unchanged(&self.name), move_checkpoint(&self.name, of, from, to)];
                let at = self.clock.now();
                self.commit(Write { records, guards, ..Write::at(at) }).await?;
                from = to;
                self.report(control)?;
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Removes a bounded number of records of a generation that is of no use any more. Says
    /// whether there was something to do.
    async fn clear(&mut self, control: &mut Control) -> Result<bool, Error> {
        let Some(old) = control.retired.last().copied() else {
            return Ok(false);
        };
        let space = old.space(&self.name);
        let found = self.journal.store().records(&space, "", None, PROJECTION_CLEAR_RECORDS);
        let found = found.map_err(|source| self.storage(source))?;
        let mut write = Write::at(self.clock.now());
        let is_last = found.len() < PROJECTION_CLEAR_RECORDS;
        write.records = found
            .into_iter()
            .map(|(key, _)| RecordChange { space: space.clone().into(), key, value: None })
            .collect();
        if is_last {
            let at = self.checkpoint(old)?;
            control.retired.pop();
            let (record, guard) = control.store(&self.name)?;
            write.records.push(record);
            write.guards = vec![guard, move_checkpoint(&self.name, old, at, Position::START)];
        } else {
            write.guards = vec![control.unchanged(&self.name)];
        }
        self.commit(write).await?;
        Ok(true)
    }

    /// Stores which generations there are.
    async fn store(&self, control: &mut Control) -> Result<(), Error> {
        let (record, guard) = control.store(&self.name)?;
        let write =
            Write { records: vec![record], guards: vec![guard], ..Write::at(self.clock.now()) };
        self.commit(write).await?;
        self.report(control)
    }

    /// Commits a write, patiently while the journal is overloaded.
    async fn commit(&self, write: Write) -> Result<(), Error> {
        let mut rest = PROJECTION_RETRY_MIN;
        loop {
            match self.journal.commit(write.clone()).await {
                Ok(_) => return Ok(()),
                Err(crate::Error::Overloaded { .. }) => {
                    self.clock.sleep(rest).await;
                    rest = (rest * 2).min(PROJECTION_RETRY_MAX);
                }
                // Only the guards of checkpoint and revision can refuse.
                Err(crate::Error::Refused(Refusal::OutOfBounds { .. })) => {
                    return Err(Error::Superseded { projection: self.name.to_string() });
                }
                Err(source) => {
                    return Err(Error::Journal { projection: self.name.to_string(), source });
                }
            }
        }
    }

    fn checkpoint(&self, of: Generation) -> Result<Position, Error> {
        checkpoint(self.journal.store(), &self.name, of)
    }

    fn report(&self, control: &Control) -> Result<(), Error> {
        let live = control.readable(self.projection.version());
        let live = live.map(|live| self.checkpoint(live)).transpose()?;
        let building = control.building.map(|building| self.checkpoint(building)).transpose()?;
        self.progress.send_modify(|progress| {
            progress.live = live;
            progress.building = building;
        });
        Ok(())
    }

    fn storage(&self, source: StorageError) -> Error {
        Error::Storage { projection: self.name.to_string(), source }
    }
}

/// Lets others run first, once.
async fn give_way() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<P> Drop for Runner<P> {
    /// Nobody waits for a runner that is gone.
    fn drop(&mut self) {
        self.progress.send_if_modified(|progress| {
            let running = matches!(progress.condition, Condition::Starting | Condition::Running);
            if running {
                progress.condition = Condition::Stopped;
            }
            running
        });
    }
}

impl<P> fmt::Debug for Runner<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use steadfast_time::sim::Simulation;

    use super::super::ApplyError;
    use super::*;
    use crate::{Append, Expected, NewEvent, StreamId, memory};

    struct Count;

    impl Projection for Count {
        fn name(&self) -> &str {
            "count"
        }

        fn version(&self) -> u32 {
            1
        }

        fn apply(&self, changes: &mut Changes<'_>, _: &Event) -> Result<(), ApplyError> {
            let count = changes.get_json::<u64>("count")?.unwrap_or_default();
            changes.put_json("count", &(count + 1))
        }
    }

    /// The feed may hand out events that the store has handed out before.
    #[test]
    fn events_up_to_the_checkpoint_are_passed_over() {
        let mut sim = Simulation::new(1);
        let (journal, mut writer) = Journal::new(memory::Engine::new(), sim.clock());
        sim.on_idle(move || writer.run_once().unwrap() > 0);
        let (mut runner, view) =
            Runner::new(journal.clone(), sim.clock(), Count, Options::default()).unwrap();
        sim.block_on(async move {
            let payload = "{}".into();
            let event = NewEvent { kind: "counted".into(), schema: 1, payload };
            let (stream, expected) = (StreamId::new("order", "a").unwrap(), Expected::Any);
            let mut write = Write::default();
            write.appends.push(Append { stream, expected, events: vec![event; 5] });
            journal.commit(write).await.unwrap();

            let mut control = runner.start().await.unwrap();
            runner.build(&mut control).await.unwrap();
            let live = control.readable(1).unwrap();
            let events = journal.store().events(Position(2), 9).unwrap();
            runner.apply(&control, live, &events).await.unwrap();
        });
        assert_eq!(view.get_json::<u64>("count").unwrap(), Some(5));
    }
}
