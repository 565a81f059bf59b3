//! Calls over real sockets: like the simulated ones, and nothing of them is left.

use std::time::Duration;

use steadfast_lab::run::{self, Options, Report, Silent, Watch};
use steadfast_lab::{Error, Scenario, Verdict, experiment};

use super::again::stage;

fn retry_storm(length: Duration, only: &[&str]) -> (Scenario, Options) {
    let scenario = experiment::find("retry-storm").unwrap();
    let only = only.iter().map(|&name| name.to_owned()).collect();
    (Scenario { real_duration: length, ..scenario }, Options { only, ..Options::seeded(1) })
}

/// Real and simulated figures of the same trial, and how far they are apart.
fn apart(report: &Report, indicator: &str) -> Vec<f64> {
    let variants = report.variants.iter().map(|variant| {
        let table = &variant.observed.tables[0];
        println!("{}", variant.name);
        for row in &table.rows {
            println!("  {}", row.join("  "));
        }
        let row = table.rows.iter().find(|row| row[0] == indicator).unwrap();
        row[3].trim_end_matches(" %").parse::<f64>().unwrap() / 100.0
    });
    variants.collect()
}

fn agree(report: &Report) {
    for indicator in ["dep.retry_rate", "amplification"] {
        for apart in apart(report, indicator) {
            assert!(apart.abs() <= 0.2, "{indicator} is {apart} apart");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_storm_is_like_a_simulated_one() {
    let (scenario, options) = retry_storm(Duration::from_secs(20), &["fixed-interval", "budget"]);
    let stage = stage();
    let report = run::perform(&scenario, &options, &stage, &Silent).await.unwrap();
    for apart in apart(&report, "amplification") {
        assert!(apart.abs() <= 0.2, "amplification is {apart} apart");
    }
    // Behind its budget a trial of this length has some eighty retries, give or take nine: their rate
    // is compared over the minute below.
    let unprotected = apart(&report, "dep.retry_rate")[0];
    assert!(unprotected.abs() <= 0.2, "the rate of retries is {unprotected} apart");
}

/// As the experiment has it: a minute for each variant.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes four minutes"]
async fn a_real_minute_is_like_a_simulated_one() {
    let (scenario, options) = retry_storm(Duration::from_secs(60), &[]);
    let stage = stage();
    let report = run::perform(&scenario, &options, &stage, &Silent).await.unwrap();
    for variant in &report.variants {
        for bound in &variant.bounds {
            let value = bound.value.map_or("?".to_owned(), |value| value.to_string());
            println!("{} {} {value} {}", variant.name, bound.indicator, bound.verdict);
        }
    }
    apart(&report, "api.success");
    agree(&report);
    assert_eq!(report.verdict, Verdict::Holds, "{}", report.because);
}

/// Interrupted as soon as a share of it is done.
struct Until(f64, std::sync::Mutex<f64>);

impl Watch for Until {
    fn progress(&self, share: f64) {
        *self.1.lock().unwrap() = share;
    }

    fn is_interrupted(&self) -> bool {
        *self.1.lock().unwrap() >= self.0
    }
}

/// In the middle of the pause: the process that stands still must not stay.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_trial_leaves_no_process() {
    let scenario = experiment::find("bulkhead").unwrap();
    let scenario = Scenario { real_duration: Duration::from_secs(9), ..scenario };
    let stage = stage();
    let watch = Until(0.5, std::sync::Mutex::new(0.0));
    let ended = run::perform(&scenario, &Options::seeded(1), &stage, &watch).await;
    assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
    let scratch = stage.scratch().to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let left = processes.filter(|process| {
        let role = std::fs::read(process.path().join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&role).contains(&scratch)
    });
    assert_eq!(left.count(), 0);
}
