//! Taking releases from other registries, and to them.

use millwork_registry::catalog::Shown;
use semver::Version;

use super::{Host, Published};
use crate::artifact::{Place, oci};
use crate::blocking;
use crate::error::Error;

impl Host {
    /// Publishes the component at a place of an OCI registry, after all that is checked of any other.
    ///
    /// # Errors
    /// [`Error::Artifact`] when it cannot be had; those of [`Host::publish`].
    pub async fn pull(&self, place: &Place) -> Result<Published, Error> {
        let bytes_max = self.config.http.release_bytes_max;
        let wasm = oci::pull(place, &self.config.artifacts, bytes_max).await?;
        self.publish(wasm).await
    }

    /// Puts a release, which would load here, at a place of an OCI registry. Gives what it is and its reference.
    ///
    /// # Errors
    /// [`Error::Registry`] when there is no such release or it is no longer trusted; [`Error::Artifact`].
    pub async fn push(&self, name: &str, version: &Version, place: &Place) -> Result<(Shown, String), Error> {
        let (shown, wasm) = blocking::run(|| {
            let mut shown = self.catalog.show(name, version)?;
            if let Some(refused) = shown.refused.take() {
                return Err(refused);
            }
            let wasm = self.catalog.open_artifact(&shown.release.digest)?;
            Ok((shown, wasm))
        })?;
        let reference = oci::push(place, &self.config.artifacts, &shown, wasm).await?;
        Ok((shown, reference))
    }
}
