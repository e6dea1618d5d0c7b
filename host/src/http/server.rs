//! Accepting connections: HTTP/1.1 with keep-alive, bounded in number and idle time, drained when the host stops.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::HttpLimits;

/// Wait after a failed accept, such as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that is bound but not served yet, so that its address is known before the first request.
pub struct Serving {
    listener: TcpListener,
    limits: HttpLimits,
}

/// Binds an address; port 0 takes a free one.
///
/// # Errors
/// When the address cannot be bound.
pub async fn listen(address: SocketAddr, limits: HttpLimits) -> io::Result<Serving> {
    Ok(Serving {
        listener: TcpListener::bind(address).await?,
        limits,
    })
}

impl Serving {
    /// The address that it is bound to.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` ends, then accepts no more, and waits for open requests within the limit for draining.
    pub async fn run(self, router: Router, stop: impl Future<Output = ()>) {
        let open = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(self.limits.connections_max));
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.listener, &permits) => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, permit)) => {
                    let connection = connection(stream, router.clone(), self.limits.idle_max, open.watcher());
                    tokio::spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        if tokio::time::timeout(self.limits.drain, open.shutdown())
            .await
            .is_err()
        {
            tracing::warn!(
                "requests were still open after {:?}; their connections are closed",
                self.limits.drain
            );
        }
    }
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Replies are small and whole: waiting for more to send only delays them.
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

async fn connection(stream: TcpStream, router: Router, idle_max: Duration, watcher: Watcher) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(idle_max)
        .pipeline_flush(true);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(served).await {
        // Clients that go away in the middle, or speak something else.
        tracing::debug!(%error, "connection ended");
    }
}
