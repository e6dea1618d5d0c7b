//! OCI registries (distribution specification 1.1), by the crate oci-client.
//!
//! A release is an image with one layer, the component as it is, laid out as the Wasm working group of the CNCF's TAG
//! Runtime says (<https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>): `wkg` and others can pull what is
//! pushed here, and what they push can be pulled. The layer's digest is the release's.

mod failure;
mod layout;
mod reference;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use millwork_registry::catalog::Shown;
use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol, ImageLayer};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OciDescriptor, OciImageManifest, OciManifest};
use oci_client::secrets::RegistryAuth;
use tokio::io::AsyncWrite;

use self::reference::Target;
use super::{ArtifactError, Place};
use crate::config::artifacts::ArtifactLimits;

/// The component at a place, of at most so many bytes.
///
/// # Errors
/// [`ArtifactError`].
pub async fn pull(
    place: &Place,
    limits: &ArtifactLimits,
    bytes_max: usize,
) -> Result<Vec<u8>, ArtifactError> {
    let target = Target::of(place, None)?;
    let client = client(&target, limits)?;
    let auth = auth(place)?;
    within(limits.transfer_timeout, &target, async {
        let manifest = client.pull_manifest(&target.reference, &auth).await;
        let (manifest, _) = manifest.map_err(|error| failure::of(&target, &error))?;
        let layer = component_layer(&target, &manifest)?;
        // Before anything is fetched, and again while it is: a registry may say what it likes.
        if usize::try_from(layer.size).is_ok_and(|size| size > bytes_max) {
            return Err(target.too_large(bytes_max));
        }
        let mut received = Received {
            bytes: Vec::new(),
            bytes_max,
        };
        let pulled = client.pull_blob(&target.reference, layer, &mut received).await;
        match pulled {
            Ok(()) => Ok(received.bytes),
            Err(OciDistributionError::IoError(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(target.too_large(bytes_max))
            }
            Err(error) => Err(failure::of(&target, &error)),
        }
    })
    .await
}

/// Puts a release at a place; without a tag there, under its version. Gives the reference under which it can be pulled.
///
/// # Errors
/// [`ArtifactError`].
pub async fn push(
    place: &Place,
    limits: &ArtifactLimits,
    release: &Shown,
    component: Vec<u8>,
) -> Result<String, ArtifactError> {
    let target = Target::of(place, Some(&release.release.version))?;
    let client = client(&target, limits)?;
    let auth = auth(place)?;
    let config = layout::config(release);
    let layers = [ImageLayer::new(component, layout::LAYER.to_owned(), None)];
    let annotations = Some(layout::annotations(&release.release));
    let mut manifest = OciImageManifest::build(&layers, &config, annotations);
    manifest.media_type = Some(layout::MANIFEST.to_owned());
    within(limits.transfer_timeout, &target, async {
        let pushed = client.push(&target.reference, &layers, config, &auth, Some(manifest));
        pushed.await.map_err(|error| failure::of(&target, &error))
    })
    .await?;
    Ok(target.reference.whole())
}

/// The one layer of a component's image.
fn component_layer<'m>(
    target: &Target,
    manifest: &'m OciManifest,
) -> Result<&'m OciDescriptor, ArtifactError> {
    let no_component = |detail: String| ArtifactError::NotComponent {
        reference: target.reference.whole(),
        detail,
    };
    let OciManifest::Image(manifest) = manifest else {
        return Err(no_component("an index of several images".to_owned()));
    };
    match manifest.layers.as_slice() {
        [layer] if layer.media_type == layout::LAYER => Ok(layer),
        [layer] => Err(no_component(format!(
            "its layer has the media type {}, not {}",
            layer.media_type,
            layout::LAYER
        ))),
        layers => Err(no_component(format!("it has {} layers, not 1", layers.len()))),
    }
}

fn client(target: &Target, limits: &ArtifactLimits) -> Result<Client, ArtifactError> {
    // The crate takes whatever cryptography the process has. If it has one already, that is ring too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ClientConfig {
        protocol: if target.plain_http {
            ClientProtocol::Http
        } else {
            ClientProtocol::Https
        },
        // What is for several platforms is no component.
        platform_resolver: None,
        connect_timeout: Some(limits.connect_timeout),
        read_timeout: Some(limits.silence_timeout),
        user_agent: concat!("millwork/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    // `Client::new` would fall back to one without limits.
    Client::try_from(config).map_err(|error| failure::of(target, &error))
}

fn auth(place: &Place) -> Result<RegistryAuth, ArtifactError> {
    match (&place.username, &place.password) {
        (Some(username), Some(password)) => Ok(RegistryAuth::Basic(username.clone(), password.clone())),
        (None, None) => Ok(RegistryAuth::Anonymous),
        _ => Err(ArtifactError::Malformed(
            "username and password are given together or not at all".to_owned(),
        )),
    }
}

async fn within<T>(
    limit: Duration,
    target: &Target,
    transfer: impl Future<Output = Result<T, ArtifactError>>,
) -> Result<T, ArtifactError> {
    tokio::time::timeout(limit, transfer)
        .await
        .unwrap_or_else(|_| Err(target.unreachable(format!("the transfer took longer than {limit:?}"))))
}

/// Takes so many bytes and no more.
struct Received {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl AsyncWrite for Received {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        if self.bytes.len() + piece.len() > self.bytes_max {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        self.bytes.extend_from_slice(piece);
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
