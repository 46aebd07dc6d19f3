//! The tree as it is read: H1 to H10 of the reference cases, as far as they are pure.

use crate::common::{id, message, names, summary, summary_up_to, tree};
use chat_thread::{BranchErrorKind, BranchReader as _, MemoryBranch, MessageThread};
use chat_thread::{Place, ThreadError};
use chat_types::{ContentPart, ConversationId, Message, MessageId, Role};

fn check_path(messages: Vec<Message>, head: Option<&str>, expected: &[&str]) {
    let thread = MessageThread::normalise(messages);
    let head = head.map(id);
    assert_eq!(names(thread.path(head.as_ref())), expected);
}

fn chain() -> Vec<Message> {
    tree(&[("1", None), ("2", Some("1")), ("3", Some("2"))])
}

fn branched() -> Vec<Message> {
    tree(&[
        ("1", None),
        ("2", Some("1")),
        ("3", Some("1")),
        ("4", Some("2")),
        ("5", Some("3")),
        ("6", Some("5")),
        ("7", Some("5")),
        ("8", Some("7")),
        ("9", Some("6")),
        ("10", Some("7")),
    ])
}

#[test]
fn h1_no_head_gives_an_empty_path_and_a_head_only_its_branch() {
    check_path(branched(), None, &[]);
    check_path(branched(), Some("9"), &["1", "3", "5", "6", "9"]);
}

#[tokio::test]
async fn h2_a_branch_reader_finds_nothing_it_was_not_bound_to() {
    let reader = MemoryBranch::new(chain());
    let refused = reader.page(&id("of-another-user"), 10).await.expect_err("refused");
    assert_eq!(refused.kind(), BranchErrorKind::NotFound);
    assert_eq!(refused.code(), "message_not_found");
    assert!(!refused.is_transient());
}

#[test]
fn h3_an_unknown_head_is_empty_and_a_root_is_just_itself() {
    check_path(chain(), Some("nobody"), &[]);
    check_path(chain(), Some("1"), &["1"]);
}

#[test]
fn h4_a_cycle_is_walked_once() {
    let cyclic = tree(&[("1", Some("3")), ("2", Some("1")), ("3", Some("2"))]);
    check_path(cyclic, Some("3"), &["1", "2", "3"]);
    check_path(tree(&[("1", Some("1"))]), Some("1"), &["1"]);
}

#[test]
fn h5_unordered_input_gives_a_chronological_branch() {
    let mut messages = chain();
    messages.reverse();
    check_path(messages.clone(), Some("3"), &["1", "2", "3"]);
    messages.swap(0, 1);
    check_path(messages, Some("3"), &["1", "2", "3"]);
}

#[test]
fn h6_side_branches_and_duplicates_stay_out() {
    let mut messages = branched();
    let mut impostor = message("7", Some("2"), Role::User, 5);
    impostor.parts = vec![ContentPart::text("impostor")];
    messages.push(impostor);
    let thread = MessageThread::normalise(messages.clone());
    assert_eq!(thread.messages().len(), 10);
    assert_eq!(
        thread.message(&id("7")).map(Message::text),
        Some("text of 7".to_owned()),
        "the first of two wins",
    );
    check_path(messages, Some("10"), &["1", "3", "5", "7", "10"]);
}

#[test]
fn h7_nothing_gives_nothing_and_each_message_is_visited_once() {
    check_path(Vec::new(), Some("1"), &[]);
    let thread = MessageThread::normalise(chain());
    let mut visits = 0;
    let head = id("3");
    let texts: Vec<String> = thread
        .ancestors(Some(&head))
        .map(|message| {
            visits += 1;
            message.text()
        })
        .collect();
    assert_eq!((visits, texts.len()), (3, 3));
}

fn with_summary(
    mut messages: Vec<Message>,
    carrier: &str,
    parts: Vec<ContentPart>,
) -> Vec<Message> {
    let place = messages.iter().position(|message| message.id == id(carrier)).expect("known");
    messages[place].parts = parts;
    messages
}

fn check_summary(messages: Vec<Message>, head: &str, text: Option<&str>, path: &[&str]) {
    let thread = MessageThread::normalise(messages);
    let path_read = thread.path_from_summary(Some(&id(head)));
    assert_eq!(path_read.summary.map(|found| found.summary.text.as_str()), text);
    assert_eq!(names(path_read.messages), path);
}

#[test]
fn h8_the_newest_summary_on_the_path_starts_it() {
    let one = with_summary(branched(), "5", vec![summary("s5", "3")]);
    check_summary(one.clone(), "10", Some("s5"), &["5", "7", "10"]);
    check_summary(one.clone(), "4", None, &["1", "2", "4"]);
    let two = with_summary(one, "7", vec![summary("s7", "5")]);
    check_summary(two.clone(), "10", Some("s7"), &["7", "10"]);
    check_summary(two, "9", Some("s5"), &["5", "6", "9"]);
    let at_root = with_summary(branched(), "1", vec![summary("s1", "1")]);
    check_summary(at_root, "4", Some("s1"), &["1", "2", "4"]);
}

#[test]
fn a_summary_leaves_what_it_does_not_cover() {
    let messages = with_summary(branched(), "10", vec![summary("s", "3")]);
    check_summary(messages, "10", Some("s"), &["5", "7", "10"]);
    let elsewhere = with_summary(branched(), "10", vec![summary("s", "4")]);
    check_summary(elsewhere, "10", Some("s"), &["10"]);
}

#[test]
fn h9_parts_after_the_summary_are_kept_and_blank_ones_ignored() {
    let parts = vec![summary("old", "1"), summary("new", "2"), ContentPart::text("after")];
    let thread = MessageThread::normalise(with_summary(chain(), "3", parts));
    let path = thread.path_from_summary(Some(&id("3")));
    let found = path.summary.expect("a summary");
    assert_eq!((found.part, found.summary.text.as_str()), (1, "new"));
    let trailing: Vec<_> = path.messages[0].parts.iter().skip(found.part + 1).collect();
    assert_eq!(trailing, [&ContentPart::text("after")]);

    let blank = with_summary(chain(), "2", vec![summary("kept", "1")]);
    let blank = with_summary(blank, "3", vec![summary(" \n\t", "2")]);
    check_summary(blank, "3", Some("kept"), &["2", "3"]);
}

#[test]
fn a_summary_kept_with_a_message_covers_it_whole() {
    let kept = |carrier: &str, text: &str| {
        let mut messages = with_summary(branched(), "5", vec![summary("part", "3")]);
        let place = messages.iter().position(|message| message.id == id(carrier)).expect("known");
        messages[place].summary = Some(summary_up_to(text, carrier));
        messages
    };
    check_summary(kept("3", "s3"), "7", Some("part"), &["5", "7"]);
    check_summary(kept("5", "s5"), "10", Some("s5"), &["7", "10"]);
    check_summary(kept("7", "s7"), "7", Some("s7"), &[]);
    check_summary(kept("5", " \n"), "10", Some("part"), &["5", "7", "10"]);
    check_summary(kept("2", "s2"), "7", Some("part"), &["5", "7"]);
    let thread = MessageThread::normalise(kept("5", "s5"));
    let found = thread.summary_on_path(Some(&id("10"))).expect("a summary");
    assert_eq!((found.part, found.is_kept_with_message()), (1, true));
}

#[test]
fn h10_no_part_no_text_and_blank_text_are_no_summary() {
    for parts in [
        vec![],
        vec![ContentPart::text("summary")],
        vec![summary("", "2")],
        vec![summary("  ", "2")],
    ] {
        let messages = with_summary(chain(), "3", parts);
        check_summary(messages, "3", None, &["1", "2", "3"]);
    }
}

#[test]
fn a_missing_parent_ends_the_path_and_keeps_what_was_found() {
    let orphaned = tree(&[("2", Some("gone")), ("3", Some("2"))]);
    check_path(orphaned.clone(), Some("3"), &["2", "3"]);
    let thread = MessageThread::normalise(orphaned);
    assert_eq!(names(thread.roots()), ["2"]);
}

#[test]
fn children_siblings_leaves_and_depth_agree() {
    let thread = MessageThread::normalise(branched());
    assert_eq!(names(thread.children(&id("1"))), ["2", "3"]);
    assert_eq!(names(thread.siblings(&id("3"))), ["2", "3"]);
    assert_eq!(names(thread.siblings(&id("1"))), ["1"]);
    let mut leaves = names(thread.leaves());
    leaves.sort_unstable();
    assert_eq!(leaves, ["10", "4", "8", "9"]);
    assert_eq!(thread.depth(&id("1")), Some(0));
    assert_eq!(thread.depth(&id("10")), Some(4));
    assert_eq!(thread.depth(&id("nobody")), None);
    assert!(thread.siblings(&id("nobody")).is_empty());
}

#[test]
fn an_edit_a_regeneration_and_a_continuation_are_siblings() {
    let messages = [
        message("q", None, Role::User, 0),
        message("a", Some("q"), Role::Assistant, 1),
        message("q2", Some("a"), Role::User, 2),
        message("lone", None, Role::Assistant, 3),
    ];
    let thread = MessageThread::normalise(messages);
    let place = |parent: &str, kept| Place { parent: Some(id(parent)), kept };
    assert_eq!(thread.edit(&id("q2")), Ok(place("a", vec![])));
    let new_root = Place { parent: None, kept: vec![] };
    assert_eq!(thread.edit(&id("q")), Ok(new_root));
    assert_eq!(thread.regenerate(&id("a")), Ok(place("q", vec![])));
    let kept = vec![ContentPart::text("text of a")];
    assert_eq!(thread.continue_from(&id("a")), Ok(place("q", kept)));

    assert_eq!(thread.edit(&id("a")), Err(ThreadError::NotAUserMessage));
    assert_eq!(thread.regenerate(&id("q2")), Err(ThreadError::NotAReply));
    assert_eq!(thread.continue_from(&id("q")), Err(ThreadError::NotAReply));
    assert_eq!(thread.regenerate(&id("lone")), Err(ThreadError::NothingToAnswer));
    assert_eq!(thread.edit(&id("nobody")), Err(ThreadError::NotFound));
}

#[test]
fn append_adds_below_its_parent_and_refuses_the_rest() {
    let mut thread = MessageThread::normalise(chain());
    let early = message("early", Some("1"), Role::User, 5);
    assert_eq!(thread.append(early), Ok(()));
    assert_eq!(names(thread.children(&id("1"))), ["early", "2"]);
    let refusals = [
        (message("2", Some("1"), Role::User, 0), ThreadError::DuplicateId),
        (message("x", Some("gone"), Role::User, 0), ThreadError::UnknownParent),
        (
            Message {
                conversation: ConversationId::new("other").expect("valid"),
                ..message("x", Some("1"), Role::User, 0)
            },
            ThreadError::ForeignConversation,
        ),
    ];
    for (refused, error) in refusals {
        assert_eq!(thread.append(refused), Err(error));
    }
    assert_eq!(thread.messages().len(), 4);
}

#[tokio::test]
async fn pages_join_to_the_branch() {
    let thread = MessageThread::normalise(branched());
    let reader = MemoryBranch::new(branched());
    for limit in 0..7 {
        let mut next: Option<MessageId> = Some(id("10"));
        let mut read = Vec::new();
        while let Some(head) = next {
            let page = reader.page(&head, limit).await.expect("there");
            assert!(page.messages.len() <= limit.max(1));
            read.extend(page.messages);
            next = page.next;
        }
        read.reverse();
        assert_eq!(names(&read), names(thread.path(Some(&id("10")))));
    }
}

#[tokio::test]
async fn a_broken_chain_ends_a_page_without_an_error() {
    let reader = MemoryBranch::new(tree(&[("2", Some("gone")), ("3", Some("2"))]));
    let page = reader.page(&id("3"), 2).await.expect("there");
    assert_eq!((names(&page.messages), page.next), (vec!["3", "2"], None));
}
