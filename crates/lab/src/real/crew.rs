//! Processes by the names of a trial's nodes, and what can be done to them.
//!
//! The same words as on a simulated host: a node stands still until it was let go as often as it was
//! stopped; one that is killed is gone with what it was doing, and can be started again; one that is
//! gone cannot be stopped.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Failure, Process, Role, Stage, clock};

/// What a node is when it starts for the nth time, from 0.
type Roles = Box<dyn Fn(u64) -> Result<Role, Failure> + Send>;

struct Member {
    roles: Roles,
    starts: u64,
    process: Option<Process>,
    stops: u32,
    kills: u32,
}

/// Processes by name. All are killed when it is dropped.
pub struct Crew<'a> {
    stage: &'a Stage,
    members: Mutex<BTreeMap<String, Member>>,
}

impl<'a> Crew<'a> {
    /// Nobody yet.
    #[must_use]
    pub fn new(stage: &'a Stage) -> Self {
        Self { stage, members: Mutex::default() }
    }

    /// Starts a node. `roles` says what it is when it starts for the nth time, from 0.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn add(
        &self,
        name: &str,
        roles: impl Fn(u64) -> Result<Role, Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let process = self.stage.start(name, &roles(0)?)?;
        let (roles, process) = (Box::new(roles), Some(process));
        let member = Member { roles, starts: 1, process, stops: 0, kills: 0 };
        self.with(|members| members.insert(name.to_owned(), member));
        Ok(())
    }

    fn with<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Member>) -> T) -> T {
        look(&mut self.members.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn one<T>(
        &self,
        name: &str,
        look: impl FnOnce(&mut Member) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.with(|members| match members.get_mut(name) {
            Some(member) => look(member),
            None => Err(format!("there is no process {name:?}").into()),
        })
    }

    /// Stops one (`SIGSTOP`).
    ///
    /// # Errors
    /// When there is none of that name, or it has ended by itself.
    pub fn stop(&self, name: &str) -> Result<(), Failure> {
        self.one(name, |member| {
            member.stops += 1;
            match &member.process {
                Some(process) if member.stops == 1 => process.pause(),
                _ => Ok(()),
            }
        })
    }

    /// Lets one go on (`SIGCONT`), when it was to as often as it was stopped.
    ///
    /// # Errors
    /// As [`Crew::stop`].
    pub fn go_on(&self, name: &str) -> Result<(), Failure> {
        self.one(name, |member| {
            let was = member.stops;
            member.stops = was.saturating_sub(1);
            match &member.process {
                Some(process) if was == 1 => process.resume(),
                _ => Ok(()),
            }
        })
    }

    /// Kills one (`SIGKILL`), stopped or not.
    ///
    /// # Errors
    /// As [`Crew::stop`].
    pub fn kill(&self, name: &str) -> Result<(), Failure> {
        self.one(name, |member| {
            member.kills += 1;
            member.process.take().map_or(Ok(()), |mut it| it.kill())
        })
    }

    /// Starts one again that was killed, when it was to as often as it was killed; it stands still
    /// when it is to stand still.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, name: &str) -> Result<(), Failure> {
        self.one(name, |member| {
            member.kills = member.kills.saturating_sub(1);
            if member.process.is_none() && member.kills == 0 {
                let process = self.stage.start(name, &(member.roles)(member.starts)?)?;
                member.starts += 1;
                if member.stops > 0 {
                    process.pause()?;
                }
                member.process = Some(process);
            }
            Ok(())
        })
    }

    /// Starts one again if there is one of that name that was killed, however often.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&self, name: &str) -> Result<(), Failure> {
        let is_there = self.with(|members| {
            let member = members.get_mut(name);
            member.map(|member| member.kills = member.kills.min(1)).is_some()
        });
        if is_there { self.start(name) } else { Ok(()) }
    }

    /// Those that have ended by themselves, and were not killed.
    #[must_use]
    pub fn gone(&self) -> Vec<String> {
        self.with(|members| {
            let gone = members.iter_mut().filter_map(|(name, member)| {
                let process = member.process.as_mut()?;
                (!process.is_running()).then(|| name.clone())
            });
            gone.collect()
        })
    }

    /// Lets everybody go on.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn heal(&self) -> Result<(), Failure> {
        self.with(|members| {
            for member in members.values_mut().filter(|member| member.stops > 0) {
                member.stops = 0;
                member.process.as_ref().map_or(Ok(()), Process::resume)?;
            }
            Ok(())
        })
    }

    /// Waits for those with that beginning of a name to end by themselves; who did not.
    pub async fn ended(&self, beginning: &str, limit: Duration) -> Vec<String> {
        let clock = clock::machine();
        let deadline = clock.monotonic() + limit;
        loop {
            let running = self.running(beginning);
            if running.is_empty() || clock.monotonic() >= deadline {
                return running;
            }
            clock.sleep(Duration::from_millis(10)).await;
        }
    }

    /// Those with that beginning of a name that run, or stand still.
    #[must_use]
    pub fn running(&self, beginning: &str) -> Vec<String> {
        self.with(|members| {
            let found = members.iter_mut().filter(|(name, _)| name.starts_with(beginning));
            found
                .filter_map(|(name, member)| {
                    member.process.as_mut()?.is_running().then(|| name.clone())
                })
                .collect()
        })
    }
}

impl std::fmt::Debug for Crew<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.with(|members| members.keys().cloned().collect());
        f.debug_struct("Crew").field("members", &names).finish_non_exhaustive()
    }
}
