//! `millwork serve`: opens a data folder, serves it, and closes it again on SIGINT or SIGTERM.

use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use millwork_registry::id::TenantId;
use tokio::sync::watch;

use super::{demo, output};
use crate::config::crash::CrashPoint;
use crate::config::{Config, file};
use crate::host::Host;
use crate::http::auth::{ADMIN, OPERATOR};
use crate::http::token::{Claims, Keys, TTL_SECONDS_MAX};
use crate::http::{self, App, now_seconds};
use crate::secret_file;
use crate::telemetry::{self, LogFormat};

/// How often samples of histograms are folded, so that they do not pile up when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);
/// Names a step of a swap at which the process ends itself, for tests of power loss.
const CRASH_AT: &str = "MILLWORK_CRASH_AT";
/// File with settings that is read when none is named.
const USUAL_CONFIG: &str = "millwork.toml";
/// File that says by its lock that a process serves the data folder.
const LOCK: &str = "lock";
/// File with a token for operators, in the data folder.
const OPERATOR_TOKEN: &str = "operator-token";
/// Where Linux tells the name of this machine.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// File with a token of the demo tenant's admin, in the data folder.
const DEMO_TOKEN: &str = "demo-token";

/// Run the host.
#[derive(Args)]
pub(super) struct Serve {
    /// File with settings; `millwork.toml` in the working directory when absent and there is one. Every key is also a
    /// variable: `http.page_max` is `MILLWORK_HTTP__PAGE_MAX`.
    #[arg(long, env = "MILLWORK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder that holds all data, made when it is not there; `data` when nothing names one.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen at; port 0 takes a free one; `127.0.0.1:8080` when nothing names one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Set up the tenant `demo` with every component found.
    #[arg(long)]
    demo: bool,
    /// Folder with the components for `--demo`; `../components` beside the executable's folder when absent.
    #[arg(long, env = "MILLWORK_COMPONENTS", value_name = "DIR")]
    components: Option<PathBuf>,
    /// How log lines look; text on a terminal and JSON elsewhere when absent.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

impl Serve {
    pub(super) fn run(&self) -> Result<()> {
        telemetry::log(self.log_format.unwrap_or_else(LogFormat::suitable))
            .context(telemetry::FILTER_VARIABLE)?;
        let metrics = telemetry::metrics()?;
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(self.serve(metrics))
    }

    async fn serve(&self, metrics: PrometheusHandle) -> Result<()> {
        let mut config = self.config()?;
        let (data, listen, limits) = (config.data.clone(), config.listen, config.http.clone());
        let _lock = lock(&data)?;
        let serving = http::listen(listen, limits)
            .await
            .with_context(|| format!("listen at {listen}"))?;
        let address = serving.address()?;
        if let Some(cluster) = config
            .cluster
            .as_mut()
            .filter(|cluster| cluster.address.is_empty())
        {
            cluster.address = address_for_others(address).context("cluster.address")?;
        }
        let host = Host::open(config)
            .await
            .with_context(|| format!("open {}", data.display()))?;
        let app = App::new(Arc::clone(&host), metrics.clone())?;
        let (stop, mut stopped) = watch::channel(());
        let server = serving.run(Arc::clone(&app).router(), async move {
            // An error means that the sender is gone, which is a reason to stop as well.
            let _ = stopped.changed().await;
        });
        let server = tokio::spawn(server);
        let outcome = tokio::select! {
            failed = self.set_up(&host, app.keys(), &data, address) => failed,
            signalled = signal() => signalled,
            never = upkeep(metrics) => never,
        };
        tracing::info!("stopping");
        host.set_closing();
        stop.send_replace(());
        server.await?;
        host.close().await;
        outcome
    }

    /// What a file, the environment and the arguments say; each goes before those named first.
    fn config(&self) -> Result<Config> {
        let usual = Path::new(USUAL_CONFIG);
        let path = self
            .config
            .as_deref()
            .or_else(|| usual.is_file().then_some(usual));
        let mut config = file::load(path).context("settings")?;
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        config.swap.crash = crash_point()?;
        Ok(config)
    }

    /// Makes everything ready, says so, and then waits for ever.
    async fn set_up(&self, host: &Arc<Host>, keys: &Keys, data: &Path, address: SocketAddr) -> Result<()> {
        let operator = data.join(OPERATOR_TOKEN);
        write_token(&operator, keys, "operator", None, OPERATOR)?;
        let demo = if self.demo {
            Some(self.set_up_demo(host, keys, data).await?)
        } else {
            None
        };
        host.set_ready();
        output::say(&ready(address, &operator, demo.as_ref()))?;
        std::future::pending().await
    }

    async fn set_up_demo(&self, host: &Arc<Host>, keys: &Keys, data: &Path) -> Result<Demo> {
        let components = match &self.components {
            Some(folder) => folder.clone(),
            None => beside_executable()?,
        };
        let tenant = demo::set_up(host, &components).await?;
        let token = data.join(DEMO_TOKEN);
        write_token(&token, keys, "demo", Some(tenant.clone()), ADMIN)?;
        Ok(Demo {
            token,
            path: demo::first_path(host, &tenant),
        })
    }
}

/// Where tests of power loss want the process to end itself.
fn crash_point() -> Result<Option<CrashPoint>> {
    let Ok(text) = std::env::var(CRASH_AT) else {
        return Ok(None);
    };
    let malformed = || format!("{CRASH_AT} is {text:?}, not before:<step> or after:<step>");
    CrashPoint::parse(&text).with_context(malformed).map(Some)
}

/// One process a folder: the store's writer and the states in memory know of no other. The system lets go of the lock
/// when the process ends, however it ends.
fn lock(data: &Path) -> Result<File> {
    fs::create_dir_all(data).with_context(|| format!("make {}", data.display()))?;
    let path = data.join(LOCK);
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!("another process serves {}", data.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

/// What the ready message says of the demo tenant.
struct Demo {
    token: PathBuf,
    /// A path to start with.
    path: String,
}

/// `target/components` for `target/release/millwork`.
fn beside_executable() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("find the executable")?;
    let parent = executable
        .parent()
        .and_then(Path::parent)
        .context("the executable stands in no folder")?;
    Ok(parent.join("components"))
}

/// Whoever can read this file can read the key beside it too, so a long life costs nothing.
fn write_token(path: &Path, keys: &Keys, subject: &str, tenant: Option<TenantId>, role: &str) -> Result<()> {
    let claims = Claims::new(
        subject,
        tenant,
        vec![role.to_owned()],
        now_seconds(),
        TTL_SECONDS_MAX,
    );
    let token = keys.sign(&claims)?;
    secret_file::write(path, token.as_bytes()).with_context(|| format!("write {}", path.display()))
}

fn ready(address: SocketAddr, operator: &Path, demo: Option<&Demo>) -> String {
    let url = format!("http://{}", reachable(address));
    let mut lines = vec![
        format!("Millwork is ready at {url}"),
        format!("  operator's token: {}", operator.display()),
    ];
    if let Some(Demo { token, path }) = demo {
        let token = token.display();
        lines.push(format!("  demo tenant's token: {token}"));
        lines.push(format!(
            "  first request: curl -H \"Authorization: Bearer $(cat {token})\" {url}{path}"
        ));
    }
    lines.join("\n")
}

/// An address that a client on this machine can use.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        address.set_ip(loopback);
    }
    address
}

/// The address that other hosts of the cluster are told when the settings name none.
fn address_for_others(address: SocketAddr) -> Result<String> {
    if !address.ip().is_unspecified() {
        return Ok(format!("http://{address}"));
    }
    let name = fs::read_to_string(HOST_NAME).with_context(|| format!("read {HOST_NAME}"))?;
    Ok(format!("http://{}:{}", name.trim(), address.port()))
}

async fn upkeep(metrics: PrometheusHandle) -> Result<()> {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

#[cfg(unix)]
async fn signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn signal() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_message_can_be_copied() {
        let demo = Demo {
            token: "d/demo-token".into(),
            path: "/api/v1/things".to_owned(),
        };
        let text = ready(
            "0.0.0.0:80".parse().unwrap(),
            Path::new("d/operator-token"),
            Some(&demo),
        );
        assert!(
            text.starts_with("Millwork is ready at http://127.0.0.1:80\n"),
            "{text}"
        );
        assert!(
            text.contains("$(cat d/demo-token)\" http://127.0.0.1:80/api/v1/things"),
            "{text}"
        );
    }

    #[test]
    fn other_hosts_are_told_an_address_that_they_can_use() {
        let told = address_for_others("10.0.0.3:8080".parse().unwrap()).unwrap();
        assert_eq!(told, "http://10.0.0.3:8080");
        let told = address_for_others("0.0.0.0:8080".parse().unwrap()).unwrap();
        assert!(told.ends_with(":8080") && !told.contains("0.0.0.0"), "{told}");
    }

    #[test]
    fn a_folder_is_served_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(
            lock(folder.path())
                .unwrap_err()
                .to_string()
                .contains("another process")
        );
        drop(first);
        assert!(lock(folder.path()).is_ok());
    }
}
