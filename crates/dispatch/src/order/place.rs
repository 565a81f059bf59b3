//! The request to place an order, and what makes it acceptable.

use serde::{Deserialize, Serialize};
use steadfast_time::Timestamp;

use crate::geo::{Location, LocationKind};
use crate::limits::{
    AMOUNT_MINOR_MAX, ITEMS_MAX, NAME_BYTES_MAX, NOTE_BYTES_MAX, QUANTITY_MAX, READY_AHEAD_MAX,
};
use crate::names::MerchantId;

/// What a customer wants: these things, from there, to here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    /// Where the order is prepared.
    pub merchant: MerchantId,
    /// Where it is picked up.
    pub pickup: Location,
    /// Where it is delivered.
    pub dropoff: Location,
    /// What it consists of, at least one line.
    pub items: Vec<Item>,
    /// What it costs.
    pub amount: Money,
    /// When it will be ready for pick-up; at once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// Who ordered, in the caller's own terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Anything the courier should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The article.
    pub sku: String,
    /// How many pieces, at least one.
    pub quantity: u32,
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// ISO 4217 code: three capital letters.
    pub currency: String,
    /// In the currency's minor unit (won, cents); more than zero.
    pub minor: i64,
}

/// What is wrong with a request: which field, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Problem {
    /// The field, as a path: `items[2].quantity`.
    pub field: String,
    /// What is allowed.
    pub problem: String,
}

impl Problem {
    /// A problem with a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

impl PlaceOrder {
    /// Checks everything that the types do not.
    ///
    /// # Errors
    /// The first problem, naming the field.
    pub fn check(&self, kind: LocationKind, now: Timestamp) -> Result<(), Problem> {
        check_location("pickup", &self.pickup, kind)?;
        check_location("dropoff", &self.dropoff, kind)?;
        self.check_items()?;
        let Money { currency, minor } = &self.amount;
        if currency.len() != 3 || !currency.bytes().all(|c| c.is_ascii_uppercase()) {
            let allowed = "must be an ISO 4217 code such as \"KRW\"";
            return Err(Problem::new("amount.currency", allowed));
        }
        if !(1..=AMOUNT_MINOR_MAX).contains(minor) {
            let allowed = format!("must be between 1 and {AMOUNT_MINOR_MAX}");
            return Err(Problem::new("amount.minor", allowed));
        }
        if self.ready_at.is_some_and(|ready| ready > now + READY_AHEAD_MAX) {
            return Err(Problem::new("ready_at", "must be within the next 7 days"));
        }
        check_text("customer", self.customer.as_deref(), NAME_BYTES_MAX)?;
        check_text("note", self.note.as_deref(), NOTE_BYTES_MAX)
    }

    fn check_items(&self) -> Result<(), Problem> {
        if !(1..=ITEMS_MAX).contains(&self.items.len()) {
            let allowed = format!("must have between 1 and {ITEMS_MAX} lines");
            return Err(Problem::new("items", allowed));
        }
        for (index, Item { sku, quantity }) in self.items.iter().enumerate() {
            let field = format!("items[{index}].sku");
            if sku.is_empty() {
                return Err(Problem::new(field, "must not be empty"));
            }
            check_text(&field, Some(sku), NAME_BYTES_MAX)?;
            if !(1..=QUANTITY_MAX).contains(quantity) {
                let allowed = format!("must be between 1 and {QUANTITY_MAX}");
                return Err(Problem::new(format!("items[{index}].quantity"), allowed));
            }
        }
        Ok(())
    }
}

/// Checks a place against the map and the deployment's kind.
pub(crate) fn check_location(
    field: &str,
    location: &Location,
    kind: LocationKind,
) -> Result<(), Problem> {
    if location.kind() != kind {
        let allowed = match kind {
            LocationKind::Planar => "this deployment uses planar locations: {\"x\", \"y\"}",
            LocationKind::Geographic => "this deployment uses {\"lat\", \"lon\"}",
        };
        return Err(Problem::new(field, allowed));
    }
    match location.problem() {
        Some(problem) => Err(Problem::new(field, problem)),
        None => Ok(()),
    }
}

fn check_text(field: &str, text: Option<&str>, limit: usize) -> Result<(), Problem> {
    match text {
        Some(text) if text.len() > limit => {
            Err(Problem::new(field, format!("must have at most {limit} bytes")))
        }
        Some(text) if text.contains('\0') => {
            Err(Problem::new(field, "must not contain the NUL character"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The minimal body of the HTTP documentation.
    pub(crate) fn bento() -> PlaceOrder {
        serde_json::from_str(
            r#"{"merchant":"r1","pickup":{"x":22135,"y":16867},"dropoff":{"x":22226,"y":13960},
                "items":[{"sku":"bento","quantity":2}],"amount":{"currency":"KRW","minor":18000}}"#,
        )
        .unwrap()
    }

    fn problem(change: impl FnOnce(&mut PlaceOrder)) -> String {
        let mut order = bento();
        change(&mut order);
        order.check(LocationKind::Planar, Timestamp::EPOCH).unwrap_err().field
    }

    #[test]
    fn the_minimal_body_is_accepted() {
        assert_eq!(bento().check(LocationKind::Planar, Timestamp::EPOCH), Ok(()));
    }

    #[test]
    fn each_rule_names_its_field() {
        assert_eq!(problem(|o| o.items.clear()), "items");
        assert_eq!(problem(|o| o.items[0].quantity = 0), "items[0].quantity");
        assert_eq!(problem(|o| o.items[0].quantity = u32::MAX), "items[0].quantity");
        assert_eq!(problem(|o| o.items[0].sku.clear()), "items[0].sku");
        assert_eq!(problem(|o| o.amount.minor = -1), "amount.minor");
        assert_eq!(problem(|o| o.amount.minor = i64::MAX), "amount.minor");
        assert_eq!(problem(|o| o.amount.currency = "won".into()), "amount.currency");
        assert_eq!(problem(|o| o.pickup = Location::planar(f64::NAN, 0.0)), "pickup");
        assert_eq!(problem(|o| o.note = Some("x".repeat(2_000))), "note");
        let globe = serde_json::from_str(r#"{"lat":1,"lon":2}"#).unwrap();
        assert_eq!(problem(|o| o.dropoff = globe), "dropoff");
        let late = Some(Timestamp::EPOCH + READY_AHEAD_MAX * 2);
        assert_eq!(problem(|o| o.ready_at = late), "ready_at");
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text = serde_json::to_string(&bento()).unwrap().replacen('{', r#"{"tip":1,"#, 1);
        assert!(serde_json::from_str::<PlaceOrder>(&text).unwrap_err().to_string().contains("tip"));
    }
}
