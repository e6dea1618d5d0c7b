//! `millwork tenant export|import|freeze|thaw|remove`

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::Remote;
use super::modules::segment;
use super::output::{progress, text};
use crate::migrate::MEDIA_TYPE;
use crate::migrate::unpack::Archive;

/// How often progress is told.
const EVERY: Duration = Duration::from_secs(2);

/// Which tenant.
#[derive(Args)]
pub(super) struct One {
    /// The tenant.
    id: String,
    #[command(flatten)]
    remote: Remote,
}

/// Where a tenant goes.
#[derive(Args)]
pub(super) struct Export {
    /// The tenant.
    id: String,
    /// The file to write; it must not be there yet.
    #[arg(long)]
    out: PathBuf,
    /// Close the tenant first, for good: its commands are refused, so that nothing comes after what is exported.
    #[arg(long)]
    freeze: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Where a tenant comes from.
#[derive(Args)]
pub(super) struct Import {
    /// The archive.
    file: PathBuf,
    /// The tenant's id here; the archive's when absent.
    #[arg(long = "as")]
    id: Option<String>,
    /// The host's profile that says where its data will be; the host's own choice when absent.
    #[arg(long)]
    profile: Option<String>,
    /// Trust the keys that the releases in the archive are signed with.
    #[arg(long)]
    trust_keys: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Which tenant goes for good.
#[derive(Args)]
pub(super) struct Remove {
    /// The tenant; it must be closed. Its export is not made by this.
    id: String,
    /// The tenant's id once more, since nothing of it is left afterwards.
    #[arg(long, value_name = "ID")]
    confirm: String,
    #[command(flatten)]
    remote: Remote,
}

impl Remove {
    pub(super) fn run(&self) -> Result<()> {
        let id = segment(&self.id)?;
        ensure!(
            self.confirm == self.id,
            "--confirm says {}, not {}: nothing is removed",
            self.confirm,
            self.id
        );
        let path = format!("/admin/v1/tenants/{id}");
        let removed = self.remote.client()?.send(Method::DELETE, &path, &json!({}))?;
        self.remote.output().answer(&removed, |removed| {
            format!(
                "tenant {id} is removed from profile {}: {} events, {} versions of blobs",
                text(removed, "profile"),
                text(removed, "events"),
                text(removed, "blobs"),
            )
        })
    }
}

impl One {
    /// Closes the tenant.
    pub(super) fn freeze(&self) -> Result<()> {
        let answer = self
            .remote
            .client()?
            .send(Method::PUT, &self.path()?, &json!({}))?;
        self.remote.output().answer(&answer, |_| {
            format!(
                "tenant {} is closed; `millwork tenant thaw {0}` opens it",
                self.id
            )
        })
    }

    /// Opens it.
    pub(super) fn thaw(&self) -> Result<()> {
        let answer = self
            .remote
            .client()?
            .send(Method::DELETE, &self.path()?, &json!({}))?;
        self.remote
            .output()
            .answer(&answer, |_| format!("tenant {} is open", self.id))
    }

    fn path(&self) -> Result<String> {
        Ok(format!("/admin/v1/tenants/{}/freeze", segment(&self.id)?))
    }
}

impl Export {
    pub(super) fn run(&self) -> Result<()> {
        let (client, id) = (self.remote.client()?, segment(&self.id)?);
        let partial = self.out.with_extension("part");
        ensure!(!self.out.exists(), "{} is there already", self.out.display());
        let mut file = create(&partial)?;
        if self.freeze {
            client.send(Method::PUT, &format!("/admin/v1/tenants/{id}/freeze"), &json!({}))?;
            progress(&format!(
                "tenant {id} is closed; `millwork tenant thaw {id}` opens it"
            ));
        }
        let path = format!("/admin/v1/tenants/{id}/export");
        let written = client
            .download(&path, Told::new(&mut file, "exported"))
            .and_then(|()| Ok(file.sync_all()?))
            .and_then(|()| Ok(Archive::open(file.try_clone()?)?));
        let archive = match written {
            Ok(archive) => archive,
            Err(error) => {
                // What came is no archive.
                let _ = fs::remove_file(&partial);
                return Err(error);
            }
        };
        fs::rename(&partial, &self.out)?;
        let answer = json!({
            "file": self.out,
            "bytes": file.metadata()?.len(),
            "digest": archive.digest(),
            "archive": archive.manifest(),
        });
        self.remote.output().answer(&answer, |answer| {
            let said = answer.get("archive").unwrap_or(&Value::Null);
            format!(
                "tenant {id} as of position {}: {}\n{} bytes in {}, {}",
                text(said, "position"),
                contents(said),
                text(answer, "bytes"),
                self.out.display(),
                text(answer, "digest"),
            )
        })
    }
}

impl Import {
    pub(super) fn run(&self) -> Result<()> {
        let client = self.remote.client()?;
        let opened = File::open(&self.file).with_context(|| self.file.display().to_string())?;
        // What this end can see is not sent.
        let archive = Archive::open(opened.try_clone()?)?;
        progress(&format!("the archive is whole: {}", archive.digest()));
        let mut asked = Vec::new();
        if let Some(id) = &self.id {
            asked.push(format!("as={}", segment(id)?));
        }
        if let Some(profile) = &self.profile {
            asked.push(format!("profile={}", segment(profile)?));
        }
        if self.trust_keys {
            asked.push("trust-keys".to_owned());
        }
        let path = format!("/admin/v1/tenants/import?{}", asked.join("&"));
        let opened = File::open(&self.file)?;
        let answer = client.upload_from(&path, MEDIA_TYPE, &mut Told::new(opened, "sent"))?;
        self.remote.output().answer(&answer, |answer| {
            let said = answer.get("archive").unwrap_or(&Value::Null);
            let models = answer.get("readModels").and_then(Value::as_array);
            let models = models.into_iter().flatten().map(|model| read_model(model, said));
            let waiting = answer.get("waiting").and_then(Value::as_str);
            let waiting = waiting.map(|why| format!("it has not started yet: {why}"));
            let models: Vec<String> = models.chain(waiting).collect();
            format!(
                "tenant {} is here, in profile {}, read back and equal to the archive: {}\n{}",
                text(answer, "id"),
                text(answer, "profile"),
                contents(said),
                models.join("\n"),
            )
        })
    }
}

fn read_model(model: &Value, archive: &Value) -> String {
    let name = format!(
        "read model {}.{}",
        text(model, "module"),
        text(model, "projection")
    );
    match model.get("failing") {
        Some(why) => format!("{name} stands still: {why}"),
        None if model.get("position") == archive.get("position") => format!("{name} is built"),
        None => format!("{name} is at position {}", text(model, "position")),
    }
}

/// `5 events, 3 commands, 1 claims`.
fn contents(manifest: &Value) -> String {
    let kinds = manifest.get("contents").and_then(Value::as_object);
    let kinds = kinds.into_iter().flatten();
    let counted = kinds.filter_map(|(kind, sum)| {
        let count = sum.get("count")?.as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {kind}"))
    });
    counted.collect::<Vec<_>>().join(", ")
}

/// A file that its owner alone may read: an archive is all that a tenant has.
fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600);
    options.open(path).with_context(|| path.display().to_string())
}

/// Counts what goes by, and tells of it now and then.
struct Told<T> {
    of: T,
    done: &'static str,
    bytes: u64,
    at: Instant,
}

impl<T> Told<T> {
    fn new(of: T, done: &'static str) -> Self {
        Self {
            of,
            done,
            bytes: 0,
            at: Instant::now(),
        }
    }

    fn went(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.at.elapsed() >= EVERY {
            self.at = Instant::now();
            progress(&format!("{} MiB {}", self.bytes >> 20, self.done));
        }
    }
}

impl<T: Write> Write for Told<T> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let written = self.of.write(piece)?;
        self.went(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.of.flush()
    }
}

impl<T: Read> Read for Told<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.of.read(into)?;
        self.went(read);
        Ok(read)
    }
}
