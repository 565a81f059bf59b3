//! `steadfast check` as a user meets it: real files, the real program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const STEADFAST: &str = env!("CARGO_BIN_EXE_steadfast");

/// A register that two clients use one after the other, as Jepsen writes it down.
const EDN: &str = "\
; store/latest/history.edn
{:index 0, :time 1000, :type :invoke, :process 0, :f :write, :value 3}
{:index 1, :time 2000, :type :ok, :process 0, :f :write, :value 3}
{:index 2, :time 2500, :type :info, :process :nemesis, :f :start-partition, :value nil}
{:index 3, :time 3000, :type :invoke, :process 1, :f :read, :value nil}
#jepsen.history.Op{:index 4, :time 4000, :type :ok, :process 1, :f :read, :value 3}
{:index 5, :time 5000, :type :invoke, :process 0, :f :cas, :value [3 4]}
{:index 6, :time 6000, :type :fail, :process 0, :f :cas, :value [3 4], :error [:no \"leader\"]}
";

fn line(process: u64, kind: &str, f: &str, value: &Value, time: u64) -> String {
    let event = json!({"process": process, "type": kind, "f": f, "value": value, "time": time});
    format!("{event}\n")
}

/// A write that is acknowledged, and a later read that does not see it.
fn stale() -> String {
    [
        line(0, "invoke", "write", &json!(1), 1_000_000),
        line(0, "ok", "write", &json!(1), 2_000_000),
        line(1, "invoke", "read", &Value::Null, 3_000_000),
        line(1, "ok", "read", &Value::Null, 4_500_000),
    ]
    .concat()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
}

fn check(file: &Path, arguments: &[&str]) -> Output {
    Command::new(STEADFAST)
        .arg("check")
        .arg(file)
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Used wrongly: nothing on stdout, and this on stderr.
fn refused(output: &Output, expected: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    for expected in expected {
        assert!(stderr.contains(expected), "{expected:?} is not in {stderr}");
    }
    assert!(!stderr.contains('\u{1b}'), "{stderr}");
}

#[test]
fn a_history_of_jepsens_holds() {
    let folder = Folder::new();
    let output = check(&folder.write("history.edn", EDN), &["--model", "cas-register"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with("holds: 3 operations fit cas-register, "), "{stdout}");
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_stale_read_is_code_1_with_the_piece_that_shows_it() {
    let folder = Folder::new();
    let file = folder.write("history.jsonl", stale());
    let output = check(&file, &["--model", "register"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.is_empty(), "no error line: {output:?}");
    let stdout = text(&output.stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines[0].starts_with("violated: 2 operations do not fit register, "), "{stdout}");
    let table = lines.iter().position(|line| line.starts_with("TIME ms")).unwrap();
    assert_eq!(lines[table], "TIME ms  PROCESS  TYPE    F      VALUE");
    assert_eq!(lines[table + 1], "  1.000        0  invoke  write  1");
    assert_eq!(lines[table + 4], "  4.500        1  ok      read   null");

    let output = check(&file, &["--model", "register", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let document = document(&output);
    assert_eq!(document["verdict"], "violated");
    assert_eq!(document["model"], "register");
    assert_eq!((&document["operations"], &document["keys"]), (&json!(2), &json!(1)));
    assert!(document["seconds"].as_f64().unwrap() > 0.0, "{document}");
    assert!(!document["piece"]["what"].as_str().unwrap().is_empty(), "{document}");
    assert_eq!(document["piece"]["events"].as_array().unwrap().len(), 4, "{document}");
}

#[test]
fn what_holds_has_no_piece_in_json() {
    let folder = Folder::new();
    let output = check(&folder.write("h", EDN), &["--model", "cas-register", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document = document(&output);
    assert_eq!(document["verdict"], "holds");
    assert_eq!(document["piece"], Value::Null);
    assert_eq!(document["skipped"], 1, "the nemesis");
}

#[test]
fn what_cannot_be_found_out_in_time_is_code_3() {
    // Thirty swaps at once among five values: a search has more orders to try than any time allows.
    let folder = Folder::new();
    let swap = |process: u64| json!([process % 5, (process * 3 + 1) % 5]);
    let mut history = String::new();
    for process in 0..30 {
        history += &line(process, "invoke", "cas", &swap(process), process);
    }
    history += &line(30, "invoke", "write", &json!(0), 30);
    history += &line(30, "ok", "write", &json!(0), 31);
    for process in 0..30 {
        history += &line(process, "ok", "cas", &swap(process), 32 + process);
    }
    let file = folder.write("wide.jsonl", history);
    let output = check(&file, &["--model", "cas-register", "--time-limit", "100ms"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let stdout = text(&output.stdout);
    assert!(
        stdout.starts_with("unknown: whether 31 operations fit cas-register was not"),
        "{stdout}"
    );
    assert!(stdout.contains("--time-limit"), "{stdout}");
}

#[test]
fn stdin_is_a_file_too() {
    let mut child = Command::new(STEADFAST)
        .args(["check", "-", "--model", "register"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stale().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_history_that_is_cut_is_refused_with_its_line() {
    let folder = Folder::new();
    let whole = stale();
    let file = folder.write("cut.jsonl", &whole.as_bytes()[..whole.len() - 30]);
    let expected = ["cut.jsonl: line 4: cut off: the file ends after ", "its first 3 lines"];
    refused(&check(&file, &["--model", "register"]), &expected);

    let file = folder.write("cut.edn", &EDN.as_bytes()[..EDN.len() - 10]);
    let expected = ["cut.edn: line 8: cut off: "];
    refused(&check(&file, &["--model", "cas-register"]), &expected);
}

#[test]
fn a_history_of_another_model_is_refused_with_those_that_fit() {
    let folder = Folder::new();
    let file = folder.write("history.edn", EDN);
    let expected = [
        "history.edn: line 7: register has no operation \"cas\"",
        "the file has the operations cas, read, write: these fit cas-register",
    ];
    refused(&check(&file, &["--model", "register"]), &expected);

    // What comes later counts as well.
    let expected = ["history.edn: line 2: queue has no", "these fit cas-register"];
    refused(&check(&file, &["--model", "queue"]), &expected);

    let other = line(0, "invoke", "frobnicate", &Value::Null, 1);
    let file = folder.write("other.jsonl", other);
    let expected = ["the file has the operations frobnicate: no model has them all"];
    refused(&check(&file, &["--model", "queue"]), &expected);
}

#[test]
fn an_unknown_model_is_refused_with_a_suggestion() {
    let folder = Folder::new();
    let file = folder.write("history.edn", EDN);
    let expected = ["invalid value 'cas-registr'", "cas-register", "fenced-lock"];
    refused(&check(&file, &["--model", "cas-registr"]), &expected);
    refused(&check(&file, &[]), &["--model <MODEL>"]);
}

#[test]
fn what_is_no_history_is_refused() {
    let folder = Folder::new();
    let model = ["--model", "register"];
    refused(&check(&folder.path("none"), &model), &["none: No such file"]);
    let expected = ["is a directory; name the history in it", "history.edn"];
    refused(&check(folder.0.path(), &model), &expected);
    let empty = folder.write("empty.jsonl", "\n\n");
    refused(&check(&empty, &model), &["empty.jsonl: holds no events"]);
    let nemesis = "{:process :nemesis, :type :info, :f :kill}\n".repeat(2);
    let nemesis = folder.write("nemesis.edn", nemesis);
    refused(&check(&nemesis, &model), &["holds 2 events, none of them a client's"]);
    let gzip = folder.write("h.jsonl.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    refused(&check(&gzip, &model), &["compressed with gzip; pipe it through `gzip -dc`"]);
    let lines = stale();
    let twice = folder.write("twice.jsonl", lines.replace("\"ok\"", "\"invoke\""));
    refused(&check(&twice, &model), &["twice.jsonl: line 2: process 0 invokes"]);
    let order: Vec<&str> = lines.lines().rev().collect();
    let order = folder.write("order.jsonl", order.join("\n"));
    refused(&check(&order, &model), &["order.jsonl: line 1: process 1 hears an answer"]);
    let forced = folder.write("forced", EDN);
    refused(&check(&forced, &["--model", "register", "--format", "jsonl"]), &["forced: line 1"]);
}

#[test]
fn more_operations_than_allowed_are_refused_with_what_to_do() {
    let folder = Folder::new();
    let file = folder.write("history.jsonl", stale());
    let at_most = |most| check(&file, &["--model", "register", "--max-operations", most]);
    assert_eq!(at_most("2").status.code(), Some(1));
    let expected = ["line 3: more than 1 operations", "--max-operations", "one by one"];
    refused(&at_most("1"), &expected);
}

#[test]
fn keys_of_jepsens_tuples_are_checked_one_by_one() {
    let folder = Folder::new();
    let op = |process, kind, value| format!("{{:process {process}, :type :{kind}, :f :{value}}}\n");
    let history = [
        op(0, "invoke", "write, :value [1 5]"),
        op(0, "ok", "write, :value [1 5]"),
        op(1, "invoke", "read, :value [2 nil]"),
        op(1, "ok", "read, :value [2 nil]"),
    ]
    .concat();
    let file = folder.write("history.edn", history);
    let output = check(&file, &["--model", "register", "--independent"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).contains("2 operations on 2 keys"), "{output:?}");

    // Without being told, it is one register that holds pairs; a hint says so.
    let output = check(&file, &["--model", "register"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("add --independent"), "{output:?}");
}

#[test]
fn a_history_is_converted_there_and_back() {
    let folder = Folder::new();
    let file = folder.write("history.jsonl", stale());
    let edn = folder.path("history.edn");
    let back = folder.path("back.jsonl");
    let convert = |from: &Path, to: &Path| {
        check(from, &["--model", "register", "--convert-to", to.to_str().unwrap()])
    };
    assert_eq!(convert(&file, &edn).status.code(), Some(1));
    let written = fs::read_to_string(&edn).unwrap();
    let second = "{:index 1, :time 2000000, :process 0, :type :ok, :f :write, :value 1}";
    assert_eq!(written.lines().nth(1), Some(second), "{written}");
    assert_eq!(convert(&edn, &back).status.code(), Some(1));
    let events = |text: String| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(events(fs::read_to_string(&back).unwrap()), events(stale()));

    refused(&convert(&file, &folder.path("history.txt")), &["must end in .edn or .jsonl"]);
    refused(&convert(&file, &file), &["is the file that is read"]);
    let cut = folder.write("cut.jsonl", &stale().as_bytes()[..100]);
    let never = folder.path("never.edn");
    refused(&convert(&cut, &never), &["line 2: cut off"]);
    let mut names: Vec<_> = fs::read_dir(folder.0.path()).unwrap().collect();
    names.retain(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        let name = name.to_str().unwrap();
        name.starts_with('.') || name == "never.edn"
    });
    assert!(names.is_empty(), "half a history was left behind: {names:?}");
}

/// Values that text cannot move the cursor with.
#[test]
fn what_a_history_says_is_shown_and_not_obeyed() {
    let folder = Folder::new();
    let history = stale().replace("\"value\":1", r#""value":"\u001b[2J""#);
    let output = check(&folder.write("h.jsonl", history), &["--model", "register"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!text(&output.stdout).contains('\u{1b}'), "{output:?}");
}

/// The most memory that a process has had, in bytes.
#[cfg(target_os = "linux")]
fn memory_max(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1_024
}

/// A large file takes a fraction of its size in memory: it is read as a stream, and of each
/// operation only what the model needs is kept. All but the last event is written to the program,
/// which cannot have kept them elsewhere when it has read them; then it is asked how much it has.
#[test]
#[cfg(target_os = "linux")]
fn a_large_file_is_read_in_bounded_memory() {
    let bytes: usize = if cfg!(debug_assertions) { 40 << 20 } else { 200 << 20 };
    let mut child = Command::new(STEADFAST)
        .args(["check", "-", "--model", "register", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = BufWriter::new(child.stdin.take().unwrap());
    let (mut written, mut operations) = (0, 0_u64);
    let key = |number: u64| format!("warehouse/customer/{:05}", number % 1_000);
    while written < bytes {
        let value = operations % 1_000;
        for kind in ["invoke", "ok"] {
            let event = json!({
                "process": operations % 50, "type": kind, "f": "write", "value": value,
                "key": key(operations), "time": operations,
            });
            let event = format!("{event}\n");
            written += event.len();
            stdin.write_all(event.as_bytes()).unwrap();
        }
        operations += 1;
    }
    stdin.flush().unwrap();
    // What a pipe holds has not been read; it is too little to matter.
    let memory = memory_max(child.id());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(document(&output)["operations"], operations);
    assert_eq!(document(&output)["keys"], 1_000);
    // The program itself and its allocator take some 50 MiB; the events, kept as they are, would take
    // more than the file has.
    let bound = (64 << 20) + bytes as u64 / 4;
    assert!(memory < bound, "{memory} bytes of memory for {bytes} of history");
}

/// 1 would say that the history is violated, and 0 that it holds.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_does_not_change_what_the_exit_code_says() {
    let folder = Folder::new();
    let holds = folder.write("holds.edn", EDN);
    let full = |file: &Path, model: &str| {
        let stdout = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(STEADFAST);
        command.arg("check").arg(file).args(["--model", model]);
        command.stdin(Stdio::null()).stdout(stdout).output().unwrap()
    };
    let output = full(&holds, "cas-register");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("cannot write to stdout"), "{output:?}");

    // A reader that has left, as `head` does.
    let violated = folder.write("violated.jsonl", stale());
    for (file, model, code) in [(&violated, "register", 1), (&holds, "cas-register", 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(STEADFAST);
        command.arg("check").arg(file).args(["--model", model]);
        let output = command.stdin(Stdio::null()).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}
