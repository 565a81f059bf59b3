//! Query parameters. One that nobody knows is an error: a misspelt filter that is ignored shows
//! everything.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use http::Uri;

use crate::limits::PARAMETER_BYTES_MAX;
use crate::problem::Problem;

/// The parameters of a request, each given at most once.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads the query of a URI, in which only the `allowed` parameters may occur.
    ///
    /// # Errors
    /// Names the parameter that is unknown, repeated or too long.
    pub(crate) fn of(uri: &'a Uri, allowed: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()) {
            if !allowed.contains(&name.as_ref()) {
                let detail = match allowed {
                    [] => "this path takes no query parameters".to_owned(),
                    _ => format!("unknown query parameter; allowed are: {}", allowed.join(", ")),
                };
                return Err(Problem::invalid(name.into_owned(), detail));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Problem::invalid(name.into_owned(), "may be given once"));
            }
            if value.len() > PARAMETER_BYTES_MAX {
                let detail = format!("may have at most {PARAMETER_BYTES_MAX} bytes");
                return Err(Problem::invalid(name.into_owned(), detail));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// A parameter as it is, decoded. An empty one counts as left out.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(other, _)| other == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// A parameter of a type.
    ///
    /// # Errors
    /// Names the parameter and the rule that it breaks.
    pub(crate) fn parse<T>(&self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: Display>,
    {
        let parse = |text: &str| text.parse().map_err(|rule: T::Err| rule.to_string());
        self.text(name).map(parse).transpose().map_err(|rule| Problem::invalid(name, rule))
    }

    /// A whole number.
    ///
    /// # Errors
    /// Names the parameter.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        let parse = |text: &str| text.parse().ok();
        match self.text(name).map(parse) {
            None => Ok(None),
            Some(Some(number)) => Ok(Some(number)),
            Some(None) => Err(Problem::invalid(name, "must be a whole number")),
        }
    }

    /// The size of a page: between 1 and `max`.
    ///
    /// # Errors
    /// Says which sizes are allowed.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, Problem> {
        let problem = || Problem::invalid("limit", format!("must be between 1 and {max}"));
        let Some(text) = self.text("limit") else {
            return Ok(default);
        };
        let limit: usize = text.parse().map_err(|_| problem())?;
        if (1..=max).contains(&limit) { Ok(limit) } else { Err(problem()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query<'a>(uri: &'a Uri, allowed: &[&str]) -> Result<Query<'a>, String> {
        Query::of(uri, allowed).map_err(|p| format!("{}: {}", p.field().unwrap(), p.detail()))
    }

    fn uri(query: &str) -> Uri {
        format!("/orders?{query}").parse().unwrap()
    }

    #[test]
    fn parameters_are_decoded() {
        let uri = uri("zone=gang%20nam&cursor=&limit=3");
        let query = query(&uri, &["zone", "cursor", "limit"]).unwrap();
        assert_eq!(query.text("zone"), Some("gang nam"));
        assert_eq!(query.text("cursor"), None);
        assert_eq!(query.number("limit"), Ok(Some(3)));
    }

    #[test]
    fn unknown_and_repeated_parameters_are_named() {
        let error = query(&uri("statuss=placed"), &["status", "zone"]).unwrap_err();
        assert_eq!(error, "statuss: unknown query parameter; allowed are: status, zone");
        let error = query(&uri("zone=a&zone=b"), &["zone"]).unwrap_err();
        assert_eq!(error, "zone: may be given once");
        let error = query(&uri("x=1"), &[]).unwrap_err();
        assert_eq!(error, "x: this path takes no query parameters");
        assert!(query(&uri(&format!("zone={}", "z".repeat(2_000))), &["zone"]).is_err());
    }

    #[test]
    fn a_page_has_a_size_within_bounds() {
        for (text, expected) in [("1", Some(1)), ("200", Some(200)), ("", Some(50))] {
            let uri = uri(&format!("limit={text}"));
            assert_eq!(query(&uri, &["limit"]).unwrap().limit(50, 200).ok(), expected);
        }
        for text in ["0", "201", "-1", "1e3", "18446744073709551616", "many"] {
            let uri = uri(&format!("limit={text}"));
            let problem = query(&uri, &["limit"]).unwrap().limit(50, 200).unwrap_err();
            assert_eq!(problem.detail(), "must be between 1 and 200");
        }
    }
}
