//! The journals on disk.

use std::path::{Path, PathBuf};

use steadfast_journal::{Journal, WriterThread, sqlite};
use steadfast_time::Clock;

use super::{Error, data};
use crate::config::Config;
use crate::config::value::Coordination;

const ORDERS: &str = "orders";
const STOCK: &str = "stock";
const PAYMENT: &str = "payment";

/// The journals, in the order in which they are made.
const NAMES: [&str; 3] = [ORDERS, STOCK, PAYMENT];

/// The directories of the journals: orders, stock, payment.
#[must_use]
pub fn journals(config: &Config) -> [PathBuf; 3] {
    NAMES.map(|name| config.data.join(name))
}

struct Open {
    journal: Journal,
    writer: WriterThread,
}

/// The open journals.
pub(super) struct Storage {
    orders: Open,
    stock: Open,
    payment: Open,
}

impl Storage {
    pub(super) fn open(config: &Config, clock: &Clock) -> Result<Self, Error> {
        data::check(&config.data, &NAMES)?;
        let [orders, stock, payment] = journals(config);
        let open = |path: &Path, name: &str, options: sqlite::Options| -> Result<Open, Error> {
            let engine = sqlite::Engine::open(path, options)?;
            let (journal, writer) = Journal::new(engine, clock.clone());
            Ok(Open { journal, writer: writer.spawn(name).map_err(Error::Thread)? })
        };
        let options = config.sqlite_options();
        // The ledgers read and write far less than the journal of orders.
        let small = sqlite::Options {
            writer_cache_bytes: options.writer_cache_bytes / 4,
            readers: 1,
            ..options.clone()
        };
        let orders = open(&orders, ORDERS, options)?;
        let has_coordination = config.coordination == Coordination::Embedded;
        data::check_rest(&config.data, &NAMES, orders.journal.store(), has_coordination)?;
        Ok(Self {
            orders,
            stock: open(&stock, STOCK, small.clone())?,
            payment: open(&payment, PAYMENT, small)?,
        })
    }

    pub(super) fn orders(&self) -> &Journal {
        &self.orders.journal
    }

    pub(super) fn stock(&self) -> &Journal {
        &self.stock.journal
    }

    pub(super) fn payment(&self) -> &Journal {
        &self.payment.journal
    }

    /// Makes everything durable and closes.
    pub(super) async fn close(self) -> Result<(), Error> {
        let Self { orders, stock, payment } = self;
        let closed = tokio::task::spawn_blocking(move || {
            [orders, stock, payment].map(|open| open.writer.stop())
        });
        let closed = closed.await.map_err(|error| Error::Thread(std::io::Error::other(error)))?;
        closed.into_iter().try_for_each(|result| result.map_err(Error::Journal))
    }
}
