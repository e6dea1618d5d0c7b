//! Installing Debian packages without a question.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{find, output, run, say, succeeds};
use crate::workspace::files_below;

/// Sees to it that all `packages` are installed; `purpose` says what for.
///
/// # Errors
/// When they are not, and cannot be: no apt-get here, no right to use it, or no such package.
pub(crate) fn ensure(packages: &[&str], purpose: &str) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if find("apt-get").is_none() {
        bail!("{purpose} needs the Debian packages {list}, and this machine has no apt-get");
    }
    let Some(prefix) = root_prefix() else {
        bail!("{purpose} needs: sudo apt-get install {list}");
    };
    say(&format!("installing Debian packages for {purpose}: {list}"));
    if !missing.iter().all(|package| is_known(package)) {
        apt_get(&prefix, &["update"])?;
    }
    let install: Vec<&str> = ["install", "-y", "--no-install-recommends"]
        .into_iter()
        .chain(missing)
        .collect();
    if apt_get(&prefix, &install).is_ok() {
        return Ok(());
    }
    // A list of packages that is too old names files that the mirror no longer has.
    apt_get(&prefix, &["update"])?;
    apt_get(&prefix, &install)
}

/// Where `program` of `package` is: installed, or else fetched from the mirror and unpacked into `folder`, for programs that
/// would start to serve when they are installed.
///
/// # Errors
/// When it is not here and cannot be fetched.
pub(crate) fn unpacked(package: &str, program: &str, folder: &Path) -> Result<PathBuf> {
    let unpacked = folder.join("usr/bin").join(program);
    if let Some(installed) = find(program) {
        return Ok(installed);
    }
    if unpacked.is_file() {
        return Ok(unpacked);
    }
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        bail!("it is in the Debian package {package}, and this machine has no apt-get");
    }
    say(&format!("fetching the Debian package {package}"));
    let download = folder.join("download");
    fs::create_dir_all(&download).with_context(|| format!("make {}", download.display()))?;
    if !is_known(package)
        && let Some(prefix) = root_prefix()
    {
        apt_get(&prefix, &["update"])?;
    }
    run(Command::new("apt-get")
        .args(["-q", "download", package])
        .current_dir(&download))
    .with_context(|| format!("it is in the Debian package {package}"))?;
    for file in files_below(&download)? {
        run(Command::new("dpkg-deb").arg("--extract").arg(file).arg(folder))?;
    }
    fs::remove_dir_all(&download).with_context(|| format!("remove {}", download.display()))?;
    if !unpacked.is_file() {
        bail!("the Debian package {package} has no {}", unpacked.display());
    }
    Ok(unpacked)
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f=${db:Status-Status}", package]);
    output(&mut query).is_ok_and(|status| status == "installed")
}

/// Whether the package lists here offer it.
fn is_known(package: &str) -> bool {
    let policy = output(Command::new("apt-cache").args(["policy", package]));
    policy.is_ok_and(|text| {
        text.lines()
            .any(|l| l.trim_start().starts_with("Candidate:") && !l.contains("(none)"))
    })
}

/// What to put before a command so that it runs as root; `None` when that needs a password.
fn root_prefix() -> Option<Vec<&'static str>> {
    if output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0") {
        return Some(vec!["env"]);
    }
    succeeds(Command::new("sudo").args(["-n", "true"])).then(|| vec!["sudo", "-n", "env"])
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let words = prefix
        .iter()
        .chain(&["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"])
        .chain(arguments);
    let mut words = words.copied();
    let mut command = Command::new(words.next().unwrap_or("env"));
    run(command.args(words))
}
