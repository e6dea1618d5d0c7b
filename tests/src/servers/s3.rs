//! S3: SeaweedFS. `MILLWORK_TEST_S3_URL=http://ACCESS-KEY:SECRET-KEY@HOST:PORT?region=REGION` names one of your own; what a
//! URL cannot hold as it is, such as `/` in a secret, is written as `%2F`. Without a region it is `us-east-1`.

use std::fs;
use std::sync::{Once, OnceLock};

use super::{Kind, Launch, Place, Service, wire};

/// See the module.
pub static S3: Kind = Kind {
    name: "S3",
    what: "SeaweedFS",
    variable: "MILLWORK_TEST_S3_URL",
    program: "weed",
    version: &["version"],
    ports: 8,
    launch,
    url: |place| {
        format!(
            "http://{ACCESS_KEY}:{SECRET_KEY}@127.0.0.1:{}",
            place.port(S3_PORT)
        )
    },
    answers,
    shared: OnceLock::new(),
    told: Once::new(),
};

const ACCESS_KEY: &str = "millwork";
const SECRET_KEY: &str = "millwork-secret";
const REGION: &str = "us-east-1";
/// Encrypts the keys of objects that the server encrypts.
const KEY_OF_KEYS: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

/// Which of its ports are what; the others are between its own parts.
const MASTER_PORT: usize = 0;
const S3_PORT: usize = 6;

/// What a client needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `http://host:port`.
    pub endpoint: String,
    /// Who asks.
    pub access_key: String,
    /// What proves it.
    pub secret_key: String,
    /// Where the buckets are, as far as the server knows regions.
    pub region: String,
}

impl Access {
    /// From a URL of the form in the module's description.
    ///
    /// # Panics
    /// When it has another form.
    #[must_use]
    pub fn parse(url: &str) -> Self {
        let form = "MILLWORK_TEST_S3_URL: http://ACCESS-KEY:SECRET-KEY@HOST:PORT?region=REGION";
        let (scheme, rest) = url.split_once("://").expect(form);
        let (keys, rest) = rest.rsplit_once('@').expect(form);
        let (access_key, secret_key) = keys.split_once(':').expect(form);
        let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
        let region = query.strip_prefix("region=").unwrap_or(REGION);
        Self {
            endpoint: format!("{scheme}://{}", host.trim_end_matches('/')),
            access_key: decoded(access_key),
            secret_key: decoded(secret_key),
            region: decoded(region),
        }
    }

    /// To this server.
    #[must_use]
    pub fn to(service: &Service) -> Self {
        Self::parse(service.url())
    }
}

fn launch(place: &Place) -> Launch {
    let config = place.path("s3.json");
    let text = format!(
        r#"{{"identities":[{{"name":"tests","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],
        "actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
    );
    fs::write(&config, text).expect("a configuration");
    fs::create_dir_all(place.path("data")).expect("a folder for data");
    let ports = [
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port",
        "s3.port.grpc",
    ];
    let mut launch = Launch::arguments([
        "-logtostderr=true",
        &format!("-config_dir={}", place.path("")),
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        &format!("-dir={}", place.path("data")),
        "-master.telemetry=false",
        "-master.electionTimeout=1s",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=4000",
        "-volume.preStopSeconds=0",
        "-filer",
        &format!("-filer.localSocket={}", place.path("filer.sock")),
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        &format!("-s3.localSocket={}", place.path("s3.sock")),
        &format!("-s3.config={config}"),
    ]);
    for (name, port) in ports.iter().zip(&place.ports) {
        launch.arguments.push(format!("-{name}={port}"));
    }
    launch.variables.push(("WEED_S3_SSE_KEK", KEY_OF_KEYS.to_owned()));
    // Each bucket has volumes of its own, and there are many small ones.
    let growth = "WEED_MASTER_VOLUME_GROWTH_COPY_1";
    launch.variables.push((growth, "1".to_owned()));
    launch
}

/// The gateway is there, and there is a volume to write to.
fn answers(place: &Place) -> bool {
    wire::serves(place.port(S3_PORT), "/healthz", "")
        && wire::serves(place.port(MASTER_PORT), "/dir/assign", "\"fid\"")
}

/// `%2F` becomes `/`.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).expect("two digits after %");
        bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits after %"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}
