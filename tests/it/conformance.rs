//! What every backend of a capability must do. A case is written once and runs on each backend; the embedded ones are
//! the model. What only one backend promises stands in a file with its name.

mod blobs;
mod cache;
mod documents;
mod epochs;
mod events;
mod locks;
mod rate_limits;
mod redis;
mod registry;
mod search;
mod sessions;
mod messaging;

use millwork_registry::id::TenantId;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Waits for what a backend does when there is time; the bound is there so that a broken one fails the test.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), wait).await;
    assert!(waited.is_ok(), "{what} did not happen");
}

/// Turns each case into a test of every backend: `backends: { sqlite: start_sqlite }` names how one is started; what it
/// gives derefs to the store and keeps it alive. `servers: { redis: start_redis }` are those that need a server: what starts
/// one gives nothing where there is none, which the server's kind has then said (`millwork_tests::servers`).
macro_rules! on_every_backend {
    (
        backends: { $($backend:ident: $start:ident),+ $(,)? },
        $(servers: { $($server:ident: $reach:ident),+ $(,)? },)?
        cases: $cases:tt $(,)?
    ) => {
        $( mod $backend { $crate::conformance::on_every_backend!(@cases $start, Some, $cases); } )+
        $($( mod $server { $crate::conformance::on_every_backend!(@cases $reach, std::convert::identity, $cases); } )+)?
    };
    (@cases $start:ident, $given:path, [ $($case:ident),+ $(,)? ]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let Some(backend) = $given(super::$start().await) else {
                    return;
                };
                super::$case(backend.store()).await;
            }
        )+
    };
}
use on_every_backend;
