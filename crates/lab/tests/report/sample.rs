//! A report with everything in it.

use super::*;

pub fn seconds(length: f64) -> Duration {
    Duration::from_secs_f64(length)
}

pub fn planned(at: f64, length: Option<f64>, fault: Fault) -> Planned {
    Planned { at: seconds(at), length: length.map(seconds), fault, place: Place::default() }
}

pub fn schedule() -> Vec<Planned> {
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

pub fn event(process: u64, kind: Kind, f: &'static str, value: Value, millis: u64) -> Event {
    let time = millis * 1_000_000;
    Event { process, kind, f: f.into(), key: Some("courier-7".into()), value, time, error: None }
}

pub fn piece() -> Piece {
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
pub fn storm(panel: &str, name: &str, unit: Unit, calm: f64, peak: f64) -> Series {
    let mut series = Series::new(panel, name, unit);
    for second in 0..600_u32 {
        let at = f64::from(second);
        let noise = 1.0 + 0.25 * (at * 1.7).sin() * (at * 0.31).cos();
        let level = if (60.0..300.0).contains(&at) { peak } else { calm };
        series.push(seconds(at), level * noise);
    }
    series
}

pub fn observed(storminess: f64) -> Observed {
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

pub fn bound(
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

pub fn variant(name: &str, protected: bool, storminess: f64) -> VariantReport {
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

pub fn sample() -> Report {
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
