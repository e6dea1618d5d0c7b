//! `millwork`: the host as a process, and commands that talk to a running one over HTTP.
//!
//! Answers go to stdout (JSON with `--json`), progress and errors to stderr. Exit code 1: it did not work; 2: it was
//! called wrongly.

mod changes;
mod client;
mod demo;
mod fleet;
mod follow;
mod keys;
mod letters;
mod migrate;
mod modules;
mod output;
mod releases;
mod replay;
mod serve;
mod status;
mod swaps;
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
    /// Make, list, move and remove tenants.
    #[command(subcommand)]
    Tenant(tenants::Tenant),
    /// Issue tokens.
    #[command(subcommand)]
    Token(tokens::Token),
    /// Publish, look at and withdraw releases.
    #[command(subcommand)]
    Registry(releases::Registry),
    /// Make publishers' keys, and say which of them a host trusts.
    #[command(subcommand)]
    Key(keys::Key),
    /// Prepare components for publishing.
    #[command(subcommand)]
    Plugin(keys::Plugin),
    /// Enable, upgrade, try, roll back and disable modules of a tenant.
    #[command(subcommand)]
    Module(modules::Module),
    /// List, retry and discard what could not be delivered to subscriptions and modules.
    #[command(subcommand)]
    Letters(letters::Letters),
    /// Look at changes of what a tenant runs, and have a say in them.
    #[command(subcommand)]
    Swap(swaps::Swap),
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
        Command::Key(key) => key.run(),
        Command::Plugin(plugin) => plugin.run(),
        Command::Module(module) => module.run(),
        Command::Letters(letters) => letters.run(),
        Command::Swap(swap) => swap.run(),
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
            "millwork tenant export acme --out acme.tar --freeze --json",
            "millwork tenant import acme.tar --as acme-2 --profile production --trust-keys",
            "millwork tenant freeze acme",
            "millwork tenant thaw acme",
            "millwork tenant remove acme --confirm acme --json",
            "millwork token issue --tenant acme --role admin --role client.clerk --subject ada --ttl 1h",
            "millwork token issue --role operator --subject ops --data d",
            "millwork registry publish a.wasm",
            "millwork registry push client@1.0.0 oci://127.0.0.1:5000/acme/client:1.0.0 --plain-http",
            "millwork registry pull r.example/acme/client:1.0.0 --username u --password p",
            "millwork registry list --url http://h:1 --token t",
            "millwork registry show client",
            "millwork registry show client 1.0.0 --json",
            "millwork registry yank client 1.0.0 --reason wrong",
            "millwork registry unyank client 1.0.0",
            "millwork key new --publisher acme --out acme.json",
            "millwork key list",
            "millwork key trust ed25519:AA== --publisher acme",
            "millwork key revoke 0123456789abcdef0123456789abcdef --reason lost",
            "millwork plugin sign --key acme.json a.wasm",
            "millwork plugin sign a.wasm --key acme.json --out b.wasm",
            "millwork module enable client 1.0.0 --tenant acme",
            "millwork module enable client --wanted ^1.2 --skip-replay --one-way",
            "millwork module upgrade client",
            "millwork module upgrade client --canary 10% --canary-for 10m --canary-commands 500 --tenant acme",
            "millwork module upgrade client --policy events=warn,slower=allow",
            "millwork module rollback client --to 1.0.0 --tenant acme",
            "millwork module rollback client --all-tenants --from 1.1.0 --wave 5",
            "millwork module revive client --tenant acme",
            "millwork swap list --tenant acme",
            "millwork swap show 7",
            "millwork swap follow 7 --json",
            "millwork swap consent 7 --tenant acme",
            "millwork swap cancel 7",
            "millwork swap promote 7",
            "millwork module disable client",
            "millwork module status --json",
            "millwork module replay client --version 1.1.0 --tenant acme --policy rejection=warn,slower=allow",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_would_mean_two_things_is_refused() {
        for line in [
            "millwork module upgrade client --canary-for 10m",
            "millwork module upgrade client --canary 100",
            "millwork module upgrade client --wanted newest",
            "millwork module rollback client --all-tenants",
            "millwork module rollback client --from 1.1.0",
            "millwork module rollback client --wave 5",
            "millwork module rollback client --all-tenants --from 1.1.0 --tenant acme",
            "millwork module rollback client --all-tenants --from 1.1.0 --wave 0",
            "millwork swap consent",
            "millwork tenant remove acme",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
