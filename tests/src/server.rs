//! The host as a process of its own, on a free port and in a folder of its own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use millwork_host::http::token::{Claims, Keys};
use millwork_registry::Error as Refusal;
use millwork_registry::id::{Digest, TenantId};
use millwork_registry::key::KeyPair;
use millwork_registry::release::sign;
use serde_json::json;
use tempfile::TempDir;

use crate::artifacts;
use crate::client::{Client, Reply};
use crate::disk::Disk;
use crate::poll;

/// What the host prints before its address once it is ready.
const READY: &str = "Millwork is ready at ";
const LOG: &str = "log";

/// How a host is to be started.
#[derive(Clone)]
pub struct Setup {
    /// Whether the tenant `demo` is set up with every component.
    pub demo: bool,
    /// The components for that.
    pub components: PathBuf,
    /// The log's filter.
    pub log: String,
    /// Text of `millwork.toml`.
    pub settings: String,
    /// Variables of its environment.
    pub variables: Vec<(&'static str, String)>,
    /// A disk of its own for its data, which can be full.
    pub disk: Option<Arc<Disk>>,
}

/// A running host. Dropped, it is killed and its folder removed.
pub struct Server {
    child: Option<Child>,
    url: String,
    folder: TempDir,
    setup: Setup,
    /// Where the next start shall end itself.
    crash_at: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            demo: true,
            components: artifacts::components(),
            log: "info".to_owned(),
            settings: String::new(),
            variables: Vec::new(),
            disk: None,
        }
    }
}

impl Server {
    /// A host with the tenant `demo` and every module.
    #[must_use]
    pub fn demo() -> Self {
        Self::start(Setup::default())
    }

    /// A host without tenants.
    #[must_use]
    pub fn bare() -> Self {
        Self::start(Setup {
            demo: false,
            ..Setup::default()
        })
    }

    /// A host that is ready.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(setup: Setup) -> Self {
        Self::start_in(&std::env::temp_dir(), setup)
    }

    /// The same with its data somewhere below this folder.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_in(parent: &Path, setup: Setup) -> Self {
        let folder = tempfile::tempdir_in(parent).expect("a folder for the host");
        let mut server = Self {
            child: None,
            url: String::new(),
            folder,
            setup,
            crash_at: None,
        };
        server.run();
        server
    }

    /// Where it listens: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        match &self.setup.disk {
            Some(disk) => disk.seen(&disk.data()),
            None => self.folder.path().join("data"),
        }
    }

    /// The number of its process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the host runs").id()
    }

    /// All that it has logged, over all starts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }

    /// The admin of the tenant `demo`, with the token that the host wrote.
    #[must_use]
    pub fn admin(&self) -> Client {
        let token = fs::read_to_string(self.data().join("demo-token")).expect("the demo's token");
        Client::new(&self.url, Some(&token))
    }

    /// The operator, with the token that the host wrote.
    #[must_use]
    pub fn operator(&self) -> Client {
        let token = fs::read_to_string(self.data().join("operator-token")).expect("the operator's token");
        Client::new(&self.url, Some(&token))
    }

    /// Somebody with these roles, in a tenant or without one.
    #[must_use]
    pub fn somebody(&self, tenant: Option<&str>, roles: &[&str]) -> Client {
        Client::new(&self.url, Some(&self.token(tenant, roles, now_seconds(), 3_600)))
    }

    /// A token that the host's key signs; `issued` in seconds since 1970.
    ///
    /// # Panics
    /// When the key cannot be read.
    #[must_use]
    pub fn token(&self, tenant: Option<&str>, roles: &[&str], issued: u64, ttl_seconds: u64) -> String {
        let tenant = tenant.map(|name| TenantId::new(name).expect("a tenant's name"));
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let claims = Claims::new("tester", tenant, roles, issued, ttl_seconds);
        Keys::read(&self.data())
            .expect("the host's key")
            .sign(&claims)
            .expect("a signature")
    }

    /// A new tenant with these modules in their newest versions, and its admin. Those before must come first.
    pub fn tenant(&self, name: &str, modules: &[&str]) -> Client {
        let operator = self.operator();
        let _ = operator.post("/admin/v1/tenants", &json!({ "id": name })).done();
        for module in modules {
            let _ = operator
                .put(&format!("/admin/v1/tenants/{name}/modules/{module}"), &json!({}))
                .done();
        }
        self.somebody(Some(name), &["admin"])
    }

    /// Signs a component, trusts the key, and publishes it. What cannot be signed is sent as it is.
    pub fn publish(&self, wasm: Vec<u8>) -> Reply {
        let Some(key) = self.key_for(&wasm) else {
            return self.publish_as_is(wasm);
        };
        // A key that was revoked stays so, which the host then says of the release too.
        let _ = self.trust(&key);
        self.publish_as_is(self.signed(&wasm))
    }

    /// The component as its publisher would sign it for this host.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn signed(&self, wasm: &[u8]) -> Vec<u8> {
        let key = self.key_for(wasm).expect("a component with a manifest");
        sign(wasm, &key).expect("a signature")
    }

    /// The key of the component's publisher, whom the refusal of a stranger's key names.
    fn key_for(&self, wasm: &[u8]) -> Option<KeyPair> {
        match sign(wasm, &fixed_key("nobody", 0)) {
            Err(Refusal::PublisherMismatch { publisher, .. }) => Some(self.publisher_key(&publisher)),
            _ => None,
        }
    }

    /// The key that components of this publisher are signed with here: the demo's where it has one.
    ///
    /// # Panics
    /// When the demo's cannot be read.
    #[must_use]
    pub fn publisher_key(&self, publisher: &str) -> KeyPair {
        let file = self.data().join(format!("publisher-keys/{publisher}.json"));
        match fs::read_to_string(file) {
            Ok(text) => KeyPair::parse(&text).expect("the demo's key"),
            Err(_) => fixed_key(publisher, 1),
        }
    }

    /// Trusts a key for its publisher.
    pub fn trust(&self, key: &KeyPair) -> Reply {
        self.operator().post(
            "/admin/v1/registry/publishers",
            &json!({ "publisher": key.publisher(), "key": key.public() }),
        )
    }

    /// Revokes a key.
    pub fn revoke(&self, key: &KeyPair, reason: &str) -> Reply {
        let path = format!("/admin/v1/registry/publishers/{}/revoke", key.public().id());
        self.operator().post(&path, &json!({ "reason": reason }))
    }

    /// Publishes these bytes.
    pub fn publish_as_is(&self, wasm: Vec<u8>) -> Reply {
        self.operator()
            .ask("POST", "/admin/v1/registry/releases")
            .bytes("application/wasm", wasm)
            .send()
    }

    /// Ends it as a power loss would: SIGKILL.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the host runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Asks it to end, and waits until it has: SIGTERM.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the host runs");
        signal_term(child.id());
        child.wait().expect("it ends")
    }

    /// Starts it again on the same data without setting anything up.
    pub fn run_bare(&mut self) {
        self.setup.demo = false;
        self.run();
    }

    /// Starts it again so that it ends itself, as a power loss would, at a step of a swap: `before:flipping`.
    pub fn crash_at(&mut self, step: &str) {
        self.stop();
        self.crash_at = Some(step.to_owned());
        self.run();
    }

    /// Whether it has ended by itself.
    ///
    /// # Panics
    /// When it was not started.
    pub fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("the host was started");
        child.try_wait().expect("its status").is_some()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn ended(&mut self) {
        let mut child = self.child.take().expect("the host runs");
        poll::until("the host ends itself", || child.try_wait().expect("its status"));
    }

    /// Starts it again on the same data, on another port. Clients must be made anew.
    ///
    /// # Panics
    /// When it runs, or does not start.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "the host runs already");
        let log = self.folder.path().join(LOG);
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("a file for the log");
        let settings = self.folder.path().join("millwork.toml");
        fs::write(&settings, &self.setup.settings).expect("a file for the settings");
        let program = artifacts::program();
        let (mut serve, data) = match &self.setup.disk {
            Some(disk) => (disk.enter(&program), disk.data()),
            None => (Command::new(&program), self.data()),
        };
        serve
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
        serve
            .arg("--config")
            .arg(settings)
            .arg("--components")
            .arg(&self.setup.components)
            .env("MILLWORK_LOG", &self.setup.log)
            .envs(self.setup.variables.iter().map(|(name, value)| (name, value)));
        if self.setup.demo {
            serve.arg("--demo");
        }
        if let Some(step) = self.crash_at.take() {
            serve.env("MILLWORK_CRASH_AT", step);
        }
        let mut child = serve
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let url = ready(&mut child);
        self.child = Some(child);
        self.url = url.unwrap_or_else(|| panic!("the host did not start:\n{}", self.log()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which is what the test has found already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the host's log ---\n{}", last_lines(&self.log(), 60));
        }
    }
}

/// A publisher's key that is the same in each test; the number makes it another one.
///
/// # Panics
/// When the text is no name.
#[must_use]
pub fn fixed_key(publisher: &str, number: u8) -> KeyPair {
    let digest = Digest::of(format!("{publisher} {number}").as_bytes());
    let secret = digest.hex().as_bytes().first_chunk().expect("64 digits");
    KeyPair::new(publisher, secret).expect("a publisher's name")
}

/// Seconds since 1970.
#[must_use]
pub fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Sends SIGTERM to a process that the caller started.
///
/// # Panics
/// When there is no shell.
pub fn signal_term(pid: u32) {
    let sent = Command::new("sh")
        .arg("-c")
        .arg(format!("kill -TERM {pid}"))
        .status();
    assert!(sent.expect("sh").success(), "SIGTERM could not be sent");
}

/// The folder where a component of the tests can be laid for one host alone.
#[must_use]
pub fn folder_with(components: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for components");
    for (name, wasm) in components {
        fs::write(Path::new(folder.path()).join(format!("{name}.wasm")), wasm).expect("a component");
    }
    folder
}

/// The address that the host prints once it is ready; nothing when it ends before.
fn ready(child: &mut Child) -> Option<String> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    let line = lines
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.contains(READY));
    // What follows is read and dropped, so that the host never waits for its reader.
    std::thread::spawn(move || lines.for_each(drop));
    line?.split_once(READY).map(|(_, url)| url.trim().to_owned())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .join("\n")
}
