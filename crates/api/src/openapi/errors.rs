//! Which errors each operation can answer with.

use std::collections::BTreeMap;

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, PartialSchema, ToSchema};

use crate::problem::Code;

/// What any operation can answer with.
const ANY: &[Code] = &[Code::InvalidRequest, Code::Unauthorized, Code::Overloaded, Code::Internal];

/// What an operation that looks at what is stored can answer with.
const READS: &[Code] = &[Code::Unavailable, Code::Unreadable];

/// What an operation that takes a body and changes something can answer with.
const CHANGES: &[Code] =
    &[Code::BodyTooLarge, Code::UnsupportedMediaType, Code::RequestTimeout, Code::DeadlineExceeded];

/// What a courier can hear about an offer or an assignment.
const OFFERS: &[Code] =
    &[Code::OfferNotFound, Code::OfferClosed, Code::WrongCourier, Code::OrderState];

/// The parts that an operation's errors are made of.
fn codes(operation: &str) -> Vec<&'static [Code]> {
    const KEYS: &[Code] = &[
        Code::KeyMissing,
        Code::KeyMalformed,
        Code::KeyRepeated,
        Code::KeyReused,
        Code::KeyInFlight,
    ];
    let own: &[&'static [Code]] = match operation {
        "place_order" => &[READS, CHANGES, KEYS],
        "list_orders" => &[READS, &[Code::DeadlineExceeded]],
        "get_order" | "list_order_events" | "track_order" => &[READS, &[Code::OrderNotFound]],
        "cancel_order" => {
            &[READS, CHANGES, &[Code::OrderNotFound, Code::OrderState, Code::VersionMismatch]]
        }
        "get_courier" | "list_offers" | "list_assignments" => &[&[Code::CourierNotFound]],
        "heartbeat" => &[CHANGES, &[Code::CourierNotFound]],
        "accept_offer" => &[READS, CHANGES, OFFERS, &[Code::OfferExpired]],
        "decline_offer" | "report_arrived" | "report_picked_up" | "report_delivered" => {
            &[READS, CHANGES, OFFERS]
        }
        "get_zone" => &[&[Code::NotFound]],
        "put_shift" | "put_zone" => &[READS, CHANGES],
        _ => &[],
    };
    let mut parts = vec![ANY];
    parts.extend(own);
    parts
}

/// Adds the errors to each operation, one answer per status, its codes in the description.
pub(super) struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut OpenApi) {
        for item in document.paths.paths.values_mut() {
            for operation in operations(item) {
                let name = operation.operation_id.clone().unwrap_or_default();
                add(operation, &codes(&name).concat());
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post].into_iter().flatten()
}

fn add(operation: &mut Operation, codes: &[Code]) {
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in codes {
        let line = format!("`{}`: {}.", code.as_str(), code.title());
        by_status.entry(code.status().as_u16()).or_default().push(line);
    }
    for (status, lines) in by_status {
        let body = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(body)).build();
        let response = ResponseBuilder::new()
            .description(lines.join(" "))
            .content("application/problem+json", content)
            .build();
        let answers = &mut operation.responses.responses;
        answers.insert(status.to_string(), RefOr::T(response));
    }
}

/// The problem document's shape, with all codes there are.
pub(super) struct Problem;

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| {
            ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::String))
                .description(Some(description))
        };
        let number = |description: &str| {
            ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::Integer))
                .description(Some(description))
        };
        let codes = Code::ALL.iter().map(|code| code.as_str());
        let code = text("What went wrong; stable.").enum_values(Some(codes));
        let mut object = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Object))
            .description(Some("An error (RFC 9457)."))
            .property("type", text("Where the code is explained."))
            .property("title", text("What the code means; the same each time."))
            .property("status", number("The HTTP status."))
            .property("code", code)
            .property("detail", text("What a person should know about this occurrence."))
            .property("field", text("The part of the request at fault."))
            .property("retry_after_s", number("When it is worth asking again, in seconds."));
        for required in ["type", "title", "status", "code", "detail"] {
            object = object.required(required);
        }
        object.into()
    }
}

impl ToSchema for Problem {
    fn name() -> std::borrow::Cow<'static, str> {
        "Problem".into()
    }
}
