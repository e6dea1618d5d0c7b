//! Cache rules.

use super::check;
use crate::manifest::Manifest;
use crate::manifest::tests::GOOD;

#[test]
fn caching() {
    check(
        r##"
    - collection: invoices, schema: { type: object } }
    + collection: invoices, cache: { ttl: 5m, stale: 1m } }
    = unknown field `stale`, expected one of ttl at line 55, column 60

    - collection: invoices, schema: { type: object } }
    + collection: invoices, cache: { ttl: 5min } }
    = time to live "5min" must be a whole number and its unit, such as 30s, 5m or 1h at line 55, column 56

    - collection: invoices, schema: { type: object } }
    + collection: invoices, cache: { ttl: -5m } }
    = time to live "-5m" must be a whole number and its unit, such as 30s, 5m or 1h at line 55, column 56

    - collection: invoices, schema: { type: object } }
    + collection: invoices, cache: { ttl: 0s } }
    = views.InvoiceDetail.cache.ttl: must be 1s to 24h

    - collection: invoices, schema: { type: object } }
    + collection: invoices, cache: { ttl: 1441m } }
    = views.InvoiceDetail.cache.ttl: must be 1s to 24h

    - collections: [invoices], result: true }
    + result: true, cache: { ttl: 5m } }
    = queries.AgingReport.cache: needs the query's collections: an answer is kept until one of them is written

    - collections: [invoices], result: true }
    + collections: [invoices], cache: { ttl: 25h } }
    = queries.AgingReport.cache.ttl: must be 1s to 24h"##,
    );
}

#[test]
fn times_to_live_are_read_and_told() {
    let told = |text: &str| {
        let rule = format!("collection: invoices, cache: {{ ttl: {text} }} }}");
        let yaml = GOOD.replacen("collection: invoices, schema: { type: object } }", &rule, 1);
        let manifest = Manifest::parse(&yaml).unwrap();
        let ttl = manifest.views["InvoiceDetail"].cache.unwrap().ttl;
        (ttl.duration().as_secs(), ttl.to_string())
    };
    assert_eq!(told("90s"), (90, "90s".to_owned()));
    assert_eq!(told("5m"), (300, "5m".to_owned()));
    assert_eq!(told("60m"), (3_600, "1h".to_owned()));
    assert_eq!(told("24h"), (86_400, "24h".to_owned()));
}
