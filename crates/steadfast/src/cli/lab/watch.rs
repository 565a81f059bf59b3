//! How far a run is, and whether it must end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;
use steadfast_lab::run::Watch;

/// The bar's length: a thousandth is a step.
const STEPS: u64 = 1_000;

/// A bar on the terminal, and a switch that ends the run.
pub(super) struct Screen {
    bar: ProgressBar,
    state: Mutex<State>,
    interrupted: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    seed: u64,
    seeds: u64,
    variant: usize,
    variants: usize,
}

impl Screen {
    pub(super) fn new(interrupted: Arc<AtomicBool>) -> Self {
        let bar = crate::bench::progress::bar(STEPS, "running");
        Self { bar, state: Mutex::new(State { seeds: 1, ..State::default() }), interrupted }
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Screen {
    fn variant(&self, name: &str, number: usize, all: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.variant, state.variants) = (number, all);
        drop(state);
        self.bar.set_message(name.to_owned());
        self.progress(0.0);
    }

    fn seed(&self, number: u64, all: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.seed, state.seeds) = (number, all);
    }

    fn progress(&self, share: f64) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let variants = (state.variant as f64 + share) / state.variants.max(1) as f64;
        let done = (state.seed as f64 + variants) / state.seeds.max(1) as f64;
        drop(state);
        // Between nothing and the bar's length.
        self.bar.set_position((done * STEPS as f64) as u64);
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}
