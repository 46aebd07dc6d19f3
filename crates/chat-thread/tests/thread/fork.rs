//! Forks: which messages each mode copies, and what every copy keeps.

use std::collections::HashMap;

use crate::common::{id, message, names, summary, summary_up_to, tree};
use chat_thread::{Fork, ForkMode, ForkRequest, MessageThread, ThreadError};
use chat_types::{
    ContentPart, ConversationId, Message, MessageId, Provenance, Role, SequentialIds, Timestamp,
    TokenCount, TokenizerId, Tokens, TurnId,
};

/// 1 ─ 2 ─ 4 ─ 6, beside it 3 ─ 5 and a second root 7.
fn shape() -> Vec<Message> {
    tree(&[
        ("1", None),
        ("2", Some("1")),
        ("3", Some("1")),
        ("4", Some("2")),
        ("5", Some("3")),
        ("6", Some("4")),
        ("7", None),
    ])
}

fn fork(messages: Vec<Message>, request: ForkRequest<'_>) -> Result<Fork, ThreadError> {
    MessageThread::normalise(messages).fork(
        request,
        &SequentialIds::new("copy"),
        &ConversationId::new("other").expect("valid"),
    )
}

/// Edges of the fork in old names, sorted.
fn old_edges(fork: &Fork) -> Vec<(String, Option<String>)> {
    let old: HashMap<&MessageId, &MessageId> =
        fork.new_ids.iter().map(|(old, new)| (new, old)).collect();
    let name = |new: &MessageId| old.get(new).expect("copied").to_string();
    let mut edges: Vec<_> = fork
        .messages
        .iter()
        .map(|message| (name(&message.id), message.parent.as_ref().map(name)))
        .collect();
    edges.sort();
    edges
}

fn check(mode: ForkMode, target: &str, split_at: Option<&str>, expected: &[(&str, Option<&str>)]) {
    let (target, split_at) = (id(target), split_at.map(id));
    let mut messages = shape();
    for _order in 0..messages.len() {
        messages.rotate_left(1);
        let request = ForkRequest { mode, target: &target, split_at: split_at.as_ref() };
        let fork = fork(messages.clone(), request).expect("forked");
        let expected: Vec<(String, Option<String>)> = expected
            .iter()
            .map(|(name, parent)| ((*name).to_owned(), parent.map(str::to_owned)))
            .collect();
        assert_eq!(old_edges(&fork), expected);
        assert_eq!(Some(&fork.head), fork.new_ids.get(&target));
    }
}

#[test]
fn direct_path_copies_the_path_alone() {
    check(ForkMode::DirectPath, "4", None, &[("1", None), ("2", Some("1")), ("4", Some("2"))]);
}

#[test]
fn include_branches_copies_what_hangs_on_the_path_but_not_below_the_target() {
    check(
        ForkMode::IncludeBranches,
        "4",
        None,
        &[("1", None), ("2", Some("1")), ("3", Some("1")), ("4", Some("2"))],
    );
}

#[test]
fn target_level_is_the_default_and_copies_every_branch_down_to_it() {
    check(
        ForkMode::default(),
        "4",
        None,
        &[
            ("1", None),
            ("2", Some("1")),
            ("3", Some("1")),
            ("4", Some("2")),
            ("5", Some("3")),
            ("7", None),
        ],
    );
    check(ForkMode::TargetLevel, "7", None, &[("1", None), ("7", None)]);
}

#[test]
fn split_makes_the_level_of_the_split_the_roots() {
    check(
        ForkMode::TargetLevel,
        "6",
        Some("2"),
        &[("2", None), ("3", None), ("4", Some("2")), ("5", Some("3")), ("6", Some("4"))],
    );
    check(ForkMode::DirectPath, "6", Some("2"), &[("2", None), ("4", Some("2")), ("6", Some("4"))]);
}

#[test]
fn a_fork_that_makes_no_sense_is_refused() {
    let (nobody, one, six) = (id("nobody"), id("1"), id("6"));
    let request = |target, split_at| ForkRequest { mode: ForkMode::TargetLevel, target, split_at };
    let refused = |request| fork(shape(), request).map(|fork| fork.messages.len());
    assert_eq!(refused(request(&nobody, None)), Err(ThreadError::NotFound));
    assert_eq!(refused(request(&six, Some(&nobody))), Err(ThreadError::NotFound));
    assert_eq!(refused(request(&one, Some(&six))), Err(ThreadError::ForkEndsBeforeStart));
}

#[test]
fn a_copy_keeps_everything_but_ids_conversation_and_turn() {
    let mut original = message("1", None, Role::Assistant, 7);
    original.turn = Some(TurnId::new("t").expect("valid"));
    original.token_counts = vec![TokenCount {
        tokens: Tokens::new(9),
        tokenizer: TokenizerId::from_static("o200k_base"),
        provenance: Provenance::Counted,
    }];
    let target = id("1");
    let request = ForkRequest { mode: ForkMode::DirectPath, target: &target, split_at: None };
    let fork = fork(vec![original.clone()], request).expect("forked");
    let expected = Message {
        id: id("copy-1"),
        conversation: ConversationId::new("other").expect("valid"),
        turn: None,
        ..original
    };
    assert_eq!(fork.messages, [expected]);
}

#[test]
fn no_copy_is_older_than_its_parent() {
    let messages = vec![
        message("1", None, Role::User, 50),
        message("2", Some("1"), Role::Assistant, 50),
        message("3", Some("2"), Role::User, 10),
        message("4", Some("3"), Role::Assistant, 90),
    ];
    let target = id("4");
    let request = ForkRequest { mode: ForkMode::DirectPath, target: &target, split_at: None };
    let fork = fork(messages, request).expect("forked");
    let times: Vec<i64> = fork.messages.iter().map(|m| m.created_at.unix_ms()).collect();
    assert_eq!(times, [50, 51, 52, 90]);
}

#[test]
fn a_summary_names_the_copy_it_covers_or_goes() {
    let mut messages = shape();
    messages[3].parts = vec![summary("s", "2"), ContentPart::text("after")];
    let (target, split) = (id("6"), id("4"));
    let request = |split_at| ForkRequest { mode: ForkMode::DirectPath, target: &target, split_at };
    let whole = fork(messages.clone(), request(None)).expect("forked");
    assert_eq!(whole.messages[2].parts, [summary("s", "copy-2"), ContentPart::text("after")]);
    let split = fork(messages, request(Some(&split))).expect("forked");
    assert_eq!(split.messages[0].parts, [ContentPart::text("after")]);
}

#[test]
fn a_kept_summary_goes_with_its_copy_unless_levels_above_are_split_off() {
    let mut messages = shape();
    messages[3].summary = Some(summary_up_to("s", "4"));
    let (target, root, split) = (id("6"), id("1"), id("4"));
    for split_at in [None, Some(&root)] {
        let request = ForkRequest { mode: ForkMode::DirectPath, target: &target, split_at };
        let whole = fork(messages.clone(), request).expect("forked");
        let kept: Vec<_> = whole.messages.iter().map(|message| message.summary.clone()).collect();
        assert_eq!(kept, [None, None, Some(summary_up_to("s", "copy-3")), None]);
    }
    let request =
        ForkRequest { mode: ForkMode::DirectPath, target: &target, split_at: Some(&split) };
    let split = fork(messages, request).expect("forked");
    assert!(split.messages.iter().all(|message| message.summary.is_none()));
}

#[test]
fn ten_thousand_messages_in_reverse_order_are_copied_in_order() {
    let mut messages: Vec<Message> = (0..10_000_i64)
        .map(|number| {
            let parent = (number > 0).then(|| format!("m-{}", number - 1));
            message(&format!("m-{number}"), parent.as_deref(), Role::User, 0)
        })
        .collect();
    messages.reverse();
    let target = id("m-9999");
    let request = ForkRequest { mode: ForkMode::TargetLevel, target: &target, split_at: None };
    let fork = fork(messages, request).expect("forked");
    assert_eq!(fork.messages.len(), 10_000);
    assert_eq!(fork.messages[9_999].created_at, Timestamp::from_unix_ms(9_999));
    assert_eq!(names(fork.messages.iter().take(2)), ["copy-1", "copy-2"]);
}
