//! Reports: whole pages, nothing of the text taken for markup, the same figures everywhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_lab::check::{Model, Piece};
use steadfast_lab::fault::{Clock, Fault, Http, Link, Planned};
use steadfast_lab::history::{Event, Kind};
use steadfast_lab::observed::{Chart, Series, Span, Table};
use steadfast_lab::report::{self, gallery, html, markdown, terminal};
use steadfast_lab::run::{BoundReport, Campaign, CheckReport, Mode, Report, Score, VariantReport};
use steadfast_lab::scenario::Place;
use steadfast_lab::{Observed, Quantity, Unit, Verdict};

/// What must never come out as markup.
const EVIL: &str = "<script>alert(\"1\")</script> & 'x' ]]> \u{202e}";

fn seconds(length: f64) -> Duration {
    Duration::from_secs_f64(length)
}

fn planned(at: f64, length: Option<f64>, fault: Fault) -> Planned {
    Planned { at: seconds(at), length: length.map(seconds), fault, place: Place::default() }
}

fn schedule() -> Vec<Planned> {
    let http =
        Http { share: 0.2, status: 503, latency: Duration::from_millis(300), ..Http::default() };
    let link = Link { delay: Duration::from_millis(20), loss: 0.05, ..Link::default() };
    let clock = Clock { jump_micros: -5_000_000, drift_ppm: 200, error: None };
    vec![
        planned(60.0, Some(240.0), Fault::Http { node: "dependency".into(), http }),
        planned(
            200.0,
            Some(60.0),
            Fault::Link { from: "api".into(), to: "dependency".into(), both_ways: true, link },
        ),
        planned(400.0, Some(20.0), Fault::Pause { node: "worker-1".into() }),
        planned(450.0, Some(20.0), Fault::Pause { node: "worker-2".into() }),
        planned(500.0, None, Fault::Clock { node: EVIL.into(), clock }),
    ]
}

fn event(process: u64, kind: Kind, f: &'static str, value: Value, millis: u64) -> Event {
    let time = millis * 1_000_000;
    Event { process, kind, f: f.into(), key: Some("courier-7".into()), value, time, error: None }
}

fn piece() -> Piece {
    let events = vec![
        event(1, Kind::Invoke, "write", json!(4), 12_001),
        event(1, Kind::Ok, "write", json!(4), 12_004),
        event(2, Kind::Invoke, "cas", json!([4, 7]), 12_100),
        event(3, Kind::Invoke, "write", json!(EVIL), 12_101),
        event(2, Kind::Ok, "cas", json!([4, 7]), 12_105),
        event(4, Kind::Invoke, "cas", json!([4, 9]), 31_000),
        event(4, Kind::Fail, "cas", json!([4, 9]), 31_002),
        event(1, Kind::Invoke, "read", Value::Null, 58_200),
        event(1, Kind::Ok, "read", json!(4), 58_201),
        event(3, Kind::Info, "write", json!(EVIL), 59_000),
    ];
    Piece { what: format!("courier-7 is read as 4 after it was changed to 7. {EVIL}"), events }
}

/// A curve of so many points with a storm while the dependency fails.
fn storm(panel: &str, name: &str, unit: Unit, calm: f64, peak: f64) -> Series {
    let mut series = Series::new(panel, name, unit);
    for second in 0..600_u32 {
        let at = f64::from(second);
        let noise = 1.0 + 0.25 * (at * 1.7).sin() * (at * 0.31).cos();
        let level = if (60.0..300.0).contains(&at) { peak } else { calm };
        series.push(seconds(at), level * noise);
    }
    series
}

fn observed(storminess: f64) -> Observed {
    let mut observed = Observed {
        series: vec![
            storm("throughput", "asked", Unit::Rate, 100.0, 100.0),
            storm("throughput", "answered", Unit::Rate, 99.0, 80.0 - 60.0 * storminess),
            storm("latency", "p50", Unit::Time, 0.012, 0.31 + storminess),
            storm("latency", "p95", Unit::Time, 0.031, 0.4 + 2.0 * storminess),
            storm("latency", "p99", Unit::Time, 0.045, 0.8 + 6.0 * storminess),
            storm("retries", "retries", Unit::Share, 0.001, 0.04 + 1.6 * storminess),
        ],
        spans: vec![
            Span { label: "http dependency".into(), from: 60.0, to: 300.0 },
            Span { label: "link api <-> dependency".into(), from: 200.0, to: 260.0 },
            Span { label: "pause worker-1".into(), from: 400.0, to: 420.0 },
            Span { label: "pause worker-2".into(), from: 450.0, to: 470.0 },
            Span { label: format!("clock {EVIL}"), from: 500.0, to: 600.0 },
        ],
        ..Observed::default()
    };
    let mut breaker = Series::states("breaker", "breaker", &["closed", "half-open", "open"]);
    for (at, state) in [(0.0, 0.0), (64.0, 2.0), (124.0, 1.0), (126.0, 2.0), (302.0, 0.0)] {
        breaker.push(seconds(at), if storminess > 0.5 { 0.0 } else { state });
    }
    observed.series.push(breaker);
    for number in 1..=2 {
        let name = format!("resource {number}");
        let mut holder = Series::states("lease", &name, &["nobody", "worker-1", EVIL]);
        for step in 0..40_u32 {
            holder.push(seconds(f64::from(step) * 15.0), f64::from((step + number) % 3));
        }
        observed.series.push(holder);
    }
    let cliff = |shift: f64| -> Vec<(f64, f64)> {
        (0..12).map(|n| (0.001 * 2f64.powi(n), 10f64.powf(-f64::from(n) / 2.0) * shift)).collect()
    };
    observed.charts.push(Chart {
        title: "Detection time against false suspicion".into(),
        x: "detection time, s".into(),
        y: "false suspicions a minute".into(),
        log: (true, true),
        lines: vec![("phi".into(), cliff(1.0 - 0.6 * storminess))],
    });
    observed.tables.push(Table {
        title: format!("Requests by outcome {EVIL}"),
        head: vec!["outcome".into(), "requests".into(), EVIL.into()],
        rows: vec![
            vec!["answered".into(), "48211".into(), "80 %".into()],
            vec![EVIL.into(), "1204".into(), "2 %".into()],
        ],
    });
    observed.note(format!("The breaker opened after 1.2 s. {EVIL}"));
    let history =
        [event(1, Kind::Invoke, "write", json!(4), 1), event(1, Kind::Ok, "write", json!(4), 2)];
    observed.history.extend(history);
    observed
}

fn bound(
    name: &str,
    value: Quantity,
    at_most: Option<Quantity>,
    least: Option<Quantity>,
) -> BoundReport {
    let kept = at_most.is_none_or(|most| value.value <= most.value)
        && least.is_none_or(|least| value.value >= least.value);
    BoundReport {
        indicator: name.to_owned(),
        value: Some(value),
        at_least: least,
        at_most,
        verdict: if kept { Verdict::Holds } else { Verdict::Violated },
    }
}

fn variant(name: &str, protected: bool, storminess: f64) -> VariantReport {
    let checks = vec![CheckReport {
        model: Model::CasRegister,
        verdict: if protected { Verdict::Holds } else { Verdict::Violated },
        operations: 51_204,
        piece: (!protected).then(piece),
    }];
    let bounds = vec![
        bound(
            "dep.retry_rate",
            Quantity::share(0.031 + 1.7 * storminess),
            Some(Quantity::share(0.05)),
            None,
        ),
        bound(
            "api.latency_ms.p99",
            Quantity::time(seconds(0.31 + 4.0 * storminess)),
            Some(Quantity::time(seconds(0.5))),
            None,
        ),
        bound(
            "success",
            Quantity::share(0.99 - 0.5 * storminess),
            None,
            Some(Quantity::share(0.95)),
        ),
        bound(
            "amplification",
            Quantity::times(1.04 + 3.0 * storminess),
            Some(Quantity::times(1.1)),
            None,
        ),
    ];
    let mut indicators: BTreeMap<String, Quantity> =
        bounds.iter().filter_map(|bound| Some((bound.indicator.clone(), bound.value?))).collect();
    indicators.insert("upstream.qps".to_owned(), Quantity::rate(100.0 + 300.0 * storminess));
    let observed = Observed { indicators: indicators.clone(), ..observed(storminess) };
    VariantReport {
        name: name.to_owned(),
        about: format!("Retries as {name} has them. {EVIL}"),
        protected,
        left_out: None,
        verdict: if protected { Verdict::Holds } else { Verdict::Violated },
        as_expected: true,
        checks,
        bounds,
        indicators,
        schedule: schedule(),
        observed,
    }
}

fn sample() -> Report {
    Report {
        experiment: "retry-storm".into(),
        title: format!("Retries that make it worse {EVIL}"),
        claim: "Fixed-interval retries turn a slow dependency into an outage; a budget keeps them \
                from it."
            .into(),
        source: "Beyer et al., Site Reliability Engineering, chapter 22".into(),
        system: "calls".into(),
        mode: Mode::Simulated,
        engine: None,
        seed: 7,
        verdict: Verdict::Holds,
        because: "every protected variant holds, and every unprotected one is caught".into(),
        duration_s: 600.0,
        wall_s: 2.31,
        speed: 779.2,
        command: "steadfast lab run retry-storm --seed 7".into(),
        campaign: Some(Campaign {
            first_seed: 1,
            seeds: 10,
            failed: vec![],
            variants: vec![
                score("fixed", false, 0, 10),
                score("budget", true, 10, 0),
                score("budget and hedge", true, 10, 0),
            ],
        }),
        variants: vec![
            variant("fixed", false, 1.0),
            variant("budget", true, 0.0),
            variant("budget and hedge", true, 0.02 / 1.7),
        ],
    }
}

fn score(name: &str, protected: bool, holds: u64, violated: u64) -> Score {
    let seeds_to_detect = (violated > 0).then_some(1.0);
    Score { name: name.into(), protected, holds, violated, unknown: 0, seeds_to_detect }
}

/// A page as XML: what HTML leaves open is closed, and style and script are taken out.
fn as_xml(page: &str) -> String {
    let mut xml = page.replacen("<!DOCTYPE html>", "", 1);
    for name in ["style", "script"] {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        assert_eq!(xml.matches(&open).count(), 1, "one {name} in a page");
        assert_eq!(xml.matches(&close).count(), 1, "one {name} in a page");
        let (before, rest) = xml.split_once(&open).unwrap();
        let (_, after) = rest.split_once(&close).unwrap();
        xml = format!("{before}{after}");
    }
    for name in ["meta", "input"] {
        let parts: Vec<&str> = xml.split(&format!("<{name} ")).collect();
        let closed: Vec<String> = parts[1..]
            .iter()
            .map(|part| format!("<{name} {}", part.replacen('>', "/>", 1)))
            .collect();
        xml = format!("{}{}", parts[0], closed.concat());
    }
    // Attributes without a value, as HTML has them.
    for bare in ["hidden", "open", "data-stepped", "data-x-log", "data-y-log"] {
        xml = xml.replace(&format!(" {bare}>"), &format!(" {bare}=\"\">"));
        xml = xml.replace(&format!(" {bare} "), &format!(" {bare}=\"\" "));
    }
    xml
}

fn texts(document: &roxmltree::Document<'_>, tag: &str) -> Vec<String> {
    let text = |node: roxmltree::Node<'_, '_>| {
        node.descendants().filter(roxmltree::Node::is_text).filter_map(|it| it.text()).collect()
    };
    document.descendants().filter(|node| node.has_tag_name(tag)).map(text).collect()
}

#[test]
fn a_page_is_whole_and_takes_no_text_for_markup() {
    let page = html::page(&sample());
    let xml = as_xml(&page);
    let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}"));
    assert!(texts(&document, "h1")[0].contains(EVIL), "the title is there, as text");
    assert!(!page.contains("<script>alert"));
    for what in ["li", "th", "td", "desc", "code"] {
        assert!(texts(&document, what).iter().any(|text| text.contains("<script>")), "{what}");
    }
}

#[test]
fn a_page_asks_nobody_for_anything() {
    let page = html::page(&sample());
    assert!(page.contains("default-src 'none'"));
    let xml = as_xml(&page);
    let document = roxmltree::Document::parse(&xml).unwrap();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        assert!(!matches!(node.tag_name().name(), "link" | "img" | "iframe" | "image" | "use"));
        for attribute in node.attributes() {
            let address = attribute.value().contains("://");
            assert!(!address, "{}={}", attribute.name(), attribute.value());
            assert!(!attribute.name().starts_with("on"), "{}", attribute.name());
        }
    }
    for word in ["fetch(", "XMLHttpRequest", "import ", "@import", "url(", "innerHTML"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn each_picture_says_what_it_shows_and_names_are_unique() {
    let xml = as_xml(&html::page(&sample()));
    let document = roxmltree::Document::parse(&xml).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for id in document.descendants().filter_map(|node| node.attribute("id")) {
        assert!(ids.insert(id.to_owned()), "{id} twice");
    }
    let pictures: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("svg") && node.attribute("role") == Some("img"))
        .collect();
    // Five panels of three variants, one chart, one piece, one of faults, twelve bars.
    assert_eq!(pictures.len(), 5 * 3 + 1 + 1 + 1 + 12);
    for picture in &pictures {
        let has = |tag| picture.children().any(|node| node.has_tag_name(tag));
        assert!(has("title"));
        for name in picture.attribute("aria-labelledby").unwrap_or_default().split(' ') {
            assert!(name.is_empty() || ids.contains(name), "{name}");
        }
    }
}

#[test]
fn the_verdict_comes_first_and_everything_is_there() {
    let page = html::page(&sample());
    let place = |what: &str| page.find(what).unwrap_or_else(|| panic!("{what} is missing"));
    assert!(place("Every protected variant holds") < place("dep.retry_rate"));
    assert!(place("dep.retry_rate") < place("Over time"));
    for what in [
        "steadfast lab run retry-storm --seed 7",
        "Site Reliability Engineering",
        "779×",
        "10 min",
        "budget and hedge",
        "unprotected, caught",
        "cas-register",
        "51204 operations",
        "≤ 5 %",
        "The breaker opened after 1.2 s.",
        "half-open",
        "20 % answered with 503",
        "jumps by -5 s",
        "Detection time against false suspicion",
        "Seeds 1 to 10",
    ] {
        place(what);
    }
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
}

#[test]
fn curves_of_all_variants_share_their_axes() {
    let xml = as_xml(&html::page(&sample()));
    let document = roxmltree::Document::parse(&xml).unwrap();
    for panel in 0..3 {
        let ends: Vec<_> = (0..3)
            .map(|variant| {
                let id = format!("p{panel}v{variant}");
                let picture =
                    document.descendants().find(|node| node.attribute("id") == Some(&id)).unwrap();
                ["data-x0", "data-x1", "data-y0", "data-y1"]
                    .map(|name| picture.attribute(name).unwrap().to_owned())
            })
            .collect();
        assert!(ends.windows(2).all(|two| two[0] == two[1]), "{ends:?}");
    }
}

#[test]
fn labels_of_the_time_axis_have_room() {
    let xml = as_xml(&html::page(&sample()));
    let document = roxmltree::Document::parse(&xml).unwrap();
    let picture = document.descendants().find(|node| node.attribute("id") == Some("p0v0")).unwrap();
    let labels: Vec<(f64, usize)> = picture
        .children()
        .filter(|node| {
            node.attribute("class").is_some_and(|class| class.starts_with("tick middle"))
        })
        .map(|node| {
            let x = node.attribute("x").unwrap().trim_end_matches('%').parse().unwrap();
            (x, node.text().unwrap().chars().count())
        })
        .collect();
    assert!(labels.len() >= 4, "{labels:?}");
    // On a plot of 330 pixels; below that every other label goes.
    for two in labels.windows(2) {
        let room = (two[1].0 - two[0].0) / 100.0 * 330.0;
        let needs = (two[0].1 + two[1].1) as f64 / 2.0 * 6.3;
        assert!(room > needs, "{labels:?}");
    }
}

#[test]
fn a_report_without_anything_is_still_a_page() {
    let mut report = sample();
    report.campaign = None;
    for variant in &mut report.variants {
        variant.observed = Observed::default();
        variant.checks.clear();
        variant.bounds.clear();
        variant.indicators.clear();
        variant.schedule.clear();
    }
    report.variants[0].left_out = Some("no such engine here".into());
    let page = html::page(&report);
    roxmltree::Document::parse(&as_xml(&page)).unwrap();
    assert!(page.contains("no such engine here") && page.contains("nothing was made to go wrong"));
    report.variants.clear();
    roxmltree::Document::parse(&as_xml(&html::page(&report))).unwrap();
}

#[test]
fn values_that_are_no_numbers_break_nothing() {
    let mut report = sample();
    let broken = &mut report.variants[0];
    broken.observed.series[0].points =
        vec![(0.0, f64::NAN), (1.0, f64::INFINITY), (f64::NAN, 1.0), (3.0, -4.0)];
    broken.observed.series[2].points = vec![(5.0, f64::NAN)];
    broken.bounds[0].value = Some(Quantity::share(f64::NAN));
    broken.bounds[1].value = None;
    broken.observed.charts[0].lines[0].1 = vec![(0.0, 0.0), (-1.0, f64::NAN)];
    let page = html::page(&report);
    let xml = as_xml(&page);
    let document = roxmltree::Document::parse(&xml).unwrap();
    for node in document.descendants() {
        for attribute in node.attributes().filter(|it| !it.name().starts_with("data-")) {
            assert!(!attribute.value().contains("NaN"), "{attribute:?}");
            assert!(!attribute.value().contains("inf"), "{attribute:?}");
        }
    }
    let summary = report::load(&report::json(&report)).unwrap();
    roxmltree::Document::parse(&as_xml(&gallery::page(&[summary]))).unwrap();
}

#[test]
fn json_is_one_object_with_the_fields_of_the_report() {
    let report = sample();
    let text = report::json(&report);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value, serde_json::to_value(&report).unwrap());
    assert!(text.contains("\n  \"experiment\": \"retry-storm\""), "one field on a line");
    assert!(text.lines().count() < 2_000, "{} lines", text.lines().count());
    let summary = report::load(&text).unwrap();
    assert_eq!(summary, report::Summary::from(&report), "read again, or made from it");
    assert_eq!((summary.verdict, summary.seed, summary.mode), (Verdict::Holds, 7, Mode::Simulated));
    assert_eq!(summary.variants[0].bounds.len(), 4);
    for wrong in ["", "[]", "{}", "{\"experiment\":1}", &text[..text.len() / 2]] {
        assert!(report::load(wrong).is_err());
    }
}

#[test]
fn a_gallery_has_a_card_for_each_run_what_failed_first() {
    let held = sample();
    let mut failed = sample();
    failed.experiment = "zoo".into();
    failed.verdict = Verdict::Violated;
    failed.because = format!("protected, and violated all the same: {EVIL}");
    let summaries: Vec<_> =
        [&held, &failed].map(|it| report::load(&report::json(it)).unwrap()).into();
    let page = gallery::page(&summaries);
    let xml = as_xml(&page);
    let document = roxmltree::Document::parse(&xml).unwrap();
    let cards = document.descendants().filter(|node| node.attribute("class") == Some("card"));
    assert_eq!(cards.count(), 2);
    let links: Vec<_> = document.descendants().filter_map(|node| node.attribute("href")).collect();
    assert_eq!(links, ["zoo-simulated-seed7.html", "retry-storm-simulated-seed7.html"]);
    roxmltree::Document::parse(&as_xml(&gallery::page(&[]))).unwrap();
}

#[test]
fn a_run_is_saved_with_its_histories_and_the_gallery() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("reports");
    let saved = report::save(&sample(), &folder).unwrap();
    assert_eq!(saved.html, folder.join("retry-storm-simulated-seed7.html"));
    assert_eq!(saved.json, folder.join("retry-storm-simulated-seed7.json"));
    assert_eq!(saved.histories.len(), 3);
    assert!(saved.histories[2].ends_with("retry-storm-simulated-seed7-budget-and-hedge.jsonl"));
    let lines = std::fs::read_to_string(&saved.histories[0]).unwrap();
    let events: Vec<Event> = lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(events, sample().variants[0].observed.history);

    // Another engine is another run; the same run again is the same files.
    let real =
        Report { mode: Mode::Real, engine: Some("etcd://127.0.0.1:2379".into()), ..sample() };
    std::fs::write(folder.join("other.json"), "{\"not\": \"a report\"}").unwrap();
    report::save(&real, &folder).unwrap();
    let saved = report::save(&real, &folder).unwrap();
    assert!(saved.html.ends_with("retry-storm-real-etcd-seed7.html"));
    assert_eq!((saved.gallery.runs, saved.gallery.skipped.len()), (2, 1));
    let index = std::fs::read_to_string(folder.join("index.html")).unwrap();
    assert!(index.contains("other.json") && index.contains("no report of a run"));
    assert!(index.contains("retry-storm-real-etcd-seed7.html"));
    let left: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // The links of a page lead somewhere.
    let page = std::fs::read_to_string(&saved.html).unwrap();
    let xml = as_xml(&page);
    let document = roxmltree::Document::parse(&xml).unwrap();
    for link in document.descendants().filter_map(|node| node.attribute("href")) {
        assert!(folder.join(link).exists(), "{link}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_with_its_path() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("a file");
    std::fs::write(&file, "").unwrap();
    let error = report::save(&sample(), &file).unwrap_err().to_string();
    assert!(error.contains("a file"), "{error}");
}

#[test]
fn a_terminal_shows_values_beside_their_limits_in_columns() {
    let table = terminal::table(&sample());
    assert_eq!(
        table.head[..6],
        ["variant", "protected", "verdict", "as expected", "cas-register", "dep.retry_rate"]
    );
    assert_eq!(table.rows[0][2..6], ["caught", "yes", "violated", "173 % > 5 %"]);
    assert_eq!(
        table.rows[1][5..],
        ["3.10 % ≤ 5 %", "310 ms ≤ 500 ms", "99 % ≥ 95 %", "1.04x ≤ 1.10x"]
    );
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    let column = |line: &str, cell: &str| {
        line.char_indices().position(|(at, _)| line[at..].starts_with(cell)).unwrap()
    };
    assert_eq!(column(lines[0], "dep.retry_rate"), column(lines[1], "173 %"));
    assert!(lines.iter().all(|line| line.trim_end() == *line));
    let said = terminal::text(&sample());
    assert!(said.starts_with("retry-storm (simulated, seed 7): holds: every protected"), "{said}");
    assert!(said.contains("Over 10 seeds") && said.contains("Again: steadfast lab run"));
    assert!(said.lines().skip(2).all(|line| line.chars().count() <= 100), "{said}");
    let narrow = table.clone().fitting(100);
    assert_eq!(narrow.head, ["variant", "fixed", "budget", "budget and hedge"]);
    assert_eq!(narrow.turned(), table);
    assert_eq!(table.clone().fitting(500), table);
}

#[test]
fn markdown_has_no_time_of_this_machine_and_no_markup_of_others() {
    let mut slow = sample();
    (slow.wall_s, slow.speed) = (99.0, 1.0);
    let block = markdown::figures(&sample());
    assert_eq!(block, markdown::figures(&slow));
    assert!(block.contains("| `dep.retry_rate` ≤ 5 % | 173 % ✗ | 3.10 % ✓ |"), "{block}");
    assert!(block.contains("| verdict | **caught** | **holds** | **holds** |"), "{block}");
    assert!(block.contains("| 10 seeds | caught 10 of 10 | held 10 of 10 | held 10 of 10 |"));
    let mut evil = sample();
    evil.variants[0].name = "a|b<!-- figures:end -->".into();
    let block = markdown::figures(&evil);
    assert!(block.contains("a\\|b&lt;!-- figures:end --> |") && !block.contains("<!--"), "{block}");
    let columns: Vec<usize> = block
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.replace("\\|", "").matches('|').count())
        .collect();
    assert!(columns.iter().all(|&count| count == 5), "{columns:?}");
}

#[test]
fn documents_get_the_figures_of_the_last_run_that_they_name() {
    let scratch = tempfile::tempdir().unwrap();
    let (runs, documents) = (scratch.path().join("runs"), scratch.path().join("docs"));
    std::fs::create_dir(&documents).unwrap();
    let real =
        Report { mode: Mode::Real, engine: Some("etcd://127.0.0.1:2379".into()), ..sample() };
    let later = Report { seed: 8, ..sample() };
    for report in [&sample(), &real] {
        report::save(report, &runs).unwrap();
    }
    // Made newer than the others by a day: the clock of a file system has coarse steps.
    let saved = report::save(&later, &runs).unwrap();
    let tomorrow = std::fs::metadata(&saved.json).unwrap().modified().unwrap() + seconds(86_400.0);
    std::fs::File::options().write(true).open(&saved.json).unwrap().set_modified(tomorrow).unwrap();
    let place = |name: &str| format!("<!-- figures:begin {name} -->\n<!-- figures:end -->\n");
    let page = format!(
        "# Storm\n{}{}{}{}",
        place("retry-storm"),
        place("retry-storm-real-etcd"),
        place("retry-storm-simulated-seed7"),
        place("fencing")
    );
    std::fs::write(documents.join("storm.md"), &page).unwrap();
    std::fs::write(documents.join("other.md"), "nothing here").unwrap();
    let filled = markdown::write(&runs, &documents).unwrap();
    assert_eq!(filled, [documents.join("storm.md")]);
    let page = std::fs::read_to_string(&filled[0]).unwrap();
    assert_eq!(page.matches("Seed 8, simulated, 10 min").count(), 1);
    assert_eq!(page.matches("Seed 7, real on etcd, 10 min").count(), 1);
    assert_eq!(page.matches("Seed 7, simulated, 10 min").count(), 1);
    assert!(page.contains(&place("fencing")), "no such run: it stays as it is");
    assert!(page.contains(markdown::figures(&later).trim_end()), "as if it had just run");
    markdown::write(&runs, &documents).unwrap();
    assert_eq!(std::fs::read_to_string(&filled[0]).unwrap(), page, "twice is once");
    // A document with half a place is told, not guessed at.
    let half = "<!-- figures:begin retry-storm -->";
    std::fs::write(documents.join("half.md"), half).unwrap();
    let error = markdown::write(&runs, &documents).unwrap_err().to_string();
    assert!(error.contains("half.md") && error.contains("figures:end"), "{error}");
}

#[test]
#[ignore = "for the eyes: writes the sample into the folder that REPORTS names"]
fn writes_the_sample() {
    let folder = std::env::var_os("REPORTS").expect("REPORTS names a folder");
    let saved = report::save(&sample(), folder.as_ref()).unwrap();
    println!("{}", saved.html.display());
}
