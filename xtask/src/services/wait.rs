//! Waiting for other programs, always with an end.
#![expect(
    clippy::disallowed_methods,
    reason = "real programs are waited for in real time; nothing here is ever simulated"
)]

use std::io::{self, Read};
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often something is asked while it is waited for.
const EVERY: Duration = Duration::from_millis(20);

/// Asks until there is an answer; `None` when there was none within `limit`.
pub fn until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if start.elapsed() >= limit {
            return None;
        }
        thread::sleep(EVERY);
    }
}

/// Runs a program to its end and returns what it printed.
///
/// # Errors
/// It did not start, or did not end within `limit`; then it is killed.
pub fn output(command: &mut Command, limit: Duration) -> io::Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("{program} does not start: {error}"))
        })?;
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let status = until(limit, || child.try_wait().transpose());
    let Some(status) = status else {
        child.kill()?;
        child.wait()?;
        // The readers end with their pipes, which a grandchild may hold: they are left to it.
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{program} did not end within {limit:?}"),
        ));
    };
    let text = |reader: JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Output { status: status?, stdout: text(stdout), stderr: text(stderr) })
}

/// Reads a pipe to its end while the program runs, so that a full pipe does not stop it.
fn reader(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until a failure is all there is to show.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_answer_or_with_its_limit() {
        let mut asked = 0;
        let answer = until(Duration::from_secs(60), || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer, Some(3));
        assert_eq!(until(Duration::ZERO, || None::<()>), None);
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let error = output(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // More than a pipe holds.
        let mut print = Command::new("head");
        print.args(["-c", "300000", "/dev/zero"]);
        assert_eq!(output(&mut print, Duration::from_secs(60)).unwrap().stdout.len(), 300_000);
    }
}
