//! Scenarios: what is put under test, under which load, what goes wrong, and what must hold.
//!
//! A scenario is a TOML file, so that an experiment is read and changed without a compiler. The
//! built-in ones ([`crate::experiment`]) are such files, too.
//!
//! ```toml
//! name = "fencing"                       # the command's word for it
//! title = "A late write, with and without a fencing token"
//! claim = "A lease lock alone loses updates when its holder stands still; a token keeps them."
//! source = "Kleppmann, Designing Data-Intensive Applications, chapter 8"
//! system = "lock"                        # what is under test
//! duration = "60s"                       # of simulated time; of real time with --real, unless:
//! real_duration = "30s"
//! scale_faults = false                   # true: in the shorter trial each [[fault]] is shorter, too
//!
//! [load]                                 # how it is used; both may be left out
//! clients = 5
//! rate = "100/s"                         # open loop: operations come at this rate, answered or not
//!
//! [settings]                             # of the system, the same for all variants
//! lease = "2s"
//!
//! [[fault]]                              # a fault that is written out ...
//! kind = "pause"
//! node = "worker-1"
//! at = "5s"
//! for = "4s"
//!
//! [[faults]]                             # ... and faults that are drawn from the seed
//! kind = "pause"
//! node = "worker-*"                      # one of them each time
//! every = "5s"                           # or ["3s", "8s"]
//! for = ["3s", "5s"]
//!
//! [[invariant]]                          # a model that each history must fit
//! model = "cas-register"
//!
//! [[bound]]                              # a bound that each variant must keep
//! indicator = "stale_leader_write.count"
//! at_most = 0
//! only = ["fenced"]                      # for some variants only; all, unless given
//!
//! [[variant]]
//! name = "unfenced"
//! protected = false                      # the broken twin: it must be caught
//! about = "Workers trust their lease."
//! settings = { fence = "none" }           # over those above
//!
//! [[variant]]
//! name = "fenced"
//! protected = true                       # it must hold
//! about = "Each access carries the lease's token, and the storage refuses lower ones."
//! settings = { fence = "full" }
//! ```
//!
//! Whatever is not understood is refused with its line and, where something similar is allowed, a
//! suggestion: a mistyped fault that is ignored would look like a system that withstands it.

mod parse;
pub(crate) mod problem;
pub mod read;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use problem::{Place, Problem};
pub use read::{Reader, Section};

use crate::Error;
use crate::check::Model;
use crate::fault::{Drawn, Planned};
use crate::limits::SCENARIO_BYTES_MAX;
use crate::quantity::Quantity;
use crate::system::{self, System};

/// What is put under test, how, and what must hold.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The command's word for it.
    pub name: String,
    /// In one line.
    pub title: String,
    /// What is claimed.
    pub claim: String,
    /// Where the claim comes from.
    pub source: String,
    /// The system under test.
    pub system: &'static dyn System,
    /// How long a simulated trial takes, in simulated time.
    pub duration: Duration,
    /// How long a real one takes.
    pub real_duration: Duration,
    /// Whether faults that are written out keep their place and their share in a trial of another
    /// length, instead of their times.
    pub scale_faults: bool,
    /// How the system is used.
    pub load: Load,
    /// Settings of the system for all variants.
    pub settings: Section,
    /// Faults that are written out.
    pub faults: Vec<Planned>,
    /// Faults that are drawn from the seed.
    pub drawn: Vec<Drawn>,
    /// Models that the histories must fit.
    pub invariants: Vec<Invariant>,
    /// Bounds that the indicators must keep.
    pub bounds: Vec<Bound>,
    /// With and without the protection, in the order of the file.
    pub variants: Vec<Variant>,
    /// Where it was read from; none for a built-in one.
    pub path: Option<PathBuf>,
    /// The file's text.
    pub text: String,
}

/// How a system is used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Operations a second, whether earlier ones were answered or not; the system's own when none.
    pub rate: Option<f64>,
    /// Clients; the system's own number when none.
    pub clients: Option<u32>,
}

/// A model that the histories must fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Invariant {
    /// Which.
    pub model: Model,
    /// The variants that it is checked for; all when empty.
    pub only: Vec<String>,
}

/// Bounds of an indicator.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Which indicator; the system declares it.
    pub indicator: String,
    /// The lowest value that is allowed.
    pub at_least: Option<Quantity>,
    /// The highest value that is allowed.
    pub at_most: Option<Quantity>,
    /// The variants that it is for; all when empty.
    pub only: Vec<String>,
}

/// The system with or without a protection.
#[derive(Clone, Debug)]
pub struct Variant {
    /// What it is called.
    pub name: String,
    /// What is different, in a sentence.
    pub about: String,
    /// Whether it must hold. One that need not must be caught.
    pub protected: bool,
    /// Settings of the system over those of the scenario.
    pub settings: Section,
}

impl Bound {
    /// Whether it is for a variant.
    #[must_use]
    pub fn is_for(&self, variant: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == variant)
    }

    /// Whether a value keeps it.
    #[must_use]
    pub fn allows(&self, value: Quantity) -> bool {
        self.at_least.is_none_or(|least| value.value >= least.value)
            && self.at_most.is_none_or(|most| value.value <= most.value)
    }
}

impl Invariant {
    /// Whether it is checked for a variant.
    #[must_use]
    pub fn is_for(&self, variant: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == variant)
    }
}

impl Scenario {
    /// Reads a scenario from its text. The path is for messages only.
    ///
    /// # Errors
    /// [`Error::Scenario`] with all that is wrong, each with its line.
    pub fn parse(text: &str, path: Option<&Path>) -> Result<Self, Error> {
        parse::parse(text, path).map_err(Error::Scenario)
    }

    /// Reads a scenario from its file.
    ///
    /// # Errors
    /// When the file cannot be read, is too large, or is no scenario.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = |source| Error::File { path: path.to_owned(), source };
        // What has no length (a pipe, a device) may have no end either.
        let mut bytes = Vec::new();
        let mut source = std::fs::File::open(path).map_err(file)?.take(SCENARIO_BYTES_MAX + 1);
        source.read_to_end(&mut bytes).map_err(file)?;
        if bytes.len() as u64 > SCENARIO_BYTES_MAX {
            let what = format!("too large for a scenario; at most {SCENARIO_BYTES_MAX} bytes");
            return Err(file(std::io::Error::other(what)));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| file(std::io::Error::other("no scenario: it is not UTF-8")))?;
        Self::parse(&text, Some(path))
    }

    /// A variant's settings: its own over the scenario's.
    #[must_use]
    pub fn settings_of(&self, variant: &Variant) -> Section {
        variant.settings.over(&self.settings)
    }

    /// The system's declaration of an indicator.
    #[must_use]
    pub fn indicator(&self, name: &str) -> Option<&'static system::Indicator> {
        self.system.indicators().iter().find(|known| known.name == name)
    }
}
