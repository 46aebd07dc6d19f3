//! What is read from each format, through the child process.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail the test"
)]

mod support;

use chat_attachments::{
    ExtractError, ExtractErrorKind, Extracted, FileKind, ImageBounds, PreparedImage, Source, sniff,
};
use support::{
    docx, docx_of, extractor, limited, mp3, pdf, pdf_of, pdf_stream, picture, pptx, wav,
    without_directory, xlsx,
};

async fn try_read(name: &str, bytes: Vec<u8>) -> Result<Extracted, ExtractError> {
    let kind = sniff(name, &bytes).kind;
    extractor().text(Source::Bytes(bytes.into()), kind).await
}

async fn read(name: &str, bytes: impl Into<Vec<u8>>) -> Extracted {
    let read = try_read(name, bytes.into()).await.unwrap();
    assert_eq!(read.version, chat_attachments::EXTRACTION_VERSION);
    assert!(!read.is_truncated);
    read
}

async fn prepare(bytes: Vec<u8>, bounds: &ImageBounds) -> PreparedImage {
    extractor().image(Source::Bytes(bytes.into()), bounds).await.unwrap()
}

#[tokio::test]
async fn text_kinds_come_as_they_are() {
    for (name, text) in [
        ("a.txt", "two\nlines\n"),
        ("a.md", "# Title\n\n- item\n"),
        ("a.rs", "fn main() {}\n"),
        ("a.csv", "a;b\n1;2\n"),
        ("a.json", "{\"a\": [1, {\"b\": \"}]{\\\"[[\"}]}"),
    ] {
        assert_eq!(read(name, text).await.text, text);
    }
}

#[tokio::test]
async fn old_encodings_become_utf_8() {
    assert_eq!(read("a.txt", &b"Gr\xf6\xdfe \x80 5\n"[..]).await.text, "Größe € 5\n");
    let utf16: Vec<u8> = "\u{feff}日本 ok\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(read("a.txt", utf16).await.text, "日本 ok\n");
    assert_eq!(read("a.txt", &b"\xef\xbb\xbfmark"[..]).await.text, "mark");
}

#[tokio::test]
async fn a_web_page_becomes_markdown_without_its_scripts() {
    let page = r#"<!doctype html><html><head><title>The title</title><style>p { color: red }</style>
        <script>if (a < b) { alert("no") }</script></head><body><h1>Head</h1><p>One &amp; <b>two</b>
        <a href="https://example.org/x">link</a></p><ul><li>first<li>second</ul>
        <table><tr><th>k</th><th>v</th></tr><tr><td>a</td><td>1</td></tr></table>
        <!-- hidden --><noscript>no</noscript></body></html>"#;
    let read = read("a.html", page).await;
    for wanted in
        ["The title", "# Head", "One & **two**", "[link](https://example.org/x)", "first", "| a"]
    {
        assert!(read.text.contains(wanted), "{wanted} in {}", read.text);
    }
    for unwanted in ["alert", "color", "hidden", "no", "<"] {
        assert!(!read.text.contains(unwanted), "{unwanted} in {}", read.text);
    }
}

#[tokio::test]
async fn code_within_a_page_is_not_taken_for_deep_markup() {
    let script = "if (a<b) { x<y; }".repeat(5_000);
    let page = format!("<html><script>{script}</script><!-- {} --><p>end", "<div>".repeat(5_000));
    assert!(read("a.html", page).await.text.contains("end"));
    let items = "<li>one<p>two".repeat(5_000);
    assert!(read("a.html", format!("<html><ul>{items}")).await.text.contains("two"));
}

#[tokio::test]
async fn a_page_of_an_old_encoding_says_so_itself() {
    let page = b"<html><head><meta charset=\"iso-8859-2\"></head><body>\xb3\xf3d\xbc</body></html>";
    assert!(read("a.html", &page[..]).await.text.contains("łódź"));
}

#[tokio::test]
async fn pages_of_a_pdf_are_parted_by_form_feeds() {
    let read = read("a.pdf", pdf(&["First page\nsecond line", "Another page"])).await;
    assert_eq!((read.kind, read.pages), (FileKind::Pdf, Some(2)));
    let pages: Vec<&str> = read.text.split('\u{c}').collect();
    assert_eq!(pages.len(), 2, "{:?}", read.text);
    assert!(pages[0].contains("First page") && pages[0].contains("second line"), "{pages:?}");
    assert!(pages[1].contains("Another page"), "{pages:?}");
}

#[tokio::test]
async fn a_page_that_cannot_be_read_costs_that_page_only() {
    // The second page has no size anywhere.
    let objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [4 0 R 6 0 R] /Count 2 >>".to_vec(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R /Resources << /Font << /F1 3 0 R >> >> >>".to_vec(),
        pdf_stream("", b"BT /F1 12 Tf 72 720 Td (readable) Tj ET"),
        b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R /Resources << /Font << /F1 3 0 R >> >> >>".to_vec(),
    ];
    let read = read("a.pdf", pdf_of(&objects, "")).await;
    assert!(read.text.contains("readable"), "{}", read.text);
    assert_eq!(read.notes, ["1 pages could not be read: 2"]);
}

#[tokio::test]
async fn a_pdf_without_text_says_so() {
    let read = read("scan.pdf", pdf(&[""])).await;
    assert_eq!(read.text, "");
    assert_eq!(read.notes, ["the document has no text: its pages may be scanned images"]);
}

fn locked_pdf(user_password: &str) -> Vec<u8> {
    use pdf_extract::{Document, EncryptionState, EncryptionVersion, Object, Permissions};
    let mut document = Document::load_mem(&pdf(&["between us"])).unwrap();
    let id = Object::string_literal("0123456789abcdef");
    document.trailer.set("ID", vec![id.clone(), id]);
    let version = EncryptionVersion::V2 {
        document: &document,
        owner_password: "owner",
        user_password,
        key_length: 128,
        permissions: Permissions::empty(),
    };
    let state = EncryptionState::try_from(version).unwrap();
    document.encrypt(&state).unwrap();
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn a_pdf_that_only_forbids_changes_is_read_and_one_with_a_password_is_not() {
    let read = read("a.pdf", locked_pdf("")).await;
    assert!(read.text.contains("between us"), "{}", read.text);
    let error = try_read("a.pdf", locked_pdf("secret")).await.unwrap_err();
    assert_eq!(error.kind(), ExtractErrorKind::Encrypted);
}

#[tokio::test]
async fn too_many_pages_are_refused() {
    let kind = FileKind::Pdf;
    let few = limited(|limits| limits.pages_max = 2);
    let error = few.text(Source::Bytes(pdf(&["a", "b", "c"]).into()), kind).await.unwrap_err();
    let expected = "the document has 3 pages, and at most 2 are read; split it";
    assert_eq!((error.code(), error.to_string().as_str()), ("too_many_pages", expected));
    assert!(few.text(Source::Bytes(pdf(&["a", "b"]).into()), kind).await.is_ok());
}

#[tokio::test]
async fn a_word_file_becomes_markdown() {
    let file = docx("Report", &["First *paragraph*.", "Second &amp; last."], &["key", "value"]);
    let read = read("a.docx", file).await;
    assert_eq!((read.kind, read.pages), (FileKind::Docx, None));
    for wanted in ["# Report", "First *paragraph*.", "Second & last.", "key", "value"] {
        assert!(read.text.contains(wanted), "{wanted} in {}", read.text);
    }
}

#[tokio::test]
async fn a_workbook_becomes_tables_under_the_names_of_its_sheets() {
    let read = read("a.xlsx", xlsx("Prices", &[&["item", "price"], &["apple", "3"]])).await;
    assert_eq!((read.kind, read.pages), (FileKind::Xlsx, Some(1)));
    for wanted in ["Prices", "item", "apple", "3", "|"] {
        assert!(read.text.contains(wanted), "{wanted} in {}", read.text);
    }
}

#[tokio::test]
async fn slides_come_in_their_order() {
    let read = read("a.pptx", pptx(&["Opening", "Middle", "End"])).await;
    assert_eq!((read.kind, read.pages), (FileKind::Pptx, Some(3)));
    let at = |text: &str| read.text.find(text).unwrap();
    assert!(at("Opening") < at("Middle") && at("Middle") < at("End"), "{}", read.text);
}

#[tokio::test]
async fn damaged_office_files_are_told() {
    let whole = docx("Report", &["text"], &["a"]);
    let cut = without_directory(&whole);
    assert_eq!(try_read("a.docx", cut).await.unwrap_err().kind(), ExtractErrorKind::Damaged);
    let broken = docx_of(b"<w:document><w:body><w:p></w:r></w:body>", &[]);
    let broken = try_read("a.docx", broken).await;
    assert!(broken.is_err_and(|error| error.kind() == ExtractErrorKind::Damaged));
}

#[tokio::test]
async fn long_text_is_cut_and_said_so() {
    let short = limited(|limits| limits.text_bytes_max = 10);
    let text = "äöüäöüäöü";
    let read = short.text(Source::Bytes(text.into()), FileKind::Text).await.unwrap();
    assert_eq!((read.text.as_str(), read.is_truncated), ("äöüäö", true));
}

#[tokio::test]
async fn images_tell_their_size() {
    for format in [
        image::ImageFormat::Png,
        image::ImageFormat::Jpeg,
        image::ImageFormat::Gif,
        image::ImageFormat::WebP,
        image::ImageFormat::Bmp,
    ] {
        let read = read("a", picture(60, 20, format)).await;
        let facts = (read.kind, read.width_px, read.height_px, read.text.as_str());
        assert_eq!(facts, (FileKind::Image, Some(60), Some(20), ""), "{format:?}");
    }
}

#[tokio::test]
async fn images_are_scaled_into_their_bounds() {
    let mut bounds = ImageBounds::default();
    bounds.side_px_max = 100;
    let png = prepare(picture(400, 200, image::ImageFormat::Png), &bounds).await;
    assert_eq!((png.media_type.as_str(), png.width_px, png.height_px), ("image/png", 100, 50));
    let jpeg = prepare(picture(200, 400, image::ImageFormat::Jpeg), &bounds).await;
    assert_eq!((jpeg.media_type.as_str(), jpeg.width_px, jpeg.height_px), ("image/jpeg", 50, 100));
    for prepared in [png, jpeg] {
        let decoded = image::load_from_memory(&prepared.bytes).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (prepared.width_px, prepared.height_px));
    }
    let small = prepare(picture(60, 20, image::ImageFormat::Png), &bounds).await;
    assert_eq!((small.width_px, small.height_px), (60, 20));
}

#[tokio::test]
async fn images_are_made_small_enough_to_be_sent() {
    let noise = image::RgbImage::from_fn(512, 512, |x, y| {
        let n =
            (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519);
        let [a, b, c, _] = n.to_be_bytes();
        image::Rgb([a, b, c])
    });
    let mut bytes = Vec::new();
    noise.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
    let mut bounds = ImageBounds::default();
    bounds.bytes_max = 20_000;
    let prepared = prepare(bytes.clone(), &bounds).await;
    assert_eq!(prepared.media_type, "image/jpeg");
    assert!(prepared.bytes.len() <= 20_000 && prepared.width_px < 512, "{}", prepared.bytes.len());
    bounds.bytes_max = 10;
    let error = extractor().image(Source::Bytes(bytes.into()), &bounds).await.unwrap_err();
    assert_eq!(error.kind(), ExtractErrorKind::TooLarge);
}

/// A JPEG that says that it is to be turned by 90°, and where it was taken.
fn turned_jpeg() -> Vec<u8> {
    let plain = picture(60, 20, image::ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    exif.extend_from_slice(&[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0]);
    exif.extend_from_slice(b"48.2N 16.4E at home");
    let mut file = plain[..2].to_vec();
    file.extend_from_slice(&[0xff, 0xe1]);
    file.extend_from_slice(&u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    file.extend_from_slice(&exif);
    file.extend_from_slice(&plain[2..]);
    file
}

#[tokio::test]
async fn a_turned_photo_is_upright_and_its_metadata_stays_here() {
    let read = read("photo.jpg", turned_jpeg()).await;
    assert_eq!((read.width_px, read.height_px), (Some(20), Some(60)));
    let sent = prepare(turned_jpeg(), &ImageBounds::default()).await;
    assert_eq!((sent.width_px, sent.height_px), (20, 60));
    assert!(!sent.bytes.windows(4).any(|window| window == b"Exif" || window == b"home"));
}

#[tokio::test]
async fn transparent_images_stay_transparent() {
    let clear = image::RgbaImage::from_pixel(30, 30, image::Rgba([10, 20, 30, 0]));
    let mut bytes = Vec::new();
    clear.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::WebP).unwrap();
    let sent = prepare(bytes, &ImageBounds::default()).await;
    assert_eq!(sent.media_type, "image/png");
    assert!(image::load_from_memory(&sent.bytes).unwrap().color().has_alpha());
}

#[tokio::test]
async fn audio_tells_its_duration() {
    let wav = read("a.wav", wav(8_000, 12_000, 1)).await;
    assert_eq!((wav.kind, wav.duration_ms), (FileKind::Audio, Some(1_500)));
    let mp3 = read("a.mp3", mp3(100)).await;
    let expected = 100 * 1_152 * 1_000 / 44_100;
    assert!(mp3.duration_ms.unwrap().abs_diff(expected) <= 60, "{:?}", mp3.duration_ms);
}
