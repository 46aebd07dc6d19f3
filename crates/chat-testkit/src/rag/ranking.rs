//! The order of an answer, and what it says of itself.

use super::{Index, add, ask, document, found, question};
use chat_rag::Document;

const TOPICS: [(&str, &str); 6] = [
    ("kettle", "Descale the electric kettle with vinegar every month, then rinse it twice."),
    ("bicycle", "Oil the bicycle chain after riding in the rain and check the brake pads."),
    ("bread", "Knead the dough for ten minutes and let the bread rise overnight."),
    ("garden", "Prune the roses in early spring before new leaves appear."),
    ("piano", "A piano should be tuned twice a year by a trained technician."),
    ("tax", "The tax return is due at the end of July; keep receipts for seven years."),
];

async fn add_topics(index: &Index) {
    for (name, text) in TOPICS {
        add(index, &document(name, text)).await;
    }
}

/// The document that answers stands first.
pub async fn the_chunk_that_answers_comes_first(index: &Index) {
    add_topics(index).await;
    for (query, expected) in [
        ("How do I descale my kettle?", "kettle"),
        ("When should I prune roses?", "garden"),
        ("How long do I knead bread dough?", "bread"),
        ("Until when do I keep tax receipts?", "tax"),
    ] {
        let documents = found(index, query).await;
        assert_eq!(documents.first().map(String::as_str), Some(expected), "{query}: {documents:?}");
    }
}

/// Ranks run from 1 without a gap; every score is a share.
pub async fn ranks_are_counted_and_scores_are_shares(index: &Index) {
    add_topics(index).await;
    let answer = ask(index, &question("the kettle and the piano in spring")).await;
    assert!(!answer.is_empty());
    for (snippet, rank) in answer.iter().zip(1_u32..) {
        assert_eq!(snippet.rank, rank);
        assert!((0.0..=1.0).contains(&snippet.score), "{snippet:?}");
    }
    let best = ask(index, &question("piano tuned technician")).await;
    assert!(best[0].score > 0.5, "{:?}", best[0]);
}

/// Asking again gives the same list, to the last bit.
pub async fn the_same_question_gives_the_same_list(index: &Index) {
    for n in 0..20 {
        add(index, &document(&format!("d-{n}"), "Equal words in every kettle document.")).await;
    }
    add_topics(index).await;
    let first = ask(index, &question("kettle").with_limit(10)).await;
    assert_eq!(first.len(), 10);
    for _ in 0..5 {
        assert_eq!(ask(index, &question("kettle").with_limit(10)).await, first);
    }
}

/// A word that few documents have counts more than one that all have.
pub async fn rare_words_decide(index: &Index) {
    for n in 0..30 {
        let text = format!("The machine manual, chapter number{n}, says how the machine works.");
        add(index, &document(&format!("d-{n}"), &text)).await;
    }
    add(index, &document("rare", "Error zx4711 means that the machine is cold.")).await;
    let documents = found(index, "machine zx4711").await;
    assert_eq!(documents.first().map(String::as_str), Some("rare"));
}

/// The text of a snippet stands in its document where it says.
pub async fn a_snippet_is_a_place_of_its_document(index: &Index) {
    let section = |n: usize| {
        format!(
            "## Part {n}\n\nThing{n} is described at length here. {}\n\n",
            "More words about it. ".repeat(30)
        )
    };
    let text: String = (0..12).map(section).collect();
    let long = Document { media_type: "text/markdown".to_owned(), ..document("long", &text) };
    let added = add(index, &long).await;
    assert!(added.chunks >= 4, "{added:?}");
    for n in [0, 5, 11] {
        let answer = ask(index, &question(&format!("thing{n}"))).await;
        let snippet = &answer[0];
        assert!(snippet.text.contains(&format!("Thing{n} is described")), "{snippet:?}");
        let (first, end) = snippet.location.bytes.expect("the place is known");
        let place = |byte| usize::try_from(byte).expect("fits");
        assert_eq!(text.get(place(first)..place(end)), Some(snippet.text.as_str()));
        let (first_line, last_line) = snippet.location.lines.expect("the lines are known");
        let lines: Vec<&str> = text.lines().collect();
        let line = |number: u32| lines[place(u64::from(number)) - 1];
        assert_eq!(snippet.text.lines().next(), Some(line(first_line)));
        assert_eq!(snippet.text.lines().last(), Some(line(last_line).trim_end()));
    }
}

/// The same content has the same source ids when it comes again.
pub async fn ids_stay_when_content_comes_again(index: &Index) {
    let text = "Alpha beta gamma delta. ".repeat(150);
    add(index, &document("d", &text)).await;
    let before = ask(index, &question("alpha").with_limit(100)).await;
    add(index, &document("d", "Something else entirely.")).await;
    add(index, &document("d", &text)).await;
    let mut after = ask(index, &question("alpha").with_limit(100)).await;
    let mut before: Vec<_> = before.into_iter().map(|snippet| (snippet.id, snippet.text)).collect();
    before.sort();
    after.sort_by(|left, right| left.id.cmp(&right.id));
    let after: Vec<_> = after.into_iter().map(|snippet| (snippet.id, snippet.text)).collect();
    assert_eq!(after, before);
}

/// A document is found by its name and the headings above a text too.
pub async fn the_label_is_searched_too(index: &Index) {
    let body = "Press it for three seconds.\n";
    let manual = Document {
        media_type: "text/markdown".to_owned(),
        name: "toaster-manual.md".to_owned(),
        ..document("m", &format!("# Buttons\n\n{body}"))
    };
    add(index, &manual).await;
    add(index, &document("other", "Nothing of that kind.")).await;
    assert_eq!(found(index, "toaster").await.first().map(String::as_str), Some("m"));
    assert_eq!(found(index, "buttons").await.first().map(String::as_str), Some("m"));
}
