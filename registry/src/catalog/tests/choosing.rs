//! What the catalogue says of many releases together: what a plan can choose from, and what a release may not break.

use super::{key, parse, publish, signed, trusting};
use crate::manifest::tests::GOOD;
use crate::release::Release;

#[test]
fn offers_are_what_a_plan_can_reach() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let named = |name: &str, needs: &str| {
        let good = GOOD.replace("name: invoicing", &format!("name: {name}"));
        let good = good.replace("client: ^1.0", &format!("client: ^1.0\n  {needs}: '*'"));
        signed(&good.replace("invoicing.", &format!("{name}.")))
    };
    for (name, needs) in [("a", "b"), ("b", "a"), ("c", "a")] {
        publish(&catalog, &named(name, needs), 5).unwrap();
    }
    let offers = || catalog.offers(["a", "unknown", "../releases/c"]).unwrap();
    let yanked = |name: &str| offers()[name][&parse("1.0.0")].yanked;
    for _ in 0..2 {
        let offers = offers();
        assert_eq!(offers.keys().collect::<Vec<_>>(), ["a", "b"]);
        let offer = &offers["a"][&parse("1.0.0")];
        assert_eq!(offer.dependencies.keys().collect::<Vec<_>>(), ["client", "b"]);
        assert_eq!(offer.reads, [("client".to_owned(), "ClientDetail".to_owned())]);
        assert!(offer.views.contains("InvoiceList"));
        assert!(!offer.yanked);
    }
    catalog.yank("a", &parse("1.0.0"), "it is wrong", 6).unwrap();
    assert_eq!((yanked("a"), yanked("b")), (true, false));
    let id = key("millwork", 1).public().id();
    catalog.trust().revoke(&id, "it was lost", 7).unwrap();
    assert_eq!((yanked("a"), yanked("b")), (true, true));
}

#[test]
fn a_release_keeps_what_the_one_before_promised() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let at = |version: &str, from: &str, to: &str| {
        let manifest = GOOD.replace("version: 1.0.0", &format!("version: {version}"));
        assert!(manifest.contains(from), "{from}");
        signed(&manifest.replace(from, to))
    };
    let compare = |bytes: &[u8]| catalog.compare(&Release::read(bytes, 9).unwrap(), bytes);
    let renamed = |version: &str| at(version, "InvoiceFinalized:\n", "InvoiceClosed:\n");
    assert_eq!(
        compare(&renamed("1.0.0")).unwrap(),
        [""; 0],
        "nothing came before it"
    );
    publish(&catalog, &at("1.0.0", "draft", "draft"), 5).unwrap();
    publish(&catalog, &at("1.1.0-rc.1", "InvoiceList", "InvoiceCatalogue"), 6).unwrap();
    assert_eq!(
        compare(&renamed("1.1.0")).unwrap(),
        ["event InvoiceFinalized is gone"]
    );
    assert!(compare(&renamed("2.0.0")).unwrap().is_empty());

    let crm = "{manifest: 1, name: crm, version: 3.0.0, publisher: millwork, description: d, licence: MIT, \
               permissions: ['events:invoicing.InvoiceFinalized'], dependencies: {invoicing: ^1}}";
    publish(&catalog, &signed(crm), 7).unwrap();
    let error = compare(&renamed("1.1.0")).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (
            "interface-incompatible",
            "invoicing 1.1.0 breaks what 1.0.0 promised, so it needs a new major version: event InvoiceFinalized is \
             gone, which is used by crm 3.0.0"
        )
    );
    catalog.yank("crm", &parse("3.0.0"), "withdrawn", 8).unwrap();
    assert_eq!(compare(&renamed("1.1.0")).unwrap().len(), 1);
    catalog
        .yank("invoicing", &parse("1.0.0"), "withdrawn", 8)
        .unwrap();
    assert!(compare(&renamed("1.1.0")).unwrap().is_empty());
}
