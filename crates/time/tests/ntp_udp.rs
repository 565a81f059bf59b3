//! The real client against small servers on the loopback, some of which lie.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use steadfast_time::ntp::packet::{Mode, NtpTime, Packet};
use steadfast_time::ntp::{Error, Options, Poller, Refused, Servers, Udp};
use steadfast_time::wall::Status;
use steadfast_time::{Clock, Interval, Monotonic, Offset, Sleep, Source, Timestamp};

/// An NTP server that is `ahead` of this machine, for as long as it lives.
struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(ahead: Offset, change: impl Fn(&mut Packet) + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let clock = Clock::system();
            let mut buffer = [0; 100];
            while !stopped.load(Ordering::Acquire) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let now = || NtpTime::from_timestamp(clock.now() + ahead);
                let question = Packet::decode(&buffer[..length]).unwrap();
                assert_eq!(question.mode, Mode::Client);
                let mut answer = Packet {
                    mode: Mode::Server,
                    stratum: 2,
                    precision: -20,
                    root_delay: Duration::from_millis(2),
                    root_dispersion: Duration::from_millis(1),
                    reference: [127, 0, 0, 1],
                    originate: question.transmit,
                    receive: now(),
                    transmit: now(),
                    ..Packet::question(0)
                };
                change(&mut answer);
                socket.send_to(&answer.encode(), from).unwrap();
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    fn honest() -> Self {
        Self::start(Offset::ZERO, |_| {})
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Its socket is open, so nothing is refused, and nobody answers.
fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

fn udp(servers: &[&Server]) -> Udp {
    Udp::new(servers.iter().map(|server| server.address.to_string()))
}

fn options() -> Options {
    Options { timeout: Duration::from_secs(5), ..Options::default() }
}

#[tokio::test]
async fn another_client_understands_the_tests_server() {
    let server = Server::start(Offset::from_millis(7_000), |_| {});
    let config = rsntp::Config::default().timeout(Duration::from_secs(5));
    let address = server.address.to_string();
    let client = rsntp::SntpClient::with_config(config);
    let result = tokio::task::spawn_blocking(move || client.synchronize(address)).await.unwrap();
    let offset = result.unwrap().clock_offset().as_secs_f64();
    assert!((offset - 7.0).abs() < 1.0, "{offset}");
}

#[tokio::test]
async fn a_liar_among_four_is_thrown_out_and_the_clock_is_bounded() {
    let liar = Server::start(Offset::from_millis(60_000), |_| {});
    let honest = [Server::honest(), Server::honest(), Server::honest()];
    let servers = udp(&[&honest[0], &liar, &honest[1], &honest[2]]);
    let (ntp, _poller) =
        Poller::start(Clock::system(), Arc::new(servers), options()).await.unwrap();
    let clock = Clock::system().disciplined(Arc::new(ntp.clone()));
    // The honest ones have this machine's time, so it is in the bound, and the liar's is not.
    let (before, interval, after) =
        (Clock::system().now(), clock.interval(), Clock::system().now());
    assert!(interval.earliest <= after && before <= interval.latest, "{before} {interval}");
    assert!(!interval.contains(after + Duration::from_secs(60)), "{interval}");
    assert!(ntp.offset().abs() < Duration::from_secs(5), "{}", ntp.offset());
    assert_eq!(clock.status(), Status::Synchronized);
}

#[tokio::test]
async fn without_a_majority_there_is_no_time_and_it_says_who_said_what() {
    let liars = [0, 1].map(|_| Server::start(Offset::from_millis(60_000), |_| {}));
    let honest = [Server::honest(), Server::honest()];
    let servers = udp(&[&honest[0], &honest[1], &liars[0], &liars[1]]);
    let error = Poller::start(Clock::system(), Arc::new(servers), options()).await.unwrap_err();
    assert!(error.to_string().starts_with("no majority: 2 of 4"), "{error}");

    let (_open, address) = silent();
    let kiss = Server::start(Offset::ZERO, |answer| {
        answer.stratum = 0;
        answer.reference = *b"RATE";
    });
    let names = [honest[0].address.to_string(), address.clone(), kiss.address.to_string()];
    let quick = Options { timeout: Duration::from_millis(300), ..options() };
    let error = Poller::start(Clock::system(), Arc::new(Udp::new(names)), quick).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("{address}: no answer within 300ms")), "{text}");
    assert!(text.contains("the server refuses service: RATE"), "{text}");
}

#[tokio::test]
async fn one_server_gives_offset_delay_and_its_own_bound() {
    let server = Server::start(Offset::from_millis(-2_500), |_| {});
    let clock = Clock::system();
    let sample = udp(&[&server]).ask(0, &clock, 200).await.unwrap();
    let wrong = (sample.offset + Offset::from_millis(2_500)).abs();
    // Two readings of one clock: what is wrong is within half of the delay and some microseconds.
    assert!(wrong <= sample.delay / 2 + Duration::from_micros(10), "{sample:?}");
    assert!(sample.root_distance >= Duration::from_millis(2), "1 + 2 / 2");
    let alarm = Server::start(Offset::ZERO, |answer| answer.leap = 3);
    let error = udp(&[&alarm]).ask(0, &clock, 200).await.unwrap_err();
    assert!(matches!(error, Error::Refused(Refused::Unsynchronized { leap: 3, .. })), "{error}");
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_is_passed_over() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let forger = std::thread::spawn(move || {
        let mut buffer = [0; 100];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let question = Packet::decode(&buffer[..length]).unwrap();
        let now = NtpTime::from_timestamp(Clock::system().now());
        let forged_time: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let honest = Packet {
            mode: Mode::Server,
            stratum: 1,
            originate: question.transmit,
            receive: now,
            transmit: now,
            ..Packet::question(0)
        };
        let forged = NtpTime::from_timestamp(forged_time);
        let guess = NtpTime(question.transmit.0 ^ 1);
        let forged = Packet { originate: guess, receive: forged, transmit: forged, ..honest };
        socket.send_to(&forged.encode(), from).unwrap();
        socket.send_to(&honest.encode(), from).unwrap();
    });
    let servers = Udp::new([address.to_string()]);
    let sample = servers.ask(0, &Clock::system(), 200).await.unwrap();
    assert!(sample.offset.abs() < Duration::from_secs(5), "{sample:?}");
    forger.join().unwrap();
}

/// A clock whose reader is preempted right after each look at the date.
struct Preempted(Clock);

impl Source for Preempted {
    fn monotonic(&self) -> Monotonic {
        self.0.monotonic()
    }

    #[allow(clippy::disallowed_methods, reason = "a thread that does not run is what is tested")]
    fn interval(&self) -> Interval {
        let interval = self.0.interval();
        std::thread::sleep(Duration::from_millis(30));
        interval
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        self.0.sleep_until(deadline)
    }
}

#[tokio::test]
async fn a_thread_that_is_preempted_while_it_asks_admits_a_larger_error() {
    let server = Server::honest();
    let clock = Clock::new(Arc::new(Preempted(Clock::system())));
    let sample = udp(&[&server]).ask(0, &clock, 200).await.unwrap();
    // Both are the same clock.
    assert!(sample.offset.abs() <= sample.error(), "{sample:?}");
}
