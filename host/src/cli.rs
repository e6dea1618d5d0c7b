//! `millwork`: the host as a process, and commands that talk to a running one over HTTP.
//!
//! Answers go to stdout (JSON with `--json`), progress and errors to stderr. Exit code 1: it did not work; 2: it was
//! called wrongly.

mod client;
mod demo;
mod modules;
mod output;
mod releases;
mod serve;
mod tenants;
mod tokens;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::client::Client;
use self::output::Output;

/// Runs an ERP made of sandboxed WebAssembly components.
#[derive(Parser)]
#[command(name = "millwork", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the host.
    Serve(serve::Serve),
    /// Make and list tenants.
    #[command(subcommand)]
    Tenant(tenants::Tenant),
    /// Issue tokens.
    #[command(subcommand)]
    Token(tokens::Token),
    /// Publish and list releases.
    #[command(subcommand)]
    Registry(releases::Registry),
    /// Enable, upgrade and disable modules of a tenant.
    #[command(subcommand)]
    Module(modules::Module),
}

/// What commands need to talk to a running host.
#[derive(Args)]
struct Remote {
    /// Where the host listens.
    #[arg(
        long,
        env = "MILLWORK_URL",
        default_value = "http://127.0.0.1:8080",
        global = true
    )]
    url: String,
    /// A token, such as the content of `DIR/operator-token`.
    #[arg(long, env = "MILLWORK_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
}

impl Remote {
    fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.url, self.token.as_deref())
    }

    fn output(&self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Tenant(tenant) => tenant.run(),
        Command::Token(token) => token.run(),
        Command::Registry(registry) => registry.run(),
        Command::Module(module) => module.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_readme_says_is_understood() {
        for line in [
            "millwork serve --data d --listen 127.0.0.1:0 --demo --components c --log-format json",
            "millwork tenant create acme --name Acme --json",
            "millwork tenant list",
            "millwork token issue --tenant acme --role admin --role client.clerk --subject ada --ttl 1h",
            "millwork token issue --role operator --subject ops --data d",
            "millwork registry publish a.wasm",
            "millwork registry list --url http://h:1 --token t",
            "millwork module enable client 1.0.0 --tenant acme",
            "millwork module upgrade client",
            "millwork module disable client",
            "millwork module status --json",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
