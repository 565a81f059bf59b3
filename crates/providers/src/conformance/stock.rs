//! The suite of the stock port.

use futures::future::{join, join_all};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::Item;
use steadfast_dispatch::provider::Stock;

use super::{Case, Final, RACE, Setup, Violation};

/// Two articles with few pieces, both free when the suite starts.
#[derive(Clone, Debug)]
pub struct StockFixture {
    /// The articles.
    pub scarce: [String; 2],
    /// How many pieces there are of each; at least 2.
    pub pieces: u32,
}

/// Checks every promise of a stock service.
///
/// # Errors
/// The first promise that is broken.
pub async fn stock(
    stock: &dyn Stock,
    setup: &Setup,
    fixture: &StockFixture,
) -> Result<(), Violation> {
    let suite = |name| Suite { stock, fixture, case: Case::new(name, setup) };
    suite("a repetition has no further effect").repetition().await?;
    suite("there is at most one reservation for an order").one_per_order().await?;
    suite("a release that comes first wins").release_first().await?;
    suite("a second release puts nothing back").double_release().await?;
    suite("many calls with one key have one effect").race().await?;
    suite("a reservation and its release leave nothing behind").race_with_release().await?;
    suite("all lines or none").all_or_none().await?;
    suite("a refusal is final").final_refusal().await?;
    suite("no success after the deadline").deadline().await
}

struct Suite<'a> {
    stock: &'a dyn Stock,
    fixture: &'a StockFixture,
    case: Case<'a>,
}

impl Suite<'_> {
    fn line(&self, article: usize, quantity: u32) -> Item {
        Item { sku: self.fixture.scarce[article].clone(), quantity }
    }

    fn all(&self) -> [Item; 2] {
        [self.line(0, self.fixture.pieces), self.line(1, self.fixture.pieces)]
    }

    async fn reserve(&self, order: OrderId, items: &[Item]) -> Result<Final<String>, Violation> {
        let key = format!("{order}/reserve");
        let ask = |call| async move { self.stock.reserve(&call, order, items).await };
        self.case.ask(&key, ask).await
    }

    async fn release(&self, order: OrderId) -> Result<(), Violation> {
        let key = format!("{order}/release");
        let ask = |call| async move { self.stock.release(&call, order).await };
        let released = self.case.ask(&key, ask).await?;
        self.case.granted("a release", released)
    }

    /// Exactly `free` pieces of both articles can be had.
    async fn expect_free(&self, free: u32) -> Result<(), Violation> {
        for article in [0, 1] {
            let (most, more) = (self.case.order(), self.case.order());
            if free > 0 {
                let reserved = self.reserve(most, &[self.line(article, free)]).await?;
                self.case.granted(&format!("the {free} pieces that must be left"), reserved)?;
            }
            let refused = self.reserve(more, &[self.line(article, 1)]).await?;
            self.case.refused("one piece more than there are", refused)?;
            self.release(most).await?;
        }
        Ok(())
    }

    async fn repetition(&self) -> Result<(), Violation> {
        let order = self.case.order();
        let lines = [self.line(0, 1), self.line(1, 1)];
        let first = self.reserve(order, &lines).await?;
        let again = self.reserve(order, &lines).await?;
        self.case.same("the answer to the repetition", &again, &first)?;
        self.case.granted("a reservation", first)?;
        self.expect_free(self.fixture.pieces - 1).await?;
        self.release(order).await?;
        self.expect_free(self.fixture.pieces).await
    }

    async fn one_per_order(&self) -> Result<(), Violation> {
        let order = self.case.order();
        let lines = [self.line(0, 1), self.line(1, 1)];
        self.case.granted("a reservation", self.reserve(order, &lines).await?)?;
        let key = format!("{order}/reserve/another-key");
        let other = self.all();
        let items = other.as_slice();
        let ask = |call| async move { self.stock.reserve(&call, order, items).await };
        // Whatever it answers: it must not set more aside.
        let _ = self.case.ask(&key, ask).await?;
        self.expect_free(self.fixture.pieces - 1).await?;
        self.release(order).await?;
        self.expect_free(self.fixture.pieces).await
    }

    async fn release_first(&self) -> Result<(), Violation> {
        let order = self.case.order();
        self.release(order).await?;
        let late = self.reserve(order, &self.all()).await?;
        self.case.refused("a reservation after its release", late)?;
        self.expect_free(self.fixture.pieces).await
    }

    async fn double_release(&self) -> Result<(), Violation> {
        let order = self.case.order();
        self.case.granted("a reservation", self.reserve(order, &self.all()).await?)?;
        self.expect_free(0).await?;
        self.release(order).await?;
        self.release(order).await?;
        self.expect_free(self.fixture.pieces).await?;
        let again = self.reserve(order, &self.all()).await?;
        self.case.refused("a reservation that was released", again)?;
        self.expect_free(self.fixture.pieces).await
    }

    async fn race(&self) -> Result<(), Violation> {
        let order = self.case.order();
        let lines = [self.line(0, 1), self.line(1, 1)];
        let answers = join_all((0..RACE).map(|_| self.reserve(order, &lines))).await;
        let mut names = Vec::with_capacity(RACE);
        for answer in answers {
            names.push(self.case.granted("a reservation", answer?)?);
        }
        names.dedup();
        self.case.same("the number of different answers", &names.len(), &1)?;
        self.expect_free(self.fixture.pieces - 1).await?;
        for released in join_all((0..RACE).map(|_| self.release(order))).await {
            released?;
        }
        self.expect_free(self.fixture.pieces).await
    }

    async fn race_with_release(&self) -> Result<(), Violation> {
        for _ in 0..8 {
            let order = self.case.order();
            let lines = self.all();
            let (reserved, released) = join(self.reserve(order, &lines), self.release(order)).await;
            released?;
            // Either way round; but afterwards it is over.
            let _ = reserved?;
            let again = self.reserve(order, &lines).await?;
            self.case.refused("a reservation after its release", again)?;
            self.expect_free(self.fixture.pieces).await?;
        }
        Ok(())
    }

    async fn all_or_none(&self) -> Result<(), Violation> {
        let too_many = self.fixture.pieces + 1;
        for article in [0, 1] {
            let order = self.case.order();
            let lines = [self.line(article, 1), self.line(1 - article, too_many)];
            let seen = self.reserve(order, &lines).await?;
            self.case.refused("an order of which one line cannot be had", seen)?;
            self.expect_free(self.fixture.pieces).await?;
        }
        // Two lines of the same article count together.
        let lines = [self.line(0, self.fixture.pieces), self.line(0, 1)];
        let seen = self.reserve(self.case.order(), &lines).await?;
        self.case.refused("more than there are, in two lines", seen)?;
        self.expect_free(self.fixture.pieces).await
    }

    async fn final_refusal(&self) -> Result<(), Violation> {
        let (all, late) = (self.case.order(), self.case.order());
        self.case.granted("everything", self.reserve(all, &self.all()).await?)?;
        let first = self.reserve(late, &self.all()).await?;
        self.release(all).await?;
        let again = self.reserve(late, &self.all()).await?;
        self.case.same("the answer, now that there is stock", &again, &first)?;
        self.case.refused("an order for which nothing was left", first)?;
        self.release(late).await?;
        self.expect_free(self.fixture.pieces).await
    }

    async fn deadline(&self) -> Result<(), Violation> {
        let order = self.case.order();
        let lines = self.all();
        let items = lines.as_slice();
        let key = format!("{order}/reserve");
        let ask = |call| async move { self.stock.reserve(&call, order, items).await };
        self.case.ask_late(&key, ask).await?;
        self.case.granted("the same call with time", self.reserve(order, &lines).await?)?;
        let key = format!("{order}/release");
        let ask = |call| async move { self.stock.release(&call, order).await };
        self.case.ask_late(&key, ask).await?;
        self.release(order).await?;
        self.expect_free(self.fixture.pieces).await
    }
}
