//! What a tenant's components say to others, and what becomes of it: the dispatcher executes, queries answer, the bus
//! carries.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Host;
use crate::capability::documents::query::{Filter, Find, Scope};
use crate::capability::messaging::bus::{Bus as _, BusError, Message};
use crate::capability::messaging::{Outgoing, Outlet, SayError, Speaker};
use crate::capability::platform::now_ms;
use crate::deliver::PublishedEvent;
use crate::deliver::commands::{self, SentCommand};
use crate::dispatch::Request;
use crate::engine::CallError;
use crate::error::Error;
use crate::event_store::Origin;
use crate::query;
use crate::tenant::{Module, Tenant};

/// How long a question may wait for its answer: less than the call that asks may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Documents of a page that is asked for without a limit.
const PAGE_DOCUMENTS: u32 = 50;

/// The outlet of one tenant. It keeps neither host nor tenant alive.
pub(super) struct TenantOutlet {
    host: Weak<Host>,
    tenant: Weak<Tenant>,
}

impl TenantOutlet {
    pub(super) fn new(host: &Arc<Host>, tenant: &Arc<Tenant>) -> Self {
        Self {
            host: Arc::downgrade(host),
            tenant: Arc::downgrade(tenant),
        }
    }

    fn open(&self) -> Result<(Arc<Host>, Arc<Tenant>), SayError> {
        let parts = self.host.upgrade().zip(self.tenant.upgrade());
        parts.ok_or_else(|| SayError::Unavailable("the host is shutting down".to_owned()))
    }
}

#[async_trait]
impl Outlet for TenantOutlet {
    async fn publish(&self, speaker: &Speaker, event: &str, key: &str, data: String) -> Result<(), SayError> {
        let (host, tenant) = self.open()?;
        let value: Value = parsed(&data)?;
        let generation = tenant.generation();
        let module = generation.module(&speaker.component)?;
        module
            .check_published(event, &value)
            .map_err(SayError::Malformed)?;
        let published = PublishedEvent {
            component: speaker.component.to_string(),
            name: event.to_owned(),
            key: key.to_owned(),
            recorded_at: now_ms(),
            user: speaker.user.clone(),
            correlation_id: speaker.correlation_id.clone(),
            causation_id: speaker.causation_id.clone(),
            data: parsed(&data)?,
        };
        let payload = serde_json::to_vec(&published);
        let payload = payload.map_err(|error| SayError::Malformed(error.to_string()))?;
        let message = Message {
            id: id(speaker, key),
            subject: format!("plugin.{}.{event}", speaker.component),
            payload: payload.into(),
        };
        Ok(host.bus.publish(&tenant.id, &[message]).await?)
    }

    async fn send(&self, speaker: &Speaker, command: Outgoing) -> Result<(), SayError> {
        let (host, tenant) = self.open()?;
        let _: Map<String, Value> = parsed(&command.data)?;
        let id = id(speaker, &command.key);
        let message = commands::message(id, &SentCommand::new(speaker, command))?;
        Ok(host.bus.enqueue(&tenant.id, &message).await?)
    }

    async fn execute(&self, speaker: &Speaker, command: Outgoing) -> Result<u64, SayError> {
        let (host, tenant) = self.open()?;
        let data: Map<String, Value> = parsed(&command.data)?;
        let generation = tenant.generation();
        let request = Request {
            module: Arc::clone(generation.module(&command.module)?),
            command: command.name,
            target: command.target,
            data: Value::Object(data),
            command_id: Some(id(speaker, &command.key)),
            expected_version: None,
            origin: origin(speaker),
            dry_run: false,
            canary: generation.canary.clone(),
        };
        Ok(host.dispatcher.execute(&tenant, request).await?.version)
    }

    async fn ask(
        &self,
        speaker: &Speaker,
        module: &str,
        query: &str,
        params: String,
    ) -> Result<String, SayError> {
        let (host, tenant) = self.open()?;
        let generation = tenant.generation();
        let asked = match generation.module(module) {
            Ok(module) => module,
            // Somebody who is no component of this host may answer to the name.
            Err(Error::NotFound { .. }) => {
                let subject = format!("plugin.{module}.{query}");
                let asked = host
                    .bus
                    .ask(&tenant.id, &subject, params.into(), ANSWER_WITHIN)
                    .await?;
                return text(asked);
            }
            Err(error) => return Err(error.into()),
        };
        let params: Map<String, Value> = parsed(&params)?;
        let answered = async {
            if asked.manifest.queries.contains_key(query) {
                let limits = &host.config().engine;
                let (origin, depth) = (origin(speaker), speaker.depth + 1);
                let params = Value::Object(params);
                let answer = query::answer_at(&tenant, asked, query, params, origin, limits, depth).await?;
                Ok(String::from(Box::<str>::from(answer)))
            } else {
                view(&tenant, asked, query, params).await
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, answered)
            .await
            .unwrap_or(Err(SayError::Timeout))
    }
}

/// One document of a view by `id`, or a page by `filter`, `limit` and `cursor`.
async fn view(
    tenant: &Tenant,
    module: &Module,
    name: &str,
    mut params: Map<String, Value>,
) -> Result<String, SayError> {
    // A component's own reads, and what it may ask of others, see the whole tenant.
    let scope = Scope::whole_tenant();
    let answer = if let Some(id) = params.remove("id") {
        let id = id
            .as_str()
            .ok_or_else(|| SayError::Malformed("id is no text".to_owned()))?;
        Value::Object(query::view_one(tenant, module, name, id, &scope).await?)
    } else {
        let filter = params.remove("filter").unwrap_or_else(|| json!({}));
        let filter = Filter::parse(&filter).map_err(|error| SayError::Malformed(error.to_string()))?;
        let limit = params.remove("limit").and_then(|limit| limit.as_u64());
        let limit = limit.map_or(PAGE_DOCUMENTS, |limit| u32::try_from(limit).unwrap_or(u32::MAX));
        let mut find = Find::new(filter, scope, limit);
        find.cursor = params
            .remove("cursor")
            .and_then(|cursor| cursor.as_str().map(str::to_owned));
        let page = query::view_page(tenant, module, name, find).await?;
        json!({ "items": page.documents, "next": page.next })
    };
    if let Some(unknown) = params.keys().next() {
        return Err(SayError::Malformed(format!("a view takes no {unknown:?}")));
    }
    Ok(answer.to_string())
}

/// The same for the same speaker and key, whatever the key is made of.
fn id(speaker: &Speaker, key: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(speaker.component.as_bytes());
    hash.update([0]);
    hash.update(key.as_bytes());
    format!("message-{}", hex::encode(hash.finalize()))
}

fn origin(speaker: &Speaker) -> Origin {
    Origin {
        user: speaker.user.clone(),
        correlation_id: speaker.correlation_id.clone(),
        causation_id: speaker.causation_id.clone(),
        traceparent: None,
    }
}

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, SayError> {
    serde_json::from_str(text).map_err(|error| SayError::Malformed(error.to_string()))
}

fn text(bytes: Bytes) -> Result<String, SayError> {
    String::from_utf8(bytes.into()).map_err(|_| SayError::Malformed("the answer is no text".to_owned()))
}

impl From<BusError> for SayError {
    fn from(error: BusError) -> Self {
        match error {
            BusError::Timeout => Self::Timeout,
            BusError::Full | BusError::Failed(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<Error> for SayError {
    fn from(error: Error) -> Self {
        let told = || format!("{}: {}", error.code(), error.told());
        match &error {
            Error::Unavailable(_)
            | Error::Moving(_)
            | Error::Homeless(_)
            | Error::Busy(_)
            | Error::Contention(_)
            | Error::Quarantined { .. }
            | Error::ModuleBroken(_)
            | Error::Component {
                source: CallError::Unavailable(_),
                ..
            } => Self::Unavailable(error.to_string()),
            Error::Component { .. } | Error::Contract { .. } => Self::Failed {
                code: error.code().to_owned(),
                why: error.told(),
            },
            Error::Rejected(rejection) => Self::Rejected(format!("{}: {rejection:?}", error.code())),
            Error::Malformed(why) => Self::Malformed(why.clone()),
            Error::Schema(violations) => {
                let first = violations.first();
                let first = first.map_or_else(String::new, |v| format!(": {} {}", v.pointer, v.message));
                Self::Malformed(format!("{error}{first}"))
            }
            _ => Self::Rejected(told()),
        }
    }
}
