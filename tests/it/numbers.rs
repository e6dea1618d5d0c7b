//! Many at once: numbers without gaps, one winner for a claim, credit limits that hold.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use millwork_host::http::position;
use millwork_tests::client::{Client, Reply};
use millwork_tests::server::{Server, Setup};
use rust_decimal::Decimal;
use serde_json::json;

use crate::books::{self, all, decimal, finalize, seen};
use crate::production;

/// Sends one request a thread, all at the same moment.
fn at_once(count: usize, send: impl Fn(usize) -> Reply + Sync) -> Vec<Reply> {
    let start = Barrier::new(count);
    let one = |index: usize| {
        start.wait();
        send(index)
    };
    thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> = (0..count).map(|index| scope.spawn(move || one(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Finalises 64 invoices of so many clients at once.
fn check_finalised_at_once(setup: Setup, clients: usize) {
    let server = Server::start(setup);
    let api = server.admin();
    let clients: Vec<String> = (0..clients)
        .map(|index| books::client(&api, &format!("C{index}")))
        .collect();
    let drafts: Vec<String> = (0..64)
        .map(|index| books::draft(&api, &clients[index % clients.len()], "10.00"))
        .collect();
    let replies = at_once(64, |index| finalize(&api, &drafts[index]));
    let numbers: BTreeSet<String> = replies.iter().map(|reply| books::number(&reply.done())).collect();
    let expected: BTreeSet<String> = (1..=64).map(books::invoice_number).collect();
    assert_eq!(numbers, expected);
    replies
        .iter()
        .for_each(|reply| drop(seen(&api, "/api/v1/invoices", &reply.json())));
    let listed: BTreeSet<String> = all(&api, "/api/v1/invoices?status=finalized")
        .iter()
        .map(|invoice| invoice["invoiceNumber"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn sixty_four_invoices_of_one_client_get_numbers_without_gaps() {
    for setup in production::everywhere() {
        check_finalised_at_once(setup, 1);
    }
}

#[test]
fn sixty_four_invoices_of_many_clients_get_numbers_without_gaps() {
    for setup in production::everywhere() {
        check_finalised_at_once(setup, 16);
    }
}

#[test]
fn refused_finalises_leave_no_gaps() {
    for setup in production::everywhere() {
        let server = Server::start(setup);
        let api = server.admin();
        let client = books::client(&api, "ACME");
        // Every other one has no line and is refused.
        let drafts: Vec<String> = (0..32)
            .map(|index| {
                if index % 2 == 0 {
                    books::draft(&api, &client, "1.00")
                } else {
                    books::invoice(&api, &client)
                }
            })
            .collect();
        let replies = at_once(32, |index| finalize(&api, &drafts[index]));
        let done = replies.iter().filter(|reply| reply.status == 200);
        let numbers: BTreeSet<String> = done.map(|reply| books::number(&reply.json())).collect();
        assert_eq!(numbers, (1..=16).map(books::invoice_number).collect());
        for refused in replies.iter().filter(|reply| reply.status != 200) {
            refused.refused(409, "invoice-empty");
        }
    }
}

#[test]
fn one_of_fifty_gets_the_code() {
    for setup in production::everywhere() {
        let server = Server::start(setup);
        let api = server.admin();
        // Written differently, and still the same code.
        let code = |index: usize| ["acme", " ACME "][index % 2];
        let body = |index: usize| json!({ "code": code(index), "name": format!("{index}") });
        let replies = at_once(50, |index| api.post("/api/v1/clients", &body(index)));
        let won: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 201).collect();
        assert_eq!(won.len(), 1);
        for lost in replies.iter().filter(|reply| reply.status != 201) {
            lost.refused(409, "claim-taken");
        }
        seen(&api, "/api/v1/clients", &won[0].json());
        assert_eq!(all(&api, "/api/v1/clients").len(), 1);
    }
}

#[test]
fn a_code_that_was_given_up_can_be_taken() {
    let server = Server::demo();
    let api = server.admin();
    let first = books::client(&api, "OLD");
    let second = books::client(&api, "OTHER");
    let rename = |id: &str, code: &str| api.patch(&format!("/api/v1/clients/{id}"), &json!({ "code": code }));
    rename(&second, "OLD").refused(409, "claim-taken");
    let _ = rename(&first, "NEW").done();
    let _ = rename(&second, "OLD").done();
    rename(&first, "OLD").refused(409, "claim-taken");
}

/// Gives a client a limit, and waits until commands can see it.
fn limit(api: &Client, client: &str, amount: &str) {
    let path = format!("/api/v1/clients/{client}/credit-limit");
    let done = api.post(&path, &json!({ "creditLimit": amount })).done();
    seen(api, "/api/v1/clients", &done);
}

/// Finalises so many invoices of 30.00 at once against a limit, and gives how many passed.
fn check_limit(setup: Setup, invoices: usize, amount: &str, passing: usize) {
    let server = Server::start(setup);
    let api = server.admin();
    let client = books::client(&api, "ACME");
    limit(&api, &client, amount);
    let drafts: Vec<String> = (0..invoices)
        .map(|_| books::draft(&api, &client, "30.00"))
        .collect();
    let replies = at_once(invoices, |index| finalize(&api, &drafts[index]));
    let passed: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(
        passed.len(),
        passing,
        "{:?}",
        replies.iter().map(Reply::text).collect::<Vec<_>>()
    );
    for refused in replies.iter().filter(|reply| reply.status != 200) {
        refused.refused(409, "credit-limit-exceeded");
    }
    let numbers: BTreeSet<String> = passed.iter().map(|reply| books::number(&reply.json())).collect();
    assert_eq!(numbers, (1..=passing).map(books::invoice_number).collect());
    let last = passed
        .iter()
        .map(|reply| reply.json()["position"].as_str().unwrap().to_owned())
        // Their texts do not sort as they do.
        .max_by_key(|token| position::decode(token).unwrap())
        .unwrap();
    let owed = books::after(&api, &format!("/api/v1/clients/{client}"), &last);
    assert_eq!(decimal(&owed["currentBalance"]), Decimal::from(30 * passing));
}

#[test]
fn two_invoices_cannot_both_take_the_last_of_a_limit() {
    for setup in production::everywhere() {
        check_limit(setup, 2, "59.99", 1);
    }
}

#[test]
fn of_twenty_invoices_as_many_pass_as_the_limit_bears() {
    for setup in production::everywhere() {
        check_limit(setup, 20, "210.00", 7);
    }
}

#[test]
fn what_is_paid_or_voided_gives_the_limit_back() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    limit(&api, &client, "50.00");
    let [first, second, third] = ["30.00", "20.01", "30.00"].map(|price| books::draft(&api, &client, price));
    let _ = finalize(&api, &first).done();
    finalize(&api, &second).refused(409, "credit-limit-exceeded");
    let _ = books::pay(&api, &first, "0.01").done();
    let _ = finalize(&api, &second).done();
    let _ = books::act(&api, &second, "void", &json!({ "reason": "test" })).done();
    finalize(&api, &third).refused(409, "credit-limit-exceeded");
    let _ = books::pay(&api, &first, "29.99").done();
    let _ = finalize(&api, &third).done();
}
