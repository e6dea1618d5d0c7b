//! The last positions of tenants that somebody watches, whoever appends: this host tells its own, a change stream tells
//! those of other hosts, and where that is silent they are asked for now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use millwork_registry::id::TenantId;
use mongodb::bson::{Document, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ChangeStreamEvent;
use tokio::sync::watch;

use super::super::Position;
use super::Shared;
use super::schema::TenantRow;
use crate::mongodb::Failure;

/// The watched tenants.
#[derive(Default)]
pub(super) struct Positions(Mutex<HashMap<TenantId, watch::Sender<Position>>>);

impl Positions {
    /// What somebody else watches already.
    pub(super) fn watched(&self, tenant: &TenantId) -> Option<watch::Receiver<Position>> {
        self.lock().get(tenant).map(watch::Sender::subscribe)
    }

    /// Watches a tenant that was at `position` a moment ago.
    pub(super) fn watch(&self, tenant: &TenantId, position: Position) -> watch::Receiver<Position> {
        let mut watched = self.lock();
        let sender = watched
            .entry(tenant.clone())
            .or_insert_with(|| watch::Sender::new(position));
        raise(sender, position);
        sender.subscribe()
    }

    /// Tells a position; an older one than known moves nothing.
    pub(super) fn publish(&self, tenant: &TenantId, position: Position) {
        if let Some(sender) = self.lock().get(tenant) {
            raise(sender, position);
        }
    }

    /// Who watches a tenant from now on is told where it is then.
    pub(super) fn forget(&self, tenant: &TenantId) {
        self.lock().remove(tenant);
    }

    fn tenants(&self) -> Vec<String> {
        self.lock().keys().map(ToString::to_string).collect()
    }

    fn publish_row(&self, row: &TenantRow) {
        if let Ok(tenant) = TenantId::new(&row.id) {
            self.publish(&tenant, row.position);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, watch::Sender<Position>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raise(sender: &watch::Sender<Position>, position: Position) {
    sender.send_if_modified(|last| {
        let moved = position > *last;
        *last = position.max(*last);
        moved
    });
}

/// Follows other hosts' appends until it is aborted.
pub(super) async fn follow(shared: Arc<Shared>) {
    let silence = Duration::from_millis(shared.limits.poll_ms.max(1));
    loop {
        // A stream that has told something goes on where it was; the driver itself takes it up after a short failure.
        if let Err(failure) = follow_stream(&shared, silence).await {
            tracing::warn!(%failure, "positions are asked for, as their changes are not told");
        }
        if let Err(failure) = poll(&shared).await {
            tracing::warn!(%failure, "positions of other hosts are not known");
        }
        tokio::time::sleep(silence).await;
    }
}

/// Opens a stream and then asks once, so that nothing is missed in between.
async fn follow_stream(shared: &Shared, silence: Duration) -> Result<(), Failure> {
    let changed = doc! { "$match": { "operationType": { "$in": ["insert", "update", "replace"] } } };
    let opened = shared.collections.tenants.watch().pipeline([changed]);
    let mut stream: ChangeStream<ChangeStreamEvent<TenantRow>> = shared.mongo.run(opened).await?;
    poll(shared).await?;
    loop {
        match tokio::time::timeout(silence, stream.next()).await {
            Ok(Some(event)) => tell(shared, event?),
            Ok(None) => return Ok(()),
            // Nothing has happened, or the stream does not tell it.
            Err(_) => poll(shared).await?,
        }
    }
}

fn tell(shared: &Shared, event: ChangeStreamEvent<TenantRow>) {
    if let Some(row) = event.full_document {
        shared.positions.publish_row(&row);
        return;
    }
    let id = event
        .document_key
        .as_ref()
        .and_then(|key| key.get_str("_id").ok());
    let fields = event.update_description.map(|update| update.updated_fields);
    let position = fields.as_ref().and_then(position_in);
    if let (Some(Ok(tenant)), Some(position)) = (id.map(TenantId::new), position) {
        shared.positions.publish(&tenant, position);
    }
}

fn position_in(fields: &Document) -> Option<Position> {
    u64::try_from(fields.get_i64("position").ok()?).ok()
}

/// Asks for the positions of all tenants that are watched.
async fn poll(shared: &Shared) -> Result<(), Failure> {
    let tenants = shared.positions.tenants();
    if tenants.is_empty() {
        return Ok(());
    }
    let found = async {
        let found = shared
            .collections
            .tenants
            .find(doc! { "tenant": { "$in": &tenants }, "_id": { "$in": &tenants } });
        found.await?.try_collect::<Vec<_>>().await
    };
    for row in shared.mongo.run(found).await? {
        shared.positions.publish_row(&row);
    }
    Ok(())
}
