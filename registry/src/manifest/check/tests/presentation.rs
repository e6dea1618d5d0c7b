//! What people read in the marketplace.

use super::check;

#[test]
fn presentation() {
    check(
        r##"
    - title: Invoicing
    + title: ''
    = title: must be one line of 1 to 60 characters

    - title: Invoicing
    + title: "a\tb"
    = title: must be one line of 1 to 60 characters

    - changelog: |\n  First version.
    + changelog: "First\tversion."
    = changelog: must be lines of text, 10000 characters at most

    - categories: [finance, sales]
    + categories: [a, b, c, d, e, f, g, h, i]
    = categories: 8 at most

    - categories: [finance, sales]
    + categories: [finance, Sales, finance]
    = categories: "finance" stands here twice; categories: category name "Sales" must start with a lowercase letter and hold only lowercase letters, digits and hyphens, 40 at most"##,
    );
}
