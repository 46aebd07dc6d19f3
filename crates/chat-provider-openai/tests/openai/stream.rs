//! What comes back: recordings whole, in pieces and cut, and the dialect's variants.

use chat_provider::{Exposure, ProviderErrorKind, ProviderEvent};
use chat_transport::{ScriptedReply, ScriptedStep};
use chat_types::{FinishReason, ModelRef, Opaque, Origin};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::support::{
    DONE, Outcome, WatchingGate, call, call_with, chunk, finish, hi, local_config, sse, started,
    status, text, usage,
};

const OPENAI_TEXT: &str = include_str!("../recordings/openai-text.sse");
const OPENAI_REASONING: &str = include_str!("../recordings/openai-reasoning.sse");
const OPENAI_TOOLS: &str = include_str!("../recordings/openai-tools.sse");
const OPENAI_REFUSAL: &str = include_str!("../recordings/openai-refusal.sse");
const LLAMACPP_TEXT: &str = include_str!("../recordings/llamacpp-text.sse");
const LLAMACPP_REASONING: &str = include_str!("../recordings/llamacpp-reasoning.sse");
const OPENROUTER_REASONING: &str = include_str!("../recordings/openrouter-reasoning.sse");

const RECORDINGS: [&str; 7] = [
    OPENAI_TEXT,
    OPENAI_REASONING,
    OPENAI_TOOLS,
    OPENAI_REFUSAL,
    LLAMACPP_TEXT,
    LLAMACPP_REASONING,
    OPENROUTER_REASONING,
];

fn named(id: &str) -> ProviderEvent {
    ProviderEvent::Started { request_id: Some(id.to_owned()) }
}

fn arguments(index: u32, arguments: &str) -> ProviderEvent {
    ProviderEvent::ToolArguments { index, arguments: arguments.to_owned() }
}

fn tool_call(index: u32, call_id: &str, name: &str) -> ProviderEvent {
    ProviderEvent::ToolCall { index, call_id: call_id.to_owned(), name: name.to_owned() }
}

async fn of(parts: &[&str]) -> Outcome {
    call(vec![sse(parts.concat())]).await
}

#[tokio::test]
async fn one_network_read_is_one_batch_with_its_text_in_one_piece() {
    let outcome = call(vec![sse(OPENAI_TEXT)]).await;
    let expected = vec![vec![
        named("chatcmpl-AbC123"),
        text("Hello world! é😀"),
        ProviderEvent::Finished(FinishReason::Stop),
        ProviderEvent::Usage(usage(93, 1024, 46, 0)),
    ]];
    assert_eq!(outcome.batches, expected);
    assert!(outcome.error.is_none());
}

#[tokio::test]
async fn every_recording_tells_what_its_server_meant() {
    let sealed = ProviderEvent::ReasoningSealed(Opaque {
        origin: Origin {
            model: "local/smollm2".parse::<ModelRef>().unwrap(),
            api: "chat_completions".to_owned(),
        },
        data: concat!(
            r#"[{"type":"reasoning.summary","summary":"Hm.","format":"openai-responses-v1","index":0},"#,
            r#"{"type":"reasoning.encrypted","data":"c2VhbGVk","id":"rs_1","format":"openai-responses-v1","index":0}]"#
        )
        .to_owned(),
    });
    let stop = ProviderEvent::Finished(FinishReason::Stop);
    let cases: [(&str, Vec<ProviderEvent>); 6] = [
        (
            OPENAI_REASONING,
            vec![
                named("chatcmpl-AbC123"),
                text("42"),
                ProviderEvent::Finished(FinishReason::Length),
                ProviderEvent::Usage(usage(20, 0, 44, 256)),
            ],
        ),
        (
            OPENAI_TOOLS,
            vec![
                named("chatcmpl-AbC123"),
                tool_call(0, "call_A", "weather"),
                arguments(0, r#"{"city":"Z\u00fcrich"}"#),
                tool_call(1, "call_B", "clock"),
                arguments(1, "{}"),
                ProviderEvent::Finished(FinishReason::ToolCalls),
            ],
        ),
        (OPENAI_REFUSAL, vec![named("chatcmpl-AbC123"), text("I can't do that."), stop.clone()]),
        (
            LLAMACPP_TEXT,
            vec![
                named("chatcmpl-h7Pz0Q"),
                text("The sky is blue."),
                stop.clone(),
                ProviderEvent::Usage(usage(28, 3, 3, 0)),
            ],
        ),
        (
            LLAMACPP_REASONING,
            vec![
                named("chatcmpl-h7Pz0Q"),
                ProviderEvent::Reasoning("Let me think.".to_owned()),
                text("Yes."),
                stop.clone(),
            ],
        ),
        (
            OPENROUTER_REASONING,
            vec![
                named("gen-1763900001-xYz"),
                ProviderEvent::Reasoning("Hm.".to_owned()),
                text("Done."),
                sealed,
                stop,
                ProviderEvent::Usage(usage(10, 0, 3, 4)),
            ],
        ),
    ];
    for (recording, expected) in cases {
        let outcome = call(vec![sse(recording)]).await;
        assert_eq!(outcome.batches, vec![expected]);
        assert!(outcome.error.is_none());
    }
}

#[tokio::test]
async fn the_same_bytes_in_any_reads_tell_the_same() {
    for recording in RECORDINGS {
        let whole = call(vec![sse(recording)]).await.events();
        let bytes = recording.as_bytes().iter();
        let single =
            bytes.fold(ScriptedReply::event_stream(), |reply, byte| reply.read(vec![*byte]));
        assert_eq!(call(vec![single]).await.events(), whole);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_at_any_byte_is_finished_only_if_its_finish_was_parsed() {
    for recording in RECORDINGS {
        let finish_at = recording.find(r#""finish_reason":"#).unwrap();
        let last = ["\"stop\"", "\"length\"", "\"tool_calls\""]
            .iter()
            .filter_map(|reason| recording.find(&format!("\"finish_reason\":{reason}")))
            .min()
            .unwrap();
        assert!(finish_at <= last);
        // The event ends with the blank line after it.
        let parsed_from = last + recording[last..].find("\n\n").unwrap() + 2;
        let whole = call(vec![sse(recording)]).await.text();
        for cut in 0..recording.len() {
            let part = &recording.as_bytes()[..cut];
            let outcome = call(vec![sse(part), sse(part)]).await;
            assert_eq!(outcome.finished().is_some(), cut >= parsed_from, "cut at {cut}");
            assert!(whole.starts_with(&outcome.text()), "cut at {cut}");
            assert!(outcome.error.is_none() || outcome.was_refused, "cut at {cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn v1_done_in_all_its_forms() {
    let say = chunk(r#"{"content":"a"}"#);
    let stop = finish("stop");
    let late = chunk(r#"{"content":"late"}"#);
    let finished = [
        vec![say.as_str(), &stop, "data: [DONE]\n\n"],
        vec![&say, &stop, "data:[DONE]\n\n"],
        vec![&say, &stop],
        vec![&say, &stop, DONE, DONE],
        vec![&say, &stop, DONE, &late],
        vec![&say, &stop, &late, DONE],
        vec![&say, &stop, "data: [DONE]"],
    ];
    for parts in finished {
        let outcome = of(&parts).await;
        let expected = [started(), text("a"), ProviderEvent::Finished(FinishReason::Stop)];
        assert_eq!(outcome.events(), expected);
        assert!(outcome.error.is_none());
    }
    for parts in [vec![say.as_str()], vec![&say, DONE], vec![&say, DONE, &stop]] {
        let outcome = of(&parts).await;
        assert_eq!(outcome.events(), [started(), text("a")], "cut, not finished");
        assert!(outcome.error.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn v1_a_connection_kept_open_after_the_end_holds_nobody_up() {
    let say = chunk(r#"{"content":"a"}"#);
    for end in [finish("stop"), format!("{}{DONE}", finish("stop"))] {
        let begun = tokio::time::Instant::now();
        let reply = sse(format!("{say}{end}")).step(ScriptedStep::Hang);
        let outcome = call(vec![reply]).await;
        assert_eq!(outcome.finished(), Some(FinishReason::Stop));
        assert!(outcome.error.is_none());
        assert!(begun.elapsed().as_secs() <= 5);
        assert_eq!(outcome.transport.bodies_abandoned(), 1);
    }
}

#[tokio::test]
async fn v2_every_finish_reason_is_one_of_ours() {
    let cases = [
        ("stop", FinishReason::Stop),
        ("eos", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("max_tokens", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
        ("tool_calls", FinishReason::ToolCalls),
        ("function_call", FinishReason::ToolCalls),
    ];
    for (reason, expected) in cases {
        let outcome = of(&[&chunk(r#"{"content":"a"}"#), &finish(reason), DONE]).await;
        assert_eq!(outcome.finished(), Some(expected), "{reason}");
    }
    let call = r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}]}"#;
    let outcome = of(&[&chunk(call), &finish("stop"), DONE]).await;
    assert_eq!(outcome.finished(), Some(FinishReason::ToolCalls));
}

#[tokio::test(start_paused = true)]
async fn v3_errors_inside_a_200_are_errors() {
    let overloaded = r#"{"error":{"message":"busy","type":"server_error","code":"overloaded"}}"#;
    let too_long = include_str!("../recordings/llamacpp-too-long.json");
    let html = "<!doctype html><title>Sign in</title>";
    let page = || sse(html).header(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    let cases: Vec<(ScriptedReply, ProviderErrorKind, usize)> = vec![
        (sse(format!("event: error\ndata: {overloaded}\n\n")), ProviderErrorKind::Unavailable, 3),
        (sse(format!("data: {overloaded}\n\n")), ProviderErrorKind::Unavailable, 3),
        (sse("event: error\ndata: oh no\n\n"), ProviderErrorKind::Unavailable, 3),
        (sse(overloaded), ProviderErrorKind::Unavailable, 3),
        (status(200, overloaded), ProviderErrorKind::Unavailable, 3),
        (status(200, too_long), ProviderErrorKind::ContextTooLong, 1),
        (sse(format!("data: {too_long}\n\n")), ProviderErrorKind::ContextTooLong, 1),
        (status(200, r#"{"error":"model is gone"}"#), ProviderErrorKind::Unavailable, 3),
        (page(), ProviderErrorKind::Protocol, 1),
        (sse(html), ProviderErrorKind::Protocol, 1),
        (sse("data: not json\n\n"), ProviderErrorKind::Protocol, 1),
        (status(200, "{}"), ProviderErrorKind::Protocol, 1),
    ];
    for (reply, kind, requests) in cases {
        let outcome = call(vec![reply.clone(); 3]).await;
        let error = outcome.error.unwrap();
        assert_eq!((error.kind(), error.exposure()), (kind, Exposure::Unknown), "{reply:?}");
        assert_eq!(outcome.transport.requests().len(), requests, "{reply:?}");
    }
    let error = call(vec![page()]).await.error.unwrap();
    assert!(error.to_string().contains("check base_url"), "{error}");
}

#[tokio::test]
async fn v3_an_error_after_text_comes_last_and_keeps_the_text() {
    let error = "data: {\"error\":{\"message\":\"secret words\",\"type\":\"server_error\"}}\n\n";
    for parts in [vec![error], vec!["data: }{\n\n"]] {
        let body = format!("{}{}", chunk(r#"{"content":"a"}"#), parts.concat());
        let outcome = call(vec![sse(body)]).await;
        assert_eq!(outcome.events(), [started(), text("a")]);
        let error = outcome.error.unwrap();
        assert!(!outcome.was_refused);
        assert_eq!(error.exposure(), Exposure::Unknown);
        assert!(!format!("{error:?}").contains("secret words"));
        assert_eq!(outcome.transport.requests().len(), 1);
    }
}

#[tokio::test]
async fn v4_the_last_usage_holds_and_absent_is_none() {
    let say = chunk(r#"{"content":"a"}"#);
    let stop = finish("stop");
    let report = |usage: &str| format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n");
    let early = report(r#"{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}"#);
    let cases = [
        (r#"{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}"#, Some(usage(7, 0, 5, 0))),
        ("null", None),
        ("{}", None),
        (r#"{"prompt_tokens":7}"#, None),
        (r#"{"prompt_tokens":-1,"completion_tokens":1.5}"#, None),
        (r#"{"prompt_tokens":0,"completion_tokens":0}"#, Some(usage(0, 0, 0, 0))),
        // Cached tokens never exceed the prompt's, reasoning lies inside the completion's.
        (
            r#"{"prompt_tokens":10,"completion_tokens":9,"total_tokens":19,"prompt_tokens_details":{"cached_tokens":12},"completion_tokens_details":{"reasoning_tokens":4}}"#,
            Some(usage(0, 10, 5, 4)),
        ),
        // A server that counts reasoning beside the completion, as its total shows.
        (
            r#"{"prompt_tokens":10,"completion_tokens":9,"total_tokens":23,"completion_tokens_details":{"reasoning_tokens":4}}"#,
            Some(usage(10, 0, 9, 4)),
        ),
        (
            r#"{"prompt_tokens":10,"completion_tokens":1,"prompt_cache_hit_tokens":8,"prompt_tokens_details":null}"#,
            Some(usage(2, 8, 1, 0)),
        ),
    ];
    for (reported, expected) in cases {
        let last = report(reported);
        let outcome = of(&[&say, &stop, &last, DONE]).await;
        assert_eq!(outcome.usage(), expected, "{reported}");
        let outcome = of(&[&say, &early, &stop, &last, DONE]).await;
        assert_eq!(outcome.usage(), expected.or(Some(usage(7, 0, 2, 0))), "{reported}");
    }
    assert_eq!(of(&[&say, &stop, DONE]).await.usage(), None);
}

#[tokio::test]
async fn v5_odd_shapes_are_ignored_or_joined() {
    let outcome = of(&[
        ": comment\n\n",
        "event: ping\ndata: {}\n\n",
        "event: unheard_of\ndata: nothing we know\n\n",
        "data: {\"type\":\"ping\"}\n\n",
        "data:\n\n",
        "data: {\"id\":7,\"choices\":null,\"usage\":null,\"new_field\":[1,{\"a\":null}]}\n\n",
        "data: {\"id\":\"c1\",\"choices\":[]}\n\n",
        &chunk(r#"{"role":"assistant","content":null}"#),
        &chunk("null"),
        &chunk(r#"{"content":"a\u00e9\n"}"#),
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other choice\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"\"}]}\n\n",
        &finish("stop"),
        &finish("length"),
        DONE,
    ])
    .await;
    let expected = [started(), text("aé\nb"), ProviderEvent::Finished(FinishReason::Stop)];
    assert_eq!(outcome.events(), expected);
}

#[tokio::test]
async fn v5_tool_calls_without_numbers_or_with_one_number_are_told_apart() {
    let cases = [
        [
            r#"{"tool_calls":[{"id":"x","function":{"name":"f","arguments":"{\"a\":"}}]}"#,
            r#"{"tool_calls":[{"function":{"arguments":"1}"}}]}"#,
            r#"{"tool_calls":[{"id":"y","function":{"name":"g","arguments":"{}"}}]}"#,
        ],
        [
            r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{\"a\":"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"1}"}}]}"#,
            r#"{"tool_calls":[{"index":0,"id":"y","function":{"name":"g","arguments":"{}"}}]}"#,
        ],
        [
            r#"{"tool_calls":[{"index":3,"id":"x","function":{"name":"f","arguments":"{\"a\":"}}]}"#,
            r#"{"tool_calls":[{"index":5,"id":"y","function":{"name":"g","arguments":"{}"}}]}"#,
            r#"{"tool_calls":[{"index":3,"function":{"arguments":"1}"}}]}"#,
        ],
    ];
    for deltas in cases {
        let chunks = deltas.map(chunk).concat();
        let events = of(&[&chunks, &finish("tool_calls"), DONE]).await.events();
        let calls = events.iter().filter(|event| matches!(event, ProviderEvent::ToolCall { .. }));
        assert_eq!(
            calls.cloned().collect::<Vec<_>>(),
            [tool_call(0, "x", "f"), tool_call(1, "y", "g")]
        );
        let of_call = |wanted: u32| {
            let pieces = events.iter().filter_map(|event| match event {
                ProviderEvent::ToolArguments { index, arguments } if *index == wanted => {
                    Some(arguments.as_str())
                }
                _ => None,
            });
            pieces.collect::<String>()
        };
        assert_eq!((of_call(0), of_call(1)), (r#"{"a":1}"#.to_owned(), "{}".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn v6_a_slow_reply_is_whole_and_a_silent_one_times_out() {
    let say = chunk(r#"{"content":"a"}"#);
    let mut slow = ScriptedReply::event_stream();
    for byte in format!("{say}{}{DONE}", finish("stop")).into_bytes() {
        slow = slow.read(vec![byte]).step(ScriptedStep::WaitMs(1_000));
    }
    assert_eq!(call(vec![slow]).await.finished(), Some(FinishReason::Stop));

    let silent = sse(say.clone()).step(ScriptedStep::WaitMs(61_000)).read(finish("stop"));
    let outcome = call(vec![silent]).await;
    assert_eq!((outcome.text().as_str(), outcome.finished()), ("a", None));
    assert_eq!(outcome.error.unwrap().kind(), ProviderErrorKind::Timeout);

    let mut pinging = sse(say);
    for _ in 0..40 {
        pinging =
            pinging.step(ScriptedStep::WaitMs(15_000)).read("event: ping\ndata: {}\n\n: ping\n\n");
    }
    let outcome = call(vec![pinging.read(finish("stop"))]).await;
    assert_eq!(outcome.error.unwrap().kind(), ProviderErrorKind::Timeout);
}

#[tokio::test]
async fn an_unstreamed_reply_tells_the_same_events() {
    let cases = [
        (
            include_str!("../recordings/openai-whole.json"),
            vec![
                named("chatcmpl-W1"),
                text("Hello world"),
                ProviderEvent::Finished(FinishReason::Stop),
                ProviderEvent::Usage(usage(93, 1024, 46, 0)),
            ],
        ),
        (
            include_str!("../recordings/llamacpp-whole.json"),
            vec![
                named("chatcmpl-q9"),
                text("The sky"),
                ProviderEvent::Finished(FinishReason::Length),
                ProviderEvent::Usage(usage(31, 0, 2, 0)),
            ],
        ),
    ];
    for (body, expected) in cases {
        let mut request = hi("smollm2");
        request.stream = false;
        let gate = WatchingGate::default();
        let outcome = call_with(local_config(), &request, gate, vec![status(200, body)]).await;
        assert_eq!(outcome.batches, vec![expected.clone()]);
        // A server that does not stream although it was asked to is understood too.
        assert_eq!(call(vec![status(200, body)]).await.batches, vec![expected]);
    }
}

#[tokio::test]
async fn the_header_names_the_call_before_the_chunk_does() {
    let reply = sse(OPENAI_TEXT)
        .header(HeaderName::from_static("x-request-id"), HeaderValue::from_static("req_42"));
    assert_eq!(call(vec![reply]).await.events()[0], named("req_42"));
}
