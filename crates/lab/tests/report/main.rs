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

mod page;
mod sample;

use sample::*;

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
