//! A disk of some megabytes for one host, which can be full: a tmpfs over its data folder or a part of it, in a mount namespace
//! of its own.
//!
//! Nobody needs to be root for it where users may make namespaces. Where they may not, or on another system than Linux, there is no such
//! disk, and what needs one is told as not run.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::report::not_run;

/// Mounts it, says so, and holds the namespace until nobody writes to it any more: until the tests have ended, however.
const HOLD: &str =
    r#"mkdir -p "$2" && mount -t tmpfs -o "size=$1,mode=700" none "$2" && echo mounted && exec cat"#;
/// What takes the space.
const BALLAST: &str = "ballast";
/// What is taken at once: what a tmpfs gives.
const PAGE: [u8; 4096] = [0; 4096];

/// See the module. It lasts as long as this, so that a host on it can be started again.
pub struct Disk {
    holder: Child,
    /// Where it is, below [`Disk::data`].
    mounted: PathBuf,
    folder: TempDir,
}

impl Disk {
    /// A disk of this size at a place below a host's data folder, or at it when that is empty; nothing, which is said, where
    /// none can be made.
    ///
    /// # Panics
    /// When there is no folder for it.
    #[must_use]
    pub fn make(bytes: u64, below: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder for the disk");
        let mounted = folder.path().join("data").join(below);
        let started = Command::new("unshare")
            .args(["-r", "-m", "sh", "-c", HOLD, "sh"])
            .arg(bytes.to_string())
            .arg(&mounted)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut holder) = started else {
            not_run("a full disk", "there is no unshare");
            return None;
        };
        let mut said = String::new();
        let stdout = holder.stdout.take().expect("it was asked for");
        // What it has not said it has not done.
        let _ = BufReader::new(stdout).read_line(&mut said);
        let disk = Self {
            holder,
            mounted,
            folder,
        };
        if said != "mounted\n" || !disk.seen(&disk.mounted).is_dir() {
            not_run(
                "a full disk",
                "a tmpfs in a namespace of its own is not allowed here",
            );
            return None;
        }
        Some(disk)
    }

    /// The data folder for a host, as that sees it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A path of the host's, as others see it.
    #[must_use]
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").expect("a path from the root"))
    }

    /// What runs a program where this disk is.
    #[must_use]
    pub fn enter(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        let holder = self.holder.id().to_string();
        command
            .args(["-t", &holder, "-U", "-m", "--preserve-credentials"])
            .arg(program);
        command
    }

    /// Takes all space that is left.
    ///
    /// # Panics
    /// When that fails otherwise than for want of space.
    pub fn fill(&self) {
        self.fill_but(0);
    }

    /// Takes all space that is left but so many bytes.
    ///
    /// # Panics
    /// When that fails otherwise than for want of space.
    pub fn fill_but(&self, bytes: u64) {
        let ballast = File::options().create(true).append(true).open(self.ballast());
        let mut ballast = ballast.expect("a file that takes the space");
        loop {
            match ballast.write_all(&PAGE) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{}: {error}", self.ballast().display()),
            }
        }
        let taken = ballast.metadata().expect("its size").len();
        ballast
            .set_len(taken.saturating_sub(bytes))
            .expect("space is given back");
    }

    /// Gives back what was taken.
    ///
    /// # Panics
    /// When nothing was.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("the file that takes the space");
    }

    fn ballast(&self) -> PathBuf {
        self.seen(&self.mounted).join(BALLAST)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
