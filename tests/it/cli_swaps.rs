//! Swaps on the command line: following them, having a say in them, and rolling a fleet back.

use serde_json::{Value, json};

use crate::cli::{Ran, Shell, next_client, path};
use crate::swaps::{curious, host_with_an_invoice, mischievous, release, serving};

const TO: [&str; 2] = ["--tenant", "demo"];

/// `millwork` with these words for the tenant `demo`.
fn run(shell: &Shell, words: &[&str]) -> Ran {
    shell.run(&[words, &TO].concat())
}

/// It works, and says these things to people; what it says, and what it told meanwhile.
#[track_caller]
fn works(shell: &Shell, words: &[&str], parts: &[&str]) -> Ran {
    let ran = run(shell, words);
    assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.stderr);
    for part in parts {
        assert!(
            ran.stdout.contains(part),
            "{words:?}: {part} is not in {}",
            ran.stdout
        );
    }
    ran
}

/// The number of the swap that the tenant `demo` has had last.
fn last_swap(shell: &Shell) -> String {
    shell.json(&["swap", "list", "--tenant", "demo"])["swaps"][0]["number"].to_string()
}

#[test]
fn an_upgrade_that_wants_more_is_agreed_to_by_the_tenant() {
    let mut shell = Shell::new();
    let _ = shell.server.publish(curious("1.1.0")).done();
    let waiting = works(
        &shell,
        &["module", "upgrade", "invoicing"],
        &[
            "invoicing 1.0.0 -> 1.1.0 waits for the tenant's consent",
            "invoicing 1.1.0 may send data to the server api.example.com",
        ],
    );
    let number = last_swap(&shell);
    let command = format!("millwork swap consent {number} --tenant demo");
    assert!(waiting.stdout.contains(&command), "{}", waiting.stdout);
    works(
        &shell,
        &["module", "status"],
        &["waits for the tenant's consent", &command],
    );
    shell.fails(
        &["swap", "consent", &number, "--tenant", "demo"],
        &["forbidden", "admin"],
    );
    assert_eq!(serving(&shell.server.admin()), "1.0.0");

    shell.token = shell.server.admin().token().to_owned();
    let done = works(
        &shell,
        &["swap", "consent", &number],
        &["invoicing went from 1.0.0 to 1.1.0 for demo"],
    );
    assert!(
        done.stderr.contains(&format!("swap {number}: ")),
        "{}",
        done.stderr
    );
    works(&shell, &["swap", "list"], &["invoicing 1.0.0 -> 1.1.0"]);
    works(
        &shell,
        &["swap", "show", &number],
        &["consented: by demo", "flipped"],
    );
    works(&shell, &["swap", "follow", &number], &["invoicing went from"]);
    shell.fails(&["swap", "cancel", &number, "--tenant", "demo"], &["swap-stage"]);
    shell.fails(&["swap", "show", "99", "--tenant", "demo"], &["swap-unknown"]);
}

#[test]
fn a_canary_is_ended_well_or_taken_back() {
    let shell = Shell::new();
    let _ = shell.server.publish(release("invoicing-1.1.0", &[])).done();
    let upgrade = [
        "module",
        "upgrade",
        "invoicing",
        "--canary",
        "50%",
        "--canary-for",
        "1h",
    ];
    works(&shell, &upgrade, &["a canary is on: invoicing 1.0.0 -> 1.1.0"]);
    let number = last_swap(&shell);
    works(&shell, &["swap", "cancel", &number], &["is cancelled"]);
    shell.fails(
        &["swap", "follow", &number, "--tenant", "demo"],
        &["was cancelled by", "swap-cancelled"],
    );
    let begun = shell.json(&[&upgrade[..], &TO].concat());
    assert_eq!(
        (&begun["stage"], &begun["request"]["options"]["canary"]["seconds"]),
        (&json!("canary"), &json!(3_600))
    );
    let number = begun["number"].to_string();
    works(&shell, &["module", "status"], &["millwork swap promote"]);
    works(
        &shell,
        &["swap", "promote", &number],
        &["invoicing went from 1.0.0 to 1.1.0 for demo"],
    );
    works(
        &shell,
        &["module", "rollback", "invoicing"],
        &["invoicing went from 1.1.0 to 1.0.0 for demo"],
    );
    works(&shell, &["module", "revive", "invoicing"], &["called again"]);
    works(&shell, &["module", "status"], &["invoicing  1.0.0", "well"]);
}

#[test]
fn a_divergence_is_shown_with_the_invoice_and_both_figures() {
    let (server, _, invoice) = host_with_an_invoice();
    let _ = server.publish(mischievous("1.2.0", "nought")).done();
    let shell = Shell::on(server);
    let upgrade = ["module", "upgrade", "invoicing", "1.2.0", "--tenant", "demo"];
    shell.fails(
        &upgrade,
        &[
            "replay-diverges",
            "events (blocks)",
            &format!("Invoice {invoice}, FinalizeInvoice"),
            "/taxTotal \"1.91\" -> \"1.90\"",
        ],
    );
    let failed = shell.run(&[&upgrade[..], &["--json"]].concat());
    let view: Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!((failed.code, &view["stage"]), (Some(1), &json!("failed")));
    assert_eq!(serving(&shell.server.admin()), "1.0.0");

    let allowed = shell.json(&[&upgrade[..], &["--policy", "events=warn"]].concat());
    assert_eq!(
        (&allowed["from"], &allowed["to"]),
        (&json!("1.0.0"), &json!("1.2.0"))
    );
    let shown = works(
        &shell,
        &["swap", "show", &allowed["swap"].to_string()],
        &["verified: "],
    );
    assert!(shown.stdout.contains("events (warning)"), "{}", shown.stdout);
}

/// A host on which these tenants run client in the version that each is said to run; with a past where they had another.
fn fleet(tenants: &[(&str, &[&str])]) -> Shell {
    let shell = Shell::new();
    let (_folder, next) = next_client(&shell.server);
    let _ = shell.json(&["registry", "publish", path(&next)]);
    for (tenant, versions) in tenants {
        let _ = shell.json(&["tenant", "create", tenant]);
        for version in *versions {
            let _ = shell.json(&["module", "enable", "client", version, "--tenant", tenant]);
        }
    }
    shell
}

fn version_of(shell: &Shell, tenant: &str) -> Value {
    shell.json(&["module", "status", "--tenant", tenant])["modules"][0]["version"].clone()
}

const FLEET: [&str; 6] = ["module", "rollback", "client", "--all-tenants", "--from", "1.0.1"];

#[test]
fn a_fleet_goes_back_in_waves() {
    let up = &["1.0.0", "1.0.1"][..];
    let shell = fleet(&[("acme", up), ("beta", up), ("ceta", up), ("dune", &["1.0.0"])]);
    let ran = shell.run(&[&FLEET[..], &["--wave", "2"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("wave 1 of 2: acme, beta"), "{}", ran.stderr);
    assert!(ran.stderr.contains("wave 2 of 2: ceta"), "{}", ran.stderr);
    let lines: Vec<Vec<&str>> = ran
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let row = |tenant| vec![tenant, "1.0.1", "1.0.0", "rolled", "back"];
    assert_eq!(
        lines[1..],
        [row("acme"), row("beta"), row("ceta")],
        "{}",
        ran.stdout
    );
    for tenant in ["acme", "beta", "ceta", "dune"] {
        assert_eq!(version_of(&shell, tenant), "1.0.0", "{tenant}");
    }
    shell.prints(&FLEET, "no tenant runs client 1.0.1");
}

#[test]
fn a_fleet_stops_where_a_rollback_fails() {
    let up = &["1.0.0", "1.0.1"][..];
    let shell = fleet(&[("acme", up), ("beta", &["1.0.1"]), ("ceta", up)]);
    let ran = shell.run(&[&FLEET[..], &["--wave", "1", "--json"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("stopped at tenant beta with 1 tenants not begun")
            && ran.stderr.contains("earlier version of module"),
        "{}",
        ran.stderr
    );
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let outcomes: Vec<_> = answer["tenants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["rolled-back", "failed", "not-begun"]);
    assert_eq!(version_of(&shell, "ceta"), "1.0.1");
    let to = shell.json(&[&FLEET[..], &["--to", "1.0.0"]].concat());
    assert_eq!(to["tenants"].as_array().unwrap().len(), 2);
    assert_eq!(
        version_of(&shell, "beta"),
        "1.0.0",
        "to a version that is named it can"
    );
}

#[test]
fn a_fleet_rollback_takes_back_what_is_on_its_way() {
    let shell = fleet(&[("acme", &["1.0.0"])]);
    let canary = [
        "module", "upgrade", "client", "1.0.1", "--canary", "10", "--tenant", "acme",
    ];
    assert_eq!(shell.json(&canary)["stage"], "canary");
    let done = shell.json(&FLEET);
    assert_eq!(
        done["tenants"],
        json!([{ "tenant": "acme", "to": "1.0.0", "outcome": "rolled-back" }])
    );
    let swaps = shell.json(&["swap", "list", "--tenant", "acme"]);
    assert_eq!(swaps["swaps"][0]["stage"], "cancelled");
}
