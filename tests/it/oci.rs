//! Releases travel between hosts over an OCI registry, laid out as other tools for Wasm do it; and what is refused on the way.

use std::net::TcpListener;

use millwork_registry::id::Digest;
use millwork_registry::release::{embed, sign};
use millwork_tests::client::{Client, Reply};
use millwork_tests::oci::{Liar, OciRegistry, USER};
use millwork_tests::server::{Server, fixed_key};
use serde_json::{Value, json};

use crate::cli::Shell;

const RELEASES: &str = "/admin/v1/registry/releases";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";

/// A component of `acme` that does nothing, signed.
fn component() -> Vec<u8> {
    let text = r#"(component (import "wasi:cli/exit@0.2.0" (instance)) (instance $i) (export "a:b/c@1.0.0" (instance $i)))"#;
    let manifest = "manifest: 1\nname: traveller\nversion: 1.2.0\npublisher: acme\ndescription: Travels.\nlicence: MIT\n";
    sign(
        &embed(&wat::parse_str(text).unwrap(), manifest).unwrap(),
        &fixed_key("acme", 1),
    )
    .unwrap()
}

/// A host that trusts acme.
fn host() -> Server {
    let server = Server::bare();
    let _ = server.trust(&fixed_key("acme", 1)).done();
    server
}

fn pull(server: &Server, reference: &str) -> Reply {
    server
        .operator()
        .post("/admin/v1/registry/pull", &json!({ "reference": reference }))
}

fn push(server: &Server, reference: &str) -> Reply {
    server.operator().post(
        &format!("{RELEASES}/traveller/1.2.0/push"),
        &json!({ "reference": reference }),
    )
}

/// Puts a blob into a registry, as any tool would, and describes it.
fn put_blob(registry: &Client, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
    let begun = registry
        .ask("POST", &format!("/v2/{repository}/blobs/uploads/"))
        .send();
    assert_eq!(begun.status, 202, "{}", begun.text());
    let location = begun.header("location").unwrap();
    let path = &location[location.find("/v2/").unwrap()..];
    let digest = Digest::of(bytes).to_string();
    let put = registry
        .ask("PUT", &format!("{path}&digest={digest}"))
        .bytes("application/octet-stream", bytes.to_vec())
        .send();
    assert_eq!(put.status, 201, "{}", put.text());
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

/// Puts an image with these layers into a registry.
fn put_image(registry: &Client, repository: &str, tag: &str, layers: &[(&str, &[u8])]) {
    let config = put_blob(
        registry,
        repository,
        CONFIG,
        br#"{"architecture":"wasm","os":"wasip2"}"#,
    );
    let layers: Vec<_> = layers
        .iter()
        .map(|(media_type, bytes)| put_blob(registry, repository, media_type, bytes))
        .collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
    let put = registry
        .ask("PUT", &format!("/v2/{repository}/manifests/{tag}"))
        .bytes(MANIFEST, manifest.to_string().into_bytes())
        .send();
    assert_eq!(put.status, 201, "{}", put.text());
}

#[test]
fn what_one_host_pushes_another_pulls() {
    let Some(registry) = OciRegistry::open() else {
        return;
    };
    let from = host();
    let published = from.publish_as_is(component()).done();
    let reference = format!("{}/acme/traveller", registry.address());
    let pushed = push(&from, &format!("oci://{reference}")).done();
    assert_eq!(pushed["reference"], format!("{reference}:1.2.0"));
    assert_eq!(pushed["digest"], published["digest"]);
    assert_eq!(push(&from, &reference).done(), pushed, "again changes nothing");

    let to = host();
    let pulled = pull(&to, &format!("{reference}:1.2.0"));
    assert_eq!(
        (pulled.status, &pulled.done()["digest"]),
        (201, &published["digest"])
    );
    let shown = to.operator().get(&format!("{RELEASES}/traveller/1.2.0")).done();
    assert_eq!(
        (&shown["publisher"], &shown["refused"]),
        (&json!("acme"), &Value::Null)
    );

    // Where it comes from does not matter: who signed it does.
    let stranger = Server::bare();
    let _ = pull(&stranger, &format!("{reference}:1.2.0")).refused(409, "publisher-unknown");
    assert_eq!(stranger.operator().get(RELEASES).done()["releases"], json!([]));
}

#[test]
fn an_image_is_laid_out_as_other_tools_expect() {
    let Some(registry) = OciRegistry::open() else {
        return;
    };
    let server = host();
    let published = server.publish_as_is(component()).done();
    let _ = push(&server, &format!("{}/traveller", registry.address())).done();
    let client = registry.client();
    let manifest = client
        .ask("GET", "/v2/traveller/manifests/1.2.0")
        .header("accept", MANIFEST)
        .send();
    assert_eq!(manifest.header("content-type"), Some(MANIFEST));
    let manifest = manifest.done();
    assert_eq!(
        (&manifest["mediaType"], &manifest["config"]["mediaType"]),
        (&json!(MANIFEST), &json!(CONFIG))
    );
    assert_eq!(
        manifest["layers"],
        json!([{ "mediaType": LAYER, "digest": published["digest"], "size": published["sizeBytes"] }])
    );
    let annotations = &manifest["annotations"];
    assert_eq!(annotations["org.opencontainers.image.title"], "traveller");
    assert_eq!(annotations["org.opencontainers.image.version"], "1.2.0");
    let blob = |digest: &Value| client.get(&format!("/v2/traveller/blobs/{}", digest.as_str().unwrap()));
    assert_eq!(blob(&published["digest"]).body, component());
    let mut config = blob(&manifest["config"]["digest"]).done();
    let created = config.as_object_mut().unwrap().remove("created").unwrap();
    assert!(created.as_str().unwrap().ends_with('Z'), "{created}");
    assert_eq!(
        config,
        json!({
            "author": "acme",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [published["digest"]],
            "component": { "exports": ["a:b/c@1.0.0"], "imports": ["wasi:cli/exit@0.2.0"], "target": null },
        })
    );
}

#[test]
fn what_other_tools_push_is_pulled_if_it_is_a_component() {
    let Some(registry) = OciRegistry::open() else {
        return;
    };
    let client = registry.client();
    let wasm = component();
    put_image(&client, "a/good", "1.2.0", &[(LAYER, &wasm)]);
    put_image(
        &client,
        "a/tar",
        "1",
        &[("application/vnd.oci.image.layer.v1.tar", b"tar")],
    );
    put_image(&client, "a/two", "1", &[(LAYER, &wasm), (LAYER, b"more")]);
    put_image(
        &client,
        "a/module",
        "1",
        &[(LAYER, &wat::parse_str("(module)").unwrap())],
    );
    let server = host();
    let refused = |reference: &str, status: u16, code: &str, part: &str| {
        let problem = pull(&server, &format!("{}/{reference}", registry.address())).refused(status, code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{part} is not in {detail}");
    };
    refused(
        "a/tar:1",
        422,
        "artifact-not-a-component",
        "application/vnd.oci.image.layer.v1.tar",
    );
    refused("a/two:1", 422, "artifact-not-a-component", "2 layers");
    refused("a/module:1", 422, "not-a-component", "a core module");
    refused("a/good:9", 404, "artifact-not-found", "/a/good:9 is not there");
    refused(
        "a/nothing:1",
        404,
        "artifact-not-found",
        "/a/nothing:1 is not there",
    );
    refused(
        "a/good",
        422,
        "reference-malformed",
        "must end with a tag or a digest",
    );
    assert_eq!(server.operator().get(RELEASES).done()["releases"], json!([]));
    let pulled = pull(&server, &format!("{}/a/good:1.2.0", registry.address())).done();
    assert_eq!(pulled["digest"], Digest::of(&wasm).to_string());
}

#[test]
fn a_closed_registry_wants_its_user() {
    let Some(registry) = OciRegistry::closed() else {
        return;
    };
    let server = host();
    let _ = server.publish_as_is(component()).done();
    let reference = format!("{}/traveller:1.2.0", registry.address());
    let _ = push(&server, &reference).refused(422, "registry-denied");
    let _ = pull(&server, &reference).refused(422, "registry-denied");
    let with = |action: &str, password: &str| {
        let body = json!({ "reference": reference, "username": USER.0, "password": password });
        server
            .operator()
            .post(&format!("/admin/v1/registry/{action}"), &body)
    };
    let push = "releases/traveller/1.2.0/push";
    let _ = with(push, "guessed").refused(422, "registry-denied");
    let _ = with(push, USER.1).done();
    let _ = with("pull", USER.1).done();
    assert!(!server.log().contains(USER.1), "passwords are not logged");
    let half = json!({ "reference": reference, "username": USER.0 });
    let problem = server.operator().post("/admin/v1/registry/pull", &half);
    problem.refused(422, "reference-malformed");
}

#[test]
fn a_registry_that_is_away_or_lies_does_no_harm() {
    let server = host();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let problem = pull(&server, &format!("{address}/a:1")).refused(503, "registry-unreachable");
    assert!(
        problem["detail"].as_str().unwrap().contains(&address.to_string()),
        "{problem}"
    );

    let wasm = component();
    let image = |size: u64| {
        let digest = Digest::of(&wasm).to_string();
        let layer = json!({ "mediaType": LAYER, "digest": digest, "size": size });
        let config = json!({ "mediaType": CONFIG, "digest": digest, "size": 2 });
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] }).to_string()
    };
    let lies = |manifest: String, blob: Vec<u8>, status: u16, code: &str| {
        let liar = Liar::start(move |path| match path {
            "/v2/" => (200, "application/json", b"{}".to_vec()),
            _ if path.contains("/manifests/") => (200, MANIFEST, manifest.clone().into_bytes()),
            _ => (200, LAYER, blob.clone()),
        });
        pull(&server, &format!("{}/a:1", liar.address())).refused(status, code);
    };
    lies(image(1 << 40), Vec::new(), 413, "artifact-too-large");
    lies(image(9), vec![0; (64 << 20) + 1], 413, "artifact-too-large");
    lies(image(9), b"other".to_vec(), 503, "registry-failed");
    lies("{".to_owned(), Vec::new(), 503, "registry-failed");
    let index = json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [] });
    lies(index.to_string(), Vec::new(), 422, "artifact-not-a-component");
    assert_eq!(server.operator().get(RELEASES).done()["releases"], json!([]));
    let size = wasm.len() as u64;
    let honest = image(size);
    let liar = Liar::start(move |path| match path {
        "/v2/" => (200, "application/json", b"{}".to_vec()),
        _ if path.contains("/manifests/") => (200, MANIFEST, honest.clone().into_bytes()),
        _ => (200, LAYER, wasm.clone()),
    });
    let _ = pull(&server, &format!("{}/a:1", liar.address())).done();
}

#[test]
fn only_the_operator_moves_releases() {
    let server = host();
    let admin = server.somebody(Some("acme"), &["admin"]);
    let body = json!({ "reference": "127.0.0.1:1/a:1" });
    admin
        .post("/admin/v1/registry/pull", &body)
        .refused(403, "forbidden");
    let path = format!("{RELEASES}/traveller/1.2.0/push");
    admin.post(&path, &body).refused(403, "forbidden");
    server
        .operator()
        .post(&path, &body)
        .refused(404, "release-unknown");
}

#[test]
fn the_command_line_moves_releases_too() {
    let Some(registry) = OciRegistry::open() else {
        return;
    };
    let shell = Shell::new();
    let reference = format!("oci://{}/demo/client:1", registry.address());
    let releases = shell.json(&["registry", "list"]);
    let releases = releases["releases"].as_array().unwrap();
    let client = releases
        .iter()
        .find(|release| release["name"] == "client")
        .unwrap();
    let spec = format!("client@{}", client["version"].as_str().unwrap());
    let pushed = shell.json(&["registry", "push", &spec, &reference]);
    assert_eq!(pushed["digest"], client["digest"]);
    shell.prints(&["registry", "pull", &reference], "client ");
    shell.fails(
        &[
            "registry",
            "pull",
            &format!("{}/demo/client:2", registry.address()),
        ],
        &["is not there", "(artifact-not-found)"],
    );
}
