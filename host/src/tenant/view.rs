//! What a module's views give from its collections.

use std::sync::Arc;
use std::time::Instant;

use millwork_registry::id::TenantId;
use millwork_registry::manifest::View;

use super::Module;
use crate::capability::documents::query::{Scope, pick_fields};
use crate::capability::documents::{Collection, Document, Documents};
use crate::engine::CallError;
use crate::error::Error;

impl Module {
    /// A view as the manifest declares it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn view(&self, name: &str) -> Result<&View, Error> {
        let missing = || Error::NotFound {
            what: "view".to_owned(),
            id: format!("{}.{name}", self.manifest.name),
        };
        self.manifest.views.get(name).ok_or_else(missing)
    }

    /// A collection by name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn collection(&self, name: &str) -> Result<&Arc<Collection>, Error> {
        let missing = || Error::NotFound {
            what: "collection".to_owned(),
            id: name.to_owned(),
        };
        self.collections.get(name).ok_or_else(missing)
    }

    /// One document as a view gives it, if it is one of the rows in `scope`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such view, [`Error::Unavailable`] when the store fails.
    pub async fn view_document(
        &self,
        documents: &dyn Documents,
        view: &str,
        id: &str,
        scope: &Scope,
    ) -> Result<Option<Document>, Error> {
        let declared = self.view(view)?;
        let collection = self.collection(&declared.collection)?;
        let document = documents.get(collection, id).await?;
        let seen = document.filter(|document| scope.admits(document, &collection.decimals));
        Ok(seen
            .map(|document| pick_fields(document, &declared.fields))
            .transpose()?)
    }

    /// A call that gave no answer: the log gets the cause, the caller a plain problem. `call` names what was called.
    pub fn failed(&self, tenant: &TenantId, call: &str, error: CallError) -> Error {
        let backtrace = if let CallError::Trap { backtrace, .. } = &error {
            backtrace.as_str()
        } else {
            ""
        };
        let (release, code) = (&*self.release, error.code());
        tracing::error!(%tenant, release, call, code, backtrace, "component failed: {error}");
        let component = self.manifest.name.clone();
        metrics::counter!("millwork_component_failures_total", "component" => component, "code" => code)
            .increment(1);
        if !matches!(error, CallError::Unavailable(_)) && self.poison.failed(Instant::now()) {
            let pause = self.poison.barred(Instant::now()).unwrap_or_default();
            tracing::error!(%tenant, release, ?pause, "component fails at every call: quarantined");
            let (tenant, module) = (tenant.to_string(), self.manifest.name.clone());
            metrics::gauge!("millwork_module_quarantined", "tenant" => tenant, "module" => module).set(1.0);
        }
        Error::Component {
            component: Arc::clone(&self.release),
            source: error,
        }
    }
}
