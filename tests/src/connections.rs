//! The HTTP/1 side that the test servers share: connections in one bounded set, owned by the server.

use std::future::Future;
use std::io;

use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Open connections; more wait in the listener's backlog. Above any load the suites make.
const CONNECTIONS_MAX: usize = 2_048;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Serves until the returned future is dropped, and every request in flight with it. A request whose client
/// goes away is dropped; an error of `answer` cuts its connection.
///
/// # Errors
/// The listener failed in a way that is not one connection's.
pub(crate) async fn serve<A, F, B, E>(listener: TcpListener, answer: A) -> io::Result<()>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Cause>> + Send + 'static,
    E: Into<Cause> + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(connection(stream, answer.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection<A, F, B, E>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Error: Into<Cause>> + 'static,
    E: Into<Cause>,
{
    // Without it Nagle and delayed acknowledgements add 40 ms to a chunk.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let served = hyper::server::conn::http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    // An error here is the client's leaving or a cut on purpose; who must know keeps it.
    let _ = served.await;
}
