//! Blobs on a server that speaks S3: for each bucket of a tenant a bucket of the server, with versions, in which each module
//! has a folder of its own.
//!
//! The digest of a blob stands in its metadata and goes with each request that writes, so that the server refuses what was
//! changed on the way. Links lead to the server itself. Each request has a time after which the server counts as
//! unreachable.

mod bucket;
mod multipart;
mod empty;
mod refusal;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ServerSideEncryption;
use aws_smithy_http_client::tls;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use millwork_registry::id::TenantId;

use self::bucket::Ready;
use self::refusal::{failed, is_absent, status};
use super::body::Body;
use super::link::{Link, disposition};
use super::{Address, BlobError, Blobs, Bucket, Content, Entry, Info, LIMIT_MAX, Page, Part};
use crate::capability::platform::now_ms;
use crate::config::file::ConfigError;
use crate::config::profile;

/// Bytes of one part of a large blob: S3 wants at least 5 MiB, and at most 10,000 parts.
const PART_BYTES: usize = 8 << 20;
/// Requests that are tried for one operation, within its time.
const ATTEMPTS_MAX: u32 = 3;
/// Name of the digest in a blob's metadata.
const SHA256: &str = "sha256";

/// Where the server is and what it is asked for.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// `http://host:9000` or `https://...`; that of AWS for the region when absent.
    pub endpoint: Option<String>,
    /// The same for browsers and others who get links; `endpoint` when absent.
    pub public_endpoint: Option<String>,
    /// Where the buckets are, such as `us-east-1`.
    pub region: String,
    /// Begins the name of every bucket, so that several installations can share a server: lowercase letters, digits and
    /// hyphens, at most 23 bytes.
    pub bucket_prefix: String,
    /// Who asks.
    pub access_key: String,
    /// What proves it.
    pub secret_key: String,
    /// Whether buckets stand in the path, not in the host's name, of URLs.
    pub path_style: bool,
    /// Whether the server is told to encrypt what it keeps, with keys of its own (SSE-S3).
    pub encrypted: bool,
    /// After this long without an answer the server counts as unreachable.
    pub timeout: Duration,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            public_endpoint: None,
            region: "us-east-1".to_owned(),
            bucket_prefix: "millwork-".to_owned(),
            access_key: String::new(),
            secret_key: String::new(),
            path_style: false,
            encrypted: false,
            timeout: Duration::from_secs(10),
        }
    }
}

impl S3Settings {
    /// What a profile says.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] when a secret cannot be read.
    pub fn of(profile: &str, s3: &profile::S3) -> Result<Self, ConfigError> {
        let key = format!("profiles.{profile}.s3");
        Ok(Self {
            endpoint: s3.endpoint.clone(),
            public_endpoint: s3.public_endpoint.clone(),
            region: s3.region.clone(),
            bucket_prefix: s3.bucket_prefix.clone(),
            access_key: s3.access_key.read(&format!("{key}.access_key"))?,
            secret_key: s3.secret_key.read(&format!("{key}.secret_key"))?,
            path_style: s3.path_style,
            encrypted: s3.encryption == profile::Encryption::Aes256,
            timeout: s3.timeout,
        })
    }

    /// A client of the server, which does not connect yet.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::from_conf(config(self, self.endpoint.as_deref()))
    }
}

/// See the module.
pub struct S3Blobs {
    client: Client,
    /// Signs links, and never connects.
    signing: Client,
    settings: S3Settings,
    /// Buckets that this host has made or found, as this module wants them. A std mutex: no await inside.
    ready: Mutex<HashMap<Ready, Option<Duration>>>,
}

impl S3Blobs {
    /// Does not connect yet: a server that cannot be reached now may be later.
    #[must_use]
    pub fn new(settings: S3Settings) -> Self {
        let public = settings
            .public_endpoint
            .as_deref()
            .or(settings.endpoint.as_deref());
        Self {
            client: settings.client(),
            signing: Client::from_conf(config(&settings, public)),
            settings,
            ready: Mutex::default(),
        }
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        self.settings.encrypted.then_some(ServerSideEncryption::Aes256)
    }

    async fn put_whole(
        &self,
        at: Address<'_>,
        content: &Content,
        mut body: Body,
    ) -> Result<String, BlobError> {
        let mut whole = BytesMut::new();
        while let Some(piece) = body.next(content).await? {
            whole.extend_from_slice(&piece);
        }
        let put = self
            .client
            .put_object()
            .bucket(self.bucket_of(at))
            .key(key_of(at));
        let sent = put
            .content_type(&content.media_type)
            .checksum_sha256(checksum(content)?)
            .metadata(SHA256, &content.sha256)
            .set_server_side_encryption(self.encryption())
            .body(ByteStream::from(whole.freeze()))
            .send()
            .await;
        let sent = sent.map_err(|error| self.not_written(at, &error))?;
        sent.version_id
            .ok_or_else(|| strange("it has kept no version of the blob"))
    }

    /// The bucket may have been removed by somebody: the next write makes it anew.
    fn not_written<E>(&self, at: Address<'_>, error: &refusal::Refused<E>) -> BlobError
    where
        refusal::Refused<E>: std::error::Error + aws_sdk_s3::error::ProvideErrorMetadata,
    {
        if status(error) == Some(404) {
            self.forget(at.tenant, at.bucket);
        }
        failed(error)
    }

    async fn head(&self, at: Address<'_>, version: Option<&str>) -> Result<HeadObjectOutput, BlobError> {
        let head = self
            .client
            .head_object()
            .bucket(self.bucket_of(at))
            .key(key_of(at));
        let found = head.set_version_id(version.map(str::to_owned)).send().await;
        found.map_err(|error| {
            if is_absent(&error, version) {
                BlobError::NotFound
            } else {
                failed(&error)
            }
        })
    }

    fn bucket_of(&self, at: Address<'_>) -> String {
        bucket::name(&self.settings.bucket_prefix, at.tenant, &at.bucket.name)
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, at: Address<'_>, content: &Content, body: Body) -> Result<Info, BlobError> {
        self.ensure(at.tenant, at.bucket).await?;
        let version = if content.size <= PART_BYTES as u64 {
            self.put_whole(at, content, body).await?
        } else {
            self.put_in_parts(at, content, body).await?
        };
        // Asked for the server's own time, by which the blob expires.
        self.stat(at, Some(&version)).await
    }

    async fn read(
        &self,
        at: Address<'_>,
        version: Option<&str>,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, BlobError> {
        let last = offset.saturating_add(u64::from(length)).saturating_sub(1);
        let get = self
            .client
            .get_object()
            .bucket(self.bucket_of(at))
            .key(key_of(at));
        let got = get
            .set_version_id(version.map(str::to_owned))
            .range(format!("bytes={offset}-{last}"))
            .send()
            .await;
        match got {
            Ok(got) => {
                let bytes = got.body.collect().await;
                let bytes = bytes.map_err(|error| BlobError::Failed(format!("s3: {error}")))?;
                Ok(bytes.to_vec())
            }
            // Beyond the end.
            Err(error) if status(&error) == Some(416) => Ok(Vec::new()),
            Err(error) if is_absent(&error, version) => Err(BlobError::NotFound),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn stat(&self, at: Address<'_>, version: Option<&str>) -> Result<Info, BlobError> {
        let head = self.head(at, version).await?;
        let sha256 = head.metadata.and_then(|mut metadata| metadata.remove(SHA256));
        Ok(Info {
            version: head
                .version_id
                .or_else(|| version.map(str::to_owned))
                .ok_or_else(|| strange("it names no version"))?,
            content: Content {
                media_type: head.content_type.unwrap_or_default(),
                size: unsigned(head.content_length),
                sha256: sha256.ok_or_else(|| strange("the blob was not written by Millwork"))?,
            },
            written_at: milliseconds(head.last_modified),
        })
    }

    async fn remove(&self, at: Address<'_>) -> Result<(), BlobError> {
        // Without this a key that was never there would begin with the mark of its removal.
        match self.head(at, None).await {
            Err(BlobError::NotFound) => return Ok(()),
            found => drop(found?),
        }
        let delete = self
            .client
            .delete_object()
            .bucket(self.bucket_of(at))
            .key(key_of(at));
        match delete.send().await {
            Err(error) if !is_absent(&error, None) => Err(failed(&error)),
            _ => Ok(()),
        }
    }

    async fn page(
        &self,
        tenant: &TenantId,
        bucket: &Bucket,
        prefix: &str,
        part: Part<'_>,
    ) -> Result<Page, BlobError> {
        let folder = folder_of(bucket);
        let list = self.client.list_objects_v2();
        let listed = list
            .bucket(bucket::name(&self.settings.bucket_prefix, tenant, &bucket.name))
            .prefix(format!("{folder}{prefix}"))
            .set_start_after(part.cursor.map(|key| format!("{folder}{key}")))
            .max_keys(signed(part.limit))
            .send()
            .await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) if is_absent(&error, None) => return Ok(Page::default()),
            Err(error) => return Err(failed(&error)),
        };
        let entries: Vec<_> = listed
            .contents()
            .iter()
            .filter_map(|object| {
                Some(Entry {
                    name: object.key()?.strip_prefix(&folder)?.to_owned(),
                    size: unsigned(object.size()),
                    written_at: milliseconds(object.last_modified().copied()),
                })
            })
            .collect();
        let more = listed.is_truncated() == Some(true);
        let next = entries.last().filter(|_| more).map(|last| last.name.clone());
        Ok(Page { entries, next })
    }

    async fn versions(&self, at: Address<'_>, part: Part<'_>) -> Result<Page, BlobError> {
        let key = key_of(at);
        // As many as there can be in one answer: SeaweedFS fills a shorter one with keys that come after this one.
        let list = self.client.list_object_versions().bucket(self.bucket_of(at));
        let listed = list
            .prefix(&key)
            .set_key_marker(part.cursor.map(|_| key.clone()))
            .set_version_id_marker(part.cursor.map(str::to_owned))
            .max_keys(signed(LIMIT_MAX))
            .send()
            .await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) if is_absent(&error, part.cursor) => return Ok(Page::default()),
            Err(error) => return Err(failed(&error)),
        };
        let own = listed
            .versions()
            .iter()
            .filter(|version| version.key() == Some(&key));
        let entries = own.filter_map(|version| {
            Some(Entry {
                name: version.version_id()?.to_owned(),
                size: unsigned(version.size()),
                written_at: milliseconds(version.last_modified().copied()),
            })
        });
        let mut entries: Vec<_> = entries.collect();
        let limit = usize::try_from(part.limit).unwrap_or(usize::MAX);
        let cut = entries.len() > limit;
        entries.truncate(limit);
        // Keys that begin with this one come after it.
        let goes_on = listed.is_truncated() == Some(true) && listed.next_key_marker() == Some(&key);
        let next = if cut {
            entries.last().map(|last| last.name.clone())
        } else {
            let marker = listed.next_version_id_marker();
            marker.filter(|_| goes_on).map(str::to_owned)
        };
        Ok(Page { entries, next })
    }

    async fn forget(&self, tenant: &TenantId, buckets: &[Bucket]) -> Result<u64, BlobError> {
        let mut versions = 0;
        for bucket in buckets {
            versions += self.remove_all(tenant, bucket).await?;
        }
        Ok(versions)
    }

    async fn link_get(&self, at: Address<'_>, version: &str, ends_at: u64) -> Result<Link, BlobError> {
        let get = self
            .signing
            .get_object()
            .bucket(self.bucket_of(at))
            .key(key_of(at));
        let signed = get
            .version_id(version)
            .response_content_disposition(disposition(at.key))
            .presigned(until(ends_at)?)
            .await;
        Ok(link(&signed.map_err(|error| failed(&error))?, ends_at))
    }

    async fn link_put(&self, at: Address<'_>, content: &Content, ends_at: u64) -> Result<Link, BlobError> {
        self.ensure(at.tenant, at.bucket).await?;
        let put = self
            .signing
            .put_object()
            .bucket(self.bucket_of(at))
            .key(key_of(at));
        let size = i64::try_from(content.size).map_err(|error| BlobError::Failed(error.to_string()))?;
        let signed = put
            .content_type(&content.media_type)
            .content_length(size)
            .checksum_sha256(checksum(content)?)
            .metadata(SHA256, &content.sha256)
            .set_server_side_encryption(self.encryption())
            .presigned(until(ends_at)?)
            .await;
        Ok(link(&signed.map_err(|error| failed(&error))?, ends_at))
    }
}

/// What is to be sent, and until when.
fn link(signed: &PresignedRequest, ends_at: u64) -> Link {
    Link {
        url: signed.uri().to_owned(),
        headers: sent(signed.headers()),
        ends_at,
    }
}

fn config(settings: &S3Settings, endpoint: Option<&str>) -> Config {
    let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.timeout)
        .operation_timeout(settings.timeout);
    let mut config = Config::builder();
    config.set_endpoint_url(endpoint.map(str::to_owned));
    config
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(tls)
                .build_https(),
        )
        .credentials_provider(Credentials::new(
            &settings.access_key,
            &settings.secret_key,
            None,
            None,
            "millwork",
        ))
        .region(Region::new(settings.region.clone()))
        .force_path_style(settings.path_style)
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX))
        // Every write has a checksum of its own already; servers other than AWS do not understand more.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build()
}

/// What a module's keys begin with in the server's bucket.
fn folder_of(bucket: &Bucket) -> String {
    format!("{}/", bucket.module)
}

fn key_of(at: Address<'_>) -> String {
    format!("{}{}", folder_of(at.bucket), at.key)
}

/// The digest as the header `x-amz-checksum-sha256` has it.
fn checksum(content: &Content) -> Result<String, BlobError> {
    let bytes =
        hex::decode(&content.sha256).map_err(|error| BlobError::Malformed(format!("sha256: {error}")))?;
    Ok(STANDARD.encode(bytes))
}

/// In whole seconds, at least one, from the beginning of this one on.
fn until(ends_at: u64) -> Result<PresigningConfig, BlobError> {
    let now = now_ms();
    let left = Duration::from_secs(ends_at.saturating_sub(now).div_ceil(1_000).max(1));
    PresigningConfig::builder()
        .start_time(UNIX_EPOCH + Duration::from_millis(now))
        .expires_in(left)
        .build()
        .map_err(|error| BlobError::Failed(format!("s3: {error}")))
}

/// Clients send a body's length by themselves.
fn sent<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    headers
        .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn milliseconds(time: Option<DateTime>) -> u64 {
    let time = time.and_then(|time| time.to_millis().ok());
    time.and_then(|ms| u64::try_from(ms).ok()).unwrap_or_default()
}

fn unsigned(number: Option<i64>) -> u64 {
    number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or_default()
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn strange(what: &str) -> BlobError {
    BlobError::Failed(format!("the server's answer is strange: {what}"))
}
