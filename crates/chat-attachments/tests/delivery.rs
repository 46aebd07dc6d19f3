//! The table of deliveries: kind × what the model takes × what the user chose.

use chat_attachments::{Delivered, Delivery, FileKind, deliver};
use chat_types::Modalities;

const ALL: Modalities = Modalities { images: true, files: true, audio: true };
const NONE: Modalities = Modalities { images: false, files: false, audio: false };

use Delivery::{Native, Text};

fn check(
    kind: FileKind,
    modalities: Modalities,
    choice: Option<Delivery>,
    has_text: Option<bool>,
    expected: (Delivery, &str),
) {
    let Delivered { how, reason, .. } = deliver(kind, modalities, choice, has_text);
    assert_eq!((how, reason), expected, "{kind:?} {modalities:?} {choice:?} {has_text:?}");
}

#[test]
fn a6_delivery_none_sends_neither() {
    let expected = (Delivery::None, "the user chose not to send it");
    for kind in [FileKind::Pdf, FileKind::Image, FileKind::Text, FileKind::Audio, FileKind::Other] {
        check(kind, ALL, Some(Delivery::None), None, expected);
    }
}

#[test]
fn a6_delivery_text_goes_to_the_context_only() {
    check(FileKind::Pdf, ALL, Some(Text), None, (Text, "the user chose text"));
    check(FileKind::Docx, NONE, Some(Text), Some(true), (Text, "the user chose text"));
    let none = (Delivery::None, "the user chose text, and it has none");
    check(FileKind::Pdf, ALL, Some(Text), Some(false), none);
    check(FileKind::Image, ALL, Some(Text), None, none);
}

#[test]
fn a6_delivery_native_is_encoded_for_the_provider() {
    let expected = (Native, "the user chose the file itself");
    for kind in [FileKind::Pdf, FileKind::Image, FileKind::Audio] {
        check(kind, ALL, Some(Native), None, expected);
    }
}

#[test]
fn a6_an_explicit_choice_wins_over_what_the_model_could_do() {
    check(FileKind::Pdf, ALL, None, None, (Native, "the model takes the file itself"));
    check(FileKind::Pdf, ALL, Some(Text), None, (Text, "the user chose text"));
    let text = (Text, "the model does not take the file itself");
    check(FileKind::Pdf, NONE, Some(Native), None, text);
    check(FileKind::Docx, ALL, Some(Native), None, text);
    check(FileKind::Image, NONE, Some(Native), None, (Delivery::None, "the model takes no images"));
}

#[test]
fn without_a_choice_the_model_decides() {
    for kind in [
        FileKind::Text,
        FileKind::Markdown,
        FileKind::Code,
        FileKind::Csv,
        FileKind::Json,
        FileKind::Html,
        FileKind::Docx,
        FileKind::Xlsx,
        FileKind::Pptx,
    ] {
        check(kind, ALL, None, None, (Text, "its text is sent"));
    }
    check(FileKind::Pdf, NONE, None, None, (Text, "its text is sent"));
    let scanned = (Delivery::None, "it has no text, and the model does not take the file itself");
    check(FileKind::Pdf, NONE, None, Some(false), scanned);
    check(FileKind::Pdf, ALL, None, Some(false), (Native, "the model takes the file itself"));
    check(FileKind::Image, NONE, None, None, (Delivery::None, "the model takes no images"));
    check(FileKind::Audio, NONE, None, None, (Delivery::None, "the model takes no audio"));
    check(FileKind::Other, ALL, None, None, (Delivery::None, "nothing can be read from it"));
}
