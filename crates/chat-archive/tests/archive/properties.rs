//! Laws of the lines and of the import, for made-up trees.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use chat_archive::ArchiveLine;
use chat_types::{ContentPart, Conversation, Message, ModelOptions, Role};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop, proptest};

use crate::common::{Memory, archive_of, conversation, id, lines_of, message, scope};

/// A conversation of up to twenty messages, each below one before it or a root of its own.
fn tree(name: String) -> impl Strategy<Value = Vec<ArchiveLine>> {
    let node = (any::<prop::sample::Index>(), any::<bool>(), ".{0,40}");
    let head = any::<Option<prop::sample::Index>>();
    let options = (any::<Option<f64>>(), any::<Option<u64>>());
    (vec(node, 0..20), head, "[a-c]", options, ".{0,20}").prop_map(
        move |(nodes, head, user, (temperature, seed), title)| {
            let names: Vec<String> = (0..nodes.len()).map(|n| format!("{name}-{n}")).collect();
            let messages: Vec<Message> = nodes
                .into_iter()
                .enumerate()
                .map(|(n, (parent, is_root, text))| {
                    let parent = (n > 0 && !is_root).then(|| parent.get(&names[..n]).as_str());
                    let role = if n % 2 == 0 { Role::User } else { Role::Assistant };
                    Message {
                        parts: vec![ContentPart::text(text)],
                        ..message(&name, &names[n], parent, role)
                    }
                })
                .collect();
            let head =
                head.filter(|_| !names.is_empty()).map(|head| id(head.get(&names[..]).as_str()));
            let temperature = temperature.filter(|fraction| fraction.is_finite());
            let conversation = Conversation {
                title,
                head,
                options: ModelOptions { temperature, seed, ..ModelOptions::default() },
                ..conversation(&name)
            };
            let owner = scope("acme", &user);
            let first = ArchiveLine::Conversation { scope: owner, conversation };
            let rest = messages.into_iter().map(|message| ArchiveLine::Message { message });
            std::iter::once(first).chain(rest).collect()
        },
    )
}

fn archives() -> impl Strategy<Value = String> {
    (1..6_usize).prop_flat_map(|count| {
        let trees: Vec<_> = (0..count).map(|n| tree(format!("c{n}"))).collect();
        (trees, Just(())).prop_map(|(trees, ())| archive_of(&trees.concat()))
    })
}

proptest! {
    #[test]
    fn reading_and_writing_is_the_identity(archive in archives()) {
        assert_eq!(archive_of(&lines_of(&archive).expect("reads")), archive);
    }

    #[test]
    fn importing_and_exporting_is_a_fixed_point(archive in archives()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (first, second) = (Memory::default(), Memory::default());
            first.import(&archive).await.expect("imports");
            let sorted = first.export().await;
            second.import(&sorted).await.expect("imports");
            assert_eq!(second.export().await, sorted);
            second.import(&archive).await.expect("imports");
            assert_eq!(second.export().await, sorted);
        });
    }
}
