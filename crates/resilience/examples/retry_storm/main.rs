//! A trigger of two seconds, and an outage that stays: `cargo run --example retry_storm`.
//!
//! A server good for 300 requests a second is fed 280 and stops from second 10 to 12. Goodput over
//! time, for three ways to ask again.

mod world;

use world::{Variant, run};

fn main() {
    let variants = [
        (Variant::FixedInterval, "once after 100 ms"),
        (Variant::NoBudget, "100→200→400 ms, full jitter"),
        (Variant::Budget, "the same, budget 5 %"),
    ];
    let runs = variants.map(|(variant, _)| run(variant, 7, 60));
    println!("answered calls a second, of 280; the server stops from second 10 to 12\n");
    print!("second");
    for (_, name) in variants {
        print!("  {name:>28}");
    }
    println!();
    for second in (0..60).step_by(2) {
        print!("{second:>6}");
        for goodput in &runs {
            let bar = "█".repeat(usize::try_from(goodput[second] / 20).unwrap_or(0));
            print!("  {bar:>24}{:>4}", goodput[second]);
        }
        println!();
    }
}
