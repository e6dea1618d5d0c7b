//! Work that blocks its thread: SQLite calls, and components that compute with capabilities.

use std::future::Future;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs a blocking piece of work without holding up the tasks of this worker thread.
///
/// On a thread that may block already (see [`on_own_thread`]) or on a current-thread runtime it just runs.
pub fn run<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

/// Runs async work that blocks now and then on a thread of its own, to its end even when the caller goes away.
///
/// Nothing when the work panicked or the runtime is shutting down.
pub async fn on_own_thread<F, T>(make: impl FnOnce() -> F + Send + 'static) -> Option<T>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || handle.block_on(make()))
        .await
        .ok()
}
