//! A module as a third party writes it, with every part there is, and what happens when code and manifest disagree.

use millwork_sdk::testing::{self, ReadModels};
use millwork_sdk::{
    Aggregate, Context, Decision, Failure, Lifecycle, NoCommands, Projection, Query, QueryContext,
    QueryError, Recorded, Rejection, Violations, cache, clock, documents, log, random,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all_fields = "camelCase")]
enum Command {
    Open { name: String },
    Deposit { amount: i64 },
    Rename { name: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
enum Event {
    Opened {
        name: String,
        number: String,
        opened_at: String,
    },
    Deposited {
        amount: i64,
    },
    Renamed {
        name: String,
    },
}

#[derive(Default, Serialize, Deserialize)]
struct Account {
    name: String,
    balance: i64,
}

#[derive(Deserialize)]
struct Config {
    limit: i64,
}

#[derive(Deserialize)]
struct Facts {
    owner: Option<Value>,
}

impl Aggregate for Account {
    const NAME: &'static str = "Account";
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, ctx: &Context) -> Result<Decision<Event>, Rejection> {
        match command {
            Command::Open { name } => {
                if ctx.facts::<Facts>().owner.is_none() {
                    return Err(Rejection::not_found("owner-not-found", "There is no such owner."));
                }
                let number = format!("{}/{}", ctx.number("account"), ctx.fresh_id(0));
                let opened = Event::Opened {
                    name: name.clone(),
                    number,
                    opened_at: ctx.now().to_string(),
                };
                Ok(Decision::from(opened).claim("name", name))
            }
            Command::Deposit { amount } => {
                let mut violations = Violations::default();
                if amount <= 0 {
                    violations.add("/amount", "not-positive", "An amount is positive.");
                }
                violations.check()?;
                let mut bank = ctx.related::<Bank>(0);
                if bank.state().total + amount > ctx.config::<Config>().limit {
                    return Err(Rejection::forbidden("over-limit", "The bank is full."));
                }
                bank.record(BankEvent::Grown { by: amount });
                Ok(Decision::from(Event::Deposited { amount }).and(bank))
            }
            Command::Rename { name } if name == self.name => Ok(Decision::nothing()),
            Command::Rename { name } => Ok(Decision::from(vec![Event::Renamed { name: name.clone() }])
                .claim("name", name)
                .release("name", self.name.clone())),
        }
    }

    fn evolve(&mut self, event: Event) {
        match event {
            Event::Opened { name, .. } | Event::Renamed { name } => self.name = name,
            Event::Deposited { amount } => self.balance += amount,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum BankEvent {
    Grown { by: i64 },
}

#[derive(Default, Serialize, Deserialize)]
struct Bank {
    total: i64,
}

impl Aggregate for Bank {
    const NAME: &'static str = "Bank";
    type Command = NoCommands;
    type Event = BankEvent;

    fn decide(&self, command: NoCommands, _: &Context) -> Result<Decision<BankEvent>, Rejection> {
        match command {}
    }

    fn evolve(&mut self, BankEvent::Grown { by }: BankEvent) {
        self.total += by;
    }
}

struct Accounts;

impl Projection for Accounts {
    const NAME: &'static str = "Accounts";

    fn apply(event: &Recorded) -> Result<(), documents::Error> {
        let id = event.aggregate_id();
        match event.decode() {
            Some(Event::Opened { name, .. }) => {
                documents::put("accounts", id, &json!({ "name": name, "balance": 0 }))
            }
            Some(Event::Deposited { amount }) => {
                documents::update("accounts", id, &json!({ "$inc": { "balance": amount } })).map(drop)
            }
            Some(Event::Renamed { name }) => {
                documents::upsert("accounts", id, &json!({ "$set": { "name": name } }))
            }
            None => documents::remove("accounts", id).map(drop),
        }
    }
}

struct Richest;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    least: i64,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Query for Richest {
    const NAME: &'static str = "Richest";
    type Params = Params;
    type Answer = Vec<String>;

    fn answer(params: Params, _: &QueryContext) -> Result<Vec<String>, QueryError> {
        if params.least < 0 {
            return Err(Rejection::invalid("/least", "negative", "A balance is not negative.").into());
        }
        let mut names = Vec::new();
        documents::find("accounts")
            .filter(&json!({ "balance": { "$gte": params.least } }))
            .sort(&json!({ "balance": -1 }))
            .limit(2)
            .fields(&["name"])
            .each(|account: Named| names.push(account.name))?;
        Ok(names)
    }
}

struct Banking;

impl Lifecycle for Banking {
    fn activate(previous: Option<&str>) -> Result<(), Failure> {
        log::info(&format!("replaces {previous:?}"));
        Ok(())
    }
}

millwork_sdk::module! {
    aggregates: [Account, Bank],
    projections: [Accounts],
    queries: [Richest],
    lifecycle: Banking,
}

fn opened() -> Event {
    Event::Opened {
        name: "a".into(),
        number: "A-1/id-1".into(),
        opened_at: "2026-03-01T12:00:00.000Z".into(),
    }
}

fn account() -> testing::Scenario<Account> {
    testing::given("a-1", [opened()])
        .related::<Bank>("b", [])
        .config(json!({ "limit": 100 }))
}

#[test]
fn a_module_names_its_parts() {
    let described: Value = serde_json::from_str(&describe()).unwrap();
    assert_eq!(
        described,
        json!({
            "aggregates": {
                "Account": { "commands": ["Open", "Deposit", "Rename"], "events": ["Opened", "Deposited", "Renamed"] },
                "Bank": { "commands": [], "events": ["Grown"] },
            },
            "projections": ["Accounts"],
            "queries": ["Richest"],
            "subscriptions": [],
        })
    );
}

#[test]
fn a_decision_sees_time_ids_numbers_and_facts() {
    let new = || testing::given::<Account>("a-1", []).number("account", "A-1");
    let account = new()
        .facts(json!({ "owner": {} }))
        .when("Open", json!({ "name": "a" }))
        .then(&[opened()]);
    assert_eq!(account.claims(), (vec!["name=a".to_owned()], vec![]));
    new()
        .facts(json!({ "owner": null }))
        .when("Open", json!({ "name": "a" }))
        .then_rejected("owner-not-found", "");
}

#[test]
fn a_decision_records_for_related_aggregates_too() {
    account()
        .when("Deposit", json!({ "amount": 60 }))
        .then(&[Event::Deposited { amount: 60 }])
        .then_related::<Bank>(&[BankEvent::Grown { by: 60 }])
        .when("Deposit", json!({ "amount": 41 }))
        .then_rejected("over-limit", "")
        .when("Deposit", json!({ "amount": 0 }))
        .then_rejected("not-positive", "/amount");
}

#[test]
fn claims_are_released_and_nothing_may_be_recorded() {
    let renamed = account().when("Rename", json!({ "name": "b" }));
    assert_eq!(
        renamed.claims(),
        (vec!["name=b".to_owned()], vec!["name=a".to_owned()])
    );
    renamed.when("Rename", json!({ "name": "b" })).then_nothing();
}

#[test]
fn a_body_that_only_the_schema_lets_pass_is_refused() {
    account()
        .when("Deposit", json!({ "amount": "1" }))
        .then_rejected("malformed", "");
}

#[test]
#[should_panic(expected = "Account has no command \"Close\"")]
fn an_unknown_command_is_a_trap() {
    let _ = account().when("Close", json!({}));
}

#[test]
#[should_panic(expected = "no number \"account\"")]
fn a_number_that_the_manifest_does_not_give_is_a_trap() {
    let _ = testing::given::<Account>("a", [])
        .facts(json!({ "owner": 1 }))
        .when("Open", json!({ "name": "a" }));
}

#[test]
#[should_panic(expected = "relates no Bank")]
fn a_related_aggregate_that_the_manifest_does_not_give_is_a_trap() {
    let _ = testing::given::<Account>("a", [opened()]).when("Deposit", json!({ "amount": 1 }));
}

#[test]
#[should_panic(expected = "configuration")]
fn a_configuration_that_does_not_fit_is_a_trap() {
    let _ = account()
        .config(json!({}))
        .when("Deposit", json!({ "amount": 1 }));
}

#[test]
fn a_projection_writes_and_a_query_reads_page_by_page() {
    let mut models = ReadModels::default();
    for (id, name, amount) in [("1", "a", 5), ("2", "b", 7), ("3", "c", 1), ("4", "d", 6)] {
        let opened = json!({ "name": name, "number": "n", "openedAt": "t", "since": 2 });
        models.apply::<Accounts>(("Account", id), "Opened", opened);
        models.apply::<Accounts>(("Account", id), "Deposited", json!({ "amount": amount }));
    }
    assert_eq!(
        models.ask::<Richest>(&json!({ "least": 5 })).unwrap(),
        json!(["b", "d", "a"])
    );
    assert_eq!(
        models.ask::<Richest>(&json!({ "least": -1 })).unwrap_err().code(),
        "negative"
    );
    assert_eq!(
        models.ask::<Richest>(&json!({ "most": 1 })).unwrap_err().code(),
        "malformed"
    );

    models.apply::<Accounts>(("Account", "2"), "Renamed", json!({ "name": "z" }));
    models.apply::<Accounts>(("Account", "1"), "Vanished", json!({}));
    assert_eq!(
        models.ask::<Richest>(&json!({ "least": 5 })).unwrap(),
        json!(["z", "d"])
    );
    assert_eq!(
        models.document("accounts", "2"),
        json!({ "name": "z", "balance": 7, "_id": "2" })
    );
    assert_eq!(
        documents::count("accounts", &json!({ "balance": { "$lt": 7 } })),
        Ok(2)
    );
}

#[test]
fn the_stand_in_refuses_what_it_does_not_know() {
    let found =
        documents::put("c", "1", &json!({})).and_then(|()| documents::count("c", &json!({ "$or": [] })));
    assert!(matches!(found, Err(documents::Error::Malformed(_))));
    let changed = documents::update("c", "1", &json!({ "$rename": { "a": "b" } }));
    assert!(matches!(changed, Err(documents::Error::Malformed(_))));
}

#[test]
fn the_other_capabilities_have_stand_ins() {
    let minute = std::time::Duration::from_secs(60);
    assert_eq!(cache::get("k"), Ok(None));
    assert_eq!(
        cache::add("n", 2, minute).and_then(|_| cache::add("n", 3, minute)),
        Ok(5)
    );
    assert_eq!(
        cache::put("k", b"v", minute).and_then(|()| cache::get("k")),
        Ok(Some(b"v".to_vec()))
    );
    assert_eq!(cache::remove("k"), Ok(true));
    assert_ne!(random::uuid(), random::uuid());
    assert_eq!(random::bytes(40).len(), 40);
    testing::set_now("2026-05-05T00:00:00Z".parse().unwrap());
    assert_eq!(clock::now().date().to_string(), "2026-05-05");
    assert!(Banking::activate(None).is_ok() && Banking::deactivate().is_ok() && Banking::health().is_ok());
}
