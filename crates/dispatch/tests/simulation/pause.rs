//! A task that can be stopped for a while, as by SIGSTOP or a stalled virtual machine.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use steadfast_time::{Clock, Monotonic, Sleep};

/// Until when a task stands still.
#[derive(Clone, Default)]
pub struct Switch(Rc<Cell<Monotonic>>);

impl Switch {
    pub fn stop_until(&self, moment: Monotonic) {
        self.0.set(moment);
    }

    /// Whether it stands still at this moment.
    pub fn stops(&self, moment: Monotonic) -> bool {
        moment < self.0.get()
    }
}

/// Polls its task only when the switch allows it.
pub struct Pausable<F> {
    task: Pin<Box<F>>,
    switch: Switch,
    clock: Clock,
    wake: Option<Sleep>,
}

impl<F: Future> Pausable<F> {
    pub fn new(task: F, switch: Switch, clock: Clock) -> Self {
        Self { task: Box::pin(task), switch, clock, wake: None }
    }
}

impl<F: Future> Future for Pausable<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let until = self.switch.0.get();
        if self.switch.stops(self.clock.monotonic()) {
            let mut wake = self.clock.sleep_until(until);
            if wake.as_mut().poll(context).is_pending() {
                self.wake = Some(wake);
                return Poll::Pending;
            }
        }
        self.wake = None;
        self.task.as_mut().poll(context)
    }
}
