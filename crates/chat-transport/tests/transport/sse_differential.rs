//! The decoder against the slow, obvious parser on bytes nobody would send.

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_cuts_decode_as_the_rules_say(
        bytes in hostile_bytes(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut reads = Vec::new();
        let mut from = 0;
        for cut in cuts {
            reads.push(&bytes[from..cut]);
            from = cut;
        }
        reads.push(&bytes[from..]);
        prop_assert_eq!(decode(&reads).unwrap(), parse(&bytes));
    }

    #[test]
    fn well_formed_streams_decode_as_the_bare_parser_does(
        texts in prop::collection::vec("[a-z\u{e9}\u{1F600} :]{0,40}", 0..20),
    ) {
        use eventsource_stream::EventStream;
        use futures::{FutureExt, StreamExt};

        let wire: String = texts.iter().map(|text| format!("data: {text}\n\n")).collect();
        let bare: Vec<_> = EventStream::new(futures::stream::iter([Ok::<_, ()>(wire.clone())]))
            .map(|event| event.unwrap().data)
            .collect::<Vec<_>>()
            .now_or_never()
            .unwrap();
        let ours: Vec<_> =
            decode(&[wire.as_bytes()]).unwrap().into_iter().map(|event| event.data).collect();
        prop_assert_eq!(ours, bare);
    }
}
