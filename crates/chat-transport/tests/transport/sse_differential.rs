//! The decoder against two others: the slow, obvious parser on bytes nobody would send, and `eventsource-stream` on
//! what servers do send.

use chat_transport::SseEvent;
use eventsource_stream::EventStream;
use futures::{FutureExt, StreamExt};
use proptest::prelude::*;

use crate::obvious_parser::{decode, parse};

/// Bytes with everything that means something in an event stream far more often than chance would have it.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "data",
            "data:",
            "data: ",
            "event:",
            "id:",
            "id",
            "retry:",
            ":",
            " ",
            "\n",
            "\n\n",
            "\r",
            "\r\n",
            "\r\r",
            "\r\n\r\n",
            "\0",
            "\u{FEFF}",
            "\u{1F600}",
            "12",
            "message",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// One event as a server would write it, with LF or CRLF.
fn served_event() -> impl Strategy<Value = String> {
    let text = "[a-z\u{e9}\u{1F600} :]{0,40}";
    let field = prop_oneof![
        6 => text.prop_map(|text| format!("data: {text}")),
        1 => text.prop_map(|text| format!("data:{text}")),
        1 => "[a-z.]{0,12}".prop_map(|kind| format!("event: {kind}")),
        1 => "[a-z0-9]{0,8}".prop_map(|id| format!("id: {id}")),
        1 => any::<u32>().prop_map(|retry_ms| format!("retry: {retry_ms}")),
        1 => text.prop_map(|text| format!(": {text}")),
        1 => Just("data".to_owned()),
        1 => Just("other: 1".to_owned()),
    ];
    let fields = prop::collection::vec(field, 1..5);
    (fields, any::<bool>()).prop_map(|(fields, is_crlf)| {
        let end = if is_crlf { "\r\n" } else { "\n" };
        fields.iter().map(|field| format!("{field}{end}")).chain([end.to_owned()]).collect()
    })
}

/// What the other implementation makes of a body in one piece.
fn other_decode(wire: String) -> Vec<SseEvent> {
    EventStream::new(futures::stream::iter([Ok::<_, ()>(wire)]))
        .map(|event| {
            let event = event.unwrap();
            SseEvent {
                event: event.event.into(),
                data: event.data,
                id: event.id,
                retry_ms: event.retry.map(|retry| retry.as_millis().try_into().unwrap()),
            }
        })
        .collect::<Vec<_>>()
        .now_or_never()
        .unwrap()
}

/// `bytes` cut at `cuts`.
fn reads<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut reads = Vec::new();
    let mut from = 0;
    for cut in cuts {
        reads.push(&bytes[from..cut]);
        from = cut;
    }
    reads.push(&bytes[from..]);
    reads
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_cuts_decode_as_the_rules_say(
        bytes in hostile_bytes(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        prop_assert_eq!(decode(&reads(&bytes, &cuts)).unwrap(), parse(&bytes));
    }
}

proptest! {
    // The other implementation is slow without optimisation.
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_servers_send_decodes_as_in_another_implementation(
        events in prop::collection::vec(served_event(), 0..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let wire = events.concat();
        let ours = decode(&reads(wire.as_bytes(), &cuts)).unwrap();
        prop_assert_eq!(ours, other_decode(wire));
    }
}
