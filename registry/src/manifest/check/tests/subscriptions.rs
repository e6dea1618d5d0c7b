//! Subscriptions and events of a component's own: what is refused of them, and what is understood.

use super::check;
use crate::manifest::Manifest;
use crate::manifest::tests::GOOD;

#[test]
fn subscriptions_name_events_that_they_may_have() {
    check(
        "- categories: [finance, sales]
         + subscriptions: { Watch: { events: [Nothing] } }
         = subscriptions.Watch.events: there is no event \"Nothing\"

         - categories: [finance, sales]
         + subscriptions: { Watch: { events: [client.ClientCreated] } }
         = subscriptions.Watch.events: needs the permission events:client.ClientCreated

         - categories: [finance, sales]
         + subscriptions: { Watch: { events: [plugin.greeter.Greeted] } }
         = subscriptions.Watch.events: needs the permission events:plugin.greeter.Greeted

         - categories: [finance, sales]
         + subscriptions: { Watch: { events: [plugin.invoicing.Greeted] } }
         = subscriptions.Watch.events: \"plugin.invoicing.Greeted\" is this component's own

         - categories: [finance, sales]
         + subscriptions: { Watch: { events: [] } }
         = subscriptions.Watch.events: a subscription without events does nothing

         - categories: [finance, sales]
         + subscriptions: { Watch: { events: [InvoiceCreated], attempts: 0, backoffMs: 9 } }
         = subscriptions.Watch.attempts: must be 1 to 100
         = subscriptions.Watch.backoffMs: must be 10 to 3600000

         - categories: [finance, sales]
         + publishes: { Told: { type: object } }
         = publishes.Told: needs the permission messages:publish",
    );
    let good = GOOD.replacen(
        "  - documents\n",
        "  - documents\n  - messages:publish\n  - events:plugin.greeter.Greeted\n",
        1,
    );
    let manifest = Manifest::parse(&format!(
        "{good}publishes: {{ Told: {{ type: object }} }}\nsubscriptions: {{ Watch: {{ events: [InvoiceCreated, client.ClientUpdated, plugin.greeter.Greeted] }} }}\n"
    ))
    .unwrap();
    assert_eq!(
        (
            manifest.subscriptions["Watch"].attempts,
            manifest.subscriptions["Watch"].backoff_ms
        ),
        (8, 1_000)
    );
}
