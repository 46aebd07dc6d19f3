//! One streamed reply with a retry, offline: a scripted provider is overloaded once and then streams.

use std::error::Error;
use std::io::Write;

use chat_transport::{
    OpenGate, RetryPolicy, RetryRun, ScriptedReply, ScriptedTransport, SseLimits, SseStream,
    TokioRetryTime, TransportAdapter, TransportError, TransportRequest, with_retry,
};
use futures::TryStreamExt;
use http::StatusCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let provider = ScriptedTransport::new([
        ScriptedReply::json(StatusCode::SERVICE_UNAVAILABLE, "{\"error\":\"overloaded\"}"),
        ScriptedReply::event_stream()
            .read("data: Hello\n\ndata: , wor")
            .read("ld\n\ndata: [DONE]\n\n"),
    ]);
    let (policy, time) = (RetryPolicy::default(), TokioRetryTime::new(7));
    let run =
        RetryRun { policy: &policy, gate: &OpenGate, time: &time, health: None, deadline_ms: None };
    let mut out = std::io::stdout();
    let mut events = with_retry(&run, async |_attempt| {
        let request = TransportRequest::post("http://provider.test/v1/chat/completions", "{}");
        let response = provider.send(request).await?;
        let response = response.error_for_status().await?.expect_event_stream().await?;
        Ok::<_, TransportError>(SseStream::new(response.body, SseLimits::default()))
    })
    .await?;
    while let Some(batch) = events.try_next().await? {
        for event in batch {
            writeln!(out, "{}: {:?}", event.event, event.data)?;
        }
    }
    writeln!(out, "{} requests were sent", provider.requests().len())?;
    Ok(())
}
