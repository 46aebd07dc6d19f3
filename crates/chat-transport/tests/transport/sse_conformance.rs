//! The conformance list F1 to F24: each case whole, byte by byte, cut in two everywhere and at seeded random places.

use chat_transport::{SseEvent, is_event_stream};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

use crate::obvious_parser::{decode, parse};

/// Random cuttings per case.
const RANDOM_SPLITS: u64 = 100;

fn event(event: &str, data: &str, id: &str) -> SseEvent {
    SseEvent {
        event: event.to_owned().into(),
        data: data.to_owned(),
        id: id.to_owned(),
        retry_ms: None,
    }
}

fn message(data: &str) -> SseEvent {
    event("message", data, "")
}

/// Asserts that `input` yields `expected`, however the network cuts it.
#[track_caller]
fn check(input: &[u8], expected: &[SseEvent]) {
    assert_eq!(parse(input), expected, "the oracle itself");
    assert_eq!(decode(&[input]).unwrap(), expected, "whole");
    let bytes: Vec<_> = input.chunks(1).collect();
    assert_eq!(decode(&bytes).unwrap(), expected, "byte by byte");
    for at in 0..=input.len() {
        let (left, right) = input.split_at(at);
        assert_eq!(decode(&[left, right]).unwrap(), expected, "cut at {at}");
    }
    for seed in 0..RANDOM_SPLITS {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut rest = input;
        let mut reads = Vec::new();
        while !rest.is_empty() {
            let (read, others) = rest.split_at(random.usize(0..=rest.len().min(9)));
            reads.push(read);
            rest = others;
        }
        assert_eq!(decode(&reads).unwrap(), expected, "random cuts of seed {seed}");
    }
}

#[test]
fn f1_one_leading_byte_order_mark_is_removed() {
    let input = b"\xEF\xBB\xBFdata:1\n\n\xEF\xBB\xBFdata:2\n\ndata:3\n\n";
    check(input, &[message("1"), message("3")]);
}

#[test]
fn f2_a_second_leading_byte_order_mark_makes_an_unknown_field() {
    let input = b"\xEF\xBB\xBF\xEF\xBB\xBFdata:1\n\ndata:2\n\ndata:3\n\n";
    check(input, &[message("2"), message("3")]);
}

#[test]
fn f3_comments_and_mixed_line_ends() {
    let long = "x".repeat(2_048);
    let input =
        format!("data:1\r:\0\n:\r\ndata:2\n:{long}\rdata:3\n:data:fail\r:{long}\ndata:4\n\n");
    check(input.as_bytes(), &[message("1\n2\n3\n4")]);
}

#[test]
fn f4_an_event_without_its_blank_line_is_dropped() {
    let input = b"retry:1000\ndata:test1\n\nid:test\ndata:test2\n";
    check(input, &[SseEvent { retry_ms: Some(1_000), ..message("test1") }]);
}

#[test]
fn f5_empty_data() {
    let input = b"data:\n\ndata\ndata\n\ndata:test\n\n";
    check(input, &[message(""), message("\n"), message("test")]);
}

#[test]
fn f6_field_names_are_exact() {
    let input = b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n";
    check(input, &[message("\0\n 2\n1\n3\n\n4")]);
}

#[test]
fn f7_newlines() {
    check(b"data:test\r\ndata\ndata:test\r\n\r\n", &[message("test\n\ntest")]);
}

#[test]
fn f8_one_leading_space_is_removed_and_a_tab_kept() {
    check(b"data:\ttest\rdata: \ndata:test\n\n", &[message("\ttest\n\ntest")]);
}

#[test]
fn f9_unknown_fields_are_ignored() {
    let input =
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n";
    check(input, &[message("test\n\ntest")]);
}

#[test]
fn f10_an_event_type_holds_for_one_event() {
    check(b"event:test\ndata:x\n\ndata:x\n\n", &[event("test", "x", ""), message("x")]);
}

#[test]
fn f11_an_empty_event_type_is_message() {
    check(b"event: \ndata:data\n\n", &[message("data")]);
}

#[test]
fn f12_an_event_type_alone_is_no_event_and_is_reset() {
    check(b"event:ping\n\n", &[]);
    check(b"event:ping\n\ndata:x\n\n", &[message("x")]);
}

#[test]
fn f13_nul_in_data_is_kept() {
    check(b"data:\0\n\n", &[message("\0")]);
}

#[test]
fn f14_an_id_with_nul_is_ignored() {
    check(b"id:\0\0\ndata:hello\n\n", &[message("hello")]);
    check(b"id:7\nid:\0\0\ndata:hello\n\n", &[event("message", "hello", "7")]);
}

#[test]
fn f15_an_id_persists() {
    let expected = [event("message", "1", "1"), event("message", "2", "1")];
    check(b"id: 1\ndata: 1\n\ndata: 2\n\n", &expected);
    // Also over an event that is not dispatched.
    check(b"id: 1\n\ndata: 2\n\n", &[event("message", "2", "1")]);
}

#[test]
fn f16_an_id_changes_and_resets() {
    let changed =
        [event("message", "1", "1"), event("message", "2", "2"), event("message", "3", "2")];
    check(b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n\ndata: 3\n\n", &changed);
    let reset = [event("message", "1", "1"), message("2"), message("3")];
    check(b"id: 1\ndata: 1\n\nid:\ndata: 2\n\ndata: 3\n\n", &reset);
}

#[test]
fn f17_an_id_may_be_any_text() {
    check(b"id: \xE2\x80\xA6\ndata:a\n\n", &[event("message", "a", "\u{2026}")]);
}

#[test]
fn f18_a_malformed_retry_is_ignored() {
    let expected = [SseEvent { retry_ms: Some(2_000), ..message("x") }];
    check(b"retry:2000\nretry:1000x\ndata:x\n\n", &expected);
    check(b"retry:2000\nretry:+1\nretry: -1\ndata:x\n\n", &expected);
}

#[test]
fn f19_an_empty_retry_is_ignored() {
    let expected = [SseEvent { retry_ms: Some(1_000), ..message("x") }];
    check(b"retry:1000\nretry\ndata:x\n\n", &expected);
    check(b"retry:1000\nretry:\ndata:x\n\n", &expected);
}

#[test]
fn f20_events_are_utf_8_whatever_the_header_says() {
    assert!(is_event_stream(&content_type("text/event-stream; charset=windows-1252")));
    check(b"data:ok\xE2\x80\xA6\n\n", &[message("ok\u{2026}")]);
}

#[test]
fn f21_invalid_utf_8_becomes_the_replacement_character() {
    check(b"data:a\xFFb\n\n", &[message("a\u{FFFD}b")]);
    // A character that is cut off by the line's end does not swallow it.
    check(b"data:a\xF0\x9F\x98\ndata:b\n\n", &[message("a\u{FFFD}\nb")]);
}

fn content_type(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))])
}

#[test]
fn f22_only_the_event_stream_type_is_accepted() {
    for accepted in [
        "text/event-stream",
        "text/event-stream;",
        "text/event-stream;charset=utf-8",
        "Text/Event-Stream ; charset=UTF-8",
    ] {
        assert!(is_event_stream(&content_type(accepted)), "{accepted}");
    }
    for refused in ["text/x-bogus", "application/json", "text/event-streams", "", ";"] {
        assert!(!is_event_stream(&content_type(refused)), "{refused}");
    }
    assert!(!is_event_stream(&HeaderMap::new()));
}

#[test]
fn f23_a_crlf_cut_in_the_middle_is_one_line_end() {
    let expected = [message("A\nB\nC")];
    check(b"data: A\r\ndata: B\r\ndata: C\r\n\r\n", &expected);
    let reads: [&[u8]; 3] = [b"data: A\r\ndata: B\r", b"\ndata: C\r\n", b"\r\n"];
    assert_eq!(decode(&reads).unwrap(), expected);
}

#[test]
fn f23_a_lone_cr_ends_an_event_at_once() {
    check(b"data:1\r\r", &[message("1")]);
}

#[test]
fn f24_a_character_cut_by_the_network_stays_whole() {
    let input = "data:\u{1F600}\n\n".as_bytes();
    for at in 6..9 {
        let (left, right) = input.split_at(at);
        assert_eq!(decode(&[left, right]).unwrap(), [message("\u{1F600}")]);
    }
    check(input, &[message("\u{1F600}")]);
}
