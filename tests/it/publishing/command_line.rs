//! Keys, signatures and releases on the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use millwork_tests::artifacts;
use serde_json::json;

use super::nothing;
use crate::cli::Shell;

/// Makes a key and signs a component with it: the component's file, and the public key with its id.
fn key_and_component(shell: &Shell, folder: &Path) -> (String, String, String) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (key_file, file, signed) = (path("acme.json"), path("nothing.wasm"), path("signed.wasm"));
    fs::write(&file, nothing("acme", "1.0.0", "changelog: First.\n")).unwrap();

    let made = shell.json(&["key", "new", "--publisher", "acme", "--out", &key_file]);
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    let (public, id) = (text("key"), text("keyId"));
    assert_eq!(
        fs::metadata(&key_file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    shell.fails(
        &["key", "new", "--publisher", "acme", "--out", &key_file],
        &["acme.json is there already"],
    );
    shell.fails(
        &["registry", "publish", &file],
        &["nothing 1.0.0 is not signed", "(unsigned)"],
    );
    let done = shell.json(&["plugin", "sign", "--key", &key_file, &file, "--out", &signed]);
    assert_eq!(
        (&done["name"], &done["keyId"]),
        (&json!("nothing"), &made["keyId"])
    );
    assert_eq!(
        fs::read(&file).unwrap(),
        nothing("acme", "1.0.0", "changelog: First.\n")
    );
    let _ = shell.json(&["plugin", "sign", "--key", &key_file, &file]);
    assert_eq!(fs::read(&file).unwrap(), fs::read(&signed).unwrap());
    shell.fails(
        &["registry", "publish", &file],
        &[
            "publisher acme",
            &public,
            "not trusted here",
            "(publisher-unknown)",
        ],
    );
    (file, public, id)
}

#[test]
fn from_a_key_to_a_release_on_the_command_line() {
    let shell = Shell::new();
    let folder = tempfile::tempdir().unwrap();
    let (file, public, id) = key_and_component(&shell, folder.path());
    let public = public.as_str();
    let _ = shell.json(&["key", "trust", public, "--publisher", "acme"]);
    let published = shell.json(&["registry", "publish", &file]);
    assert_eq!(
        (&published["name"], &published["key"]),
        (&json!("nothing"), &json!(public))
    );
    let shown = shell.json(&["registry", "show", "nothing", "1.0.0"]);
    assert_eq!(
        (&shown["changelog"], &shown["exports"]),
        (&json!("First."), &json!([]))
    );
    let all = shell.json(&["registry", "show", "nothing"]);
    assert_eq!(all["releases"].as_array().unwrap().len(), 1);

    let yank = [
        "registry",
        "yank",
        "nothing",
        "1.0.0",
        "--reason",
        "rounds wrongly",
    ];
    assert_eq!(shell.json(&yank)["yanked"]["reason"], "rounds wrongly");
    shell.fails(
        &["module", "enable", "nothing", "--tenant", "demo"],
        &["nothing 1.0.0 is yanked: rounds wrongly", "(yanked)"],
    );
    let _ = shell.json(&["registry", "unyank", "nothing", "1.0.0"]);
    let _ = shell.json(&["module", "enable", "nothing", "--tenant", "demo"]);

    let revoked = shell.json(&["key", "revoke", public, "--reason", "lost"]);
    assert_eq!(revoked["releases"][0]["name"], "nothing");
    let listed = shell.json(&["key", "list"]);
    let ours = listed["publishers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["keyId"] == id.as_str());
    assert_eq!(ours.unwrap()["revoked"]["reason"], "lost");
    shell.fails(
        &["registry", "publish", &file],
        &["is revoked: lost", "(key-revoked)"],
    );
}

#[test]
fn people_are_told_what_a_release_may_and_what_is_wrong() {
    let shell = Shell::new();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key_file, file) = (path("acme.json"), path("file"));
    shell.prints(
        &["key", "new", "--publisher", "acme", "--out", &key_file],
        "millwork key trust ed25519:",
    );
    shell.prints(&["key", "list"], "trusted");
    shell.prints(&["registry", "show", "client"], "VERSION");
    shell.prints(
        &["registry", "show", "invoicing", "1.0.0"],
        "view:client.ClientDetail: read ClientDetail of the module client when it decides",
    );
    shell.prints(
        &["registry", "yank", "client", "1.0.0", "--reason", "wrong"],
        "client 1.0.0 is yanked",
    );
    shell.prints(&["registry", "list"], "yanked: wrong");
    shell.prints(
        &["registry", "unyank", "client", "1.0.0"],
        "client 1.0.0 is no longer yanked",
    );

    fs::write(&file, "no key").unwrap();
    shell.fails(&["plugin", "sign", "--key", &file, &file], &["not a key file"]);
    shell.fails(
        &["plugin", "sign", "--key", &key_file, &file],
        &["not a valid component"],
    );
    let client = artifacts::with_manifest(&artifacts::component("client"), str::to_owned);
    fs::write(Path::new(&file), client).unwrap();
    shell.fails(
        &["plugin", "sign", "--key", &key_file, &file],
        &["publisher acme's", "publisher millwork"],
    );
    shell.fails(&["key", "revoke", "nonsense", "--reason", "x"], &["key id"]);
    shell.fails(&["registry", "show", "nobody"], &["release-unknown"]);
}
