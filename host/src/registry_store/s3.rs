//! Artifacts in a bucket of a server that speaks S3, as `artifacts/sha256-<hex>.wasm`.
//!
//! The digest goes with what is written, so that the server refuses what was changed on the way. The bucket is made when it
//! is not there.

use std::fmt::{self, Debug};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millwork_registry::Error;
use millwork_registry::id::Digest;
use millwork_registry::release::RELEASE_BYTES_MAX;
use millwork_registry::store::{Artifacts, artifact_name};
use tokio::runtime::Handle;

use super::unreached;
use crate::blocking;

/// Where a bucket is when nothing is said of it, which S3 does not let one say.
const USUAL_REGION: &str = "us-east-1";

/// See the module.
#[derive(Debug)]
pub struct S3Artifacts {
    client: Client,
    bucket: String,
    /// What it is, for those who are told that it is not reached.
    what: String,
    runtime: Handle,
}

impl S3Artifacts {
    /// Does not connect yet. The client has the limits of time; it works on this runtime, which must be one of several
    /// threads: callers block, on any thread.
    #[must_use]
    pub fn new(client: Client, bucket: String, what: String, runtime: Handle) -> Self {
        Self {
            client,
            bucket,
            what,
            runtime,
        }
    }

    async fn send(&self, digest: &Digest, bytes: &[u8]) -> Result<(), SdkError<PutObjectError>> {
        let sha256 = hex::decode(digest.hex()).unwrap_or_default();
        let put = self.client.put_object().bucket(&self.bucket).key(key(digest));
        put.content_type("application/wasm")
            .checksum_sha256(STANDARD.encode(sha256))
            .body(ByteStream::from(bytes.to_vec()))
            .send()
            .await
            .map(drop)
    }

    /// One that is there already, ours, is made.
    async fn make_bucket(&self) -> Result<(), Error> {
        let region = self.client.config().region().map(ToString::to_string);
        let elsewhere = region.filter(|region| region != USUAL_REGION);
        let place = elsewhere.map(|region| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region.as_str()))
                .build()
        });
        let made = self
            .client
            .create_bucket()
            .bucket(&self.bucket)
            .set_create_bucket_configuration(place)
            .send()
            .await;
        match made {
            Err(error) if error.code() != Some("BucketAlreadyOwnedByYou") => Err(self.failed(&error)),
            _ => Ok(()),
        }
    }

    async fn bytes(&self, digest: &Digest, got: GetObjectOutput) -> Result<Vec<u8>, Error> {
        let length = got.content_length().unwrap_or_default();
        if usize::try_from(length).is_ok_and(|length| length > RELEASE_BYTES_MAX) {
            return Err(Error::Damaged {
                name: key(digest),
                detail: format!("more than {RELEASE_BYTES_MAX} bytes"),
            });
        }
        let bytes = got.body.collect().await;
        Ok(bytes.map_err(|error| unreached(&self.what, &error))?.to_vec())
    }

    fn failed<E>(&self, error: &SdkError<E>) -> Error
    where
        SdkError<E>: std::error::Error,
    {
        unreached(&self.what, &Told(error))
    }
}

impl Artifacts for S3Artifacts {
    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        blocking::wait(&self.runtime, async {
            match self.send(digest, bytes).await {
                Err(error) if is_absent(&error) => {
                    self.make_bucket().await?;
                    self.send(digest, bytes).await
                }
                sent => sent,
            }
            .map_err(|error| self.failed(&error))
        })
    }

    fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        blocking::wait(&self.runtime, async {
            let get = self.client.get_object().bucket(&self.bucket).key(key(digest));
            match get.send().await {
                Ok(got) => self.bytes(digest, got).await.map(Some),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(self.failed(&error)),
            }
        })
    }
}

fn key(digest: &Digest) -> String {
    format!("artifacts/{}", artifact_name(digest))
}

/// The object, or the bucket.
fn is_absent<E>(error: &SdkError<E>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    status == Some(404)
}

/// An error with its causes: by itself it says only that there was one.
struct Told<'e, E>(&'e E);

impl<E: std::error::Error> fmt::Display for Told<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&DisplayErrorContext(self.0), f)
    }
}
