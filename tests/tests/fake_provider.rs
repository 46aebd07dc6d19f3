//! The fake provider keeps its word: wire shapes, cap, faults, and above all its ledger.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail the test"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use chat_tests::fake_provider::{Outcome, Prices, RequestRecord, reply_text};
use chat_tests::{FakeProvider, FakeProviderOptions};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(10);
const PRICES: Prices = Prices { input: 150_000, cached: 75_000, output: 600_001 };

fn spawn() -> FakeProvider {
    let options = FakeProviderOptions {
        price_in: PRICES.input,
        price_cached: Some(PRICES.cached),
        price_out: PRICES.output,
        ..FakeProviderOptions::default()
    };
    FakeProvider::spawn_with(&options).unwrap()
}

/// A request with 1 message of 2 words: 6 prompt tokens.
fn request(model: &str, stream: bool, extra: &Value) -> Value {
    let mut body = json!({
        "model": model, "stream": stream, "messages": [{"role": "user", "content": "hello there"}],
    });
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

fn open(provider: &FakeProvider, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(provider.address()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: fake\r\nauthorization: Bearer secret\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

struct Answer {
    status: u16,
    head: String,
    body: String,
    /// The chunked body had its end mark, or as many bytes as announced.
    complete: bool,
}

impl Answer {
    fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A reset after the last byte is how some cuts look; what came before is in `bytes`.
        let _ = stream.read_to_end(&mut bytes);
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let raw = &bytes[end + 4..];
        let (body, complete) = if head.contains("transfer-encoding: chunked") {
            unchunk(raw)
        } else {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            (raw.to_vec(), raw.len() == length)
        };
        Self { status, head, body: String::from_utf8(body).unwrap(), complete }
    }

    /// The `data:` payloads in order.
    fn events(&self) -> Vec<&str> {
        self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
    }

    fn chunks(&self) -> Vec<Value> {
        self.events().iter().filter_map(|event| serde_json::from_str(event).ok()).collect()
    }

    fn text(&self) -> String {
        let chunks = self.chunks();
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
    }
}

fn unchunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|window| window == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&raw[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = raw.get(end + 2..end + 2 + size) else {
            return (body, false);
        };
        body.extend_from_slice(chunk);
        raw = raw.get(end + 4 + size..).unwrap_or_default();
    }
}

fn ask(provider: &FakeProvider, body: &Value) -> Answer {
    Answer::read(open(provider, body))
}

fn only_request(provider: &FakeProvider) -> RequestRecord {
    let mut requests = provider.ledger().unwrap().requests;
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

#[test]
fn a_stream_has_openai_shape_and_its_id_is_the_ledgers() {
    let provider = spawn();
    let answer = ask(&provider, &request("fake:chunks=3", true, &json!({"user": "ann"})));
    assert_eq!((answer.status, answer.complete), (200, true));
    assert!(answer.head.contains("content-type: text/event-stream"));
    let deltas: Vec<_> = answer.chunks().iter().map(|c| c["choices"][0]["delta"].clone()).collect();
    let expected = [
        json!({"role": "assistant", "content": "", "refusal": null}),
        json!({"content": "w0"}),
        json!({"content": " w1"}),
        json!({"content": " w2"}),
        json!({}),
        Value::Null,
    ];
    assert_eq!(deltas, expected);
    let chunks = answer.chunks();
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[4]["usage"], Value::Null);
    assert_eq!(chunks[5]["choices"], json!([]));
    assert_eq!(chunks[5]["usage"]["total_tokens"], 9);
    assert_eq!(answer.events().last(), Some(&"[DONE]"));
    let record = only_request(&provider);
    assert!(chunks.iter().all(|chunk| chunk["id"] == record.id.as_str()));
    assert!(answer.head.contains(&format!("x-request-id: {}", record.id)));
    let expected = RequestRecord {
        id: record.id.clone(),
        model: "fake:chunks=3".into(),
        attempt: 1,
        stream: true,
        tokens_prompt: 6,
        max_tokens: None,
        user: Some("ann".into()),
        metadata: Value::Null,
        idempotency_key: None,
        chunks_sent: 3,
        outcome: Some(Outcome::Finished),
        status: 200,
        tokens_in: 6,
        tokens_cached: 0,
        tokens_out: 3,
        charge_nano_usd: 900 + 1_801,
    };
    assert_eq!(record, expected);
}

#[test]
fn every_framing_carries_the_same_text() {
    let provider = spawn();
    for framing in ["one_write", "split", "crlf", "comments", "delay_ms=1", "split,comments,crlf"] {
        let answer = ask(&provider, &request(&format!("fake:{framing}"), true, &Value::Null));
        assert_eq!((answer.text(), answer.complete), (reply_text(8), true), "{framing}");
    }
    let answer = ask(&provider, &request("fake:bom", true, &Value::Null));
    assert!(answer.body.starts_with('\u{feff}'));
    assert_eq!(provider.ledger().unwrap().totals.tokens_out, 7 * 8);
}

#[test]
fn the_cap_cuts_the_reply_and_is_in_the_ledger() {
    let provider = spawn();
    for (stream, extra) in [
        (true, json!({"max_completion_tokens": 5})),
        (true, json!({"max_tokens": 5})),
        (false, json!({"max_tokens": 5, "max_completion_tokens": 7})),
    ] {
        provider.reset().unwrap();
        let answer = ask(&provider, &request("fake:chunks=200", stream, &extra));
        let record = only_request(&provider);
        assert_eq!((record.max_tokens, record.tokens_out), (Some(5), 5));
        let (text, reason) = if stream {
            let reason = answer.chunks()[6]["choices"][0]["finish_reason"].clone();
            (answer.text(), reason)
        } else {
            let reply: Value = serde_json::from_str(&answer.body).unwrap();
            let choice = &reply["choices"][0];
            let text = choice["message"]["content"].as_str().unwrap().to_owned();
            assert_eq!(reply["usage"]["completion_tokens"], 5);
            (text, choice["finish_reason"].clone())
        };
        assert_eq!((text, reason), (reply_text(5), json!("length")));
    }
}

#[test]
fn a_disconnect_is_noticed_and_bills_what_was_sent() {
    let provider = spawn();
    let mut stream = open(&provider, &request("fake:chunks=1000,delay_ms=20", true, &Value::Null));
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(" w2") {
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0);
        seen.extend_from_slice(&buffer[..count]);
    }
    stream.shutdown(Shutdown::Both).unwrap();
    let left = Instant::now();
    let summary = provider.wait_until(TIMEOUT, |summary| summary.totals.open == 0).unwrap();
    assert!(left.elapsed() < Duration::from_secs(2), "noticed after {:?}", left.elapsed());
    let record = &summary.requests[0];
    assert_eq!(record.outcome, Some(Outcome::Disconnected));
    assert!((3..150).contains(&record.chunks_sent), "{record:?}");
    assert_eq!((record.tokens_in, record.tokens_out), (6, record.chunks_sent));
    assert_eq!(record.charge_nano_usd, PRICES.charge_nano_usd(6, 0, record.chunks_sent));
}

#[test]
fn a_disconnect_before_the_first_byte_or_in_a_stall_is_noticed() {
    let provider = spawn();
    for (model, stream, chunks) in [
        ("fake:header_delay_ms=60000", true, 0),
        ("fake:delay_ms=60000", false, 0),
        ("fake:stall_after=4", true, 4),
    ] {
        provider.reset().unwrap();
        let mut connection = open(&provider, &request(model, stream, &Value::Null));
        provider.wait_until(TIMEOUT, |summary| summary.totals.open == 1).unwrap();
        if chunks > 0 {
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&seen).contains(" w3") {
                let count = connection.read(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..count]);
            }
        }
        drop(connection);
        let summary = provider.wait_until(TIMEOUT, |summary| summary.totals.open == 0).unwrap();
        let record = &summary.requests[0];
        let ended = (record.outcome, record.chunks_sent, record.tokens_in);
        assert_eq!(ended, (Some(Outcome::Disconnected), chunks, 6), "{model}");
    }
}

#[test]
fn a_client_killed_with_unread_bytes_is_a_disconnect() {
    let provider = spawn();
    // Far more than the socket buffers hold: the reply cannot have left when the client does.
    let stream = open(&provider, &request("fake:chunks=200000", true, &Value::Null));
    provider.wait_until(TIMEOUT, |summary| summary.totals.open == 1).unwrap();
    drop(stream);
    let summary = provider.wait_until(TIMEOUT, |summary| summary.totals.open == 0).unwrap();
    assert_eq!(summary.requests[0].outcome, Some(Outcome::Disconnected));
    assert!(summary.requests[0].tokens_out < 200_000);
}

#[test]
fn each_fault_looks_as_documented_and_is_booked() {
    let provider = spawn();
    for (model, text, complete, done, outcome, out) in [
        ("fake:cut_after=3", reply_text(3), false, false, Outcome::Cut, 3),
        ("fake:error_event_after=2", reply_text(2), true, false, Outcome::Error, 2),
        ("fake:malformed_after=2", reply_text(8), true, true, Outcome::Finished, 8),
        ("fake:no_done", reply_text(8), true, false, Outcome::Finished, 8),
        ("fake:no_usage", reply_text(8), true, true, Outcome::Finished, 8),
        ("fake:cut_after=8", reply_text(8), false, false, Outcome::Cut, 8),
        ("fake:cut_after=3,one_write", reply_text(3), false, false, Outcome::Cut, 3),
        ("fake:one_write,chunks=200", reply_text(200), true, true, Outcome::Finished, 200),
    ] {
        provider.reset().unwrap();
        let answer = ask(&provider, &request(model, true, &Value::Null));
        let is_done = answer.events().last() == Some(&"[DONE]");
        assert_eq!((answer.text(), answer.complete, is_done), (text, complete, done), "{model}");
        let record = only_request(&provider);
        let booked = (record.outcome, record.tokens_in, record.tokens_out);
        assert_eq!(booked, (Some(outcome), 6, out), "{model}");
    }
}

#[test]
fn refusals_cost_nothing_and_end_after_fail_times() {
    let provider = spawn();
    let model = "fake:status=429,retry_after_ms=1500,should_retry=true,fail_times=2";
    let body = request(model, true, &Value::Null);
    let answers = [1, 2, 3].map(|_| ask(&provider, &body));
    assert_eq!(answers.each_ref().map(|answer| answer.status), [429, 429, 200]);
    for header in ["retry-after-ms: 1500", "retry-after: 2", "x-should-retry: true"] {
        assert!(answers[0].head.contains(header), "{header}");
    }
    let requests = provider.ledger().unwrap().requests;
    let booked =
        requests.iter().map(|request| (request.attempt, request.outcome, request.tokens_in));
    let expected = [
        (1, Some(Outcome::Error), 0),
        (2, Some(Outcome::Error), 0),
        (3, Some(Outcome::Finished), 6),
    ];
    assert_eq!(booked.collect::<Vec<_>>(), expected);
    let page = ask(&provider, &request("fake:html", true, &Value::Null));
    assert!(page.head.contains("content-type: text/html") && page.body.starts_with("<!DOCTYPE"));
    for (model, status) in [("fake:nonsense", 400), ("claude-9", 404), ("gpt-4o-mini", 200)] {
        assert_eq!(ask(&provider, &request(model, true, &Value::Null)).status, status, "{model}");
    }
}

#[test]
fn cache_reads_and_overrun_are_reported_and_billed() {
    let provider = spawn();
    let model = "fake:chunks=10,cached=4,overrun_percent=130";
    let answer = ask(&provider, &request(model, true, &json!({"max_tokens": 10})));
    let chunks = answer.chunks();
    let usage = &chunks.iter().rfind(|chunk| chunk["usage"].is_object()).unwrap()["usage"];
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(usage["completion_tokens"], 13);
    let record = only_request(&provider);
    assert_eq!((record.tokens_in, record.tokens_cached, record.tokens_out), (6, 4, 13));
    // (2 * 150,000 + 4 * 75,000 + 13 * 600,001) / 1,000, rounded up.
    assert_eq!(record.charge_nano_usd, 8_401);
}

#[test]
fn the_file_has_three_lines_a_request_and_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let options = FakeProviderOptions { ledger: Some(path.clone()), ..Default::default() };
    let provider = FakeProvider::spawn_with(&options).unwrap();
    ask(&provider, &request("fake:chunks=2", true, &json!({"metadata": {"turn": "t1"}})));
    let open = open(&provider, &request("fake:stall_after=0", true, &Value::Null));
    provider.wait_until(TIMEOUT, |summary| summary.totals.open == 1).unwrap();
    drop(provider);
    drop(open);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["started", "sent", "ended", "started"]);
    assert_eq!(lines[0]["metadata"]["turn"], "t1");
    assert_eq!(lines[1]["chunks"], 2);
    assert_eq!(lines[2]["outcome"], "finished");
}

#[test]
fn captured_requests_hide_the_key() {
    let provider = spawn();
    let body = request("fake", false, &json!({"max_tokens": 7}));
    ask(&provider, &body);
    let captured = provider.captured().unwrap();
    assert_eq!(captured.len(), 1);
    assert_eq!(captured[0].header("authorization"), Some("***"));
    assert_eq!(captured[0].json().unwrap(), body);
}

#[test]
fn a_wrong_key_is_refused_and_not_booked() {
    let options = FakeProviderOptions { api_key: Some("right".into()), ..Default::default() };
    let provider = FakeProvider::spawn_with(&options).unwrap();
    assert_eq!(ask(&provider, &request("fake", true, &Value::Null)).status, 401);
    assert_eq!(provider.ledger().unwrap().totals.requests, 0);
}

#[test]
fn the_default_behaviour_can_be_set() {
    let provider = spawn();
    provider.set_behaviour("chunks=3").unwrap();
    assert_eq!(ask(&provider, &request("gpt-4o-mini", true, &Value::Null)).text(), reply_text(3));
    let refused = provider.set_behaviour("chunks=many").unwrap_err().to_string();
    assert!(refused.contains("needs a number"), "{refused}");
}
