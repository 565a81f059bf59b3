//! The table of error codes: the one place that says what each of them means.

use http::StatusCode;

/// Declares the codes, with their wire name, status, title and help.
macro_rules! codes {
    ($($name:ident = $text:literal, $status:ident, $title:literal, $help:literal;)*) => {
        /// What went wrong, in one word that does not change between versions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $help] $name,)*
        }

        impl Code {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it is written in a problem.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that it comes with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// What it means, in a few words that are the same each time.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)* }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", BAD_REQUEST, "The request is not valid",
        "`field` names the part of the body, the query parameter or the header at fault, and \
         `detail` says what is allowed. Nothing was stored; correct the request before sending it \
         again.";
    KeyMissing = "idempotency_key_missing", BAD_REQUEST, "An idempotency key is needed",
        "`POST /orders` needs an `Idempotency-Key` header: a new random value, such as a UUID, for \
         each order, and the same value for each retry of it.";
    KeyMalformed = "idempotency_key_malformed", BAD_REQUEST, "The idempotency key cannot be read",
        "The key is a quoted string (RFC 8941) or a bare value of 1 to 255 visible ASCII \
         characters.";
    KeyRepeated = "idempotency_key_repeated", BAD_REQUEST, "There is more than one idempotency key",
        "The header `Idempotency-Key` may occur once. Look for a proxy or a client library that \
         adds its own.";
    KeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "The idempotency key belongs to another request",
        "This tenant has used the key for a request with another content within the last 24 \
         hours. Use a new key for a new order, and send retries unchanged.";
    KeyInFlight = "idempotency_key_in_flight", CONFLICT,
        "The first request with this key is still at work",
        "Send the same request again after `Retry-After`; it will get the first one's answer.";
    Unauthorized = "unauthorized", UNAUTHORIZED, "A token is needed",
        "This listener wants `Authorization: Bearer <token>` with the token from its \
         configuration.";
    RouteNotFound = "route_not_found", NOT_FOUND, "There is no such path",
        "`/openapi.json` lists the paths that there are.";
    OrderNotFound = "order_not_found", NOT_FOUND, "There is no such order",
        "No order has this identifier, or it had not been placed yet at the moment asked for.";
    OfferNotFound = "offer_not_found", NOT_FOUND, "There is no such offer",
        "No offer or assignment has this identifier.";
    CourierNotFound = "courier_not_found", NOT_FOUND, "There is no such courier",
        "A courier is known from the first `PUT /couriers/{id}/shift` on.";
    NotFound = "not_found", NOT_FOUND, "There is no such thing",
        "`detail` says what was looked for.";
    SagaNotFound = "saga_not_found", NOT_FOUND, "There is no such saga",
        "`GET /sagas` on the admin listener lists those that there are.";
    DeadLetterNotFound = "dead_letter_not_found", NOT_FOUND, "There is no such dead letter",
        "It was replayed or discarded, or never was; `GET /dead-letters` on the admin listener \
         lists those that there are.";
    PolicyNotFound = "policy_not_found", NOT_FOUND, "There is no such policy",
        "`GET /policies` on the admin listener lists those that there are.";
    LeaseNotFound = "lease_not_found", NOT_FOUND, "Nobody holds that, nor waits for it",
        "A name is there as long as somebody holds it or waits for it; `GET /leases` on the admin \
         listener lists those that there are. A slash within a name is written as `%2F` in a path.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The path does not take this method",
        "The header `Allow` lists the methods that it takes.";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The request took too long to arrive",
        "The body must arrive within 10 s of its head. The connection is closed.";
    OrderState = "order_state", CONFLICT, "The order is not in a state for this",
        "`detail` says where the order stands. Look at it again before deciding what to do; the \
         same request will not succeed by itself.";
    SagaState = "saga_state", CONFLICT, "The saga is not in a state for this",
        "`detail` says where the saga stands. Only the step that it waits at can be retried, skipped \
         or resolved.";
    DeadLetterState = "dead_letter_state", CONFLICT, "This cannot be done to the dead letter now",
        "Letters of a key go in their order, and one replay or discard is done at a time. `detail` \
         names what must come first.";
    PolicyState = "policy_state", CONFLICT, "The policy is not in a state for this",
        "`detail` says why; a policy without a breaker has none to force.";
    LeaseState = "lease_state", CONFLICT, "The lease is not in a state for this",
        "`detail` says who holds it now. Only a holder's entry can be released; with `token`, only \
         the holder's that has it.";
    OfferClosed = "offer_closed", GONE, "The offer is not open any more",
        "It was declined, withdrawn, or replaced by another. Do not repeat the request; ask for \
         the courier's offers again.";
    OfferExpired = "offer_expired", GONE, "The offer has expired",
        "The answer came after `expires_at`. The order is being offered to somebody else.";
    WrongCourier = "wrong_courier", FORBIDDEN, "The offer was made to another courier",
        "Only the courier who was asked can answer an offer or report on an assignment.";
    VersionMismatch = "version_mismatch", PRECONDITION_FAILED, "The order has changed",
        "`If-Match` names another version than the order has. Get the order, decide again, and \
         send its new `ETag`.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large",
        "An order's body may have 64 KiB, any other 16 KiB.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON",
        "Send `Content-Type: application/json`, in UTF-8 and without a content encoding.";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "Too much work is under way",
        "The request was refused before anything was done. Send it again after `Retry-After`, \
         with the same key, and back off further each time.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available at the moment",
        "The service is starting, stopping, or cut off from what it needs. It is not known whether \
         the request took effect: send it again after `Retry-After`, with the same key.";
    DeadlineExceeded = "deadline_exceeded", GATEWAY_TIMEOUT, "Not done within the deadline",
        "The work may still be done: send the request again with the same key to find out. The \
         deadline is what `x-envoy-expected-rq-timeout-ms` says, or else 450 ms.";
    Unreadable = "unreadable", INTERNAL_SERVER_ERROR, "What is stored cannot be read",
        "The journal holds something that this version does not understand, most likely because \
         a newer version wrote it. The server's log names it.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "A defect in the server",
        "It is not known whether the request took effect: send it again with the same key. The \
         server's log says more; please report it.";
}

impl Code {
    /// The code with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// The page of all codes, as Markdown: `docs/errors.md`, and what `GET /errors` answers.
    #[must_use]
    pub fn page() -> String {
        use std::fmt::Write;

        let mut page = String::from(INTRODUCTION);
        for code in Self::ALL {
            let (name, status, title) = (code.as_str(), code.status().as_u16(), code.title());
            // Writing to a string cannot fail.
            let _ = writeln!(page, "| [`{name}`](#{name}) | {status} | {title} |");
        }
        for code in Self::ALL {
            let (name, status) = (code.as_str(), code.status());
            let (title, help) = (code.title(), code.help());
            let _ = write!(page, "\n## {name}\n\n**{title}** ({status}). {help}\n");
        }
        page
    }
}

const INTRODUCTION: &str = "\
# Errors

Every error is a problem document (RFC 9457, `application/problem+json`):

```json
{
  \"type\": \"/errors#invalid_request\",
  \"title\": \"The request is not valid\",
  \"status\": 400,
  \"code\": \"invalid_request\",
  \"detail\": \"must be between 1 and 10000\",
  \"field\": \"items[2].quantity\"
}
```

`code` is stable: programs decide by it. `title` is the same for each problem of a code; `detail`
is for people and may change. `field`, where present, is a path into the body, a query parameter,
or a header. `retry_after_s` repeats the `Retry-After` header. `type` is a link to this page, which
each server also gives out itself under `/errors`.

A request with an `Idempotency-Key` may always be sent again unchanged, whatever its answer was.

| code | status | meaning |
|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(*code));
        }
        assert_eq!(Code::from_name("no_such_code"), None);
    }

    #[test]
    fn each_code_has_a_line_and_a_section() {
        let page = Code::page();
        for code in Code::ALL {
            let name = code.as_str();
            assert!(page.contains(&format!("| [`{name}`](#{name}) | ")), "{name}");
            assert!(page.contains(&format!("\n## {name}\n")), "{name}");
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
