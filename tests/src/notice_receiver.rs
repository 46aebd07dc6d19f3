//! A real HTTP receiver of notices, in a thread of its own: what it was posted, and when it answers.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::connections;

/// One POST, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The `Idempotency-Key`.
    pub key: String,
    /// The body.
    pub body: Value,
}

#[derive(Debug, Default)]
struct Heard {
    posted: Vec<Posted>,
    /// What is posted is kept, and nobody answers.
    is_silent: bool,
}

/// A receiver that answers 204; gone when dropped, and then its port refuses connections.
#[derive(Debug)]
pub struct NoticeReceiver {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NoticeReceiver {
    /// Listens on a free port.
    ///
    /// # Errors
    /// There is none, or no thread.
    pub fn start() -> io::Result<Self> {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Listens here, for example where one has listened before.
    ///
    /// # Errors
    /// The address is taken.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&heard);
        let thread = std::thread::Builder::new().name("notices".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                let answer = move |request| {
                    let heard = Arc::clone(&served);
                    async move { Ok::<_, Infallible>(answer(request, &heard).await) }
                };
                tokio::select! {
                    _ = connections::serve(listener, answer) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, heard, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a configuration names.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/notices", self.address)
    }

    /// From now on posts are kept and nobody answers; or answers again.
    pub fn be_silent(&self, is_silent: bool) {
        locked(&self.heard).is_silent = is_silent;
    }

    /// Everything so far, in the order it came.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        locked(&self.heard).posted.clone()
    }

    /// Waits until there are at least so many; none if that takes too long.
    #[must_use]
    pub fn wait_for(&self, count: usize, patience: Duration) -> Option<Vec<Posted>> {
        let until = Instant::now() + patience;
        loop {
            let posted = self.posted();
            if posted.len() >= count {
                return Some(posted);
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for NoticeReceiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

async fn answer(request: Request<Incoming>, heard: &Mutex<Heard>) -> Response<Empty<Bytes>> {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok());
    let key = key.unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    let body = body.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let is_silent = {
        let mut heard = locked(heard);
        heard.posted.push(Posted { key, body: body.unwrap_or_default() });
        heard.is_silent
    };
    if is_silent {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn locked(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
