//! Histories as files: what is read, what is written, and what is said about what is neither.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

use proptest::prelude::*;
use serde_json::{Value, json};
use steadfast_lab::history::{Event, Format, Kind, LineError, Options, Reader, edn, jsonl, read};
use steadfast_lab::limits::{EDN_DEPTH_MAX, LINE_BYTES_MAX};

fn open(text: &[u8]) -> Result<Reader<&[u8]>, LineError> {
    read(text, Options::default())
}

fn events(text: &str) -> Vec<Event> {
    open(text.as_bytes()).unwrap().map(Result::unwrap).collect()
}

/// The events before the first error, and the error as a user sees it.
fn error(text: &[u8]) -> (usize, String) {
    let mut good = 0;
    let reader = match open(text) {
        Ok(reader) => reader,
        Err(error) => return (0, error.to_string()),
    };
    for event in reader {
        match event {
            Ok(_) => good += 1,
            Err(error) => return (good, error.to_string()),
        }
    }
    panic!("no error, but {good} events");
}

fn event(process: u64, kind: Kind, f: &str, value: Value, time: u64) -> Event {
    Event { process, kind, f: Cow::Owned(f.to_owned()), key: None, value, time, error: None }
}

const LINE: &str = r#"{"process":0,"type":"invoke","f":"write","key":"x","value":1,"time":123}"#;

#[test]
fn a_line_is_an_event() {
    let [read] = &events(LINE)[..] else { panic!("one event") };
    let expected =
        Event { key: Some("x".into()), ..event(0, Kind::Invoke, "write", json!(1), 123) };
    assert_eq!(*read, expected);
}

#[test]
fn blank_lines_and_fields_of_others_are_passed_over_and_lines_are_counted_all_the_same() {
    let other = r#"{"node":"n1","process":1,"type":"ok","f":"x","time":4,"deep":{"a":[1]}}"#;
    let text = format!("\n  \n{LINE}\r\n\n{other}\n\n");
    let mut reader = open(text.as_bytes()).unwrap();
    assert_eq!(reader.format(), Format::JsonLines);
    reader.next().unwrap().unwrap();
    assert_eq!(reader.line(), 3);
    assert_eq!(reader.next().unwrap().unwrap(), event(1, Kind::Ok, "x", Value::Null, 4));
    assert_eq!(reader.line(), 5);
    assert!(reader.next().is_none());
}

#[test]
fn a_file_without_an_end_of_line_at_its_end_is_whole() {
    assert_eq!(events(&format!("{LINE}\n{LINE}")).len(), 2);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_history() {
    assert_eq!(events(&format!("\u{feff}{LINE}\n")).len(), 1);
    assert_eq!(events("\u{feff}{:process 0, :type :ok, :f :read}").len(), 1);
}

#[test]
fn a_file_cut_anywhere_says_so_or_ends_between_events() {
    let line = LINE.replace("\"x\"", "\"schlüssel\"");
    let whole = format!("{line}\n{line}\n{line}\n");
    let ends = (1..=3).flat_map(|lines| {
        let end = lines * (line.len() + 1);
        [end - 1, end]
    });
    let ends: Vec<usize> = std::iter::once(0).chain(ends).collect();
    for cut in 0..whole.len() {
        let text = &whole.as_bytes()[..cut];
        if ends.contains(&cut) {
            assert!(open(text).unwrap().all(|event| event.is_ok()), "{cut}");
            continue;
        }
        let (good, what) = error(text);
        let number = cut / (line.len() + 1) + 1;
        assert_eq!(good, number - 1, "{cut}: {what}");
        assert!(what.starts_with(&format!("line {number}: cut off: the file ends")), "{what}");
    }
}

#[test]
fn edn_cut_anywhere_says_so_or_ends_between_operations() {
    let op = "{:process 0, :type :invoke, :f :write, :value \"ü{\"}";
    let line = format!("{op}\n");
    let lines = line.repeat(3);
    for cut in 0..lines.len() {
        let text = &lines.as_bytes()[..cut];
        if cut % line.len() == 0 || cut % line.len() == op.len() {
            assert!(open(text).unwrap().all(|event| event.is_ok()), "{cut}");
            continue;
        }
        // After the first bracket alone it could be either.
        let (good, what) = error(text);
        assert_eq!(good, cut / line.len(), "{cut}: {what}");
        assert!(what.contains("cut off: the file ends"), "{cut}: {what}");
    }
    let vector = format!("[{lines}]");
    for cut in 1..vector.len() {
        let (_, what) = error(&vector.as_bytes()[..cut]);
        assert!(what.contains("cut off: "), "{cut}: {what}");
    }
    assert_eq!(events(&vector).len(), 3);
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_is_allowed() {
    let wrong: &[(&str, &str)] = &[
        (
            r#"{"process":0,"type":"invok","f":"read","time":1}"#,
            "line 1, column 27: unknown variant",
        ),
        (r#"{"process":0,"type":"invok","f":"read","time":1}"#, "`invoke`, `ok`, `fail`, `info`"),
        (
            r#"{"process":-1,"type":"ok","f":"read","time":1}"#,
            "`process` as a whole number, from 0",
        ),
        (r#"{"process":0,"type":"ok","f":"read"}"#, "missing field `time`"),
        (r#"{"process":0,"type":"ok","f":"read","time":"1"}"#, "expected u64; an event is {"),
        (r#"{"process":0,,"type":"ok"}"#, "line 1, column 14: key must be a string"),
        (r#"{"process":0} x"#, "line 1"),
        ("[1, 2]", "'1' begins no operation"),
        (r#"[{"process":0}]"#, "one JSON array; it must be one object a line"),
        (
            "process,type,f,value\n0,invoke,read,",
            "line 1: \"process,type,f,value\" begins no history",
        ),
        ("\n\n<html>", "line 3: \"<html>\" begins no history"),
    ];
    for (text, expected) in wrong {
        let (good, what) = error(text.as_bytes());
        assert_eq!(good, 0, "{text}");
        assert!(what.contains(expected), "{text}: {what}");
    }
}

#[test]
fn columns_are_counted_in_characters() {
    let text = r#"{"process":0,"type":"ok","f":"größe","time":x}"#;
    let (_, what) = error(text.as_bytes());
    assert!(what.starts_with("line 1, column 45: "), "{what}");
}

#[test]
fn an_end_in_the_middle_of_a_file_is_no_cut_of_the_file() {
    let (good, what) = error(format!("{LINE}\n{{\"process\":0,\n{LINE}\n").as_bytes());
    assert_eq!(good, 1);
    assert!(what.starts_with("line 2: ends in the middle of an event"), "{what}");
}

#[test]
fn what_is_no_text_is_named() {
    let compressed: &[(&[u8], &str)] = &[
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "compressed with gzip; pipe it through `gzip -dc`"),
        (b"\x28\xb5\x2f\xfd\x04\0\0\0", "compressed with zstd"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "a ZIP archive"),
        (b"JEPSEN\0\0\0\0\0\x01", "the history.edn beside it"),
        (b"\xff\xfe{\0\"\0", "UTF-16"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0", "no text"),
    ];
    for (bytes, expected) in compressed {
        let (_, what) = error(bytes);
        assert!(what.contains(expected), "{what}");
    }
    let mut bytes = format!("{LINE}\n").into_bytes();
    bytes.extend_from_slice(b"{\"process\":0,\"f\":\"\xe9t\xe9\"}\n");
    let (good, what) = error(&bytes);
    assert_eq!((good, &*what), (1, "line 2, column 19: byte 0xe9 is not UTF-8; a history is text"));
    let (_, what) = error(b"{:process 0, :type :ok,\n :f \"\xe9\"}\n");
    assert_eq!(what, "line 2, column 6: byte 0xe9 is not UTF-8; a history is text");
}

/// Gives the same byte for ever, and counts.
struct Endless(u8, u64);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(self.0);
        self.1 += buffer.len() as u64;
        Ok(buffer.len())
    }
}

#[test]
fn a_line_without_an_end_is_refused_without_reading_it_whole() {
    for begin in ["{\"process\":0,\"f\":\"", "{:process 0, :f \"", "#", " ", "["] {
        for byte in [b'a', b' '] {
            let mut endless = Endless(byte, 0);
            let input = begin.as_bytes().chain(BufReader::new(&mut endless));
            let what = match read(input, Options::default()) {
                Ok(reader) => reader.last().unwrap().unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            // A blank file, or what a blank file begins with, is refused by other words.
            let said = ["longer than 1 MiB", "nothing but blanks", "begins no"];
            assert!(said.iter().any(|said| what.contains(said)), "{begin:?} {byte}: {what}");
            assert!(endless.1 <= 2 * LINE_BYTES_MAX as u64, "{begin:?}: {} bytes", endless.1);
        }
    }
}

#[test]
fn the_longest_line_is_read_and_one_more_byte_is_too_long() {
    let event = |length: usize| {
        let frame = r#"{"process":0,"type":"ok","f":"read","time":1,"value":""}"#.len();
        let text = "v".repeat(length - frame);
        format!(r#"{{"process":0,"type":"ok","f":"read","time":1,"value":"{text}"}}"#)
    };
    assert_eq!(events(&format!("{}\n{LINE}\n", event(LINE_BYTES_MAX))).len(), 2);
    let (good, what) = error(format!("{LINE}\n{}\n", event(LINE_BYTES_MAX + 1)).as_bytes());
    assert_eq!(good, 1);
    assert!(what.starts_with("line 2: the line is longer than 1 MiB"), "{what}");
}

#[test]
fn jepsens_operations_are_events() {
    let text = r#"
        ; as `jepsen test` leaves it
        {:index 0, :time 3291485317, :type :invoke, :process 0, :f :read, :value nil}
        {:type :info, :f :start-partition, :process :nemesis, :time 3291485318, :value :majority}
        #jepsen.history.Op{:index 1, :time 3291485319, :type :ok, :process 0, :f :read, :value 3N}
        {:type :invoke, :f :cas, :value [3 4], :process 1, :time 3291485320, :index 3}
        #_{:type :ok, :f :cas, :value [3 4], :process 1, :time 3291485321}
        {:type :info, :f :cas, :value [3 4], :process 1, :time 3291485322, :error [:timeout "5s"]}
        #_ #_ {:a 1} {:b 2}
    "#;
    let mut reader = open(text.as_bytes()).unwrap();
    let read: Vec<Event> = reader.by_ref().map(Result::unwrap).collect();
    let timeout = Some(r#"["timeout","5s"]"#.into());
    assert_eq!(
        read,
        [
            event(0, Kind::Invoke, "read", Value::Null, 3_291_485_317),
            event(0, Kind::Ok, "read", json!(3), 3_291_485_319),
            event(1, Kind::Invoke, "cas", json!([3, 4]), 3_291_485_320),
            Event { error: timeout, ..event(1, Kind::Info, "cas", json!([3, 4]), 3_291_485_322) },
        ]
    );
    assert_eq!((reader.format(), reader.skipped(), reader.raised()), (Format::Edn, 1, 0));
}

#[test]
fn one_vector_or_list_is_a_history_and_order_stands_for_time() {
    let ops = "{:process 7 :type :invoke :f :write :value 2} ; and then\n,\
               {:process 7, :type :ok, :f :write, :value 2}";
    for (open, close) in [("[", "]"), ("(", ") ; the end"), ("", "")] {
        let read = events(&format!("{open}{ops}\n{close}\n"));
        let write = |kind, time| event(7, kind, "write", json!(2), time);
        assert_eq!(read, [write(Kind::Invoke, 0), write(Kind::Ok, 1_000_000)], "{open}");
    }
}

#[test]
fn every_kind_of_value_is_read() {
    let values: &[(&str, Value)] = &[
        ("nil", Value::Null),
        ("true", json!(true)),
        ("-7", json!(-7)),
        ("+7", json!(7)),
        ("12N", json!(12)),
        ("18446744073709551615N", json!(u64::MAX)),
        ("184467440737095516160N", json!("184467440737095516160")),
        ("1.5", json!(1.5)),
        ("1e3", json!(1000.0)),
        ("-2.5E-3", json!(-0.0025)),
        ("1.5M", json!(1.5)),
        ("3M", json!(3)),
        ("0.10000000000000000000001M", json!("0.10000000000000000000001")),
        ("22/7", json!("22/7")),
        (":majority", json!("majority")),
        (":a.b/c", json!("a.b/c")),
        ("sym", json!("sym")),
        ("\\a", json!("a")),
        ("\\{", json!("{")),
        ("\\newline", json!("\n")),
        (r#""a \"b\" \\ \n ;{[""#, json!("a \"b\" \\ \n ;{[")),
        ("[1 [2, 3] ()]", json!([1, [2, 3], []])),
        ("(1 2)", json!([1, 2])),
        ("#{3 1 2}", json!([1, 2, 3])),
        ("{0 10, :b {\"c\" nil}}", json!({"0": 10, "b": {"c": null}})),
        ("#inst \"1985-04-12T23:20:50.52Z\"", json!("1985-04-12T23:20:50.52Z")),
        ("#knossos.op.Op{:x 1}", json!({"x": 1})),
        ("[1 #_2 #_[3 4] 5]", json!([1, 5])),
        ("[1 ; two ]\n 3]", json!([1, 3])),
    ];
    for (written, expected) in values {
        let text = format!("{{:process 0, :type :ok, :f :read, :value {written}}}");
        let [read] = &events(&text)[..] else { panic!("one event: {text}") };
        assert_eq!(read.value, *expected, "{written}");
    }
}

#[test]
fn edn_that_is_wrong_is_said_with_its_place_and_what_is_allowed() {
    let wrong: &[(&str, &str)] = &[
        ("{:process 0, :type :done, :f :read}", "line 1: unknown :type :done; allowed are :invoke"),
        ("{:process 0, :f :read}", "line 1: an operation without :type"),
        ("{:type :ok, :f :read}", "line 1: an operation without :process; an operation is {"),
        ("{:process 0 :type :ok}", "line 1: an operation without :f"),
        ("{:process -1 :type :ok, :f :read}", ":process -1 is neither a whole number from 0"),
        ("{:process 0 :type :ok, :f :read, :time 1.5}", "line 1: :time 1.5 is none"),
        ("\n{:process 0\n  :type :ok]", "line 3, column 12: ']' closes nothing"),
        ("{:process 0 :type :ok :f :read :value 0x}", "line 1, column 39: no number"),
        ("{:process 0 :type :ok :f :read :f :write}", "the same key twice"),
        ("{:process 0 :type :ok :f}", "line 1, column 25: the last key of a map has no value"),
        ("#x{:process 0 :type :ok :f}", "column 27: the last key of a map has no value"),
        ("{:process 0 :type :ok :f :x} #_", "line 1: cut off"),
        ("{:process 0 :type :ok :f :x} #_#_{:a 1}", "line 1: nothing follows a #_ or a #tag"),
        ("[{:process 0 :type :ok :f :read} 5]", "line 1, column 34: '5' begins no operation"),
        ("[{:process 0 :type :ok :f :read}] {:a 1}", "column 35: something follows the end"),
        ("#{1 2}", "#{1 2} is no operation"),
        ("#tag }", "'}' closes nothing"),
        ("{:process 0 :type :ok :f :read :value {:a 1 \"a\" 2}}", "two keys of a map are \"a\""),
    ];
    for (text, expected) in wrong {
        let (good, what) = error(text.as_bytes());
        assert!(good <= 1, "{text}");
        assert!(what.contains(expected), "{text}: {what}");
    }
    let deep = format!("{{:process 0 :value {}", "[".repeat(EDN_DEPTH_MAX));
    assert!(error(deep.as_bytes()).1.contains("more than 256 deep"));
}

#[test]
fn times_that_run_backwards_in_edn_are_raised_and_counted() {
    let op = |kind, time| format!("{{:process 0, :type :{kind}, :f :read, :time {time}}}\n");
    let text = [op("invoke", 5), op("ok", 3), op("invoke", 7)].concat();
    let mut reader = open(text.as_bytes()).unwrap();
    let times: Vec<u64> = reader.by_ref().map(|event| event.unwrap().time).collect();
    assert_eq!((times, reader.raised()), (vec![5, 5, 7], 1));

    let (good, what) = error((op("invoke", 5) + "{:process 0, :type :ok, :f :read}").as_bytes());
    assert_eq!(good, 1);
    assert!(what.starts_with("line 2: some operations have a :time and some have none"), "{what}");
}

#[test]
fn tuples_are_taken_apart_when_asked_for() {
    let read_keyed = |text: &'static str| {
        read(text.as_bytes(), Options { independent: true, ..Options::default() }).unwrap()
    };
    let text = "{:process 0, :type :invoke, :f :cas, :value [3 [1 2]]}\
                {:process 0, :type :ok, :f :cas, :value [:x [1 2]]}\
                {:process 0, :type :invoke, :f :read, :value 5}";
    let mut reader = read_keyed(text);
    let keyed = |kind, key: &'static str, time| Event {
        key: Some(key.into()),
        ..event(0, kind, "cas", json!([1, 2]), time)
    };
    assert_eq!(reader.next().unwrap().unwrap(), keyed(Kind::Invoke, "3", 0));
    assert_eq!(reader.next().unwrap().unwrap(), keyed(Kind::Ok, "x", 1_000_000));
    let error = reader.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "line 1: 5 is no tuple of a key and a value");
    assert!(reader.next().is_none(), "nothing follows an error");

    let error = read_keyed(LINE).next().unwrap().unwrap_err().to_string();
    assert!(error.contains("has the key \"x\" already"), "{error}");
}

#[test]
fn some_keys_and_some_none_cannot_be_written_as_edn() {
    let keyed = events(LINE);
    let unkeyed = event(0, Kind::Ok, "write", json!(1), 124);
    let error = edn::write([&keyed[0], &unkeyed], Vec::new()).unwrap_err().to_string();
    assert!(error.contains("EDN cannot tell them apart"), "{error}");
}

#[test]
fn a_history_is_written_as_jepsen_writes_it() {
    let write =
        Event { key: Some("3".into()), ..event(1, Kind::Ok, "write", json!({"a b": 1}), 9) };
    let fail = Event {
        error: Some("too \"late\"".into()),
        ..event(1, Kind::Fail, "cas", json!([1, null]), 9)
    };
    let mut out = Vec::new();
    edn::write([&write], &mut out).unwrap();
    edn::write([&fail], &mut out).unwrap();
    let expected = r#"{:index 0, :time 9, :process 1, :type :ok, :f :write, :value [3 {"a b" 1}]}
{:index 0, :time 9, :process 1, :type :fail, :f :cas, :value [1 nil], :error "too \"late\""}
"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has none", |number| number.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop_oneof![any::<String>(), "[a-z][a-z0-9-]{0,4}", "-?[0-9]{1,3}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn history(key: bool) -> impl Strategy<Value = Vec<Event>> {
    let kind = prop::sample::select(vec![Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info]);
    let name = prop_oneof![Just("read".to_owned()), any::<String>()];
    let word = prop_oneof![any::<String>(), "[0-9]{1,4}", "[a-z]{1,4}"];
    let error = prop::option::of(any::<String>());
    let one = (any::<u64>(), kind, name, word, value(), 0..1_000_u64, error);
    prop::collection::vec(one, 0..12).prop_map(move |parts| {
        let mut time = 0;
        let event = |(process, kind, f, word, value, passed, error): (
            _,
            _,
            _,
            String,
            _,
            u64,
            Option<String>,
        )| {
            time += passed;
            let key = key.then_some(Cow::Owned(word));
            Event {
                process,
                kind,
                f: Cow::Owned(f),
                key,
                value,
                time,
                error: error.map(Cow::Owned),
            }
        };
        parts.into_iter().map(event).collect()
    })
}

/// Comes in small pieces, as from a pipe.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.len().min(self.1).min(buffer.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

fn all(input: impl BufRead, options: Options) -> Vec<Event> {
    read(input, options).unwrap().map(Result::unwrap).collect()
}

/// Tags and discards nest without a bracket, and the reader of forms follows each of them.
#[test]
fn tags_within_tags_are_refused_before_they_fill_the_stack() {
    let op =
        |value: String| format!("{{:process 0, :type :ok, :f :read, :value {value}}}").into_bytes();
    for deep in ["#a ", "#a,", "#a #_ x ", "#a[", "#a #{", "{:a #a "] {
        assert!(error(&op(deep.repeat(60_000))).1.contains("more than 256 deep"), "{deep}");
    }
    assert!(error(&op("#_ ".repeat(60_000))).1.contains("more than 256 deep"));
    // One after the other is as good as ever.
    let tagged = format!("[{}]", "#a 1 #b \"x\" #c \\y #d [2] #e #{3} #_z #_ z a#b ".repeat(2_000));
    let read = open(&op(tagged)).unwrap().next().unwrap().unwrap();
    assert_eq!(read.value.as_array().unwrap().len(), 12_000);
    // Each of these waits for a further one, and would be read again with each.
    let waiting = format!("#_ #_ {{}} {}", "#_ {} ".repeat(50_000));
    assert!(error(waiting.as_bytes()).1.contains("more than 256 forms wait"));
    let waiting = "#_ #_ {} ".repeat(50_000);
    assert!(error(waiting.as_bytes()).1.contains("more than 256 deep"));
    assert_eq!(events(&"#_ {} #_ #_ {} {} ; x\n".repeat(2_000)).len(), 0);
}

/// To Clojure a decimal number is the same with more zeros behind it.
#[test]
fn decimal_numbers_are_the_same_with_more_zeros() {
    let value = |text: &str| {
        let op = format!("{{:process 0, :type :ok, :f :read, :value {text}}}");
        events(&op)[0].value.clone()
    };
    for (one, other) in [("1.0M", "1.00M"), ("1.0M", "1M"), ("1.50M", "1.5M"), ("-0.0M", "0M")] {
        assert_eq!(value(one), value(other), "{one}");
    }
    let long = "0.1000000000000000000000001";
    assert_eq!(value(&format!("{long}00M")), json!(long));
    assert_eq!(value("10M"), json!(10));
}

/// A byte 0 at the beginning shows a file of another kind; later it is a character of a text.
#[test]
fn a_character_zero_in_a_text_is_written_and_read() {
    let written = vec![event(0, Kind::Invoke, "write", json!("a\u{0}b"), 1)];
    let mut text = Vec::new();
    edn::write(&written, &mut text).unwrap();
    assert_eq!(all(&text[..], Options::default()), written);
    assert!(error(b"{\0\"\0p\0").1.contains("byte 1 of the file is 0"));
}

proptest! {
    #[test]
    fn what_is_written_as_json_lines_is_read_again(
        events in prop_oneof![history(true), history(false)], piece in 1_usize..40
    ) {
        let mut text = Vec::new();
        jsonl::write(&events, &mut text).unwrap();
        prop_assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), events.len());
        let input = BufReader::with_capacity(piece, Pieces(&text, piece));
        prop_assert_eq!(all(input, Options::default()), events);
    }

    #[test]
    fn what_is_written_as_edn_is_read_again(
        (independent, events) in any::<bool>().prop_flat_map(|key| (Just(key), history(key))),
        piece in 1_usize..40,
    ) {
        let mut text = Vec::new();
        edn::write(&events, &mut text).unwrap();
        prop_assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), events.len());
        let input = BufReader::with_capacity(piece, Pieces(&text, piece));
        let format = Some(Format::Edn);
        prop_assert_eq!(all(input, Options { format, independent }), events);
    }

    /// A good history with some bytes replaced, left out or repeated: an end, and no panic; and
    /// what is wrong is on a line that the file has.
    #[test]
    fn a_history_with_wrong_bytes_is_read_to_an_end(
        events in history(false),
        edn in any::<bool>(),
        flaws in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut text = Vec::new();
        match edn {
            true => edn::write(&events, &mut text).unwrap(),
            false => jsonl::write(&events, &mut text).unwrap(),
        }
        for (at, byte, how) in flaws {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => drop(text.remove(at)),
                2 => text.insert(at, b"[]{}()\"\\#;\n"[usize::from(byte) % 11]),
                _ => text = [&text[..at], &text[at / 2..]].concat(),
            }
        }
        let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        for format in [None, Some(Format::Edn), Some(Format::JsonLines)] {
            let options = Options { format, independent: text.len().is_multiple_of(2) };
            let last = match read(&text[..], options) {
                Ok(reader) => reader.last(),
                Err(error) => Some(Err(error)),
            };
            if let Some(Err(error)) = last {
                prop_assert!(error.line <= lines, "{} of {}: {}", error.line, lines, error);
            }
        }
    }

    /// Whatever comes: an end, and no panic.
    #[test]
    fn nothing_that_is_read_makes_the_reader_panic(
        text in "[\\[\\](){}#_:;\"\\\\ \n,a-z0-9+./^N-]{0,80}", edn in any::<bool>()
    ) {
        let format = Some(if edn { Format::Edn } else { Format::JsonLines });
        for begin in ["", "{:process 0 :type :ok :f :read :value ", "[{"] {
            let text = format!("{begin}{text}");
            if let Ok(reader) = read(text.as_bytes(), Options { format, independent: false }) {
                let errors = reader.filter(Result::is_err).count();
                prop_assert!(errors <= 1);
            }
        }
    }
}
