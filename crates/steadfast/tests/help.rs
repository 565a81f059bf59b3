//! The command line as a user sees it: every `--help`, exit codes, and where output goes.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

const STEADFAST: &str = env!("CARGO_BIN_EXE_steadfast");

/// Every command that has a `--help` of its own.
const COMMANDS: &[&str] = &[
    "",
    "up",
    "coordinator",
    "replay",
    "bench",
    "bench orders",
    "bench locks",
    "bench journal",
    "check",
    "journal",
    "journal verify",
    "orders",
    "orders list",
    "orders show",
    "orders cancel",
    "sagas",
    "sagas list",
    "sagas show",
    "sagas retry",
    "sagas skip",
    "sagas resolve",
    "dead-letters",
    "dead-letters list",
    "dead-letters show",
    "dead-letters replay",
    "dead-letters discard",
    "leases",
    "leases list",
    "leases show",
    "leases release",
    "policies",
    "policies list",
    "policies show",
    "policies force",
    "policies slo",
    "lab",
    "lab list",
    "lab show",
    "lab run",
    "lab report",
    "config",
    "config print",
    "config check",
    "config reference",
    "completions",
    "doctor",
];

/// Lines of a usual terminal window.
const SCREEN_LINES: usize = 50;

fn run(arguments: &[&str]) -> Output {
    Command::new(STEADFAST)
        .args(arguments)
        .env("NO_COLOR", "1")
        .env_remove("STEADFAST_CONFIG")
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn help(command: &str) -> String {
    let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
    let output = run(&arguments);
    assert!(output.status.success(), "{command}: {output:?}");
    assert!(output.stderr.is_empty(), "{command}: {output:?}");
    text(&output.stdout)
}

#[test]
fn golden_every_help_is_as_it_was() {
    for command in COMMANDS {
        let name = if command.is_empty() { "steadfast" } else { command };
        let file = format!("tests/golden/{}.txt", name.replace(' ', "-"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        // Trailing blanks are of no interest to anybody.
        let mut actual = String::new();
        for line in help(command).lines() {
            writeln!(actual, "{}", line.trim_end()).expect("writing to a string");
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            std::fs::write(&path, actual).expect("a file");
            continue;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            expected == actual,
            "{file} is out of date; run `cargo xtask golden` and look at the difference\n{actual}"
        );
    }
}

#[test]
fn every_help_fits_a_screen() {
    for command in COMMANDS {
        let lines = help(command).lines().count();
        assert!(lines <= SCREEN_LINES, "`{command} --help` has {lines} lines");
    }
}

#[test]
fn the_list_of_commands_is_complete() {
    for command in COMMANDS {
        let help = help(command);
        let Some((_, after)) = help.split_once("Commands:\n") else {
            continue;
        };
        for line in after.lines().take_while(|line| line.starts_with("  ")) {
            let Some(name) = line.split_whitespace().next() else {
                continue;
            };
            if line.starts_with("   ") || name == "help" {
                continue;
            }
            let full = format!("{command} {name}");
            assert!(COMMANDS.contains(&full.trim()), "`{full}` is not in the list");
        }
    }
}

#[test]
fn wrong_use_is_code_2_and_says_so_on_stderr() {
    let wrong: [&[&str]; 6] = [
        &["--no-such-flag"],
        &["no-such-command"],
        &["up", "--listen", "nowhere"],
        &["bench", "orders", "--duration", "10"],
        &["orders", "list", "--url", "ftp://x"],
        &["config", "print", "--config", "no-such-file.toml"],
    ];
    for arguments in wrong {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains("error:"), "{arguments:?}: {output:?}");
    }
}

#[test]
fn what_fails_is_code_1_and_says_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let output = run(&["sagas", "list", "--admin", &address]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("is `steadfast up` running?"), "{output:?}");

    let empty = tempfile::tempdir().expect("a directory");
    let data = empty.path().to_str().expect("UTF-8");
    let output = run(&["journal", "verify", "--data", data]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("holds no journal"), "{output:?}");
}

#[test]
fn a_configuration_that_does_not_add_up_fails_its_check_and_is_no_use_to_others() {
    let check = |command: &str| {
        Command::new(STEADFAST)
            .args(["config", command])
            .env("STEADFAST_LIMITS__ORDER", "300ms")
            .env("NO_COLOR", "1")
            .output()
            .expect("the program starts")
    };
    let output = check("check");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = text(&output.stderr);
    assert!(stderr.contains("environment variable STEADFAST_LIMITS__ORDER: limits.order: "));
    assert!(stderr.contains("300 ms is not at least 350 ms, the sum of its parts"), "{stderr}");
    assert_eq!(check("print").status.code(), Some(2));
}

#[test]
fn json_is_one_document_on_stdout() {
    for arguments in [["config", "print", "--json"], ["config", "check", "--json"]] {
        let output = run(&arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("one document");
    }
}

#[test]
#[cfg(unix)]
fn a_reader_that_leaves_is_no_failure() {
    // The script is far longer than a pipe holds, and `head` reads one line of it.
    let script = format!("{STEADFAST} completions bash | head -n 1; exit ${{PIPESTATUS[0]}}");
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
