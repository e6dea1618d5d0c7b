//! The servers of the tests themselves: each starts, answers, and comes back with its data where it promises that.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::Command;

use millwork_tests::poll;
use millwork_tests::servers::s3::Access;
use millwork_tests::servers::{ELASTICSEARCH, Kind, MONGODB, NATS, REDIS, S3};

/// `127.0.0.1:port` of a server's URL.
fn address(url: &str) -> String {
    let rest = url.split_once("://").unwrap().1;
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    rest.split(['/', '?']).next().unwrap().to_owned()
}

fn is_open(url: &str) -> bool {
    TcpStream::connect(address(url)).is_ok()
}

/// Starts, is killed, starts again in the same place, and ends when it is dropped.
fn check(kind: &'static Kind) {
    let Some(mut service) = kind.start() else { return };
    let url = service.url().to_owned();
    assert!(is_open(&url), "{url}");
    service.kill();
    assert!(!is_open(&url), "{url} after it was killed");
    service.run();
    assert_eq!(service.url(), url);
    assert!(is_open(&url), "{url} after it was started again");
    drop(service);
    poll::until("the server's port is closed", || (!is_open(&url)).then_some(()));
}

#[test]
fn nats_comes_back() {
    check(&NATS);
}

#[test]
fn redis_comes_back() {
    check(&REDIS);
}

#[test]
fn s3_comes_back() {
    check(&S3);
}

#[test]
fn mongodb_comes_back() {
    check(&MONGODB);
}

#[test]
fn elasticsearch_comes_back() {
    check(&ELASTICSEARCH);
}

/// Asks Redis in its inline form; the first line of the answer, or of what follows a length.
pub(crate) fn redis(url: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(address(url)).unwrap();
    write!(stream, "{command}\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let line = lines.next().unwrap();
    if line.starts_with('$') && line != "$-1" {
        lines.next().unwrap()
    } else {
        line
    }
}

#[test]
fn redis_keeps_what_it_was_told_when_it_is_killed() {
    let Some(mut service) = REDIS.start() else { return };
    assert_eq!(redis(service.url(), "SET kept 1"), "+OK");
    service.kill();
    service.run();
    assert_eq!(redis(service.url(), "GET kept"), "1");
    service.stop();
    service.run();
    assert_eq!(redis(service.url(), "GET kept"), "1");
}

#[test]
fn a_paused_server_keeps_its_connections_and_is_silent() {
    let Some(mut service) = REDIS.start() else { return };
    let mut stream = TcpStream::connect(address(service.url())).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_millis(50)))
        .unwrap();
    service.pause();
    stream.write_all(b"PING\r\n").unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    assert!(reader.read_line(&mut line).is_err(), "{line}");
    service.resume();
    stream.set_read_timeout(Some(poll::WITHIN)).unwrap();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "+PONG\r\n");
}

#[test]
fn a_shared_server_is_one() {
    let (Some(one), Some(other)) = (REDIS.shared(), REDIS.shared()) else {
        return;
    };
    assert!(std::ptr::eq(one, other));
}

/// Set for a process that is to start a server, to write where it listens into this file, and to crash.
const CRASH: &str = "MILLWORK_TEST_SERVER_LEFT_BEHIND";

#[test]
fn a_server_ends_with_the_tests_that_crash() {
    let Some(service) = REDIS.start() else { return };
    if let Ok(file) = std::env::var(CRASH) {
        std::fs::write(file, service.url()).unwrap();
        std::process::abort();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let crashed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers::a_server_ends_with_the_tests_that_crash"])
        .env(CRASH, &file)
        .output()
        .unwrap();
    assert!(!crashed.status.success());
    let url = std::fs::read_to_string(file).unwrap();
    poll::until("the server ends", || (!is_open(&url)).then_some(()));
}

#[test]
fn access_to_s3_is_read_from_its_url() {
    let access = |endpoint: &str, secret_key: &str, region: &str| Access {
        endpoint: endpoint.to_owned(),
        access_key: "key".to_owned(),
        secret_key: secret_key.to_owned(),
        region: region.to_owned(),
    };
    for (url, expected) in [
        (
            "http://key:secret@host:9000",
            access("http://host:9000", "secret", "us-east-1"),
        ),
        (
            "https://key:a%2Fb%40@host/?region=eu-west-1",
            access("https://host", "a/b@", "eu-west-1"),
        ),
    ] {
        assert_eq!(Access::parse(url), expected);
    }
}
