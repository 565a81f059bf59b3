//! Where the history comes from, and how far it was read.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use steadfast_time::{Clock, Monotonic};

use crate::bench::progress;

/// What is over sooner needs no bar.
const QUIET: Duration = Duration::from_secs(2);

/// A file or stdin, and how many bytes came from it.
pub struct Input {
    source: Box<dyn Read>,
    position: Rc<Cell<u64>>,
    length: Option<u64>,
}

/// As it is called in messages.
pub fn name(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

impl Input {
    /// Opens a file; `-` is stdin.
    ///
    /// # Errors
    /// When there is none to read, with its name.
    pub fn open(path: &Path) -> Result<Self, String> {
        let unreadable = |error: io::Error| format!("{}: {error}", path.display());
        if path == Path::new("-") {
            return Ok(Self {
                source: Box::new(io::stdin()),
                position: Rc::default(),
                length: None,
            });
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(format!(
                "{} is a directory; name the history in it, such as {}",
                path.display(),
                path.join("history.edn").display()
            ));
        }
        // A pipe has no length.
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { source: Box::new(file), position: Rc::default(), length })
    }

    /// How many bytes it has, if that is known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// How many bytes were read, from now on.
    pub fn position(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.position)
    }

    pub fn into_reader(self) -> BufReader<impl Read> {
        const BUFFER_BYTES: usize = 256 << 10;
        BufReader::with_capacity(BUFFER_BYTES, self)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}

/// What a person at a terminal sees of it, once it takes long.
#[derive(Debug)]
pub struct Progress {
    clock: Clock,
    since: Monotonic,
    length: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins now.
    pub fn new(clock: &Clock, length: Option<u64>) -> Self {
        Self { clock: clock.clone(), since: clock.monotonic(), length, bar: None }
    }

    /// So many bytes were read.
    pub fn reading(&mut self, position: u64) {
        if self.bar.is_none() {
            if self.clock.monotonic() - self.since < QUIET {
                return;
            }
            self.bar = Some(match self.length {
                Some(length) => progress::bar(length, "reading"),
                None => spinner("reading"),
            });
        }
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }

    /// Searches, and shows that it does.
    pub fn while_checking<T: Send>(&mut self, search: impl FnOnce() -> T + Send) -> T {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if !io::stderr().is_terminal() {
            return search();
        }
        // The search does not say how far it is; so somebody else must see how long it takes.
        let (done, is_done) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let too_long = is_done.recv_timeout(QUIET) == Err(mpsc::RecvTimeoutError::Timeout);
                if too_long {
                    let spinner = spinner("checking");
                    spinner.enable_steady_tick(Duration::from_millis(100));
                    // It ends when the other side is dropped.
                    let _ = is_done.recv();
                    spinner.finish_and_clear();
                }
            });
            let found = search();
            drop(done);
            found
        })
    }
}

fn spinner(what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(what);
    match ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        Ok(style) => spinner.with_style(style),
        Err(_) => spinner,
    }
}
