//! The command line against a running host: answers for people and for programs, exit codes, messages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use millwork_tests::artifacts;
use millwork_tests::client::Client;
use millwork_tests::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A shell that talks to one host as an operator.
pub(crate) struct Shell {
    pub(crate) server: Server,
    pub(crate) token: String,
}

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Shell {
    pub(crate) fn new() -> Self {
        Self::on(Server::demo())
    }

    /// At this host.
    pub(crate) fn on(server: Server) -> Self {
        let token = server.operator().token().to_owned();
        Self { server, token }
    }

    /// Runs `millwork` with these words.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(artifacts::program());
        command
            .args(words)
            .env("MILLWORK_URL", self.server.url())
            .env("MILLWORK_TOKEN", &self.token);
        Ran::from(command.output().unwrap())
    }

    /// Runs `millwork ... --json`, which must succeed, and gives what it answers.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let ran = self.run(&[words, &["--json"]].concat());
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
    }

    /// It works, and what it prints for people has this part.
    #[track_caller]
    pub(crate) fn prints(&self, words: &[&str], part: &str) {
        let ran = self.run(words);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(
            ran.stdout.contains(part),
            "{words:?}: {part} is not in {}",
            ran.stdout
        );
    }

    /// It does not work, and the message has these parts.
    #[track_caller]
    pub(crate) fn fails(&self, words: &[&str], parts: &[&str]) {
        self.run(words).fails(1, parts);
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Ran {
    #[track_caller]
    fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(
            (self.code, self.stdout.as_str()),
            (Some(code), ""),
            "{}",
            self.stderr
        );
        for part in parts {
            assert!(self.stderr.contains(part), "{part} is not in {}", self.stderr);
        }
    }
}

/// Client 1.0.1, which does what 1.0.0 does, signed by its publisher.
pub(crate) fn next_client(server: &Server) -> (TempDir, PathBuf) {
    let wasm = artifacts::with_manifest(&artifacts::component("client"), |text| {
        text.replacen("version: 1.0.0", "version: 1.0.1", 1)
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.wasm");
    std::fs::write(&file, server.signed(&wasm)).unwrap();
    (folder, file)
}

pub(crate) fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

#[test]
fn from_a_tenant_to_an_upgrade() {
    let shell = Shell::new();
    let made = shell.json(&["tenant", "create", "acme", "--name", "Acme Ltd"]);
    assert_eq!(made, json!({ "id": "acme", "name": "Acme Ltd" }));
    let tenants = shell.json(&["tenant", "list"]);
    assert_eq!(tenants["tenants"].as_array().unwrap().len(), 2);

    let enabled = shell.json(&["module", "enable", "client", "1.0.0", "--tenant", "acme"]);
    assert_eq!(
        (&enabled["from"], &enabled["to"]),
        (&Value::Null, &json!("1.0.0"))
    );
    let (_folder, next) = next_client(&shell.server);
    let published = shell.json(&["registry", "publish", path(&next)]);
    assert_eq!(
        (&published["name"], &published["version"]),
        (&json!("client"), &json!("1.0.1"))
    );
    let releases = shell.json(&["registry", "list"]);
    let mut known = releases["releases"].as_array().unwrap().iter();
    assert!(
        known.any(|release| release["name"] == "client" && release["version"] == "1.0.1"),
        "{releases}"
    );

    let upgraded = shell.json(&["module", "upgrade", "client", "--tenant", "acme"]);
    assert_eq!(
        (&upgraded["from"], &upgraded["to"]),
        (&json!("1.0.0"), &json!("1.0.1"))
    );
    let status = shell.json(&["module", "status", "--tenant", "acme"]);
    assert_eq!(
        (&status["modules"][0]["name"], &status["modules"][0]["version"]),
        (&json!("client"), &json!("1.0.1"))
    );

    let issued = shell.json(&[
        "token",
        "issue",
        "--tenant",
        "acme",
        "--subject",
        "ada",
        "--role",
        "admin",
        "--ttl",
        "1h",
    ]);
    let api = Client::new(shell.server.url(), issued["token"].as_str());
    assert_eq!(api.get("/api/v1/clients").status, 200);
    let disabled = shell.json(&["module", "disable", "client", "--tenant", "acme"]);
    assert_eq!(
        (&disabled["from"], &disabled["to"]),
        (&json!("1.0.1"), &Value::Null)
    );
    api.get("/api/v1/clients").refused(404, "no-route");
}

#[test]
fn people_get_sentences_and_tables() {
    let shell = Shell::new();
    let check = |words: &[&str], part: &str| shell.prints(words, part);
    check(&["tenant", "list"], "demo");
    check(&["registry", "list"], "invoicing");
    check(&["module", "status", "--tenant", "demo"], "MODULE");
    check(
        &["module", "enable", "client", "--tenant", "demo"],
        "client 1.0.0 serves demo",
    );
    check(&["--version"], "millwork ");
    check(&["serve", "--help"], "--data");
}

#[test]
fn a_token_of_a_tenant_says_which_one() {
    let mut shell = Shell::new();
    shell.token = shell.server.admin().token().to_owned();
    assert_eq!(shell.json(&["module", "status"])["tenant"], "demo");
    shell.fails(&["tenant", "list"], &["forbidden"]);
    shell.fails(&["module", "status", "--tenant", "acme"], &["forbidden"]);
}

#[test]
fn tokens_can_be_issued_without_a_running_host() {
    let shell = Shell::new();
    let data = shell.server.data();
    let words = [
        "token",
        "issue",
        "--tenant",
        "demo",
        "--subject",
        "ada",
        "--role",
        "viewer",
        "--data",
        path(&data),
    ];
    let ran = Ran::from(
        Command::new(artifacts::program())
            .args(words)
            .env_remove("MILLWORK_TOKEN")
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let api = Client::new(shell.server.url(), Some(ran.stdout.trim()));
    assert_eq!(api.get("/api/v1/clients").status, 200);
    api.post("/api/v1/clients", &json!({ "code": "X", "name": "X" }))
        .refused(403, "forbidden");
}

#[test]
fn what_does_not_work_says_why_and_ends_with_1() {
    let shell = Shell::new();
    shell.fails(&["tenant", "create", "demo"], &["exists"]);
    shell.fails(&["tenant", "create", "No Name"], &["name"]);
    shell.fails(
        &["module", "enable", "nothing", "--tenant", "demo"],
        &["release-unknown"],
    );
    shell.fails(
        &["module", "enable", "client", "9.9.9", "--tenant", "demo"],
        &["release-unknown", "9.9.9"],
    );
    shell.fails(
        &["module", "upgrade", "nothing", "--tenant", "demo"],
        &["module-not-enabled"],
    );
    shell.fails(
        &["module", "disable", "client", "--tenant", "demo"],
        &["dependencies-unmet"],
    );
    shell.fails(&["module", "status", "--tenant", "nobody"], &["no-tenant"]);
    shell.fails(&["module", "status"], &["--tenant"]);
    shell.fails(&["registry", "publish", "/nowhere.wasm"], &["/nowhere.wasm"]);
    shell.fails(
        &["token", "issue", "--subject", "x", "--role", "admin"],
        &["role"],
    );
    shell.fails(&["tenant", "list", "--token", "nonsense"], &["token-invalid"]);
    shell.fails(
        &["tenant", "list", "--url", "http://127.0.0.1:1"],
        &["127.0.0.1:1"],
    );
}

#[test]
fn wrong_calls_end_with_2() {
    let shell = Shell::new();
    for words in [
        &["nothing"][..],
        &["tenant"],
        &["tenant", "create"],
        &["module", "enable", "client", "one"],
        &["serve", "--colour"],
    ] {
        let ran = shell.run(words);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{words:?}");
        assert!(ran.stderr.contains("--help"), "{words:?}: {}", ran.stderr);
    }
}

#[test]
fn a_host_that_cannot_start_says_why() {
    let serve = |data: &Path, listen: &str| {
        let mut command = Command::new(artifacts::program());
        Ran::from(
            command
                .arg("serve")
                .arg("--data")
                .arg(data)
                .args(["--listen", listen])
                .output()
                .unwrap(),
        )
    };
    let server = Server::bare();
    let taken = server.url().trim_start_matches("http://");
    let folder = tempfile::tempdir().unwrap();
    serve(folder.path(), taken).fails(1, &[taken]);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    serve(&file, "127.0.0.1:0").fails(1, &[path(&file)]);
    let empty = folder.path().join("empty");
    let mut demo = Command::new(artifacts::program());
    std::fs::create_dir(&empty).unwrap();
    let demo = demo
        .arg("serve")
        .arg("--data")
        .arg(folder.path().join("d"))
        .args(["--listen", "127.0.0.1:0", "--demo"]);
    Ran::from(demo.arg("--components").arg(&empty).output().unwrap()).fails(1, &["holds no component"]);
}
