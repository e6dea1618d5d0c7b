//! `millwork:messaging` as components see it: grants, bounds and budget; the words themselves go to the [`Outlet`].

use std::sync::Arc;

use millwork_registry::manifest::Permission;

use super::{DATA_BYTES_MAX, DEPTH_MAX, KEY_BYTES_MAX, Outgoing, Outlet, SayError, Speaker};
use crate::bindings::imports::millwork::messaging::{commands, events, requests, types};
use crate::capability::Budget;
use crate::config::ID_BYTES_MAX;

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

/// What one call may say.
pub struct MessagingCall {
    open: Option<Open>,
    budget: Arc<Budget>,
}

struct Open {
    outlet: Arc<dyn Outlet>,
    speaker: Speaker,
    permissions: Vec<Permission>,
    /// Questions only: the call must not change anything.
    questions_only: bool,
}

/// What a call with an outlet may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// All that the permissions allow.
    Free,
    /// Questions, as far as the permissions allow.
    Questions,
}

impl MessagingCall {
    /// For calls that may say nothing.
    #[must_use]
    pub fn closed(budget: Arc<Budget>) -> Self {
        Self { open: None, budget }
    }

    /// Opens it for a call of `speaker`, which has these permissions.
    pub fn open(
        &mut self,
        outlet: Arc<dyn Outlet>,
        speaker: Speaker,
        permissions: &[Permission],
        speech: Speech,
    ) {
        self.open = Some(Open {
            outlet,
            speaker,
            permissions: permissions.to_vec(),
            questions_only: speech == Speech::Questions,
        });
    }

    /// The outlet, if this call has it and one of its permissions is the one that is needed.
    fn granted(&self, needed: &Permission) -> wasmtime::Result<Result<&Open, types::Error>> {
        self.budget.spend_call()?;
        let Some(open) = &self.open else {
            let why = "this call may not use messaging".to_owned();
            return Ok(Err(types::Error::Denied(why)));
        };
        if open.questions_only && !matches!(needed, Permission::Requests(_)) {
            let why = "this call may ask, and change nothing".to_owned();
            return Ok(Err(types::Error::Denied(why)));
        }
        if !open.permissions.contains(needed) {
            let why = format!("the manifest does not ask for {needed}");
            return Ok(Err(types::Error::Denied(why)));
        }
        Ok(Ok(open))
    }

    fn command(
        &self,
        command: commands::Outgoing,
    ) -> wasmtime::Result<Result<(&Open, Outgoing), types::Error>> {
        let open = match self.granted(&Permission::Commands(command.module.clone()))? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        let checked = check_key(&command.key)
            .and_then(|()| check_name(&command.name))
            .and_then(|()| check_data(&command.data));
        Ok(checked.map(|()| {
            let command = Outgoing {
                key: command.key,
                module: command.module,
                name: command.name,
                target: command.target,
                data: command.data,
            };
            (open, command)
        }))
    }
}

impl events::Host for MessagingCall {
    async fn publish(&mut self, event: String, key: String, data: String) -> Answer<()> {
        let open = match self.granted(&Permission::Publish)? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        let checked = check_key(&key)
            .and_then(|()| check_name(&event))
            .and_then(|()| check_data(&data));
        if let Err(error) = checked {
            return Ok(Err(error));
        }
        let said = open.outlet.publish(&open.speaker, &event, &key, data).await;
        Ok(said.map_err(types::Error::from))
    }
}

impl commands::Host for MessagingCall {
    async fn send(&mut self, command: commands::Outgoing) -> Answer<()> {
        let (open, command) = match self.command(command)? {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let said = open.outlet.send(&open.speaker, command).await;
        Ok(said.map_err(types::Error::from))
    }

    async fn execute(&mut self, command: commands::Outgoing) -> Answer<u64> {
        let (open, command) = match self.command(command)? {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let said = open.outlet.execute(&open.speaker, command).await;
        Ok(said.map_err(types::Error::from))
    }
}

impl requests::Host for MessagingCall {
    async fn ask(&mut self, module: String, query: String, params: String) -> Answer<String> {
        let Some(name) = millwork_registry::manifest::QualifiedName::parse(&format!("{module}.{query}"))
        else {
            self.budget.spend_call()?;
            let why = "module and query are not understood".to_owned();
            return Ok(Err(types::Error::Malformed(why)));
        };
        let open = match self.granted(&Permission::Requests(name))? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = check_data(&params) {
            return Ok(Err(error));
        }
        if open.speaker.depth >= DEPTH_MAX {
            let why = format!("more than {DEPTH_MAX} questions lead to each other");
            return Ok(Err(types::Error::Rejected(format!("ask-depth: {why}"))));
        }
        match open.outlet.ask(&open.speaker, &module, &query, params).await {
            Ok(answer) => {
                self.budget.spend_bytes(answer.len())?;
                Ok(Ok(answer))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }
}

fn check_key(key: &str) -> Result<(), types::Error> {
    match key.len() {
        0 => Err(types::Error::Malformed("a key has at least 1 byte".to_owned())),
        1..=KEY_BYTES_MAX => Ok(()),
        _ => Err(types::Error::TooLarge(format!(
            "a key has at most {KEY_BYTES_MAX} bytes"
        ))),
    }
}

fn check_name(name: &str) -> Result<(), types::Error> {
    // It becomes part of a subject.
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(types::Error::Malformed(
            "a name has letters and digits only".to_owned(),
        ));
    }
    if name.len() > ID_BYTES_MAX {
        return Err(types::Error::TooLarge(format!(
            "a name has at most {ID_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

fn check_data(data: &str) -> Result<(), types::Error> {
    if data.len() > DATA_BYTES_MAX {
        return Err(types::Error::TooLarge(format!(
            "data has at most {DATA_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

impl From<SayError> for types::Error {
    fn from(error: SayError) -> Self {
        match error {
            SayError::Malformed(why) => Self::Malformed(why),
            SayError::Unavailable(why) => {
                tracing::warn!("a message could not be sent: {why}");
                Self::Unavailable
            }
            SayError::Timeout => Self::Timeout,
            SayError::Rejected(_) | SayError::Failed { .. } => Self::Rejected(error.to_string()),
        }
    }
}
