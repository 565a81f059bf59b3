//! The page.

use super::sample::*;
use super::*;

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
