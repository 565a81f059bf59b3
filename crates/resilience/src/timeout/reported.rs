//! How long the other side says it worked.

use std::time::Duration;

/// Finds in an answer how long it was worked on. Implemented by closures.
pub trait Processing<T> {
    /// How long, if the answer says so.
    fn processing(&self, answer: &T) -> Option<Duration>;
}

impl<T, F: Fn(&T) -> Option<Duration>> Processing<T> for F {
    fn processing(&self, answer: &T) -> Option<Duration> {
        self(answer)
    }
}

/// Answers that do not say how long they were worked on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unreported;

impl<T> Processing<T> for Unreported {
    fn processing(&self, _: &T) -> Option<Duration> {
        None
    }
}

#[cfg(feature = "http")]
pub use server_timing::ServerTiming;

#[cfg(feature = "http")]
mod server_timing {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, Response};

    use super::Processing;

    static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
    static ENVOY: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

    /// Reads the work from one metric of the `Server-Timing` header (W3C, *Server Timing*; the
    /// duration is in milliseconds), otherwise from Envoy's `x-envoy-upstream-service-time`.
    ///
    /// What does not parse, is negative, or is no number counts as not reported.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ServerTiming {
        /// The metric that stands for all of the work.
        pub metric: &'static str,
    }

    /// The metric `total`.
    impl Default for ServerTiming {
        fn default() -> Self {
            Self { metric: "total" }
        }
    }

    impl ServerTiming {
        /// How long the work took, if these headers say so.
        #[must_use]
        pub fn read(&self, headers: &HeaderMap) -> Option<Duration> {
            let mut lines = headers.get_all(&SERVER_TIMING).iter();
            let named = lines.find_map(|line| self.in_line(line.to_str().ok()?));
            named.or_else(|| milliseconds(headers.get(&ENVOY)?.to_str().ok()?))
        }

        /// `cache;desc="a, b";dur=1.5, total;dur=53`
        fn in_line(&self, line: &str) -> Option<Duration> {
            unquoted(line, ',').find_map(|metric| {
                let mut fields = unquoted(metric, ';');
                if fields.next()?.trim() != self.metric {
                    return None;
                }
                // Of a parameter that is there twice the first counts.
                let pairs = fields.filter_map(|field| field.split_once('='));
                let mut durations =
                    pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("dur"));
                milliseconds(durations.next()?.1)
            })
        }
    }

    impl<B> Processing<Response<B>> for ServerTiming {
        fn processing(&self, answer: &Response<B>) -> Option<Duration> {
            self.read(answer.headers())
        }
    }

    fn milliseconds(text: &str) -> Option<Duration> {
        let ms: f64 = text.trim().trim_matches('"').parse().ok()?;
        Duration::try_from_secs_f64(ms / 1e3).ok()
    }

    /// Splits, but not within quotes.
    fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
        let (mut quoted, mut escaped) = (false, false);
        text.split(move |c: char| {
            let ends = c == separator && !quoted;
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            ends
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn read(lines: &[(&'static str, &'static str)]) -> Option<f64> {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            ServerTiming::default().read(&headers).map(|work| work.as_secs_f64() * 1e3)
        }

        #[test]
        fn the_named_metric_is_found() {
            for (line, ms) in [
                ("total;dur=53", 53.0),
                ("db;dur=4.2, total;dur=53.5", 53.5),
                ("total; dur = 7 ;desc=\"all of it\"", 7.0),
                ("cache;desc=\"total;dur=9, or so\";dur=1, total;dur=53", 53.0),
                ("cache;desc=\"a \\\" b, total;dur=8\", total;dur=53", 53.0),
                ("total;DUR=\"12.5\"", 12.5),
                ("total;dur=1;dur=2", 1.0),
                ("miss,total;dur=0", 0.0),
            ] {
                assert_eq!(read(&[("server-timing", line)]), Some(ms), "{line}");
            }
        }

        #[test]
        fn what_makes_no_sense_is_not_reported() {
            for line in [
                "",
                "total",
                "total;dur",
                "total;dur=",
                "total;dur=-1",
                "total;dur=NaN",
                "total;dur=inf",
                "total;dur=1e300",
                "total;dur=soon",
                "subtotal;dur=5",
                "x;desc=\"total;dur=5",
            ] {
                assert_eq!(read(&[("server-timing", line)]), None, "{line:?}");
            }
            assert_eq!(read(&[]), None);
        }

        #[test]
        fn several_lines_and_envoys_header_are_read() {
            let lines = [("server-timing", "db;dur=1"), ("server-timing", "total;dur=2")];
            assert_eq!(read(&lines), Some(2.0));
            assert_eq!(read(&[("x-envoy-upstream-service-time", "12")]), Some(12.0));
            let both = [("x-envoy-upstream-service-time", "12"), ("server-timing", "total;dur=2")];
            assert_eq!(read(&both), Some(2.0));
        }
    }
}
