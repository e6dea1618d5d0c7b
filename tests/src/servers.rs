//! The servers that the production backends speak to, started by the tests: each on free ports of 127.0.0.1 and in a folder
//! of its own, and surely ended with the process of the tests.
//!
//! [`Kind::shared`] is one server for the whole binary of tests, in which each case keeps to names of its own;
//! [`Kind::start`] is a server for one test alone, which may kill, stop or pause it. A variable of the environment names a
//! server of the user's own, which is then used instead. What cannot be had is not run, and that is said on the terminal
//! whatever the tests' harness captures, as is which server the results come from.

pub mod nats;
pub mod redis;
pub mod s3;
pub mod mongodb;
pub mod elasticsearch;
mod ports;
mod process;
pub mod door;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Once, OnceLock};
use std::time::Duration;

use tempfile::TempDir;

use self::process::Process;
use crate::report::{not_run, say};
use crate::{artifacts, poll};

pub use self::elasticsearch::ELASTICSEARCH;
pub use self::mongodb::MONGODB;
pub use self::nats::{NATS, NATS_SMALL};
pub use self::redis::REDIS;
pub use self::s3::S3;

/// Longest start of a server on a machine that others keep busy.
const START_WITHIN: Duration = Duration::from_secs(120);
/// Starts that are tried; each on other ports, since somebody else may have taken one in the meantime.
const STARTS_MAX: usize = 3;
/// Lines of a server's log that a failure shows.
const LOG_LINES_SHOWN: usize = 40;

/// One kind of server, and how it is had.
pub struct Kind {
    /// What backends call it: `MongoDB`.
    pub name: &'static str,
    /// What the results truly come from where the tests start it, in words.
    pub what: &'static str,
    /// The variable that names a server of the user's own by its URL.
    pub variable: &'static str,
    program: &'static str,
    /// Arguments with which the program tells its version; none if it does not.
    version: &'static [&'static str],
    ports: usize,
    launch: fn(&Place) -> Launch,
    url: fn(&Place) -> String,
    /// Whether it answers in its own protocol that it is ready.
    answers: fn(&Place) -> bool,
    shared: OnceLock<Option<Service>>,
    told: Once,
}

/// Where a server runs.
struct Place {
    folder: PathBuf,
    ports: Vec<u16>,
}

/// How it is started there.
#[derive(Default)]
struct Launch {
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

/// A server that answers. One that was started here is killed when this is dropped, and its folder removed.
pub struct Service {
    kind: &'static Kind,
    url: String,
    own: Option<Own>,
}

/// What is ours of a server that was started here.
struct Own {
    process: Option<Process>,
    place: Place,
    program: PathBuf,
    /// Last, so that it goes after the process.
    _folder: TempDir,
}

impl Kind {
    /// The server that all tests of this binary share; nothing, which is said, when there is none.
    ///
    /// # Panics
    /// When it is here and does not start.
    pub fn shared(&'static self) -> Option<&'static Service> {
        let service = self.shared.get_or_init(|| match self.own_url() {
            Some(url) => {
                self.tell(&format!("a server of your own, {}", without_secrets(&url)));
                Some(Service {
                    kind: self,
                    url,
                    own: None,
                })
            }
            None => Some(self.spawn(&self.find()?)),
        });
        if service.is_none() {
            self.not_run("its program is not here; `cargo xtask test` says how to get it");
        }
        service.as_ref()
    }

    /// A server for one test alone, which may end it; nothing, which is said, when there is none, or when the user named
    /// one that is not ours to end.
    ///
    /// # Panics
    /// When it is here and does not start.
    pub fn start(&'static self) -> Option<Service> {
        if self.own_url().is_some() {
            self.not_run("it ends the server, and this one is not ours to end");
            return None;
        }
        let Some(program) = self.find() else {
            self.not_run("its program is not here; `cargo xtask test` says how to get it");
            return None;
        };
        Some(self.spawn(&program))
    }

    fn own_url(&self) -> Option<String> {
        std::env::var(self.variable).ok().filter(|url| !url.is_empty())
    }

    fn find(&self) -> Option<PathBuf> {
        artifacts::server_program(self.program)
    }

    fn spawn(&'static self, program: &Path) -> Service {
        let version = version_of(program, self.version);
        self.tell(&format!("{}{version}, {}", self.what, program.display()));
        for _ in 0..STARTS_MAX {
            let folder = tempfile::tempdir().expect("a folder for the server");
            let place = Place {
                folder: folder.path().to_path_buf(),
                ports: ports::free(self.ports),
            };
            let mut own = Own {
                process: None,
                place,
                program: program.to_path_buf(),
                _folder: folder,
            };
            if own.run(self) {
                return Service {
                    kind: self,
                    url: (self.url)(&own.place),
                    own: Some(own),
                };
            }
            say(&format!("{} ended at once:\n{}", self.name, own.log_end()));
        }
        panic!("{}: {} does not start", self.name, program.display());
    }

    fn tell(&self, which: &str) {
        self.told
            .call_once(|| say(&format!("results for {} come from {which}", self.name)));
    }

    fn not_run(&self, reason: &str) {
        not_run(self.name, reason);
    }
}

impl Service {
    /// Where it listens, with credentials if it has any.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it as a power loss of its machine would, but for what the system has not written yet: SIGKILL.
    pub fn kill(&mut self) {
        self.end(Process::kill);
    }

    /// Asks it to end, and waits until it has: SIGTERM.
    pub fn stop(&mut self) {
        self.end(Process::stop);
    }

    /// Starts it again on the same ports and the same folder, and waits until it answers.
    ///
    /// # Panics
    /// When it runs, or does not start.
    pub fn run(&mut self) {
        let kind = self.kind;
        let own = self.own_mut();
        assert!(own.process.is_none(), "{} runs already", kind.name);
        assert!(
            own.run(kind),
            "{} does not start again:\n{}",
            kind.name,
            own.log_end()
        );
    }

    /// Makes it silent while its connections stay: SIGSTOP.
    pub fn pause(&mut self) {
        self.process().pause();
    }

    /// Lets it go on: SIGCONT.
    pub fn resume(&mut self) {
        self.process().resume();
    }

    fn end(&mut self, how: fn(Process)) {
        let name = self.kind.name;
        let own = self.own_mut();
        how(own
            .process
            .take()
            .unwrap_or_else(|| panic!("{name} does not run")));
        // What the server has started ends a moment later.
        poll::until("the server's ports are free again", || {
            ports::are_free(&own.place.ports).then_some(())
        });
    }

    fn process(&mut self) -> &Process {
        let name = self.kind.name;
        let process = self.own_mut().process.as_ref();
        process.unwrap_or_else(|| panic!("{name} does not run"))
    }

    fn own_mut(&mut self) -> &mut Own {
        let name = self.kind.name;
        let own = self.own.as_mut();
        own.unwrap_or_else(|| panic!("this {name} is not ours to end"))
    }
}

impl Own {
    /// Starts it and waits until it answers; false when it ends before.
    fn run(&mut self, kind: &Kind) -> bool {
        let launch = (kind.launch)(&self.place);
        let mut process = Process::start(&self.program, &launch, &self.place.folder);
        let answers = poll::within(START_WITHIN, kind.name, || {
            if process.has_ended() {
                return Some(false);
            }
            (kind.answers)(&self.place).then_some(true)
        });
        self.process = Some(process);
        answers
    }

    fn log_end(&self) -> String {
        let text = fs::read_to_string(self.place.folder.join(process::LOG)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

impl Place {
    /// One of its ports, by number.
    fn port(&self, at: usize) -> u16 {
        *self.ports.get(at).expect("as many ports as were asked for")
    }

    /// A path in its folder, as text.
    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }
}

impl Launch {
    fn arguments<const N: usize>(arguments: [&str; N]) -> Self {
        Self {
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            variables: Vec::new(),
        }
    }
}

/// The version that a program tells, after a space.
fn version_of(program: &Path, arguments: &[&str]) -> String {
    if arguments.is_empty() {
        return String::new();
    }
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next().unwrap_or_default();
    format!(" ({line})")
}

/// A URL as it may be shown.
fn without_secrets(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            let (before, after) = (url.get(..scheme + 3), url.get(at..));
            format!("{}...{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => url.to_owned(),
    }
}
