//! Choices between a few words.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::Setting;

/// Declares an enumeration that is written as one of a few words, and says them all when it is
/// given another.
macro_rules! words {
    ($($(#[doc = $about:literal])* $name:ident ($list:literal) {
        $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)*
    })*) => {
        $(
            $(#[doc = $about])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
            pub enum $name {
                $($(#[doc = $doc])* #[serde(rename = $word)] $variant,)*
            }

            impl Setting for $name {
                const ALLOWED: &'static str = $list;
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Visitor;

                    impl de::Visitor<'_> for Visitor {
                        type Value = $name;

                        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                            f.write_str(&$list.replace('`', ""))
                        }

                        fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                            match text {
                                $($word => Ok($name::$variant),)*
                                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                            }
                        }
                    }

                    deserializer.deserialize_any(Visitor)
                }
            }
        )*
    };
}

words! {
    /// How a concurrency limit is found out.
    Adaptive ("`\"off\"`, `\"aimd\"`, `\"vegas\"` or `\"gradient\"`") {
        /// Not at all.
        Off = "off",
        /// Additive increase, multiplicative decrease.
        Aimd = "aimd",
        /// By the queue that the time a call takes betrays.
        Vegas = "vegas",
        /// By how the time that a call takes changes.
        Gradient = "gradient",
    }

    /// How far the clock may be off, and who says so.
    ClockSource ("`\"assumed\"`, `\"kernel\"` or `\"ntp\"`") {
        /// The operator.
        Assumed = "assumed",
        /// The machine's own time service, through the kernel.
        Kernel = "kernel",
        /// Several servers, which are asked.
        Ntp = "ntp",
    }

    /// What silences are compared with.
    Distribution ("`\"normal\"`, `\"logistic\"` or `\"exponential\"`") {
        /// The normal distribution, exactly.
        Normal = "normal",
        /// Its logistic approximation, as Akka has it.
        Logistic = "logistic",
        /// The exponential distribution, as Cassandra has it.
        Exponential = "exponential",
    }

    /// Where everything is stored.
    Store ("`\"sqlite\"`") {
        /// A SQLite file in the data directory.
        Sqlite = "sqlite",
    }
    /// What a request hears whose idempotency key is at work.
    Duplicates ("`\"attach\"` or `\"reject\"`") {
        /// The first request's answer, once there is one.
        Attach = "attach",
        /// 409, and to come again.
        Reject = "reject",
    }
    /// How orders are matched with couriers.
    Policy ("`\"nearest\"` or `\"batch\"`") {
        /// The nearest courier, at once.
        Nearest = "nearest",
        /// All orders and couriers planned together, with bundles.
        Batch = "batch",
    }
    /// How places are given.
    Locations ("`\"planar\"` or `\"geographic\"`") {
        /// Metres east and north of any origin.
        Planar = "planar",
        /// Degrees, WGS 84.
        Geographic = "geographic",
    }
    /// How the log is written.
    LogFormat ("`\"text\"` or `\"json\"`") {
        /// For people.
        Text = "text",
        /// One object per line.
        Json = "json",
    }
}
