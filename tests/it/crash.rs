//! `kill -9` under load, a hundred times in a row: what was acknowledged is there, once, and the read models say so.
//!
//! Whoever gets no answer asks again after the restart with the same idempotency key, as clients should. So in the end
//! every request was acknowledged, and the books must be the sum of the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use millwork_tests::client::{Client, Reply};
use millwork_tests::poll::{self, WITHIN_LONG};
use millwork_tests::server::{Server, Setup};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::books::{self, all, decimal};
use crate::production;

const ROUNDS: usize = 100;
/// Few, since each may wait for a minute.
const ROUNDS_ON_SERVERS: usize = 3;
const WORKERS: usize = 4;
/// A round ends at the latest after so many answers.
const ANSWERS_MAX: u64 = 48;
const SEED: u64 = 0x5eed_0f0b_00c5;

/// The same numbers in each run: xorshift64, Marsaglia 2003.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What happens to each invoice, in order.
const STEPS: [&str; 4] = ["", "/line-items", "/finalize", "/payments"];

/// Somebody who writes invoices one after another, each with one line, finalised, and half paid.
pub(crate) struct Worker {
    name: String,
    client: String,
    random: Random,
    price: Decimal,
    invoice: Option<String>,
    written: usize,
    step: usize,
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// How often the host could not do it and said so: a host that was killed in the middle of a transaction holds up
    /// its tenant's writes until MongoDB ends that, after 60 seconds unless it was told otherwise.
    put_off: usize,
}

/// What came of a request.
#[derive(PartialEq, Eq)]
pub(crate) enum Asked {
    Acknowledged,
    PutOff,
    /// No answer.
    Gone,
}

/// A request that was answered.
pub(crate) struct Acknowledged {
    path: String,
    key: String,
    body: Value,
    answer: Value,
}

impl Worker {
    pub(crate) fn new(api: &Client, index: usize) -> Self {
        let name = format!("w{index}");
        let client = books::client(api, &name);
        let mut worker = Self {
            name,
            client,
            random: Random(SEED + index as u64),
            price: Decimal::ONE,
            invoice: None,
            written: 0,
            step: 0,
            acknowledged: Vec::new(),
            put_off: 0,
        };
        worker.next_price();
        worker
    }

    fn next_price(&mut self) {
        // Even cents, so that half of it is exact.
        self.price = Decimal::new(2 * i64::try_from(1 + self.random.below(50_000)).unwrap(), 2);
    }

    /// The request that comes next; after a crash the one that got no answer.
    fn request(&self) -> (String, String, Value) {
        let path = match &self.invoice {
            None => "/api/v1/invoices".to_owned(),
            Some(id) => format!("/api/v1/invoices/{id}{}", STEPS[self.step]),
        };
        let body = match self.step {
            0 => json!({ "clientId": self.client }),
            1 => json!({ "description": "Work", "quantity": "1", "unitPrice": self.price, "taxRate": "0" }),
            2 => json!({}),
            _ => json!({ "amount": self.price / Decimal::TWO, "method": "transfer" }),
        };
        (
            path,
            format!("{}-{}-{}", self.name, self.written, self.step),
            body,
        )
    }

    /// Works until the host is gone.
    fn work(&mut self, api: &Client, answers: &AtomicUsize) {
        loop {
            match self.ask(api) {
                Asked::Acknowledged => drop(answers.fetch_add(1, Ordering::Relaxed)),
                Asked::PutOff => {}
                Asked::Gone => break,
            }
        }
    }

    /// Sends the next request.
    pub(crate) fn ask(&mut self, api: &Client) -> Asked {
        let (path, key, body) = self.request();
        let Ok(reply) = api.ask("POST", &path).key(&key).json(&body).try_send() else {
            return Asked::Gone;
        };
        if reply.status == 503 {
            self.put_off += 1;
            return Asked::PutOff;
        }
        let answer = reply.done();
        if self.step == 0 {
            self.invoice = Some(answer["id"].as_str().unwrap().to_owned());
        }
        self.acknowledged.push(Acknowledged {
            path,
            key,
            body,
            answer,
        });
        self.step += 1;
        if self.step == STEPS.len() {
            (self.step, self.invoice) = (0, None);
            self.written += 1;
            self.next_price();
        }
        Asked::Acknowledged
    }

    /// Repeats the request that got no answer, which may have been recorded, and brings its invoice to the end.
    pub(crate) fn finish(&mut self, api: &Client) {
        loop {
            let asked = self.ask(api);
            assert!(asked != Asked::Gone, "the host runs");
            if asked == Asked::Acknowledged && self.step == 0 {
                break;
            }
        }
    }
}

impl Acknowledged {
    /// Asked again, it is the first answer that comes, and nothing happens.
    pub(crate) fn check_is_there(&self, api: &Client) {
        let again: Reply = api.ask("POST", &self.path).key(&self.key).json(&self.body).send();
        assert_eq!(again.done(), self.answer, "{}", self.key);
        assert_eq!(
            again.header("idempotency-replayed"),
            Some("true"),
            "{} was lost",
            self.key
        );
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_done_twice_by_a_hundred_kills() {
    let (server, workers) = check_kills(Setup::default(), ROUNDS);
    let requests: Vec<&Acknowledged> = workers.iter().flat_map(|worker| &worker.acknowledged).collect();
    check_events(&server, &requests);
    assert!(
        workers.iter().all(|worker| worker.put_off == 0),
        "nothing on files outlives the host"
    );
}

#[test]
fn nothing_acknowledged_is_lost_or_done_twice_by_kills_over_servers() {
    for setup in production::everywhere().skip(1) {
        check_kills(setup, ROUNDS_ON_SERVERS);
    }
}

/// Kills a host under load, so many times, and looks at its books.
fn check_kills(setup: Setup, rounds: usize) -> (Server, Vec<Worker>) {
    eprintln!("seed {SEED:#x}");
    let mut server = Server::start(Setup {
        log: "warn".to_owned(),
        ..setup
    });
    let mut random = Random(SEED);
    let mut workers: Vec<Worker> = (0..WORKERS)
        .map(|index| Worker::new(&server.admin(), index))
        .collect();
    for _ in 0..rounds {
        let enough = usize::try_from(1 + random.below(ANSWERS_MAX)).unwrap();
        let before: Vec<usize> = workers.iter().map(|worker| worker.acknowledged.len()).collect();
        let (api, answers) = (server.admin(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(|| worker.work(&api, &answers));
            }
            poll::within(WITHIN_LONG, "answers", || {
                (answers.load(Ordering::Relaxed) >= enough).then_some(())
            });
            server.kill();
        });
        server.run();
        let api = server.admin();
        for (worker, before) in workers.iter().zip(before) {
            worker.acknowledged[before..]
                .iter()
                .for_each(|request| request.check_is_there(&api));
        }
    }
    let api = server.admin();
    workers.iter_mut().for_each(|worker| worker.finish(&api));
    check_books(&server.admin(), &workers);
    (server, workers)
}

/// What the host has is the sum of its answers.
pub(crate) fn check_books(api: &Client, workers: &[Worker]) {
    let requests: Vec<&Acknowledged> = workers.iter().flat_map(|worker| &worker.acknowledged).collect();
    let last = requests.iter().max_by_key(|request| position(&request.answer));
    let end = last.unwrap().answer["position"].as_str().unwrap();
    for path in ["/api/v1/invoices", "/api/v1/clients"] {
        poll::within(WITHIN_LONG, "read models", || {
            let seen = api.get(&format!("{path}?after={end}"));
            (seen.status == 200).then_some(())
        });
    }
    let written = workers.iter().map(|worker| worker.written).sum();

    let finalized = requests
        .iter()
        .filter(|request| request.path.ends_with("/finalize"));
    let numbers: BTreeSet<String> = finalized.map(|request| books::number(&request.answer)).collect();
    assert_eq!(
        numbers,
        (1..=written).map(books::invoice_number).collect(),
        "numbers without gaps"
    );
    assert_eq!(
        all(api, "/api/v1/invoices").len(),
        written,
        "one for each that was acknowledged"
    );
    check_read_models(api, &requests);
    check_rebuilt(api);
    eprintln!("{} requests acknowledged, {written} invoices", requests.len());
}

/// Invoices, balances and the report show what the payments say, which come last on each invoice.
fn check_read_models(api: &Client, requests: &[&Acknowledged]) {
    let invoices = all(api, "/api/v1/invoices");
    let mut owed: BTreeMap<&str, Decimal> = BTreeMap::new();
    for request in requests
        .iter()
        .filter(|request| request.path.ends_with("/payments"))
    {
        let paid = books::event(&request.answer, "PaymentRecorded");
        let id = request.answer["id"].as_str().unwrap();
        let invoice = invoices.iter().find(|invoice| invoice["_id"] == id).unwrap();
        assert_eq!(
            (&invoice["status"], &invoice["version"]),
            (&json!("partial"), &request.answer["version"])
        );
        assert_eq!(
            (&invoice["amountPaid"], &invoice["amountDue"]),
            (&paid["amountPaid"], &paid["amountDue"])
        );
        *owed.entry(paid["clientId"].as_str().unwrap()).or_default() += decimal(&paid["amountDue"]);
    }
    for client in all(api, "/api/v1/clients") {
        assert_eq!(
            decimal(&client["currentBalance"]),
            owed[client["_id"].as_str().unwrap()],
            "{client}"
        );
    }
    let aging = api.get("/api/v1/reports/aging").done();
    assert_eq!(
        decimal(&aging["currencies"][0]["total"]),
        owed.values().sum::<Decimal>()
    );
}

/// Built anew, the read models are the same.
fn check_rebuilt(api: &Client) {
    let look = || ["/api/v1/invoices", "/api/v1/clients"].map(|path| all(api, path));
    let before = look();
    for (module, projection) in [("invoicing", "Invoices"), ("client", "Clients")] {
        let path = format!("/admin/v1/tenants/demo/modules/{module}/projections/{projection}/rebuild");
        let _ = api.post(&path, &json!({})).done();
    }
    assert_eq!(look(), before);
}

/// What is recorded is what was acknowledged, each request once.
fn check_events(server: &Server, requests: &[&Acknowledged]) {
    let file = books::events_file(server);
    let count =
        |sql: &str| usize::try_from(file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()).unwrap();
    assert_eq!(
        count("SELECT count(*) FROM commands WHERE id LIKE 'w%'"),
        requests.len()
    );
    let events: usize = requests
        .iter()
        .map(|request| request.answer["events"].as_array().unwrap().len())
        .sum();
    assert_eq!(
        count("SELECT count(*) FROM events"),
        events + WORKERS,
        "each worker's client is one more"
    );
    assert_eq!(
        count("SELECT count(*) FROM (SELECT 1 FROM events GROUP BY stream HAVING max(version) != count(*))"),
        0
    );
    let checked: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(checked, "ok");
}

fn position(answer: &Value) -> u64 {
    millwork_host::http::position::decode(answer["position"].as_str().unwrap()).unwrap()
}
