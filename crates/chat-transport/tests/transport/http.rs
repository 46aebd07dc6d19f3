//! The HTTP adapter against a server of hand-written bytes: what breaks, how it is named, how far it had got.

use std::net::SocketAddr;
use std::time::Duration;

use chat_transport::{
    HttpTransport, Timeouts, TransportAdapter, TransportError, TransportErrorKind as Kind,
    TransportPhase as Phase, TransportRequest, TransportResponse,
};
use futures::{FutureExt, StreamExt};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// No test waits longer than this for the other side.
const PATIENCE: Duration = Duration::from_secs(10);

const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions?key=q-secret", listener.local_addr().unwrap());
    (listener, url)
}

fn quick() -> Timeouts {
    Timeouts { first_byte_ms: 200, idle_ms: 200, ..Timeouts::default() }
}

fn request(url: &str) -> TransportRequest {
    TransportRequest { timeouts: quick(), ..TransportRequest::post(url, "{\"n\":1}") }
}

/// Reads one whole request with a `content-length`.
async fn read_request(socket: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    loop {
        let mut piece = [0_u8; 4_096];
        let count = socket.read(&mut piece).await.unwrap();
        assert!(count > 0, "the client closed early");
        seen.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
    }
}

/// Answers one request with these bytes and closes.
async fn answer(listener: &TcpListener, reply: &[u8]) -> String {
    let (mut socket, _) = listener.accept().await.unwrap();
    let request = read_request(&mut socket).await;
    socket.write_all(reply).await.unwrap();
    socket.shutdown().await.unwrap();
    request
}

/// One request against one canned reply.
async fn exchange(reply: &[u8]) -> Result<TransportResponse, TransportError> {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let (response, _) = tokio::join!(transport.send(request(&url)), answer(&listener, reply));
    response
}

fn name(error: &TransportError) -> (Kind, Phase) {
    (error.kind(), error.phase())
}

async fn read_all(response: TransportResponse) -> Result<String, TransportError> {
    let whole = response.read_full(1_000_000).await?;
    Ok(String::from_utf8(whole.to_vec()).unwrap())
}

#[tokio::test]
async fn a_request_arrives_as_it_was_given() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let mut sent = request(&url);
    sent.headers.insert("authorization", "Bearer abc".parse().unwrap());
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: r1\r\n\r\nok";
    let (response, seen) = tokio::join!(transport.send(sent), answer(&listener, reply));
    let response = response.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.hints().request_id.as_deref(), Some("r1"));
    assert_eq!(read_all(response).await.unwrap(), "ok");
    assert!(seen.starts_with("post /v1/chat/completions?key=q-secret http/1.1\r\n"), "{seen}");
    assert!(seen.contains("authorization: bearer abc\r\n"), "{seen}");
    assert!(seen.contains("content-length: 7\r\n") && seen.ends_with("{\"n\":1}"), "{seen}");
    assert!(!seen.contains("accept-encoding"), "{seen}");
}

#[tokio::test]
async fn a_stream_arrives_read_by_read() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(STREAM_HEAD.as_bytes()).await.unwrap();
        socket.write_all(b"8\r\ndata:1\n\n\r\n").await.unwrap();
        socket
    };
    let (response, mut socket) = tokio::join!(transport.send(request(&url)), server);
    let mut body = response.unwrap().expect_event_stream().await.unwrap().body;
    assert_eq!(body.next().await.unwrap().unwrap(), "data:1\n\n");
    assert!(body.next().now_or_never().is_none());
    socket.write_all(b"8;ext=1\r\ndata:2\n\n\r\n0\r\ntrailer: t\r\n\r\n").await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap(), "data:2\n\n");
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn nobody_listening_is_a_connect_failure_and_nothing_was_sent() {
    let (listener, url) = listen().await;
    drop(listener);
    let error = HttpTransport::default().send(request(&url)).await.unwrap_err();
    assert_eq!(name(&error), (Kind::Connect, Phase::NothingSent));
    assert!(error.is_transient());
    assert!(!format!("{error:?}").contains("q-secret"), "{error:?}");
}

#[tokio::test]
async fn an_unknown_host_is_a_connect_failure() {
    let error =
        HttpTransport::default().send(request("http://no-such-host.invalid/")).await.unwrap_err();
    assert_eq!(name(&error), (Kind::Connect, Phase::NothingSent));
}

#[tokio::test]
async fn a_bad_address_is_an_invalid_request() {
    for url in ["", "not a url", "ftp://host/", "http://"] {
        let error = HttpTransport::default().send(request(url)).await.unwrap_err();
        assert_eq!(name(&error), (Kind::InvalidRequest, Phase::NothingSent), "{url}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_connection_that_is_never_accepted_is_a_connect_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    // Fill the accept queue until the kernel answers no more.
    for _ in 0..8 {
        let connect = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address));
        match connect.await {
            Ok(connected) => queued.push(connected.unwrap()),
            Err(_) => break,
        }
    }
    let mut waits = request(&format!("http://{address}/"));
    waits.timeouts = Timeouts { connect_ms: 200, ..Timeouts::default() };
    let error = HttpTransport::default().send(waits).await.unwrap_err();
    assert_eq!(name(&error), (Kind::ConnectTimeout, Phase::NothingSent));
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_a_tls_failure() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        socket
    };
    let url = url.replace("http://", "https://");
    let (response, _) = tokio::join!(transport.send(request(&url)), server);
    let error = response.unwrap_err();
    assert_eq!(name(&error), (Kind::Tls, Phase::NothingSent), "{error:?}");
}

#[tokio::test]
async fn closing_after_the_whole_request_is_ambiguous() {
    let error = exchange(b"").await.unwrap_err();
    assert_eq!(name(&error), (Kind::Closed, Phase::Ambiguous), "{error:?}");
}

#[tokio::test]
async fn closing_after_a_request_without_a_body_is_ambiguous_too() {
    let (listener, url) = listen().await;
    let get = TransportRequest { timeouts: quick(), ..TransportRequest::get(url) };
    let transport = HttpTransport::default();
    let (response, _) = tokio::join!(transport.send(get), answer(&listener, b""));
    assert_eq!(response.unwrap_err().phase(), Phase::Ambiguous);
}

#[tokio::test]
async fn a_reset_after_the_whole_request_is_ambiguous() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.set_zero_linger().unwrap();
    };
    let (response, ()) = tokio::join!(transport.send(request(&url)), server);
    let error = response.unwrap_err();
    assert_eq!(name(&error), (Kind::Reset, Phase::Ambiguous), "{error:?}");
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_large_request_is_partly_sent() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let large = TransportRequest { body: vec![b'x'; 32 * 1024 * 1024].into(), ..request(&url) };
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut piece = [0_u8; 4_096];
        assert!(socket.read(&mut piece).await.unwrap() > 0);
        socket.set_zero_linger().unwrap();
    };
    let (response, ()) = tokio::join!(transport.send(large), server);
    let error = response.unwrap_err();
    assert_eq!(error.phase(), Phase::PartlySent, "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_large_request_arrives_whole() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let large = TransportRequest { body: vec![b'x'; 1_000_000].into(), ..request(&url) };
    let reply = b"HTTP/1.1 204 No Content\r\n\r\n";
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut count = 0;
        let mut piece = vec![0_u8; 65_536];
        while count < 1_000_000 {
            count += socket.read(&mut piece).await.unwrap();
        }
        socket.write_all(reply).await.unwrap();
    };
    let (response, ()) = tokio::join!(transport.send(large), server);
    let response = response.unwrap();
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    assert_eq!(read_all(response).await.unwrap(), "");
}

#[tokio::test]
async fn a_reused_connection_that_closes_is_never_sent_to_twice() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        read_request(&mut socket).await;
        drop(socket);
        // Whatever comes now would be a second attempt nobody journaled.
        tokio::time::timeout(Duration::from_millis(300), listener.accept()).await.is_err()
    };
    let client = async {
        let first = transport.send(request(&url)).await.unwrap();
        assert_eq!(read_all(first).await.unwrap(), "");
        transport.send(request(&url)).await.unwrap_err()
    };
    let (error, is_quiet) = tokio::join!(client, server);
    assert_eq!(error.phase(), Phase::Ambiguous, "{error:?}");
    assert!(is_quiet);
}

#[tokio::test]
async fn slow_headers_are_a_first_byte_timeout_and_close_the_connection() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        read_to_close(&mut socket).await;
    };
    let (response, ()) = tokio::join!(transport.send(request(&url)), server);
    assert_eq!(name(&response.unwrap_err()), (Kind::FirstByteTimeout, Phase::Ambiguous));
}

/// Waits until the other side closed, gracefully or not.
async fn read_to_close(socket: &mut TcpStream) {
    let mut piece = [0_u8; 64];
    let closed = async { while matches!(socket.read(&mut piece).await, Ok(count) if count > 0) {} };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn a_stall_in_the_body_is_an_idle_timeout_and_closes_the_connection() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(STREAM_HEAD.as_bytes()).await.unwrap();
        socket.write_all(b"8\r\ndata:1\n\n\r\n").await.unwrap();
        read_to_close(&mut socket).await;
    };
    let client = async {
        let mut body = transport.send(request(&url)).await.unwrap().body;
        assert!(body.next().await.unwrap().is_ok());
        let error = body.next().await.unwrap().unwrap_err();
        // The body is kept alive here: the time-out itself closes the connection.
        (error, body)
    };
    let ((error, _body), ()) = tokio::join!(client, server);
    assert_eq!(name(&error), (Kind::IdleTimeout, Phase::Streaming));
}

#[tokio::test]
async fn dropping_the_body_closes_the_connection() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(STREAM_HEAD.as_bytes()).await.unwrap();
        socket.write_all(b"8\r\ndata:1\n\n\r\n").await.unwrap();
        read_to_close(&mut socket).await;
    };
    let client = async {
        let patient = TransportRequest { timeouts: Timeouts::default(), ..request(&url) };
        let mut body = transport.send(patient).await.unwrap().body;
        assert!(body.next().await.unwrap().is_ok());
        drop(body);
    };
    let ((), ()) = tokio::join!(client, server);
}

#[tokio::test]
async fn dropping_the_call_before_the_headers_closes_the_connection() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let (asked, has_asked) = tokio::sync::oneshot::channel();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        asked.send(()).unwrap();
        read_to_close(&mut socket).await;
    };
    let client = async {
        let patient = TransportRequest { timeouts: Timeouts::default(), ..request(&url) };
        tokio::select! {
            response = transport.send(patient) => panic!("{response:?}"),
            _ = has_asked => {}
        }
    };
    let ((), ()) = tokio::join!(client, server);
}

#[tokio::test]
async fn a_page_instead_of_events_is_a_bad_content_type_with_evidence() {
    let page = "<html>blocked by proxy</html>";
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    );
    let response = exchange(reply.as_bytes()).await.unwrap().error_for_status().await.unwrap();
    let error = response.expect_event_stream().await.unwrap_err();
    assert_eq!(name(&error), (Kind::BadContentType, Phase::Headers));
    assert_eq!(error.status(), Some(StatusCode::OK));
    assert_eq!(error.body().as_ref(), page.as_bytes());
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_refusal_keeps_status_hints_and_body() {
    let reply = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\nx-should-retry: true\r\n\
        request-id: req_7\r\ncontent-length: 9\r\n\r\nslow down";
    let error = exchange(reply).await.unwrap().error_for_status().await.unwrap_err();
    assert_eq!(name(&error), (Kind::Status, Phase::Headers));
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(error.retry_after_ms(), Some(3_000));
    assert_eq!(error.should_retry(), Some(true));
    assert_eq!(error.request_id(), Some("req_7"));
    assert_eq!(error.body().as_ref(), b"slow down");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let target = listener.local_addr().unwrap();
    let reply = format!(
        "HTTP/1.1 307 Moved\r\nlocation: http://{target}/else\r\ncontent-length: 0\r\n\r\n"
    );
    let (response, _) =
        tokio::join!(transport.send(request(&url)), answer(&listener, reply.as_bytes()));
    let error = response.unwrap().error_for_status().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::TEMPORARY_REDIRECT));
    assert!(!error.is_transient());
    assert!(listener.accept().now_or_never().is_none(), "no second connection");
}

#[tokio::test]
async fn a_body_shorter_than_promised_is_closed_and_never_a_short_success() {
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345";
    let error = read_all(exchange(reply).await.unwrap()).await.unwrap_err();
    assert_eq!(name(&error), (Kind::Closed, Phase::Streaming), "{error:?}");
    assert_eq!(error.status(), Some(StatusCode::OK));
}

#[tokio::test]
async fn a_body_longer_than_promised_ends_where_it_was_promised() {
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n1234567890";
    assert_eq!(read_all(exchange(reply).await.unwrap()).await.unwrap(), "12345");
}

#[tokio::test]
async fn r3_a_chunked_body_cut_anywhere_is_an_error() {
    let body = b"8\r\ndata:1\n\n\r\n8\r\ndata:2\n\n\r\n0\r\n\r\n";
    for cut in 0..body.len() {
        let reply = [STREAM_HEAD.as_bytes(), &body[..cut]].concat();
        let response = exchange(&reply).await.unwrap();
        let error = read_all(response).await.unwrap_err();
        assert_eq!(name(&error), (Kind::Closed, Phase::Streaming), "cut at {cut}");
    }
    let reply = [STREAM_HEAD.as_bytes(), body].concat();
    assert_eq!(read_all(exchange(&reply).await.unwrap()).await.unwrap(), "data:1\n\ndata:2\n\n");
}

#[tokio::test]
async fn a_broken_chunk_is_an_error() {
    let reply = [STREAM_HEAD.as_bytes(), b"zz\r\ndata:1\n\n\r\n"].concat();
    let error = read_all(exchange(&reply).await.unwrap()).await.unwrap_err();
    assert_eq!(error.phase(), Phase::Streaming);
}

#[tokio::test]
async fn a_reset_in_the_body_is_named() {
    let (listener, url) = listen().await;
    let transport = HttpTransport::default();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(STREAM_HEAD.as_bytes()).await.unwrap();
        socket
    };
    let (response, socket) = tokio::join!(transport.send(request(&url)), server);
    socket.set_zero_linger().unwrap();
    drop(socket);
    let error = read_all(response.unwrap()).await.unwrap_err();
    assert_eq!(name(&error), (Kind::Reset, Phase::Streaming), "{error:?}");
}

#[tokio::test]
async fn an_interim_reply_is_skipped() {
    let reply = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(read_all(exchange(reply).await.unwrap()).await.unwrap(), "ok");
}

#[tokio::test]
async fn an_encoding_nobody_asked_for_is_refused() {
    let reply = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nwxyz";
    let error = exchange(reply).await.unwrap_err();
    assert_eq!(name(&error), (Kind::Malformed, Phase::Headers));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_server_that_speaks_no_http_is_an_error_before_the_head() {
    let error = exchange(b"SSH-2.0-OpenSSH_9.6\r\n").await.unwrap_err();
    assert_eq!(error.phase(), Phase::Ambiguous);
}
