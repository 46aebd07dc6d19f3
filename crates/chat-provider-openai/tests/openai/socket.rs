//! Over a real socket: what becomes of the connection.

use std::sync::Arc;

use chat_provider::{ModelProvider, OpenGate};
use chat_provider_openai::{OpenAiConfig, OpenAiProvider};
use chat_transport::HttpTransport;
use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{DONE, chunk, finish, hi, local_config, permit};

/// Answers every request on every connection, the end of the body a little later than `[DONE]`.
async fn serve(listener: &TcpListener, connections: &mut u32) -> std::io::Result<()> {
    loop {
        let (mut socket, _) = listener.accept().await?;
        *connections += 1;
        let mut request = Vec::new();
        // One at a time is enough: the client is alone.
        while socket.read_buf(&mut request).await? > 0 {
            if !request.ends_with(b"\"max_tokens\":64}") {
                continue;
            }
            request.clear();
            let body = format!("{}{}{DONE}", chunk(r#"{"content":"a"}"#), finish("stop"));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let first = format!("{head}{:x}\r\n{body}\r\n", body.len());
            socket.write_all(first.as_bytes()).await?;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            socket.write_all(b"0\r\n\r\n").await?;
        }
    }
}

#[tokio::test]
async fn a_reply_that_was_read_to_its_end_leaves_its_connection_to_the_next_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = OpenAiConfig {
        base_url: format!("http://{}/v1", listener.local_addr().unwrap()),
        ..local_config()
    };
    let provider = OpenAiProvider::new(config, Arc::new(HttpTransport::default())).unwrap();
    let prepared = provider.prepare(&hi("smollm2")).unwrap();
    let mut connections = 0;
    let calls = async {
        for _ in 0..3 {
            let permit = permit(64, Arc::new(OpenGate));
            let stream = provider.send_completion(&prepared, &permit).await.unwrap();
            let batches: Vec<_> = stream.try_collect().await.unwrap();
            assert!(!batches.is_empty());
        }
    };
    tokio::select! {
        served = serve(&listener, &mut connections) => served.unwrap(),
        () = calls => {}
    }
    assert_eq!(connections, 1);
}
