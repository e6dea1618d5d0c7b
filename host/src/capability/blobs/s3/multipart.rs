//! Large blobs: sent in parts as they come, and seen by nobody before the last.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};

use super::refusal::failed;
use super::{PART_BYTES, S3Blobs, SHA256, key_of, strange};
use crate::capability::blobs::body::Body;
use crate::capability::blobs::{Address, BlobError, Content};

/// An upload that was begun.
struct Upload<'a> {
    store: &'a S3Blobs,
    bucket: String,
    key: String,
    id: String,
    parts: Vec<CompletedPart>,
}

impl S3Blobs {
    /// Writes a blob in parts and gives its version.
    pub(super) async fn put_in_parts(
        &self,
        at: Address<'_>,
        content: &Content,
        body: Body,
    ) -> Result<String, BlobError> {
        let (bucket, key) = (self.bucket_of(at), key_of(at));
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(&bucket)
            .key(&key)
            .content_type(&content.media_type)
            .metadata(SHA256, &content.sha256)
            .set_server_side_encryption(self.encryption())
            .send()
            .await;
        let begun = begun.map_err(|error| self.not_written(at, &error))?;
        let mut upload = Upload {
            store: self,
            bucket,
            key,
            id: begun.upload_id.ok_or_else(|| strange("an upload has no id"))?,
            parts: Vec::new(),
        };
        match upload.send_all(content, body).await {
            Ok(()) => upload.complete().await,
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }
}

impl Upload<'_> {
    async fn send_all(&mut self, content: &Content, mut body: Body) -> Result<(), BlobError> {
        let mut part = BytesMut::new();
        while let Some(piece) = body.next(content).await? {
            part.extend_from_slice(&piece);
            while part.len() >= PART_BYTES {
                let full = part.split_to(PART_BYTES).freeze();
                self.send(full).await?;
            }
        }
        if !part.is_empty() {
            self.send(part.freeze()).await?;
        }
        Ok(())
    }

    /// The signature of the request covers the bytes, so that none is changed on the way.
    async fn send(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let sent = self
            .store
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .part_number(number)
            .body(ByteStream::from(bytes))
            .send()
            .await;
        let sent = sent.map_err(|error| failed(&error))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        self.parts.push(part.build());
        Ok(())
    }

    async fn complete(self) -> Result<String, BlobError> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts));
        let completed = self
            .store
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .multipart_upload(parts.build())
            .send()
            .await;
        let completed = completed.map_err(|error| failed(&error))?;
        completed
            .version_id
            .ok_or_else(|| strange("it has kept no version of the blob"))
    }

    /// What stays of it is removed by the bucket's rule.
    async fn abort(&self) {
        let aborted = self
            .store
            .client
            .abort_multipart_upload()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(&self.id)
            .send()
            .await;
        if let Err(error) = aborted {
            tracing::warn!(error = %failed(&error), "an upload could not be taken back");
        }
    }
}
