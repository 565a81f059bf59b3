//! Where a service is and how to talk to it.

use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

use crate::limits::{CONNECTIONS_DEFAULT, CONNECTIONS_MAX};
use crate::secret::Secret;

/// Options of a [`Provider`](super::Provider).
#[derive(Clone, Debug)]
pub struct Options {
    /// The service's address: `http://host:port/path`, without query and without credentials.
    pub base: String,
    /// The bearer token, when it wants one.
    pub token: Option<Secret>,
    /// Most connections at once, and so most calls at once. From 1 to [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// How long connecting may take; a call's deadline may be shorter.
    pub connect_timeout: Duration,
}

impl Options {
    /// The defaults for a service.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            token: None,
            connections: CONNECTIONS_DEFAULT,
            connect_timeout: Duration::from_secs(1),
        }
    }
}

/// The options make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The address cannot be used. (It is not repeated here: it may hold a password.)
    #[error("the provider's address {problem}; write it like http://stock.internal:8080/v1")]
    Base {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The token has characters that a header cannot hold.
    #[error("the provider's token may have visible ASCII characters only")]
    Token,
    /// The number of connections is out of range.
    #[error("{0} connections to a provider; allowed are 1 to {CONNECTIONS_MAX}")]
    Connections(usize),
}

/// Options after their check.
pub(super) struct Checked {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    /// The path, without a slash at its end.
    pub(super) path: String,
    pub(super) authorization: Option<HeaderValue>,
}

impl Options {
    pub(super) fn check(&self, schemes: &[Scheme]) -> Result<Checked, OptionsError> {
        let base = |problem| OptionsError::Base { problem };
        let uri: Uri = self.base.parse().map_err(|_| base("is not a URL"))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or(base("has no scheme"))?;
        if !schemes.contains(&scheme) {
            return Err(base("has a scheme that the connector does not speak"));
        }
        let authority = parts.authority.ok_or(base("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(base("has credentials in it; use the token instead"));
        }
        let path = match &parts.path_and_query {
            Some(path) if path.query().is_some() => return Err(base("has a query")),
            Some(path) => path.path().trim_end_matches('/').to_owned(),
            None => String::new(),
        };
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return Err(OptionsError::Connections(self.connections));
        }
        let authorization = match &self.token {
            None => None,
            Some(token) => {
                let mut value =
                    HeaderValue::try_from(token.bearer()).map_err(|_| OptionsError::Token)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Checked { scheme, authority, path, authorization })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(base: &str) -> String {
        match Options::new(base).check(&[Scheme::HTTP]) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{base} was accepted"),
        }
    }

    #[test]
    fn an_address_is_checked_and_never_repeated() {
        for base in
            ["", "/v1", "stock", "https://h/", "ftp://h/", "http://h/?a=b", "http://user:pass@h/"]
        {
            let problem = problem(base);
            assert!(problem.contains("http://stock.internal"), "{problem}");
            assert!(!problem.contains("pass"), "{problem}");
        }
        let checked = Options::new("http://h:1/v1/").check(&[Scheme::HTTP]).ok().unwrap();
        assert_eq!((checked.authority.as_str(), checked.path.as_str()), ("h:1", "/v1"));
    }

    #[test]
    fn a_token_is_not_shown() {
        let mut options = Options::new("http://h");
        options.token = Some(Secret::new("hunter2"));
        assert!(!format!("{options:?}").contains("hunter2"));
        let header = options.check(&[Scheme::HTTP]).ok().unwrap().authorization.unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer hunter2");
        assert!(!format!("{header:?}").contains("hunter2"));
        options.token = Some(Secret::new("line\nbreak"));
        assert_eq!(options.check(&[Scheme::HTTP]).err(), Some(OptionsError::Token));
    }

    #[test]
    fn connections_have_bounds() {
        for connections in [0, CONNECTIONS_MAX + 1] {
            let options = Options { connections, ..Options::new("http://h") };
            let error = options.check(&[Scheme::HTTP]).err();
            assert_eq!(error, Some(OptionsError::Connections(connections)));
        }
    }
}
