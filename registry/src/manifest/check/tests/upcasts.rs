//! What upcasts must not be, in the form of the tables beside.

use super::check;

#[test]
fn upcasts() {
    check(
        r##"
    - stateVersion: 2
    + stateVersion: 2\n    upcasts: { InvoiceGone: {} }
    = aggregates.Invoice.upcasts.InvoiceGone: there is no event "InvoiceGone"

    - stateVersion: 2
    + stateVersion: 2\n    upcasts: { InvoiceCreated: { a: {}, b: { from: a }, c: { from: d, default: 1 } } }
    = aggregates.Invoice.upcasts.InvoiceCreated.a: must have from, default or both
    = aggregates.Invoice.upcasts.InvoiceCreated.b: "a" is added itself and cannot be taken

    - stateVersion: 2
    + stateVersion: 2\n    upcasts: { InvoiceCreated: { a: { set: 1 } } }
    = unknown field `set`, expected one of from, default at line 24, column 39

    -     events:\n      InvoiceCreated: { type: object }
    +     upcasts: { InvoiceCreated: { a: { default: 1 } } }\n    events:\n      InvoiceCreated: { properties: { a: { type: string } } }
    = aggregates.Invoice.upcasts.InvoiceCreated.a.default: 1 is not of type "string""##,
    );
}
