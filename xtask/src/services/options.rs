//! The words after `services`.

use super::kind::Kind;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start what does not run.
    Up,
    /// Stop it.
    Down,
    /// Show it.
    Status,
    /// Wait for a test run to end, then stop what was started for it. For this program only.
    Guard,
}

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// To do what.
    pub order: Order,
    /// With which servers.
    pub kinds: Vec<Kind>,
    /// Whether the answer is for programs.
    pub json: bool,
}

impl Options {
    /// Reads the words after `services`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut words = arguments.iter();
        let order = match words.next() {
            Some(&"up") => Order::Up,
            Some(&"down") => Order::Down,
            Some(&"status") => Order::Status,
            Some(&"guard") => Order::Guard,
            _ => return Err("services: say up, down or status".to_owned()),
        };
        let mut options = Self { order, kinds: Kind::ALL.to_vec(), json: false };
        while let Some(word) = words.next() {
            match *word {
                "--json" if order == Order::Status => options.json = true,
                "--only" if order != Order::Guard => {
                    let list = words.next().ok_or("--only needs a list such as etcd,redis")?;
                    options.kinds = Kind::parse_list(list)?;
                }
                other => return Err(format!("services: {other:?} is not understood here")),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_understood_or_refused() {
        let up = Options::parse(&["up", "--only", "redis"]).unwrap();
        assert_eq!(up, Options { order: Order::Up, kinds: vec![Kind::Redis], json: false });
        let status = Options::parse(&["status", "--json"]).unwrap();
        assert_eq!(status.kinds, Kind::ALL);
        assert!(status.json);
        for words in [
            &[][..],
            &["sideways"],
            &["up", "--json"],
            &["down", "--only"],
            &["status", "--only", "kafka"],
            &["guard", "--only", "redis"],
        ] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
