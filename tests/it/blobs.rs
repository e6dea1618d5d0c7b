//! A component that keeps files and gives them out, through the host; and the links that it gives out.

use std::fs;

use millwork_registry::id::Digest;
use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::poll;
use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::production;

/// A host with two tenants that run the module.
pub(crate) fn archive(setup: Setup) -> (Server, Client, Client) {
    let server = Server::start(setup);
    let wasm = artifacts::test_component("archivist").expect("the archivist; `cargo xtask guest` makes it");
    let _ = server.publish(wasm).done();
    let (one, other) = (
        server.tenant("keepers", &["archivist"]),
        server.tenant("strangers", &["archivist"]),
    );
    (server, one, other)
}

pub(crate) fn ask(api: &Client, query: &str, params: &[(&str, &str)]) -> Reply {
    let params: Vec<_> = params
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    api.get(&format!("/api/v1/papers-{query}?{}", params.join("&")))
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Gives a paper to be kept and waits until it is.
pub(crate) fn keep(api: &Client, key: &str, text: &str) -> Value {
    let paper = json!({ "bucket": "papers", "key": key, "text": text });
    let _ = api.post("/api/v1/papers", &paper).done();
    let digest = Digest::of(text.as_bytes());
    poll::until("the paper is kept", || {
        let known = ask(api, "known", &[("key", key)]);
        let known = (known.status == 200).then(|| known.json())?;
        (known["sha256"] == digest.hex()).then_some(known)
    })
}

pub(crate) fn names(listed: &Value) -> Vec<&str> {
    let entries = listed["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect()
}

/// A link, as somebody has it who has nothing else.
pub(crate) struct Link {
    url: String,
    headers: Vec<(String, String)>,
}

impl Link {
    fn of(server: &Server, made: &Value) -> Self {
        let url = made["url"].as_str().unwrap();
        let url = if url.starts_with('/') {
            format!("{}{url}", server.url())
        } else {
            url.to_owned()
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let headers = made["headers"].as_array().unwrap();
        Self {
            url,
            headers: headers
                .iter()
                .map(|pair| (text(&pair[0]), text(&pair[1])))
                .collect(),
        }
    }

    fn with(&self, name: &str, value: &str) -> Self {
        let kept = self
            .headers
            .iter()
            .filter(|(own, _)| !own.eq_ignore_ascii_case(name));
        let mut headers: Vec<_> = kept.cloned().collect();
        headers.push((name.to_owned(), value.to_owned()));
        Self {
            url: self.url.clone(),
            headers,
        }
    }

    fn send(&self, method: &str, body: &[u8]) -> Reply {
        self.try_send(method, body).expect("an answer")
    }

    fn try_send(&self, method: &str, body: &[u8]) -> Result<Reply, String> {
        let client = Client::new(&self.url, None);
        let mut asked = client.ask(method, "");
        for (name, value) in &self.headers {
            asked = asked.header(name, value);
        }
        if body.is_empty() && method == "PUT" {
            asked = asked.header("content-length", "0");
        }
        let sent = asked.body(body.to_vec()).try_send();
        sent.map_err(|error| error.to_string())
    }

    pub(crate) fn get(&self) -> Reply {
        self.send("GET", b"")
    }

    pub(crate) fn put(&self, body: &[u8]) -> Reply {
        self.send("PUT", body)
    }
}

pub(crate) fn download(server: &Server, api: &Client, params: &[(&str, &str)]) -> Link {
    Link::of(server, &ask(api, "download", params).done())
}

pub(crate) fn upload(server: &Server, api: &Client, key: &str, body: &[u8], media_type: &str) -> Link {
    let (size, digest) = (body.len().to_string(), Digest::of(body));
    let params = [
        ("key", key),
        ("mediaType", media_type),
        ("size", &size),
        ("sha256", digest.hex()),
    ];
    Link::of(server, &ask(api, "upload", &params).done())
}

#[test]
fn a_component_keeps_reads_lists_and_removes() {
    production::everywhere().for_each(keeps_reads_lists_and_removes);
}

fn keeps_reads_lists_and_removes(setup: Setup) {
    let (mut server, api, stranger) = archive(setup);
    let first = keep(&api, "notes/2026/a.txt", "the first text");
    assert_eq!(
        (&first["size"], &first["mediaType"]),
        (&json!(14), &json!("text/plain; charset=utf-8"))
    );
    let second = keep(&api, "notes/2026/a.txt", "the second text");
    keep(&api, "notes/2026/b.txt", "another");
    let read = |api: &Client, params: &[(&str, &str)]| ask(api, "read", params).done()["text"].clone();
    let key = ("key", "notes/2026/a.txt");
    assert_eq!(read(&api, &[key]), "the second text");
    assert_eq!(read(&api, &[key, ("offset", "4"), ("length", "6")]), "second");
    assert_eq!(read(&api, &[key, ("offset", "11"), ("length", "100")]), "text");
    assert_eq!(read(&api, &[key, ("offset", "100")]), "");
    let version = first["version"].as_str().unwrap().to_owned();
    assert_eq!(read(&api, &[key, ("version", &version)]), "the first text");
    let versions = ask(&api, "versions", &[key]).done();
    assert_eq!(names(&versions), [second["version"].as_str().unwrap(), &version]);
    let listed = ask(&api, "listed", &[("key", "notes/"), ("limit", "1")]).done();
    assert_eq!(names(&listed), ["notes/2026/a.txt"]);
    let cursor = listed["next"].as_str().unwrap();
    let next = ask(
        &api,
        "listed",
        &[("key", "notes/"), ("limit", "1"), ("cursor", cursor)],
    )
    .done();
    assert_eq!(names(&next), ["notes/2026/b.txt"]);

    // Another tenant of the same module has buckets of its own.
    assert!(names(&ask(&stranger, "listed", &[]).done()).is_empty());
    ask(&stranger, "read", &[key, ("version", &version)]).refused(404, "no-paper");
    let theirs = keep(&stranger, "notes/2026/a.txt", "the second text");
    assert_ne!(theirs["version"], second["version"]);

    let place = json!({ "bucket": "papers", "key": "notes/2026/a.txt" });
    let _ = api.post("/api/v1/papers-dropped", &place).done();
    poll::until("the paper is gone", || {
        (ask(&api, "known", &[key]).status == 404).then_some(())
    });
    assert_eq!(read(&api, &[key, ("version", &version)]), "the first text");
    assert_eq!(read(&stranger, &[key]), "the second text");

    server.kill();
    server.run();
    let api = server.somebody(Some("keepers"), &["admin"]);
    assert_eq!(names(&ask(&api, "listed", &[]).done()), ["notes/2026/b.txt"]);
    assert_eq!(read(&api, &[key, ("version", &version)]), "the first text");
}

#[test]
fn links_give_and_take_files_without_a_credential() {
    production::everywhere().for_each(give_and_take_files);
}

fn give_and_take_files(setup: Setup) {
    let (server, api, _) = archive(setup);
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let link = upload(&server, &api, "in/photo of \"us\".jpg", &body, "image/jpeg");
    let sent = link.put(&body);
    assert_eq!(sent.status, 200, "{}", sent.text());
    let known = ask(&api, "known", &[("key", "in/photo of \"us\".jpg")]).done();
    assert_eq!(
        (&known["size"], &known["mediaType"], &known["sha256"]),
        (
            &json!(body.len()),
            &json!("image/jpeg"),
            &json!(Digest::of(&body).hex())
        )
    );
    let link = download(&server, &api, &[("key", "in/photo of \"us\".jpg")]);
    let got = link.get();
    assert_eq!(got.status, 200, "{}", got.text());
    assert!(got.body == body, "the bytes differ");
    assert_eq!(got.header("content-type"), Some("image/jpeg"));
    assert_eq!(
        got.header("content-disposition"),
        Some("attachment; filename*=UTF-8''photo%20of%20%22us%22.jpg")
    );

    // A link gives what was there when it was made.
    keep(&api, "letter.txt", "as it was");
    let link = download(&server, &api, &[("key", "letter.txt")]);
    keep(&api, "letter.txt", "as it is");
    assert_eq!(link.get().text(), "as it was");
    let empty = upload(&server, &api, "empty", b"", "text/plain");
    assert_eq!(empty.put(b"").status, 200);
    assert_eq!(download(&server, &api, &[("key", "empty")]).get().body, b"");
    ask(&api, "download", &[("key", "never")]).refused(404, "no-paper");
}

#[test]
fn an_upload_that_differs_from_what_was_announced_is_refused() {
    production::everywhere().for_each(differing_uploads);
}

fn differing_uploads(setup: Setup) {
    let (server, api, _) = archive(setup);
    let link = upload(&server, &api, "up.txt", b"announced", "text/plain");
    for (what, reply) in [
        (
            "another type",
            link.with("content-type", "text/html").put(b"announced"),
        ),
        ("a longer body", link.put(b"announced and more")),
        ("a shorter body", link.put(b"announce")),
        ("another body", link.put(b"announceD")),
    ] {
        assert!(
            (400..500).contains(&reply.status),
            "{what}: {} {}",
            reply.status,
            reply.text()
        );
    }
    ask(&api, "known", &[("key", "up.txt")]).refused(404, "no-paper");
    assert_eq!(link.put(b"announced").status, 200);
    assert_eq!(ask(&api, "known", &[("key", "up.txt")]).done()["size"], 9);
    // A link for one is no link for the other.
    assert!((400..500).contains(&link.get().status));
    let get = download(&server, &api, &[("key", "up.txt")]);
    assert!((400..500).contains(&get.put(b"announced").status));
}

#[test]
fn a_link_that_was_changed_or_has_ended_is_refused() {
    production::everywhere().for_each(changed_links);
}

fn changed_links(setup: Setup) {
    let (server, api, _) = archive(setup);
    keep(&api, "a.txt", "text");
    let link = download(&server, &api, &[("key", "a.txt")]);
    assert_eq!(link.get().text(), "text");
    // Each character of what follows the host's name, changed for another of its kind.
    let start = link.url.find("//").unwrap() + 2;
    let path = start + link.url[start..].find('/').unwrap() + 1;
    let places = (path..link.url.len()).step_by(7);
    // Digits of an escape may be large or small.
    let escaped = |at: usize| link.url[at - 2..at].contains('%');
    for at in places.filter(|at| link.url.as_bytes()[*at].is_ascii_alphanumeric() && !escaped(*at)) {
        let other = if &link.url[at..=at] == "a" { "b" } else { "a" };
        let changed = Link {
            url: format!("{}{other}{}", &link.url[..at], &link.url[at + 1..]),
            headers: Vec::new(),
        };
        // SeaweedFS 4.48 hangs up on some of them.
        let Ok(reply) = changed.try_send("GET", b"") else {
            assert!(!link.url.starts_with(server.url()), "{}", changed.url);
            continue;
        };
        assert!(
            (400..500).contains(&reply.status),
            "{}: {}",
            changed.url,
            reply.status
        );
    }
    let short = download(&server, &api, &[("key", "a.txt"), ("seconds", "1")]);
    let ended = poll::until("the link has ended", || {
        let reply = short.get();
        (reply.status != 200).then_some(reply)
    });
    assert!((400..500).contains(&ended.status), "{}", ended.status);
}

#[test]
fn links_to_this_host_say_why_they_are_refused() {
    let (server, api, _) = archive(Setup::default());
    keep(&api, "a.txt", "<script>alert(1)</script>");
    let link = download(&server, &api, &[("key", "a.txt")]);
    let got = link.get();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "private"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    let head = link.send("HEAD", b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("25")));
    let nobody = Client::new(server.url(), None);
    let path = link.url.strip_prefix(server.url()).unwrap();
    let (claims, signature) = path.split_once('.').unwrap();
    for forged in [
        format!(
            "{claims}.{}",
            signature.replace(|c: char| c.is_ascii_digit(), "x") + "y"
        ),
        claims.to_owned(),
        "/blobs/x".to_owned(),
        "/blobs/..".to_owned(),
        "/blobs/a.b".to_owned(),
    ] {
        nobody.get(&forged).refused(403, "link-invalid");
    }
    nobody.get("/blobs/").refused(404, "no-route");
    nobody.get(&format!("{path}/more")).refused(404, "no-route");
    nobody
        .ask("PUT", path)
        .bytes("text/plain", b"x".to_vec())
        .send()
        .refused(403, "link-invalid");
    nobody
        .ask("DELETE", path)
        .send()
        .refused(405, "method-not-allowed");
    // Another host's key signs nothing here.
    let (other, other_api, _) = archive(Setup::default());
    keep(&other_api, "a.txt", "text");
    let foreign = download(&other, &other_api, &[("key", "a.txt")]);
    let foreign = foreign.url.strip_prefix(other.url()).unwrap().to_owned();
    nobody.get(&foreign).refused(403, "link-invalid");

    let up = upload(&server, &api, "b.txt", b"body", "text/plain");
    up.with("content-type", "text/html")
        .put(b"body")
        .refused(415, "media-type");
    up.put(b"bodies").refused(422, "blob-differs");
    up.put(b"BODY").refused(422, "blob-differs");
    let short = download(&server, &api, &[("key", "a.txt"), ("seconds", "1")]);
    let ended = poll::until("the link has ended", || {
        let reply = short.get();
        (reply.status != 200).then_some(reply)
    });
    ended.refused(403, "link-expired");
    // Neither key nor links stand in the log.
    assert!(!server.log().contains(claims.trim_start_matches("/blobs/")));
    let key = fs::metadata(server.data().join("links-key")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777,
        0o600
    );
}

#[test]
fn what_a_component_may_not_is_refused() {
    let (_server, api, _) = archive(Setup::default());
    let trespassed = api.get("/api/v1/papers-trespassed").done();
    let denied = "denied: this call may read blobs, not write";
    assert_eq!(trespassed["write"], denied);
    assert_eq!(trespassed["remove"], denied);
    assert_eq!(
        trespassed["other"],
        "denied: the manifest has no bucket \"invoices\""
    );
    let digest = Digest::of(b"x");
    let up = |bucket, key, media_type, size, seconds| {
        let params = [
            ("bucket", bucket),
            ("key", key),
            ("mediaType", media_type),
            ("size", size),
            ("sha256", digest.hex()),
            ("seconds", seconds),
        ];
        ask(&api, "upload", &params)
    };
    let _ = up("temp", "k", "text/plain", "1", "60").done();
    for (reply, told) in [
        (
            up("sealed", "k", "text/plain", "1", "60"),
            "does not ask for blobs:write:sealed",
        ),
        (
            up("papers", "../k", "text/plain", "1", "60"),
            "may not be . or ..",
        ),
        (
            up("papers", "a/../../k", "text/plain", "1", "60"),
            "may not be . or ..",
        ),
        (up("papers", "/k", "text/plain", "1", "60"), "empty part"),
        (up("papers", "k", "text", "1", "60"), "type/subtype"),
        (
            up("papers", "k", "text/plain", "1073741825", "60"),
            "at most 1073741824",
        ),
        (up("papers", "k", "text/plain", "1", "0"), "1 to 604800 seconds"),
        (
            up("papers", "k", "text/plain", "1", "604801"),
            "1 to 604800 seconds",
        ),
        (ask(&api, "read", &[("key", "..")]), "may not be . or .."),
        (ask(&api, "read", &[("key", "a\\b")]), "backslashes"),
        (
            ask(&api, "read", &[("key", &"k".repeat(901))]),
            "at most 900 bytes",
        ),
        (
            ask(&api, "read", &[("key", "k"), ("length", "0")]),
            "length must be",
        ),
        (ask(&api, "read", &[("key", "k"), ("version", "é")]), "version"),
        (
            ask(&api, "listed", &[("key", "../strangers/")]),
            "may not be . or ..",
        ),
        (ask(&api, "listed", &[("limit", "1001")]), "limit must be"),
        (ask(&api, "listed", &[("cursor", "/")]), "not of a page before"),
    ] {
        let problem = reply.refused(422, "invalid");
        assert!(problem.to_string().contains(told), "{told}: {problem}");
    }
}

#[test]
fn a_bucket_that_is_read_only_takes_nothing() {
    let (_server, api, _) = archive(Setup::default());
    assert!(names(&ask(&api, "listed", &[("bucket", "sealed")]).done()).is_empty());
    // What cannot be kept becomes a dead letter.
    let paper = json!({ "bucket": "sealed", "key": "k", "text": "x" });
    let _ = api.post("/api/v1/papers", &paper).done();
    let letters = poll::until("the dead letter", || {
        let letters = api.get("/admin/v1/tenants/keepers/letters").done()["letters"].clone();
        letters
            .as_array()
            .is_some_and(|all| !all.is_empty())
            .then_some(letters)
    });
    assert_eq!(letters[0]["code"], "blobs-refused");
    // And a projection sees no blobs.
    let tried = poll::until("the projection", || {
        let tried = api.get("/api/v1/papers-tried").done();
        tried["items"][0]["told"].as_str().map(str::to_owned)
    });
    assert_eq!(tried, "denied: a projection may not use blobs");
}

#[test]
fn the_marketplace_says_in_words_what_buckets_are_for() {
    let (_server, api, _) = archive(Setup::default());
    let shown = api.get("/api/v1/marketplace/archivist").done().to_string();
    for words in [
        "keep files of its own in the bucket papers, and give out links to upload and download them",
        "read files of its own in the bucket sealed, and give out links to download them",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}
