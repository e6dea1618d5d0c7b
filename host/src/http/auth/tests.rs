//! Who may what, and which credentials are none.

use super::*;

const MANIFEST: &str = "
manifest: 1
name: invoicing
version: 1.0.0
publisher: millwork
description: Invoices.
licence: Apache-2.0
permissions: [documents]
aggregates: { Invoice: { commands: { Void: { permission: invoicing.void } }, events: { Voided: } } }
collections: { invoices: {} }
projections: { Invoices: { version: 1, events: [Voided], collections: [invoices] } }
views: { List: { collection: invoices } }
roles: { clerk: [invoicing.read, invoicing.void] }
routes:
  - POST /invoices/{id}/void: command Void
  - GET /invoices: view List
";

fn principal(tenant: Option<&str>, roles: &[&str]) -> Principal {
    Principal {
        user: "ada".to_owned(),
        tenant: tenant.map(|id| TenantId::new(id).unwrap()),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        issued_at: 0,
        expires_at: 100,
        session: None,
    }
}

/// Which of the needs a role is allowed.
fn check(role: &str, needs: &[Need<'_>], allowed: &[bool]) {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    let principal = principal(Some("acme"), &[role]);
    let decided: Vec<_> = needs
        .iter()
        .map(|need| authorize(&principal, &manifest, *need).is_ok())
        .collect();
    assert_eq!(decided, allowed, "{role}");
}

#[test]
fn roles_allow_what_they_say() {
    let (read, write) = (Need::Read(None), Need::Write(None));
    let needs = [
        read,
        write,
        Need::Write(Some("invoicing.void")),
        Need::Read(Some("invoicing.read")),
    ];
    check("admin", &needs, &[true, true, true, true]);
    check("editor", &needs, &[true, true, false, true]);
    check("viewer", &needs, &[true, false, false, true]);
    check("invoicing.clerk", &needs, &[true, false, true, true]);
    for nothing in ["client.clerk", "invoicing.", "operator", ""] {
        check(nothing, &needs, &[false; 4]);
    }
}

#[test]
fn a_principal_without_tenant_reads_no_documents() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    assert!(
        authorize(
            &principal(None, &["admin", "operator"]),
            &manifest,
            Need::Read(None)
        )
        .is_err()
    );
}

#[test]
fn administration_ends_at_the_own_tenant() {
    let (acme, zenith) = (TenantId::new("acme").unwrap(), TenantId::new("zenith").unwrap());
    let admin = principal(Some("acme"), &["admin"]);
    assert!(administer(&admin, Domain::Modules(&acme)).is_ok());
    assert!(administer(&admin, Domain::Catalog).is_ok());
    assert!(administer(&admin, Domain::Modules(&zenith)).is_err());
    assert!(administer(&admin, Domain::Host).is_err());
    let false_operator = principal(Some("acme"), &["operator"]);
    assert!(administer(&false_operator, Domain::Host).is_err());
    assert!(administer(&principal(None, &["operator"]), Domain::Modules(&zenith)).is_ok());
    assert!(administer(&principal(Some("acme"), &["editor"]), Domain::Modules(&acme)).is_err());
}

#[test]
fn a_remembered_token_still_expires() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::new(Keys::open(folder.path()).unwrap(), 10);
    let claims = Claims::new("ada", Some(TenantId::new("acme").unwrap()), vec![], 1_000, 60);
    let mut headers = HeaderMap::new();
    headers.insert(
        AUTHORIZATION,
        format!("bearer {}", door.keys().sign(&claims).unwrap())
            .parse()
            .unwrap(),
    );
    assert_eq!(door.principal(&headers, 1_000).unwrap().user, "ada");
    assert_eq!(door.principal(&headers, 1_059).unwrap().user, "ada");
    assert!(matches!(
        door.principal(&headers, 1_060),
        Err(Error::Unauthenticated("the token has expired"))
    ));
    assert!(matches!(
        door.principal(&HeaderMap::new(), 0),
        Err(Error::Unauthenticated(NO_CREDENTIAL))
    ));
}

#[test]
fn roles_that_mean_nothing_are_no_roles() {
    let acme = TenantId::new("acme").unwrap();
    assert!(
        is_role("admin", Some(&acme)) && is_role("invoicing.clerk", Some(&acme)) && is_role("operator", None)
    );
    for (role, tenant) in [
        ("operator", Some(&acme)),
        ("admin", None),
        ("king", Some(&acme)),
        ("a.", Some(&acme)),
    ] {
        assert!(!is_role(role, tenant), "{role}");
    }
}
