//! What gRPC's status codes say.

use crate::Class;

/// The class of a gRPC status code, by its number, so that no gRPC library is needed: with tonic,
/// `grpc::class(status.code() as i32)`.
///
/// | code | class | because |
/// |---|---|---|
/// | 0 OK | success | |
/// | 4 DEADLINE_EXCEEDED, 8 RESOURCE_EXHAUSTED, 14 UNAVAILABLE | transient | gRPC's timeout, 429 and 503, which the sources retry |
/// | 1 CANCELLED, 3 INVALID_ARGUMENT, 5 NOT_FOUND, 6 ALREADY_EXISTS, 9 FAILED_PRECONDITION, 10 ABORTED, 11 OUT_OF_RANGE | refusal | the server is well and has decided; after ABORTED the client should begin its whole sequence anew, not this call (`google/rpc/code.proto`) |
/// | 2 UNKNOWN, 7 PERMISSION_DENIED, 12 UNIMPLEMENTED, 13 INTERNAL, 15 DATA_LOSS, 16 UNAUTHENTICATED | permanent | 500, 403, 501, 401: ill, or will say the same again |
/// | any other number | permanent | counts as UNKNOWN (gRPC, `doc/statuscodes.md`) |
#[must_use]
pub const fn class(code: i32) -> Class {
    match code {
        0 => Class::Success,
        4 | 8 | 14 => Class::TRANSIENT,
        1 | 3 | 5 | 6 | 9 | 10 | 11 => Class::Refusal,
        _ => Class::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_class() {
        let classes: String = (-1..=17)
            .map(|code| match class(code) {
                Class::Success => 's',
                Class::Transient { .. } => 't',
                Class::Refusal => 'r',
                Class::Permanent => 'p',
            })
            .collect();
        //                    -1 0  1 2 3 4 5 6 7 8  9 10 11 12 13 14 15 16 17
        assert_eq!(classes, "psrprtrrptrrrpptppp");
    }
}
