//! Each failure's status and code, and what clients may read of it.

use super::*;
use crate::engine::CallError;
use crate::error::{Error, Reason, Rejection};

/// The problem that clients read, and the headers beside it.
async fn read(error: Error) -> (Response, serde_json::Value) {
    let (parts, body) = Problem::from(error).render("req-1").into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    let details = serde_json::from_slice(&bytes).unwrap();
    (Response::from_parts(parts, Body::empty()), details)
}

async fn check(error: Error, status: u16, code: &str) {
    let (response, details) = read(error).await;
    assert_eq!(
        (response.status().as_u16(), details["code"].as_str().unwrap()),
        (status, code)
    );
    assert_eq!(details["status"], status);
    assert_eq!(details["instance"], "req-1");
    assert_eq!(details["type"], format!("{TYPE_PREFIX}{code}"));
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
}

fn reason(code: &str) -> Reason {
    Reason {
        code: code.to_owned(),
        message: "because".to_owned(),
    }
}

#[tokio::test]
async fn every_channel_has_its_status() {
    check(
        Error::Rejected(Rejection::Conflict(reason("inactive"))),
        409,
        "inactive",
    )
    .await;
    check(
        Error::Rejected(Rejection::NotFound(reason("no-line"))),
        404,
        "no-line",
    )
    .await;
    check(
        Error::Rejected(Rejection::Forbidden(reason("not-yours"))),
        403,
        "not-yours",
    )
    .await;
    check(Error::Malformed("no JSON".to_owned()), 400, "malformed").await;
    check(
        Error::VersionMismatch {
            expected: 1,
            actual: 2,
        },
        412,
        "version-mismatch",
    )
    .await;
    check(Error::KeyReused("k".to_owned()), 422, "idempotency-key-reused").await;
    check(Error::Forbidden("client.write".to_owned()), 403, "forbidden").await;
    check(Error::Behind { after: 2, at: 1 }, 503, "read-model-behind").await;
    check(Error::Contention(3), 503, "contention").await;
    let unreached = millwork_registry::Error::Unavailable("MongoDB of profile big".to_owned());
    check(Error::Registry(unreached), 503, "registry-unavailable").await;
    check(
        Error::Unauthenticated("the token has expired"),
        401,
        "token-invalid",
    )
    .await;
}

#[tokio::test]
async fn violations_carry_pointers() {
    let violation = Violation {
        pointer: "/lines/0/quantity".to_owned(),
        code: "minimum".to_owned(),
        message: "must be at least 1".to_owned(),
    };
    let (_, details) = read(Error::Schema(vec![violation])).await;
    assert_eq!(details["errors"][0]["pointer"], "/lines/0/quantity");
    assert_eq!(details["detail"], "/lines/0/quantity: must be at least 1");
}

#[tokio::test]
async fn a_trap_tells_clients_nothing_and_the_log_everything() {
    let trap = || Error::Component {
        component: "invoicing@1.0.0".into(),
        source: CallError::Trap {
            message: "secret inside".to_owned(),
            backtrace: "0: decide".to_owned(),
        },
    };
    let (response, details) = read(trap()).await;
    assert_eq!(response.status().as_u16(), 500);
    assert!(!details.to_string().contains("secret") && !details.to_string().contains("invoicing"));
    let problem = Problem::from(trap());
    let cause = problem.cause().unwrap();
    assert!(
        cause.contains("secret inside") && cause.contains("0: decide") && cause.contains("invoicing@1.0.0")
    );
}

#[tokio::test]
async fn headers_stand_beside_the_problem() {
    let (missing, _) = read(Error::Unauthenticated(of_error::NO_CREDENTIAL)).await;
    assert_eq!(missing.headers()[WWW_AUTHENTICATE], r#"Bearer realm="millwork""#);
    let (invalid, _) = read(Error::Unauthenticated("the token has expired")).await;
    assert!(
        invalid.headers()[WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .contains(r#"error="invalid_token""#)
    );
    let (behind, _) = read(Error::Behind { after: 2, at: 1 }).await;
    assert_eq!(behind.headers()[RETRY_AFTER], "1");
    assert_eq!(
        Problem::method_not_allowed("GET, POST").render("x").headers()[ALLOW],
        "GET, POST"
    );
}

#[tokio::test]
async fn quoted_values_are_shortened() {
    let violation = Violation {
        pointer: "/name".to_owned(),
        code: "maxLength".to_owned(),
        message: "ä".repeat(1 << 20),
    };
    let (_, details) = read(Error::Schema(vec![violation])).await;
    assert!(details["errors"][0]["message"].as_str().unwrap().chars().count() < 500);
    assert!(details["detail"].as_str().unwrap().chars().count() < 500);
}
