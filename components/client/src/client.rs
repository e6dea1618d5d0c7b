//! The rules of a client.
//!
//! Its code is a claim: two clients of a tenant cannot have the same one, however fast they are created. An inactive
//! client gets no new credit, but its record can still be corrected, since old invoices are still to be paid.

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::{Aggregate, Context, Decision, Rejection, Violations};
use serde::{Deserialize, Serialize};

use crate::command::{Command, CreateClient, UpdateClient};
use crate::event::{ClientCreated, ClientUpdated, Event, Profile};

/// Name of the claim on a code.
const CODE: &str = "code";

/// A client as far as decisions need it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    profile: Profile,
    /// Absent before the first event only.
    currency: Option<Currency>,
    credit_limit: Option<Decimal>,
    inactive: bool,
}

/// What the tenant decides about all clients.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    default_currency: String,
}

impl Aggregate for Client {
    const NAME: &'static str = "Client";
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, ctx: &Context) -> Result<Decision<Event>, Rejection> {
        match command {
            Command::CreateClient(body) => create(body, ctx),
            Command::UpdateClient(body) => self.update(body),
            Command::AssignCreditLimit { credit_limit } => self.assign_credit_limit(credit_limit),
            Command::DeactivateClient {} => self.deactivate(),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::ClientCreated(created) => {
                self.profile = created.profile;
                self.currency = Some(created.currency);
            }
            Event::ClientUpdated(change) => self.profile.change(change),
            Event::CreditLimitAssigned { credit_limit } => self.credit_limit = credit_limit,
            Event::ClientDeactivated {} => self.inactive = true,
        }
    }
}

fn create(body: CreateClient, ctx: &Context) -> Result<Decision<Event>, Rejection> {
    let (code, name) = (normal_code(&body.code), body.name.trim().to_owned());
    check_texts(Some(&code), Some(&name))?;
    let currency = match body.currency {
        Some(code) => Currency::new(&code),
        None => Currency::new(&ctx.config::<Config>().default_currency),
    };
    let currency =
        currency.map_err(|e| Rejection::invalid("/currency", "unknown-currency", format!("{e}.")))?;
    let profile = Profile {
        code: code.clone(),
        name,
        email: body.email,
        phone: body.phone,
        billing_address: body.billing_address,
        shipping_addresses: body.shipping_addresses,
        tags: body.tags,
        custom_fields: body.custom_fields,
    };
    Ok(Decision::from(Event::ClientCreated(ClientCreated { currency, profile })).claim(CODE, code))
}

impl Client {
    fn update(&self, body: UpdateClient) -> Result<Decision<Event>, Rejection> {
        let now = &self.profile;
        let code = body.code.as_deref().map(normal_code);
        let name = body.name.map(|name| name.trim().to_owned());
        check_texts(code.as_deref(), name.as_deref())?;
        let change = ClientUpdated {
            code: code.filter(|code| *code != now.code),
            name: name.filter(|name| *name != now.name),
            email: body.email.against(now.email.as_ref()),
            phone: body.phone.against(now.phone.as_ref()),
            billing_address: body.billing_address.against(now.billing_address.as_ref()),
            shipping_addresses: body
                .shipping_addresses
                .filter(|all| *all != now.shipping_addresses),
            tags: body.tags.filter(|all| *all != now.tags),
            custom_fields: body.custom_fields.filter(|all| *all != now.custom_fields),
        };
        if change == ClientUpdated::default() {
            return Ok(Decision::nothing());
        }
        let code = change.code.clone();
        let decision = Decision::from(Event::ClientUpdated(change));
        Ok(match code {
            Some(code) => decision.claim(CODE, code).release(CODE, now.code.clone()),
            None => decision,
        })
    }

    fn assign_credit_limit(&self, limit: Option<Decimal>) -> Result<Decision<Event>, Rejection> {
        self.check_active()?;
        let limit = match (limit, self.currency) {
            (Some(limit), Some(currency)) => Some(exact_limit(limit, currency)?),
            _ => None,
        };
        if limit == self.credit_limit {
            return Ok(Decision::nothing());
        }
        Ok(Event::CreditLimitAssigned { credit_limit: limit }.into())
    }

    fn deactivate(&self) -> Result<Decision<Event>, Rejection> {
        self.check_active()?;
        Ok(Event::ClientDeactivated {}.into())
    }

    fn check_active(&self) -> Result<(), Rejection> {
        if self.inactive {
            let message = format!("Client {} is inactive.", self.profile.code);
            return Err(Rejection::conflict("client-inactive", message));
        }
        Ok(())
    }
}

/// The form in which codes are compared: `acme ` and `ACME` are one client.
fn normal_code(code: &str) -> String {
    code.trim().to_uppercase()
}

fn check_texts(code: Option<&str>, name: Option<&str>) -> Result<(), Rejection> {
    let mut violations = Violations::default();
    if code.is_some_and(str::is_empty) {
        violations.add(
            "/code",
            "code-blank",
            "A code needs a character that is no space.",
        );
    }
    if name.is_some_and(str::is_empty) {
        violations.add(
            "/name",
            "name-blank",
            "A name needs a character that is no space.",
        );
    }
    violations.check()
}

fn exact_limit(limit: Decimal, currency: Currency) -> Result<Decimal, Rejection> {
    let refused = |code, message| Err(Rejection::invalid("/creditLimit", code, message));
    if limit.is_sign_negative() && !limit.is_zero() {
        return refused(
            "credit-limit-negative",
            "A credit limit is not negative.".to_owned(),
        );
    }
    match currency.exact(limit.abs()) {
        Some(limit) => Ok(limit),
        None => refused(
            "too-many-digits",
            format!("{currency} has {} digits after the point.", currency.digits()),
        ),
    }
}
