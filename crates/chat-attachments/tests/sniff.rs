//! The bytes decide what a file is; a name only chooses among kinds of text.

mod support;

use chat_attachments::{FileKind, sniff};
use support::{docx, mp3, pdf, picture, pptx, wav, without_directory, xlsx, zip};

fn check(name: &str, bytes: &[u8], media_type: &str, kind: FileKind) {
    let found = sniff(name, bytes);
    assert_eq!((found.media_type.as_str(), found.kind), (media_type, kind), "{name}");
    assert_eq!(FileKind::of_media_type(&found.media_type), kind, "a record tells the kind: {name}");
}

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

#[test]
fn binary_formats_are_known_whatever_their_name() {
    let png = picture(8, 8, image::ImageFormat::Png);
    let cases: [(Vec<u8>, &str, FileKind); 13] = [
        (pdf(&["one"]), "application/pdf", FileKind::Pdf),
        (docx("a", &["b"], &["c"]), DOCX, FileKind::Docx),
        (xlsx("a", &[&["b"]]), XLSX, FileKind::Xlsx),
        (pptx(&["a"]), PPTX, FileKind::Pptx),
        (zip(&[("a.txt", b"a")]), "application/zip", FileKind::Other),
        (png, "image/png", FileKind::Image),
        (picture(8, 8, image::ImageFormat::Jpeg), "image/jpeg", FileKind::Image),
        (picture(8, 8, image::ImageFormat::Gif), "image/gif", FileKind::Image),
        (picture(8, 8, image::ImageFormat::WebP), "image/webp", FileKind::Image),
        (picture(8, 8, image::ImageFormat::Bmp), "image/bmp", FileKind::Image),
        (wav(8_000, 80, 1), "audio/wav", FileKind::Audio),
        (mp3(3), "audio/mpeg", FileKind::Audio),
        (
            b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".repeat(8),
            "application/x-executable",
            FileKind::Other,
        ),
    ];
    for (bytes, media_type, kind) in cases {
        for name in ["file", "notes.txt", "report.pdf", "photo.png", "page.html"] {
            check(name, &bytes, media_type, kind);
        }
    }
}

#[test]
fn a_cut_office_file_is_still_one() {
    let whole = docx("a", &["b"], &["c"]);
    check("a.docx", &without_directory(&whole), DOCX, FileKind::Docx);
}

#[test]
fn extensions_choose_among_kinds_of_text() {
    let text = b"plain words\n";
    check("a.txt", text, "text/plain", FileKind::Text);
    check("a.MD", text, "text/markdown", FileKind::Markdown);
    check("a.csv", text, "text/csv", FileKind::Csv);
    check("a.json", text, "application/json", FileKind::Json);
    check("a.html", text, "text/html", FileKind::Html);
    check("a.rs", text, "text/x-rust", FileKind::Code);
    check("a.yaml", text, "application/yaml", FileKind::Code);
    check("a.svg", text, "image/svg+xml", FileKind::Code);
    check("a.pdf", text, "text/plain", FileKind::Text);
    check("a.png", text, "text/plain", FileKind::Text);
    check("a.docx", text, "text/plain", FileKind::Text);
}

#[test]
fn the_look_of_a_text_tells_without_an_extension() {
    check("a", b" <!DOCTYPE HTML><html><p>x</p></html>", "text/html", FileKind::Html);
    check("a", br#"{"a": [1, 2]}"#, "application/json", FileKind::Json);
    check("a", b"{ not json }", "text/plain", FileKind::Text);
    check("a", b"<?xml version='1.0'?><a/>", "application/xml", FileKind::Code);
    check("a", b"#!/bin/sh\necho\n", "text/x-shellscript", FileKind::Code);
    check("a", b"a,b,c\n1,2,3\n4,5,6\n", "text/csv", FileKind::Csv);
    check("a", b"# Title\n\nSee [this](that).\n", "text/markdown", FileKind::Markdown);
    check("a", b"Dear all,\n\nno marks here.\n", "text/plain", FileKind::Text);
    check("a", b"", "text/plain", FileKind::Text);
}

#[test]
fn text_of_other_encodings_is_text() {
    let utf16 = |little: bool| -> Vec<u8> {
        let units = "\u{feff}Größe 日本\n".encode_utf16();
        units.flat_map(|u| if little { u.to_le_bytes() } else { u.to_be_bytes() }).collect()
    };
    check("a.txt", &utf16(true), "text/plain", FileKind::Text);
    check("a.md", &utf16(false), "text/markdown", FileKind::Markdown);
    check("a.txt", b"\xef\xbb\xbfwith a mark", "text/plain", FileKind::Text);
    check("a.txt", b"Gr\xf6\xdfe und Ma\xdf in Latin-1\n", "text/plain", FileKind::Text);
    check(
        "a.txt",
        "cut in a character: é".as_bytes().split_last().unwrap().1,
        "text/plain",
        FileKind::Text,
    );
}

#[test]
fn binary_data_is_no_text() {
    let noise: Vec<u8> =
        (0..4_096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    check("a.txt", &noise, "application/octet-stream", FileKind::Other);
    check("a.txt", b"text with a \0 in it", "application/octet-stream", FileKind::Other);
    let old_office = [&b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..], &[0; 600]].concat();
    check("a.doc", &old_office, "application/x-ole-storage", FileKind::Other);
}
