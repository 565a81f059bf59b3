//! The suite of the payment port.

use futures::future::{join, join_all};
use steadfast_dispatch::names::OrderId;
use steadfast_dispatch::order::Money;
use steadfast_dispatch::provider::Payment;

use super::{Case, Final, RACE, Setup, Violation};
use crate::sandbox::code;

/// An amount that is accepted and one that is not.
#[derive(Clone, Debug)]
pub struct PaymentFixture {
    /// The service holds this.
    pub accepted: Money,
    /// The service declines this.
    pub declined: Money,
}

/// Checks every promise of a payment service.
///
/// # Errors
/// The first promise that is broken.
pub async fn payment(
    payment: &dyn Payment,
    setup: &Setup,
    fixture: &PaymentFixture,
) -> Result<(), Violation> {
    let suite = |name| Suite { payment, fixture, case: Case::new(name, setup) };
    suite("a repetition has no further effect").repetition().await?;
    suite("a void that comes first wins").void_first().await?;
    suite("a second void changes nothing").double_void().await?;
    suite("what was taken cannot be let go").void_after_capture().await?;
    suite("what was never held cannot be taken").capture_of_nothing().await?;
    suite("many calls with one key have one effect").race().await?;
    suite("of capture and void, one wins").race_of_capture_and_void().await?;
    suite("an authorization and its void leave nothing held").race_with_void().await?;
    suite("a refusal is final").final_refusal().await?;
    suite("no success after the deadline").deadline().await
}

struct Suite<'a> {
    payment: &'a dyn Payment,
    fixture: &'a PaymentFixture,
    case: Case<'a>,
}

impl Suite<'_> {
    async fn authorize(&self, order: OrderId) -> Result<Final<String>, Violation> {
        self.authorize_amount(order, &self.fixture.accepted).await
    }

    async fn authorize_amount(
        &self,
        order: OrderId,
        amount: &Money,
    ) -> Result<Final<String>, Violation> {
        let key = format!("{order}/authorize");
        let ask = |call| async move { self.payment.authorize(&call, order, amount).await };
        self.case.ask(&key, ask).await
    }

    async fn capture(&self, order: OrderId) -> Result<Final<String>, Violation> {
        let key = format!("{order}/capture");
        let ask = |call| async move { self.payment.capture(&call, order).await };
        self.case.ask(&key, ask).await
    }

    async fn void(&self, order: OrderId) -> Result<Final<()>, Violation> {
        let key = format!("{order}/void");
        let ask = |call| async move { self.payment.void(&call, order).await };
        self.case.ask(&key, ask).await
    }

    async fn authorized(&self) -> Result<OrderId, Violation> {
        let order = self.case.order();
        self.case.granted("an authorization", self.authorize(order).await?)?;
        Ok(order)
    }

    async fn repetition(&self) -> Result<(), Violation> {
        let order = self.case.order();
        let first = self.authorize(order).await?;
        let again = self.authorize(order).await?;
        self.case.same("the answer to the repeated authorization", &again, &first)?;
        self.case.granted("an authorization", first)?;
        let first = self.capture(order).await?;
        let again = self.capture(order).await?;
        self.case.same("the answer to the repeated capture", &again, &first)?;
        self.case.granted("a capture", first).map(drop)
    }

    async fn void_first(&self) -> Result<(), Violation> {
        let order = self.case.order();
        self.case.granted("a void", self.void(order).await?)?;
        self.case.refused("an authorization after its void", self.authorize(order).await?)?;
        self.case.refused("a capture of nothing", self.capture(order).await?)?;
        self.case.granted("a second void", self.void(order).await?)
    }

    async fn double_void(&self) -> Result<(), Violation> {
        let order = self.authorized().await?;
        self.case.granted("a void", self.void(order).await?)?;
        self.case.granted("a second void", self.void(order).await?)?;
        self.case.refused("a capture after the void", self.capture(order).await?)?;
        self.case.refused("an authorization after its void", self.authorize(order).await?)?;
        Ok(())
    }

    async fn void_after_capture(&self) -> Result<(), Violation> {
        let order = self.authorized().await?;
        let taken = self.capture(order).await?;
        let code = self.case.refused("a void after the capture", self.void(order).await?)?;
        self.case.same("the code", &code.as_str(), &code::ALREADY_CAPTURED)?;
        self.case.same("the capture afterwards", &self.capture(order).await?, &taken)?;
        self.case.granted("a capture", taken).map(drop)
    }

    async fn capture_of_nothing(&self) -> Result<(), Violation> {
        let order = self.case.order();
        self.case.refused("a capture of nothing", self.capture(order).await?)?;
        self.case.granted("a void of nothing", self.void(order).await?)
    }

    async fn race(&self) -> Result<(), Violation> {
        let order = self.case.order();
        for step in ["authorization", "capture"] {
            let answers = join_all((0..RACE).map(|_| async move {
                match step {
                    "capture" => self.capture(order).await,
                    _ => self.authorize(order).await,
                }
            }));
            let mut names = Vec::with_capacity(RACE);
            for answer in answers.await {
                names.push(self.case.granted(step, answer?)?);
            }
            names.dedup();
            self.case.same("the number of different answers", &names.len(), &1)?;
        }
        Ok(())
    }

    async fn race_of_capture_and_void(&self) -> Result<(), Violation> {
        for _ in 0..8 {
            let order = self.authorized().await?;
            let (captured, voided) = join(self.capture(order), self.void(order)).await;
            let (captured, voided) = (captured?.is_ok(), voided?.is_ok());
            self.case.same("captured, and voided", &(captured ^ voided), &true)?;
            self.case.same(
                "captured, asked again",
                &self.capture(order).await?.is_ok(),
                &captured,
            )?;
            self.case.same("voided, asked again", &self.void(order).await?.is_ok(), &voided)?;
        }
        Ok(())
    }

    async fn race_with_void(&self) -> Result<(), Violation> {
        for _ in 0..8 {
            let order = self.case.order();
            let (held, voided) = join(self.authorize(order), self.void(order)).await;
            // Either way round; but afterwards nothing is held.
            let _ = held?;
            self.case.granted("a void", voided?)?;
            self.case.refused("a capture after the void", self.capture(order).await?)?;
            self.case.refused("an authorization after its void", self.authorize(order).await?)?;
        }
        Ok(())
    }

    async fn final_refusal(&self) -> Result<(), Violation> {
        let (order, declined) = (self.case.order(), &self.fixture.declined);
        let first = self.authorize_amount(order, declined).await?;
        let again = self.authorize_amount(order, declined).await?;
        self.case.same("the answer to the repetition", &again, &first)?;
        self.case.refused("the amount that is declined", first)?;
        self.case.refused("a capture of a declined amount", self.capture(order).await?)?;
        self.case.granted("a void of a declined amount", self.void(order).await?)
    }

    async fn deadline(&self) -> Result<(), Violation> {
        let (order, amount) = (self.case.order(), &self.fixture.accepted);
        let ask = |call| async move { self.payment.authorize(&call, order, amount).await };
        self.case.ask_late(&format!("{order}/authorize"), ask).await?;
        self.case.granted("the same call with time", self.authorize(order).await?)?;
        let ask = |call| async move { self.payment.capture(&call, order).await };
        self.case.ask_late(&format!("{order}/capture"), ask).await?;
        self.case.granted("the same call with time", self.capture(order).await?)?;
        let ask = |call| async move { self.payment.void(&call, order).await };
        self.case.ask_late(&format!("{order}/void"), ask).await
    }
}
