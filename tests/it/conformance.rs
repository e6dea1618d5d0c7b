//! What every backend of a capability must do. A case is written once and runs on each backend; the embedded ones are
//! the model. What only one backend promises stands in a file with its name.

mod cache;
mod documents;
mod events;

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
/// gives derefs to the store and keeps it alive.
macro_rules! on_every_backend {
    (backends: { $($backend:ident: $start:ident),+ $(,)? }, cases: $cases:tt $(,)?) => {
        $( mod $backend { $crate::conformance::on_every_backend!(@cases $start, $cases); } )+
    };
    (@cases $start:ident, [ $($case:ident),+ $(,)? ]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let backend = super::$start().await;
                super::$case(backend.store()).await;
            }
        )+
    };
}
use on_every_backend;
