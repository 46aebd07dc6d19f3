//! Laws of the tree, over arbitrary lists: duplicates, orphans and cycles included.

use std::collections::{HashMap, HashSet};

use crate::common::{id, message, names};
use chat_thread::{ForkMode, ForkRequest, MessageThread};
use chat_types::{ConversationId, Message, MessageId, Role, SequentialIds};
use proptest::prelude::*;

/// Any parent at all: itself, later ones, unknown ones.
fn arbitrary_messages() -> impl Strategy<Value = Vec<Message>> {
    let one = (0..24_u8, proptest::option::weighted(0.85, 0..26_u8), 0..8_i64);
    proptest::collection::vec(one, 1..40).prop_map(|list| {
        list.into_iter()
            .map(|(name, parent, at)| {
                let parent = parent.map(|parent| parent.to_string());
                message(&name.to_string(), parent.as_deref(), Role::User, at)
            })
            .collect()
    })
}

/// Parents come from what was there before: a forest.
fn forest() -> impl Strategy<Value = Vec<Message>> {
    proptest::collection::vec((any::<u8>(), 0..8_i64), 1..40)
        .prop_map(|list| {
            list.iter()
                .enumerate()
                .map(|(name, (parent, at))| {
                    let parent = usize::from(*parent) % (name + 1);
                    let parent = (parent < name).then(|| parent.to_string());
                    message(&name.to_string(), parent.as_deref(), Role::User, *at)
                })
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
}

fn modes() -> impl Strategy<Value = ForkMode> {
    prop_oneof![
        Just(ForkMode::DirectPath),
        Just(ForkMode::IncludeBranches),
        Just(ForkMode::TargetLevel),
    ]
}

fn ids_of(thread: &MessageThread) -> Vec<MessageId> {
    thread.messages().map(|message| message.id.clone()).collect()
}

proptest! {
    #[test]
    fn every_message_stays_once(messages in arbitrary_messages()) {
        let given: HashSet<MessageId> = messages.iter().map(|m| m.id.clone()).collect();
        let thread = MessageThread::normalise(messages);
        let read = ids_of(&thread);
        prop_assert_eq!(read.len(), given.len());
        prop_assert_eq!(read.into_iter().collect::<HashSet<_>>(), given);
    }

    #[test]
    fn normalising_twice_changes_nothing(messages in arbitrary_messages()) {
        let once = MessageThread::normalise(messages);
        let twice = MessageThread::normalise(once.messages().cloned());
        for head in ids_of(&once) {
            prop_assert_eq!(names(once.path(Some(&head))), names(twice.path(Some(&head))));
            prop_assert_eq!(names(once.children(&head)), names(twice.children(&head)));
        }
    }

    #[test]
    fn a_path_ends_at_its_head_follows_parents_and_starts_where_none_is_left(
        messages in arbitrary_messages(),
    ) {
        let thread = MessageThread::normalise(messages);
        for head in ids_of(&thread) {
            let path = thread.path(Some(&head));
            prop_assert_eq!(path.last().map(|m| &m.id), Some(&head));
            for pair in path.windows(2) {
                prop_assert_eq!(pair[1].parent.as_ref(), Some(&pair[0].id));
            }
            let above = path[0].parent.as_ref().and_then(|parent| thread.message(parent));
            let closes_a_cycle = above.is_some_and(|above| path.iter().any(|m| m.id == above.id));
            prop_assert!(above.is_none() || closes_a_cycle);
            prop_assert_eq!(thread.depth(&head), Some(path.len() - 1));
        }
    }

    #[test]
    fn appending_in_order_gives_the_same_tree(messages in forest()) {
        let whole = MessageThread::normalise(messages);
        let mut grown = MessageThread::default();
        for message in whole.messages() {
            prop_assert_eq!(grown.append(message.clone()), Ok(()));
        }
        for head in ids_of(&whole) {
            prop_assert_eq!(names(whole.children(&head)), names(grown.children(&head)));
            prop_assert_eq!(whole.depth(&head), grown.depth(&head));
        }
        prop_assert_eq!(names(whole.leaves()).len(), names(grown.leaves()).len());
    }

    #[test]
    fn a_fork_keeps_shape_and_texts_and_reuses_no_id(
        messages in forest(),
        mode in modes(),
        pick in any::<prop::sample::Index>(),
        split in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let thread = MessageThread::normalise(messages);
        let all = ids_of(&thread);
        let (target, split) = (pick.get(&all), split.map(|split| split.get(&all)));
        let conversation = ConversationId::new("other").expect("valid");
        let request = ForkRequest { mode, target, split_at: split };
        let Ok(fork) = thread.fork(request, &SequentialIds::new("copy"), &conversation) else {
            let split = split.expect("only a split can be refused here");
            prop_assert!(thread.depth(split) > thread.depth(target));
            return Ok(());
        };
        let old: HashMap<&MessageId, &MessageId> =
            fork.new_ids.iter().map(|(old, new)| (new, old)).collect();
        prop_assert_eq!(old.len(), fork.messages.len());
        let copies = MessageThread::normalise(fork.messages.clone());
        let mut seen: HashMap<&MessageId, &Message> = HashMap::new();
        for copy in &fork.messages {
            let original = thread.message(old[&copy.id]).expect("copied from it");
            prop_assert!(thread.message(&copy.id).is_none(), "an id was reused");
            prop_assert_eq!(original.text(), copy.text());
            prop_assert_eq!(&copy.conversation, &conversation);
            if let Some(parent) = &copy.parent {
                let parent = seen.get(parent).expect("parents come first");
                prop_assert_eq!(original.parent.as_ref(), Some(old[&parent.id]));
                prop_assert!(copy.created_at >= parent.created_at.plus_ms(1));
            } else if let Some(split) = split {
                prop_assert_eq!(thread.depth(&original.id), thread.depth(split));
            } else {
                prop_assert!(original.parent.is_none());
            }
            seen.insert(&copy.id, copy);
        }
        let texts = |path: Vec<&Message>| path.into_iter().map(Message::text).collect::<Vec<_>>();
        let copied_path = texts(copies.path(Some(&fork.head)));
        let mut original_path = texts(thread.path(Some(target)));
        let cut = original_path.len() - copied_path.len();
        prop_assert_eq!(&copied_path[..], &original_path.split_off(cut)[..]);
        prop_assert_eq!(cut, split.map_or(0, |split| thread.depth(split).expect("known")));
    }

    #[test]
    fn forks_are_total_on_cyclic_input(
        messages in arbitrary_messages(),
        mode in modes(),
        pick in any::<prop::sample::Index>(),
    ) {
        let thread = MessageThread::normalise(messages);
        let all = ids_of(&thread);
        let target = pick.get(&all);
        let request = ForkRequest { mode, target, split_at: None };
        let conversation = id_of_conversation();
        let fork = thread
            .fork(request, &SequentialIds::new("copy"), &conversation)
            .expect("a known target can be forked");
        prop_assert_eq!(Some(&fork.head), fork.new_ids.get(target));
        let unique: HashSet<&MessageId> = fork.messages.iter().map(|m| &m.id).collect();
        prop_assert_eq!(unique.len(), fork.messages.len());
        prop_assert!(!unique.contains(&id("0")));
    }
}

fn id_of_conversation() -> ConversationId {
    ConversationId::new("other").expect("valid")
}
