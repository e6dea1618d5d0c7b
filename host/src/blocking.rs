//! Work that blocks its thread: SQLite calls, and components that compute with capabilities.

use std::future::Future;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

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

/// Waits for async work of a runtime of several threads, on any thread: one of its own, or one that knows no runtime.
///
/// On a thread of a current-thread runtime it panics, since nothing there could go on meanwhile.
pub fn wait<T>(runtime: &Handle, work: impl Future<Output = T>) -> T {
    run(|| runtime.block_on(work))
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

/// Runs async work that blocks now and then on a thread of its own that lets live work go first, as
/// [`step_back`] does. Like [`on_own_thread`] it runs to its end.
pub async fn in_background<F, T>(niceness: u8, make: impl FnOnce() -> F + Send + 'static) -> Option<T>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let handle = Handle::current();
    let (tell, told) = oneshot::channel();
    let run = move || {
        step_back(niceness);
        // Nobody listens when the caller has gone.
        let _ = tell.send(handle.block_on(make()));
    };
    // Not one of the runtime's threads: whoever got it next would be as nice.
    let started = std::thread::Builder::new()
        .name("background".to_owned())
        .spawn(run);
    started.ok()?;
    told.await.ok()
}

/// Lets other threads go first on this thread's processor: its niceness, 0 to 19, is as of `nice`.
pub fn step_back(niceness: u8) {
    #[cfg(target_os = "linux")]
    {
        // On Linux a priority is a thread's. Without it the work takes part of the processors as any other.
        if let Err(error) = rustix::process::setpriority_process(None, i32::from(niceness)) {
            tracing::warn!(%error, "background work runs at normal priority");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}
