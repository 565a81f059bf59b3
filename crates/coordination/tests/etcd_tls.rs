//! The etcd engine over TLS: it trusts whom it is told to, shows its own certificate, and says what
//! is wrong when one side speaks TLS and the other does not.
#![cfg(feature = "etcd")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

#[path = "support/etcd.rs"]
mod servers;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use servers::{Cluster, program};
use steadfast_coordination::engine::etcd::{Etcd, Options, Tls};
use steadfast_coordination::port::{Coordinator, Error};
use steadfast_time::Clock;

/// Runs openssl in a folder.
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority and two certificates that it has signed.
fn certificates(folder: &Path) {
    const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {KEY} -keyout ca.key -out ca.pem -subj /CN=ca -days 2"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:etcd.test\n").unwrap();
    for who in ["server", "client"] {
        openssl(folder, &format!("req {KEY} -keyout {who}.key -out {who}.csr -subj /CN={who}"));
        openssl(
            folder,
            &format!(
                "x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {who}.pem \
                 -days 2 -extfile names"
            ),
        );
    }
}

async fn try_for_a_while(options: &Options) -> Result<Etcd, Error> {
    let mut result = Etcd::connect(options.clone(), Clock::system()).await;
    for _ in 0..100 {
        if result.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        result = Etcd::connect(options.clone(), Clock::system()).await;
    }
    result
}

#[tokio::test]
async fn connections_can_be_protected_both_ways() {
    if program("openssl").is_none() {
        eprintln!("left out: openssl is not installed");
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let arguments = [
        "--cert-file".to_owned(),
        path("server.pem"),
        "--key-file".to_owned(),
        path("server.key"),
        "--client-cert-auth".to_owned(),
        "--trusted-ca-file".to_owned(),
        path("ca.pem"),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(server) = Cluster::start(1, &arguments).await else { return };
    let trusting = Tls {
        authority: Some(read("ca.pem")),
        identity: Some((read("client.pem"), read("client.key"))),
        server_name: Some("etcd.test".to_owned()),
    };
    let with = |tls: Option<Tls>| Options { tls, ..server.options() };
    let etcd = try_for_a_while(&with(Some(trusting.clone()))).await.unwrap();
    etcd.open(Duration::from_secs(2)).await.unwrap();

    let connect = async |tls| Etcd::connect(with(tls), Clock::system()).await.unwrap_err();
    // The system's roots do not know this authority.
    let stranger = connect(Some(Tls::default())).await;
    assert!(matches!(stranger, Error::Refused { .. }), "{stranger}");
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    let elsewhere = Tls { server_name: Some("other.test".to_owned()), ..trusting.clone() };
    let elsewhere = connect(Some(elsewhere)).await;
    assert!(matches!(elsewhere, Error::Refused { .. }), "{elsewhere}");
    assert!(elsewhere.to_string().contains("other.test"), "{elsewhere}");
    let nobody = connect(Some(Tls { identity: None, ..trusting.clone() })).await;
    assert!(matches!(nobody, Error::Unavailable { .. } | Error::Refused { .. }), "{nobody}");
    let clear = connect(None).await;
    assert!(matches!(clear, Error::Refused { .. } | Error::Unavailable { .. }), "{clear}");
    assert!(clear.to_string().contains("TLS"), "{clear}");

    let Some(plain) = Cluster::start(1, &[]).await else { return };
    let options = Options { tls: Some(trusting), ..plain.options() };
    let error = Etcd::connect(options, Clock::system()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. } | Error::Unavailable { .. }), "{error}");
}
