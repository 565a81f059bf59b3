//! Numbers for orders that sort by time, and go on after a restart.
//!
//! `cargo run -p steadfast-time --example snowflake`

use steadfast_time::Clock;
use steadfast_time::durable::FileMark;
use steadfast_time::snowflake::{Layout, NodeId, Number, Options, Snowflake};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("order-numbers");
    // In a cluster the slot comes from a lease, and the generator ends with the lease.
    let slot = NodeId::new(17);
    let open = || {
        let store = Box::new(FileMark::new(&path));
        Snowflake::new(Clock::system(), slot, Options::default(), store)
    };

    let numbers = open()?;
    let mut last = numbers.next().await?;
    for _ in 0..3 {
        let number = numbers.next().await?;
        assert!(number > last);
        let parts = Layout::default().parts(number);
        println!(
            "{number} = {} by node {} at {}, number {} of that millisecond",
            number.get(),
            parts.node.get(),
            parts.time,
            parts.sequence + 1
        );
        last = number;
    }

    // A crash: nothing is given back, and the next process waits until the mark has passed.
    drop(numbers);
    println!("the mark on disk:\n{}", std::fs::read_to_string(&path)?);
    let after = open()?.next().await?;
    assert!(after > last);
    println!("after the restart: {after}");

    let read_out: Number = after.to_string().to_lowercase().replace('0', "o").parse()?;
    assert_eq!(read_out, after);
    Ok(())
}
