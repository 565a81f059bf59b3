//! What an answer that is no answer means.
//!
//! etcd says what went wrong in words ("etcdserver: no leader") under a handful of gRPC codes, and
//! the transport invents statuses of its own. Both are sorted here into what has to be done.

use std::error::Error;

use tonic::{Code, Status};

/// What has to be done about a failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The lease is gone: tell the caller.
    LeaseGone,
    /// The token of this connection is no longer good: authenticate and ask once more. Nothing has
    /// been done.
    Token,
    /// The request came without a token, and the cluster wants one: as [`Failure::Token`].
    Anonymous,
    /// Asking again is useless.
    Refused(String),
    /// The member cannot serve at present; another one perhaps can.
    Member(String),
    /// The connection is broken.
    Connection(String),
    /// The member is there and cannot do it now.
    Now(String),
    /// No answer came in time.
    Silence,
}

impl Failure {
    /// Sorts a status.
    pub(super) fn of(status: &Status) -> Self {
        let said = status.message();
        let has = |words: &str| said.contains(words);
        let text = || said.to_owned();
        if has("requested lease not found") {
            return Self::LeaseGone;
        }
        if has("invalid auth token") || has("revision of auth store is old") {
            return Self::Token;
        }
        if has("user name is empty") {
            return Self::Anonymous;
        }
        if has("authentication failed") {
            return Self::Refused("the user or the password is wrong".to_owned());
        }
        match status.code() {
            Code::PermissionDenied => Self::Refused(
                "the user may not read and write keys with the configured prefix; see `etcdctl \
                 role grant-permission ROLE --prefix=true readwrite PREFIX`"
                    .to_owned(),
            ),
            Code::Unauthenticated => Self::Token,
            Code::Unimplemented => Self::Refused(format!("it does not speak etcd's API: {said}")),
            Code::ResourceExhausted => Self::Now(text()),
            _ if has("no leader") || has("request timed out") || has("for learner") => {
                Self::Member(text())
            }
            // The server is going down, and says so before it closes.
            _ if has("server stopped") || has("shutting down") => Self::Member(text()),
            _ if said.starts_with("etcdserver:") || said.starts_with("mvcc:") => Self::Now(text()),
            _ if status.source().is_none() => Self::Connection(text()),
            _ => Self::Connection(innermost(status)),
        }
    }

    /// Sorts the words with which a watch was refused; they come without a code.
    pub(super) fn of_words(said: &str) -> Self {
        let denied = said.contains("permission denied");
        let code = if denied { Code::PermissionDenied } else { Code::Unavailable };
        Self::of(&Status::new(code, said))
    }

    /// What to say to whoever looks into it.
    pub(super) fn text(self) -> String {
        match self {
            Self::LeaseGone => "the lease is gone".to_owned(),
            Self::Token => "it takes no token of the configured user".to_owned(),
            Self::Anonymous => "it wants a user and password, and none are configured".to_owned(),
            Self::Silence => "no answer in time".to_owned(),
            Self::Refused(text) | Self::Member(text) | Self::Connection(text) | Self::Now(text) => {
                text
            }
        }
    }
}

/// The innermost cause says what happened; the outer ones say "transport error".
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_what_must_be_done() {
        let of = |code, text: &str| Failure::of(&Status::new(code, text));
        assert_eq!(of(Code::NotFound, "etcdserver: requested lease not found"), Failure::LeaseGone);
        assert_eq!(of(Code::Unauthenticated, "etcdserver: invalid auth token"), Failure::Token);
        let anonymous = of(Code::InvalidArgument, "etcdserver: user name is empty");
        assert_eq!(anonymous, Failure::Anonymous);
        let old = "etcdserver: revision of auth store is old";
        assert_eq!(of(Code::InvalidArgument, old), Failure::Token);
        for (code, text) in [
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
            ),
            (Code::PermissionDenied, "etcdserver: permission denied"),
            (Code::Unimplemented, "unknown service etcdserverpb.Maintenance"),
        ] {
            assert!(matches!(of(code, text), Failure::Refused(_)), "{text}");
        }
        for text in ["etcdserver: no leader", "etcdserver: request timed out"] {
            assert!(matches!(of(Code::Unavailable, text), Failure::Member(_)), "{text}");
        }
        let space = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert!(matches!(space, Failure::Now(_)));
        let changed = of(Code::Unavailable, "etcdserver: leader changed");
        assert!(matches!(changed, Failure::Now(_)));
        assert_eq!(
            of(Code::Unknown, "h2 protocol error"),
            Failure::Connection("h2 protocol error".to_owned())
        );
        let learner = of(Code::Unavailable, "etcdserver: rpc not supported for learner");
        assert!(matches!(learner, Failure::Member(_)));
        let denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        assert!(matches!(Failure::of_words(denied), Failure::Refused(_)));
        assert!(matches!(Failure::of_words("etcdserver: no leader"), Failure::Member(_)));
    }
}
