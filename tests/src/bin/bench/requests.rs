//! A host with data to work on, and the requests that are sent to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millwork_host::http::position;
use millwork_tests::client::Client;
use millwork_tests::poll;
use serde_json::{Value, json};

use crate::load::{Done, Load, Make};
use crate::sample;

/// Lines of the one invoice that many commands meet at.
const HOT_LINES: usize = 5;

/// A host with one client and many invoices.
pub(crate) struct Requests {
    admin: Client,
    invoices: Arc<Vec<String>>,
    hot: String,
    /// Counts over all loads, so that no client's code comes twice.
    next: Arc<AtomicUsize>,
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A new aggregate each time, with a claim.
    CreateClient,
    /// A line for the next one of many invoices.
    AddLineItem,
    /// Always the same invoice, whose state does not grow from it.
    OneAggregate,
    /// Reads one invoice.
    OneInvoice,
    /// Reads the first page of a list.
    InvoiceList,
    /// In turn a discount for one of many invoices, and looks at two others.
    ReadsAndWrites,
}

impl Work {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateClient => "CreateClient",
            Self::AddLineItem => "AddLineItem",
            Self::OneAggregate => "ApplyDiscount, one invoice",
            Self::OneInvoice => "GET one invoice",
            Self::InvoiceList => "GET 50 invoices",
            Self::ReadsAndWrites => "reads and writes",
        }
    }
}

impl Requests {
    /// Creates `invoices` on a host, as the admin of one of its tenants.
    pub(crate) fn against(admin: &Client, invoices: usize) -> Self {
        let client = admin.post(
            "/api/v1/clients",
            &json!({ "code": "BENCH", "name": "Acme Ltd", "currency": "EUR" }),
        );
        let client = id(&client.done());
        let mut requests = Self {
            admin: admin.clone(),
            invoices: Arc::default(),
            hot: String::new(),
            next: Arc::default(),
        };
        poll::until("the client can be read", || {
            (requests.admin.get(&format!("/api/v1/clients/{client}")).status == 200).then_some(())
        });
        let body = json!({ "clientId": client }).to_string();
        let create = requests.making(move |_, out, head| post(out, head, "/api/v1/invoices", &body));
        let load = Load {
            requests_max: invoices as u64,
            keep_bodies: true,
            ..requests.load(64, FOREVER, create)
        };
        let mut ids: Vec<String> = load.run().bodies.iter().map(|body| id(&parse(body))).collect();
        requests.hot = ids.pop().expect("an invoice");
        for index in 0..HOT_LINES {
            let path = format!("/api/v1/invoices/{}/line-items", requests.hot);
            let _ = requests.admin.post(&path, &sample::line(index)).done();
        }
        requests.invoices = Arc::new(ids);
        requests
    }

    /// The admin of the tenant.
    pub(crate) fn admin(&self) -> &Client {
        &self.admin
    }

    /// A load of one kind.
    pub(crate) fn of(&self, work: Work, connections: usize, length: Duration) -> Load {
        self.load(connections, length, self.make(work))
    }

    fn load(&self, connections: usize, length: Duration, make: Make) -> Load {
        Load {
            address: self.admin.url().trim_start_matches("http://").to_owned(),
            connections,
            length,
            requests_max: u64::MAX,
            make,
            pause: Duration::ZERO,
            keep_bodies: false,
        }
    }

    fn make(&self, work: Work) -> Make {
        let (invoices, hot) = (Arc::clone(&self.invoices), self.hot.clone());
        let of = move |index: usize| invoices.get(index % invoices.len()).cloned().expect("an invoice");
        let line = sample::line(0).to_string();
        match work {
            Work::CreateClient => self.making(|index, out, head| {
                let body = format!(
                    "{{\"code\":\"C-{index}\",\"name\":\"Client {index}\",\"currency\":\"EUR\",\
                     \"email\":\"billing@acme.example\",\"tags\":[\"wood\"]}}"
                );
                post(out, head, "/api/v1/clients", &body);
            }),
            Work::AddLineItem => self.making(move |index, out, head| {
                post(
                    out,
                    head,
                    &format!("/api/v1/invoices/{}/line-items", of(index)),
                    &line,
                );
            }),
            Work::OneAggregate => self.making(move |index, out, head| {
                // Two in a row that are the same would record nothing.
                let body = format!("{{\"percent\":\"{}.{:03}\"}}", index % 7 + 1, index % 997);
                post(out, head, &format!("/api/v1/invoices/{hot}/discount"), &body);
            }),
            Work::OneInvoice => self.making(move |index, out, head| {
                get(out, head, &format!("/api/v1/invoices/{}", of(index)));
            }),
            Work::ReadsAndWrites => self.making(move |index, out, head| match index % 3 {
                // Of a state that does not grow, so that the last phase of a long load is as heavy as the first.
                0 => {
                    let body = format!("{{\"percent\":\"{}.{:03}\"}}", index % 7 + 1, index % 997);
                    post(
                        out,
                        head,
                        &format!("/api/v1/invoices/{}/discount", of(index)),
                        &body,
                    );
                }
                _ => get(out, head, &format!("/api/v1/invoices/{}", of(index))),
            }),
            Work::InvoiceList => self.making(|_, out, head| get(out, head, "/api/v1/invoices?limit=50")),
        }
    }

    /// Gives each request its number and the headers that all have.
    fn making(&self, write: impl Fn(usize, &mut Vec<u8>, &str) + Send + Sync + 'static) -> Make {
        let head = format!("host: bench\r\nauthorization: Bearer {}\r\n", self.admin.token());
        let next = Arc::clone(&self.next);
        Arc::new(move |out| write(next.fetch_add(1, Ordering::Relaxed), out, &head))
    }

    /// Waits until what a load has recorded can be read.
    pub(crate) fn settle(&self, done: &Done) {
        for list in ["clients", "invoices"] {
            let path = format!("/api/v1/{list}?limit=1&after={}", position::encode(done.position));
            poll::until("the projections catch up", || {
                (self.admin.get(&path).status == 200).then_some(())
            });
        }
    }

    /// Sum and count of requests that the event store wrote in one go.
    pub(crate) fn batches(&self) -> (f64, f64) {
        let text = self.admin.get("/metrics").text();
        let value = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.trim().parse::<f64>().ok())
                .unwrap_or_default()
        };
        (
            value("millwork_event_store_batch_requests_sum"),
            value("millwork_event_store_batch_requests_count"),
        )
    }
}

/// No end by time.
const FOREVER: Duration = Duration::from_secs(3_600);

fn post(out: &mut Vec<u8>, head: &str, path: &str, body: &str) {
    let length = body.len();
    let text = format!(
        "POST {path} HTTP/1.1\r\n{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    out.extend_from_slice(text.as_bytes());
}

fn get(out: &mut Vec<u8>, head: &str, path: &str) {
    out.extend_from_slice(format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes());
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("a body of JSON")
}

fn id(answer: &Value) -> String {
    answer
        .get("id")
        .and_then(Value::as_str)
        .expect("the id of what was created")
        .to_owned()
}
