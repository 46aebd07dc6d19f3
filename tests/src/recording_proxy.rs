//! A proxy on the loopback that writes down what goes through it, byte for byte.
//!
//! One exchange per connection; both directions are copied as they come, so that a stream stays a stream.
//! Not here: pooling, TLS, connections that outlive the proxy's owner's interest in them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A test makes a handful of calls; beyond this something loops.
const EXCHANGES_MAX: usize = 1_000;
/// A loopback read: a few frames of a stream.
const READ_BYTES: usize = 16 * 1024;

/// What went over one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// From the client.
    pub request: Vec<u8>,
    /// From the server.
    pub response: Vec<u8>,
}

impl Exchange {
    /// The request's body as JSON, if that is what it is.
    #[must_use]
    pub fn request_json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&body_of(&self.request)?).ok()
    }

    /// The response's body, taken out of its chunks.
    #[must_use]
    pub fn response_body(&self) -> Option<Vec<u8>> {
        body_of(&self.response)
    }
}

/// Listens until the process ends; connections are served by threads of their own.
#[derive(Debug)]
pub struct RecordingProxy {
    address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl RecordingProxy {
    /// Starts one that passes everything on to `upstream`.
    ///
    /// # Errors
    /// No port can be had.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&exchanges);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok).take(EXCHANGES_MAX) {
                if let Ok(server) = TcpStream::connect(upstream) {
                    let _ = serve(client, server, &kept);
                }
            }
        });
        Ok(Self { address, exchanges })
    }

    /// What an OpenAI client calls its base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What has gone through so far, oldest connection first.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.exchanges).clone()
    }
}

fn lock(exchanges: &Mutex<Vec<Exchange>>) -> std::sync::MutexGuard<'_, Vec<Exchange>> {
    exchanges.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    client: TcpStream,
    server: TcpStream,
    exchanges: &Arc<Mutex<Vec<Exchange>>>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let number = {
        let mut exchanges = lock(exchanges);
        exchanges.push(Exchange::default());
        exchanges.len() - 1
    };
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let kept = Arc::clone(exchanges);
    std::thread::spawn(move || {
        copy(from_client, to_server, |bytes| {
            if let Some(exchange) = lock(&kept).get_mut(number) {
                exchange.request.extend_from_slice(bytes);
            }
        });
    });
    let kept = Arc::clone(exchanges);
    std::thread::spawn(move || {
        copy(server, client, |bytes| {
            if let Some(exchange) = lock(&kept).get_mut(number) {
                exchange.response.extend_from_slice(bytes);
            }
        });
    });
    Ok(())
}

/// Writes down first, passes on then: who has read an answer finds it recorded.
fn copy(mut from: TcpStream, mut to: TcpStream, mut keep: impl FnMut(&[u8])) {
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(count) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        keep(bytes);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

fn body_of(message: &[u8]) -> Option<Vec<u8>> {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = message.split_at_checked(end + 4)?;
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.contains("transfer-encoding: chunked") {
        return Some(rest.to_vec());
    }
    let mut body = Vec::new();
    let mut rest = rest;
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n")?;
        let (size, after) = rest.split_at_checked(line_end + 2)?;
        let size = String::from_utf8_lossy(size);
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let (chunk, after) = after.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        rest = after.get(2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_put_together() {
        let message = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(body_of(message).unwrap(), b"abcde");
        let plain = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(body_of(plain).unwrap(), b"{}");
        assert_eq!(body_of(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
