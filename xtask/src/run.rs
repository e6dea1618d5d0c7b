//! `cargo xtask run`: a host to try things on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result, bail};

use crate::build;
use crate::shell::say;
use crate::workspace::Workspace;

/// The task that [`run`] leaves beside the host; nobody calls it by hand.
pub(crate) const ANNOUNCE: &str = "announce";

const LISTEN: &str = "127.0.0.1:8080";
/// A first start compiles every component.
const READY_WITHIN: Duration = Duration::from_secs(120);
const POLL_EVERY: Duration = Duration::from_millis(200);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Builds, then becomes `millwork serve --demo`: whatever the terminal sends, Ctrl-C above all, goes to the host.
///
/// # Errors
/// When the build fails or the host cannot be started.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    build::build(workspace)?;
    let mut serve = workspace.command(workspace.millwork());
    serve.arg("serve").arg("--demo");
    let data = option(arguments, "--data").map_or_else(|| workspace.target.join("data"), PathBuf::from);
    let listen = option(arguments, "--listen").unwrap_or_else(|| LISTEN.to_owned());
    if option(arguments, "--data").is_none() {
        serve.arg("--data").arg(&data);
    }
    if option(arguments, "--listen").is_none() {
        serve.args(["--listen", &listen]);
    }
    if option(arguments, "--components").is_none() {
        serve.arg("--components").arg(workspace.components());
    }
    say("starting the host");
    let mut announcer = workspace.command(env::current_exe()?);
    announcer
        .args([ANNOUNCE, &listen])
        .arg(&data)
        .spawn()
        .context("start the announcer")?;
    Err(serve.args(arguments.iter().filter(|one| *one != "--demo")).exec()).context("start the host")
}

/// The value of `--name value` or `--name=value`.
fn option(arguments: &[String], name: &str) -> Option<String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == name {
            return rest.next().cloned();
        }
        if let Some(value) = argument
            .strip_prefix(name)
            .and_then(|value| value.strip_prefix('='))
        {
            return Some(value.to_owned());
        }
    }
    None
}

/// Waits until the host answers at `arguments[0]`, and says what to do with it; `arguments[1]` is its data folder.
///
/// # Errors
/// When the host is not ready in time. Its end is no error: it has told why.
pub(crate) fn announce(arguments: &[String]) -> Result<()> {
    let [listen, data] = arguments else {
        bail!("{ANNOUNCE} wants an address and a folder")
    };
    let host = parent_id();
    let started = Instant::now();
    while !is_ready(listen) {
        if parent_id() != host {
            return Ok(());
        }
        if started.elapsed() > READY_WITHIN {
            bail!(
                "the host does not answer at {listen} after {} s",
                READY_WITHIN.as_secs()
            );
        }
        thread::sleep(POLL_EVERY);
    }
    println!("{}", greeting(listen, &Path::new(data).join("demo-token")));
    Ok(())
}

fn is_ready(listen: &str) -> bool {
    status_line(listen, "/health/ready").is_ok_and(|line| line.contains(" 200 "))
}

/// The first line of the answer to a GET.
fn status_line(listen: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(listen)?;
    stream.set_read_timeout(Some(CONNECT_WITHIN))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn greeting(listen: &str, token: &Path) -> String {
    let token = token.display();
    format!(
        r#"
Millwork is ready, with the tenant `demo`.

  API          http://{listen}/api/v1
  description  http://{listen}/api/v1/openapi.json
  metrics      http://{listen}/metrics
  admin token  {token}

A first client, and the list:

  export MILLWORK_TOKEN=$(cat '{token}')
  curl -s http://{listen}/api/v1/clients -H "authorization: Bearer $MILLWORK_TOKEN" \
    -H 'content-type: application/json' -d '{{"code": "ACME", "name": "Acme Ltd", "currency": "EUR"}}'
  curl -s http://{listen}/api/v1/clients -H "authorization: Bearer $MILLWORK_TOKEN"

Ctrl-C ends it; the data stays.
"#
    )
}
