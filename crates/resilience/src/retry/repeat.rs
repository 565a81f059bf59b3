//! By what right a request is repeated, and how.

/// Whether a call may be made twice: somebody has to say so, for every call.
///
/// No answer does not mean that nothing was done. The order may have been placed, and only the
/// "yes" got lost. So nothing is repeated unless doing it twice is the same as doing it once, or
/// the other side can tell the second from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable<'a> {
    /// Doing it twice may do harm, or it cannot be copied.
    No,
    /// Marked by whoever knows as the same whether done once or twice.
    Marked,
    /// It carries this idempotency key. An empty one is none.
    Key(&'a str),
}

impl Repeatable<'_> {
    /// Whether it may be repeated.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        match self {
            Self::No => false,
            Self::Marked => true,
            Self::Key(key) => !key.is_empty(),
        }
    }
}

/// How requests of one kind are repeated.
pub trait Repeat<Request> {
    /// By what right it may be repeated.
    fn repeatable<'a>(&self, request: &'a Request) -> Repeatable<'a>;

    /// The same request, idempotency key included, for another attempt. Called only where
    /// [`Repeat::repeatable`] allows it, before each attempt that may have to be repeated.
    fn again(&self, request: &Request) -> Request;
}

/// Requests that can be cloned, by a function that says whether they may be repeated.
///
/// ```
/// use steadfast_resilience::retry::{ByRule, Repeat, Repeatable};
///
/// #[derive(Clone)]
/// struct Reserve {
///     key: String,
/// }
/// let rule = ByRule::new(|request: &Reserve| Repeatable::Key(&request.key));
/// assert_eq!(rule.repeatable(&Reserve { key: "order-1".into() }), Repeatable::Key("order-1"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ByRule<F>(F);

impl<F> ByRule<F> {
    /// By this function.
    pub const fn new<Request>(rule: F) -> Self
    where
        F: for<'a> Fn(&'a Request) -> Repeatable<'a>,
    {
        Self(rule)
    }
}

impl<Request: Clone, F> Repeat<Request> for ByRule<F>
where
    F: for<'a> Fn(&'a Request) -> Repeatable<'a>,
{
    fn repeatable<'a>(&self, request: &'a Request) -> Repeatable<'a> {
        (self.0)(request)
    }

    fn again(&self, request: &Request) -> Request {
        request.clone()
    }
}

/// Every request of this kind may be repeated.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllMarked;

impl<Request: Clone> Repeat<Request> for AllMarked {
    fn repeatable<'a>(&self, _: &'a Request) -> Repeatable<'a> {
        Repeatable::Marked
    }

    fn again(&self, request: &Request) -> Request {
        request.clone()
    }
}

/// No request of this kind may be repeated, so that they need not even be `Clone`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoneMarked;

impl<Request> Repeat<Request> for NoneMarked {
    fn repeatable<'a>(&self, _: &'a Request) -> Repeatable<'a> {
        Repeatable::No
    }

    fn again(&self, _: &Request) -> Request {
        unreachable!("asked for a copy of what may not be repeated")
    }
}

/// HTTP requests by their method and their `Idempotency-Key`.
///
/// Repeatable are the idempotent methods (RFC 9110, section 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT
/// and DELETE), and any method with a header `Idempotency-Key` (IETF draft of that name). Others,
/// POST and PATCH above all, are not. For a service whose PUT is not idempotent, use [`ByRule`].
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, Default)]
pub struct ByMethod;

#[cfg(feature = "http")]
impl<B: Clone> Repeat<http::Request<B>> for ByMethod {
    fn repeatable<'a>(&self, request: &'a http::Request<B>) -> Repeatable<'a> {
        if request.method().is_idempotent() {
            return Repeatable::Marked;
        }
        let key = request.headers().get("idempotency-key").and_then(|value| value.to_str().ok());
        match key.map(str::trim) {
            None | Some("" | "\"\"") => Repeatable::No,
            Some(key) => Repeatable::Key(key),
        }
    }

    fn again(&self, request: &http::Request<B>) -> http::Request<B> {
        request.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_key_is_none() {
        assert!(!Repeatable::No.is_allowed());
        assert!(Repeatable::Marked.is_allowed());
        assert!(Repeatable::Key("k1").is_allowed());
        assert!(!Repeatable::Key("").is_allowed());
    }

    #[cfg(feature = "http")]
    #[test]
    fn http_requests_are_repeated_by_method_or_key() {
        let request = |method: &str, key: Option<&str>| {
            let mut builder = http::Request::builder().method(method);
            if let Some(key) = key {
                builder = builder.header("Idempotency-Key", key);
            }
            builder.body(()).unwrap()
        };
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            let request = request(method, None);
            assert_eq!(ByMethod.repeatable(&request), Repeatable::Marked, "{method}");
        }
        for method in ["POST", "PATCH", "CONNECT", "BREW"] {
            for key in [None, Some(""), Some(" "), Some("\"\"")] {
                let request = request(method, key);
                assert_eq!(ByMethod.repeatable(&request), Repeatable::No, "{method} {key:?}");
            }
            let request = request(method, Some("\"8e03978e\""));
            assert_eq!(ByMethod.repeatable(&request), Repeatable::Key("\"8e03978e\""));
            assert_eq!(ByMethod.again(&request).headers(), request.headers());
        }
    }
}
