//! The order in which a conversation's messages come: parents first, otherwise as they were written.

use std::collections::{HashMap, HashSet, VecDeque};

use chat_types::MessageId;
use mongodb::bson::Document;
use mongodb::bson::oid::ObjectId;

use super::LibreChatReport;

/// A conversation's messages in order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ordered {
    /// `_id` and repaired parent.
    pub(super) places: Vec<(ObjectId, Option<MessageId>)>,
    /// All ids.
    pub(super) ids: HashSet<MessageId>,
    /// The message written last.
    pub(super) newest: Option<MessageId>,
}

struct Skeleton {
    object_id: ObjectId,
    id: MessageId,
    parent: Option<MessageId>,
}

/// Orders what was read in the order of `_id`.
pub(super) fn parents_first(documents: &[Document], report: &mut LibreChatReport) -> Ordered {
    let mut ordered = Ordered::default();
    let mut skeletons = Vec::with_capacity(documents.len());
    for document in documents {
        let id = document.get_str("messageId").ok().and_then(|id| MessageId::new(id).ok());
        let (Some(id), Ok(object_id)) = (id, document.get_object_id("_id")) else {
            report.messages_left_out += 1;
            continue;
        };
        if !ordered.ids.insert(id.clone()) {
            report.messages_twice += 1;
            continue;
        }
        let parent = crate::record::parent_named(document, &id);
        skeletons.push(Skeleton { object_id, id, parent });
    }
    ordered.newest = skeletons.last().map(|last| last.id.clone());
    let mut waiting: HashMap<MessageId, Vec<Skeleton>> = HashMap::new();
    let mut placed: HashSet<MessageId> = HashSet::new();
    for mut skeleton in skeletons {
        if skeleton.parent.as_ref().is_some_and(|parent| !ordered.ids.contains(parent)) {
            report.orphans += 1;
            skeleton.parent = None;
        }
        match &skeleton.parent {
            Some(parent) if !placed.contains(parent) => {
                waiting.entry(parent.clone()).or_default().push(skeleton);
            }
            _ => place(skeleton, &mut ordered, &mut placed, &mut waiting),
        }
    }
    // What still waits stands in circles, or below one: open each at its oldest message.
    while let Some((parent, place_in)) = oldest(&waiting) {
        let Some(entry) = waiting.get_mut(&parent) else {
            break;
        };
        let mut skeleton = entry.remove(place_in);
        if entry.is_empty() {
            waiting.remove(&parent);
        }
        report.cycles += 1;
        skeleton.parent = None;
        place(skeleton, &mut ordered, &mut placed, &mut waiting);
    }
    ordered
}

/// Places a message and everything that waited for it.
fn place(
    skeleton: Skeleton,
    ordered: &mut Ordered,
    placed: &mut HashSet<MessageId>,
    waiting: &mut HashMap<MessageId, Vec<Skeleton>>,
) {
    let mut next = VecDeque::from([skeleton]);
    while let Some(skeleton) = next.pop_front() {
        next.extend(waiting.remove(&skeleton.id).into_iter().flatten());
        placed.insert(skeleton.id);
        ordered.places.push((skeleton.object_id, skeleton.parent));
    }
}

fn oldest(waiting: &HashMap<MessageId, Vec<Skeleton>>) -> Option<(MessageId, usize)> {
    let all = waiting.iter().flat_map(|(parent, skeletons)| {
        skeletons.iter().enumerate().map(move |(n, skeleton)| (skeleton.object_id, parent, n))
    });
    all.min_by_key(|(object_id, ..)| *object_id).map(|(_, parent, n)| (parent.clone(), n))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    /// Places by the last byte of `_id`, with the parent each came with.
    fn order(messages: &[(&str, &str)]) -> (Vec<(u8, Option<String>)>, LibreChatReport) {
        let documents: Vec<Document> = messages
            .iter()
            .zip(1_u8..)
            .map(|((id, parent), n)| {
                let object_id = ObjectId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]);
                doc! { "_id": object_id, "messageId": id, "parentMessageId": parent }
            })
            .collect();
        let mut report = LibreChatReport::default();
        let ordered = parents_first(&documents, &mut report);
        let places = ordered
            .places
            .iter()
            .map(|(object_id, parent)| {
                let [.., n] = object_id.bytes();
                (n, parent.as_ref().map(|parent| parent.as_str().to_owned()))
            })
            .collect();
        (places, report)
    }

    fn parent(id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    #[test]
    fn a_child_written_before_its_parent_waits() {
        let root = "00000000-0000-0000-0000-000000000000";
        let (places, report) = order(&[("b", "a"), ("c", "b"), ("a", root)]);
        assert_eq!(places, [(3, None), (1, parent("a")), (2, parent("b"))]);
        assert_eq!(report, LibreChatReport::default());
    }

    #[test]
    fn orphans_doubles_and_circles_are_repaired_and_counted() {
        let (places, report) =
            order(&[("a", "gone"), ("a", ""), ("x", "y"), ("y", "x"), ("z", "y"), ("b?", "a")]);
        assert_eq!(places, [(1, None), (3, None), (4, parent("x")), (5, parent("y"))]);
        let expected = LibreChatReport {
            orphans: 1,
            messages_twice: 1,
            cycles: 1,
            messages_left_out: 1,
            ..LibreChatReport::default()
        };
        assert_eq!(report, expected);
    }
}
