//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::rig::Fence;
use crate::rig::engine::Kind;

pub const USAGE: &str = "\
Usage: pause [--engine E] [--url URL] [OPTIONS]

  --engine E      embedded (default), postgres, etcd, zookeeper, redis, redlock
  --url URL       where it is; without, the embedded engine is started in the scratch folder
  --mode M        pause (default): lost updates while holders are stopped
                  handover: how long until the next has it, after a kill and after a release
                  election: how long until the next leads, after a kill
  --seconds N     length of each run of the pause test (60)
  --ttl T         length of sessions, as in 2s or 500ms (2s)
  --workers N     (5)
  --unfenced | --writes-only | --fenced | --both | --all
                  what the storage does about late writes (both: unfenced, fenced)
  --kills N       of holders or leaders (10)
  --out DIR       where histories and logs are kept (a scratch folder)
  --seed N        for waits and pauses
  --json          figures as JSON";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pause,
    Handover,
    Election,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub mode: Mode,
    pub engine: Kind,
    pub url: Option<String>,
    pub seconds: u64,
    pub length: Duration,
    pub workers: u32,
    pub fences: Vec<Fence>,
    pub kills: usize,
    pub out: Option<PathBuf>,
    pub seed: Option<u64>,
    pub json: bool,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            mode: Mode::Pause,
            engine: Kind::Embedded,
            url: None,
            seconds: 60,
            length: Duration::from_secs(2),
            workers: 5,
            fences: vec![Fence::None, Fence::Full],
            kills: 10,
            out: None,
            seed: None,
            json: false,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut next = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--engine" => options.engine = next()?.parse()?,
                "--url" => options.url = Some(next()?.clone()),
                "--mode" => {
                    options.mode = match next()?.as_str() {
                        "pause" => Mode::Pause,
                        "handover" => Mode::Handover,
                        "election" => Mode::Election,
                        other => {
                            return Err(format!("{other:?} is not pause, handover or election"));
                        }
                    }
                }
                "--seconds" => options.seconds = number(next()?)?,
                "--ttl" => options.length = duration(next()?)?,
                "--workers" => options.workers = number(next()?)?,
                "--both" | "both" => options.fences = vec![Fence::None, Fence::Full],
                "--all" => options.fences = vec![Fence::None, Fence::Writes, Fence::Full],
                "--unfenced" | "--writes-only" | "--fenced" => {
                    options.fences = vec![word.trim_start_matches('-').parse()?];
                }
                "--kills" => options.kills = number(next()?)?,
                "--out" => options.out = Some(next()?.into()),
                "--seed" => options.seed = Some(number(next()?)?),
                "--json" => options.json = true,
                other => return Err(format!("{other:?} is not understood")),
            }
        }
        if options.workers < 2 || options.seconds == 0 || options.kills == 0 {
            return Err("two workers, one second and one kill are the least".to_owned());
        }
        Ok(options)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number that fits"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s').unwrap_or_default(), 1_000),
    };
    let millis = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    millis.map(Duration::from_millis).ok_or(format!("{text:?} is not a length such as 2s or 500ms"))
}
