//! Hostile files: each is refused in time, with a reason, by a child that is gone afterwards, and the
//! memory of this process does not grow.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail the test"
)]

mod support;

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_attachments::{FileKind, FileLibrary, FolderBlobs, Source, sniff};
use support::{
    WORD, docx, docx_of, extractor, library_over, limited, pdf, pdf_of, pdf_stream, picture, pptx,
    wav, without_directory, xlsx, xlsx_of, zip,
};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const REFUSED_WITHIN: Duration = Duration::from_secs(10);
const HOST_GROWTH_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// Name as uploaded, bytes, and the codes that are right answers.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

/// An archive with one part of `size` equal bytes beside the others.
fn inflated(parts: &[(&str, &[u8])], name: &str, size: usize) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.start_file(name, SimpleFileOptions::default()).unwrap();
    let block = vec![b' '; 1 << 20];
    for _ in 0..size >> 20 {
        writer.write_all(&block).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A 42.zip in small: 16 archives in each of 16, down to a megabyte of zeros each.
fn nested_zip(depth: u32) -> Vec<u8> {
    if depth == 0 {
        return zip(&[("0.dll", &vec![0; 1 << 20])]);
    }
    let inner = nested_zip(depth - 1);
    let names: Vec<String> = (0..16).map(|n| format!("lib {n}.zip")).collect();
    let parts: Vec<(&str, &[u8])> =
        names.iter().map(|name| (name.as_str(), inner.as_slice())).collect();
    zip(&parts)
}

/// One part of a megabyte, listed again and again by the directory.
fn overlapping() -> Vec<u8> {
    const COPIES: u16 = 2_000;
    let whole = docx_of(&vec![b' '; 1 << 20], &[]);
    let start = without_directory(&whole).len();
    let end = whole.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    let directory = &whole[start..end];
    let last = directory.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    let mut file = whole[..end].to_vec();
    for _ in 0..COPIES {
        file.extend_from_slice(&directory[last..]);
    }
    let size = u32::try_from(file.len() - start).unwrap();
    let mut tail = whole[end..].to_vec();
    tail[8..10].copy_from_slice(&(COPIES + 3).to_le_bytes());
    tail[10..12].copy_from_slice(&(COPIES + 3).to_le_bytes());
    tail[12..16].copy_from_slice(&size.to_le_bytes());
    file.extend_from_slice(&tail);
    file
}

fn billion_laughs() -> Vec<u8> {
    let mut definitions = String::from("<!ENTITY lol0 \"lol\">");
    for n in 1..10 {
        let last = format!("&lol{};", n - 1).repeat(10);
        write!(definitions, "<!ENTITY lol{n} \"{last}\">").unwrap();
    }
    let document = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE lolz [{definitions}]><w:document {WORD}><w:body><w:p><w:r>\
         <w:t>&lol9;</w:t></w:r></w:p></w:body></w:document>"
    );
    docx_of(document.as_bytes(), &[])
}

fn external_entity() -> Vec<u8> {
    let sheet = xlsx("a", &[&["b"]]);
    let strings = b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><sst>&x;</sst>";
    assert!(sheet.len() > 100);
    xlsx_of("a", "", &[("xl/sharedStrings.xml", strings)])
}

fn deep_xml() -> Vec<u8> {
    let (open, close) =
        ("<w:tbl><w:tr><w:tc>".repeat(40_000), "</w:tc></w:tr></w:tbl>".repeat(40_000));
    let document = format!("<w:document {WORD}><w:body>{open}{close}</w:body></w:document>");
    docx_of(document.as_bytes(), &[])
}

fn many_slides() -> Vec<u8> {
    let padding = " ".repeat(1_000_000);
    let slides = vec![padding.as_str(); 300];
    pptx(&slides)
}

fn many_entries() -> Vec<u8> {
    let names: Vec<String> = (0..20_000).map(|n| format!("word/media/{n}")).collect();
    let parts: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    docx_of(b"<w:document/>", &parts)
}

fn traversal() -> Vec<u8> {
    docx_of(b"<w:document/>", &[("word/../../../../etc/cron.d/evil", b"x"), ("/etc/passwd", b"x")])
}

/// `size` zeros, deflated once or more.
fn deflated(size: usize, times: u32) -> Vec<u8> {
    let mut bytes = vec![0_u8; size];
    for _ in 0..times {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&bytes).unwrap();
        bytes = encoder.finish().unwrap();
    }
    bytes
}

const PAGE: &str = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>";

fn pdf_with(content: Vec<u8>, trailer: &str) -> Vec<u8> {
    let objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        PAGE.as_bytes().to_vec(),
        content,
    ];
    pdf_of(&objects, trailer)
}

fn pdf_content_bomb() -> Vec<u8> {
    let filters = "/Filter [/FlateDecode /FlateDecode]";
    pdf_with(pdf_stream(filters, &deflated(1 << 30, 2)), "")
}

fn pdf_object_bomb() -> Vec<u8> {
    let dictionary = "/Type /ObjStm /N 100 /First 800 /Filter [/FlateDecode /FlateDecode]";
    pdf_with(pdf_stream(dictionary, &deflated(1 << 30, 2)), "")
}

fn pdf_page_loop() -> Vec<u8> {
    let objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R 3 0 R] /Count 1000000 >>".to_vec(),
        b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R 2 0 R] /Count 1000000 >>".to_vec(),
    ];
    pdf_of(&objects, "")
}

fn pdf_many_pages() -> Vec<u8> {
    pdf(&vec!["one of many"; 10_000])
}

fn pdf_deep() -> Vec<u8> {
    let array = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let catalogue = format!("<< /Type /Catalog /X {array} /Pages 2 0 R >>");
    pdf_of(&[catalogue.into_bytes(), b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec()], "")
}

fn pdf_form_loop() -> Vec<u8> {
    let form =
        "/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F 4 0 R >> >>";
    let objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /F 4 0 R >> >> >>".to_vec(),
        pdf_stream(form, b"/F Do /F Do"),
    ];
    pdf_of(&objects, "")
}

fn pdf_encrypted() -> Vec<u8> {
    let key = "00".repeat(32);
    let encrypt = format!(
        "/Encrypt << /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <{key}> /U <{key}> >> \
         /ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>]"
    );
    pdf_with(pdf_stream("", b"BT (secret) Tj ET"), &encrypt)
}

fn encrypted_office() -> Vec<u8> {
    let mut file = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    file.resize(1_024, 0);
    file.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    file.resize(4_096, 0);
    file
}

fn png_chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(data);
    file.extend_from_slice(kind);
    file.extend_from_slice(data);
    file.extend_from_slice(&crc.sum().to_be_bytes());
}

/// A PNG of this size, RGBA with 16 bits, its pixels `data`.
fn png(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[16, 6, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    png_chunk(&mut file, b"IHDR", &header);
    png_chunk(&mut file, b"IDAT", data);
    png_chunk(&mut file, b"IEND", b"");
    file
}

fn huge_jpeg() -> Vec<u8> {
    let mut file = picture(16, 16, image::ImageFormat::Jpeg);
    let frame = file.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
    file[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    file
}

fn huge_gif() -> Vec<u8> {
    let mut file = picture(16, 16, image::ImageFormat::Gif);
    file[6..10].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    file
}

fn absurd_wav() -> Vec<u8> {
    let mut file = wav(8_000, 8_000, 65_535);
    file[4..8].copy_from_slice(&[0xff; 4]);
    file
}

/// Formatting elements that every following block opens again, in an order that hides how many are
/// open.
fn slow_html() -> Vec<u8> {
    let fonts: String = (0..3_000).map(|n| format!("<font size={n}>")).collect();
    let blocks = "<p>x".repeat(200_000);
    format!("<html><body>{fonts}{blocks}").into_bytes()
}

fn cases() -> Vec<Case> {
    let program = [&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0"[..], &[0; 200]].concat();
    let polyglot = [&b"%PDF-1.4\n"[..], &docx("a", &["b"], &["c"])].concat();
    let script = [&b"GIF89a/*\0"[..], b"*/=1;alert(document.cookie)//"].concat();
    let zeros = deflated(1 << 24, 1);
    let zeros_in_docx =
        inflated(&[("[Content_Types].xml", b"<Types/>")], "word/document.xml", 300 << 20);
    let rows = "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>".repeat(1_000_000);
    vec![
        ("42.zip", nested_zip(2), &["unsupported"]),
        ("42.docx", nested_zip(2), &["unsupported"]),
        ("blank.docx", zeros_in_docx, &["bomb"]),
        ("rows.xlsx", xlsx_of("a", &rows, &[]), &["bomb"]),
        ("slides.pptx", many_slides(), &["bomb"]),
        ("overlap.docx", overlapping(), &["bomb", "damaged"]),
        ("entries.docx", many_entries(), &["bomb"]),
        ("lol.docx", billion_laughs(), &["bomb"]),
        ("external.xlsx", external_entity(), &["bomb"]),
        ("deep.docx", deep_xml(), &["bomb"]),
        ("traversal.docx", traversal(), &["damaged"]),
        ("cut.docx", without_directory(&docx("a", &["b"], &["c"])), &["damaged"]),
        ("locked.docx", encrypted_office(), &["encrypted"]),
        ("deep.json", "[".repeat(100_000).into_bytes(), &["bomb"]),
        ("deep.html", "<div><b>".repeat(100_000).into_bytes(), &["bomb"]),
        ("slow.html", slow_html(), &["took_too_long"]),
        ("content.pdf", pdf_content_bomb(), &["used_too_much_memory"]),
        ("objects.pdf", pdf_object_bomb(), &["used_too_much_memory"]),
        ("loop.pdf", pdf_page_loop(), &["damaged", "took_too_long"]),
        ("pages.pdf", pdf_many_pages(), &["too_many_pages"]),
        ("deep.pdf", pdf_deep(), &["bomb", "damaged"]),
        ("forms.pdf", pdf_form_loop(), &["bomb", "took_too_long"]),
        ("locked.pdf", pdf_encrypted(), &["encrypted"]),
        ("cut.pdf", pdf(&["one"])[..200].to_vec(), &["damaged"]),
        ("huge.png", png(100_000, 100_000, &zeros), &["too_large"]),
        ("deep.png", png(10_900, 10_900, &zeros), &["used_too_much_memory", "damaged"]),
        ("huge.jpg", huge_jpeg(), &["too_large"]),
        ("huge.gif", huge_gif(), &["too_large"]),
        ("cut.png", picture(900, 900, image::ImageFormat::Png)[..400].to_vec(), &["damaged"]),
        ("absurd.wav", absurd_wav(), &["damaged"]),
        ("report.pdf", program, &["unsupported"]),
        ("polyglot.pdf", polyglot, &["damaged"]),
        ("polyglot.gif", script, &["damaged"]),
    ]
}

/// Both ways of reading, as a turn would.
async fn refusal(library: &FileLibrary, name: &str, bytes: Vec<u8>) -> String {
    let kind = sniff(name, &bytes).kind;
    let file = library.add(name, bytes.into()).await.unwrap();
    let text = match library.text_of(&file).await {
        Err(error) => return format!("{}: {error}", error.code()),
        Ok(text) => text,
    };
    if kind == FileKind::Image
        && let Err(error) = library.image_of(&file).await
    {
        return format!("{}: {error}", error.code());
    }
    format!("nothing: it was read, {} bytes, {:?}", text.text.len(), text.notes)
}

#[tokio::test]
async fn all_parts_together_are_bounded() {
    let file = docx("Title", &["text"], &["cell"]);
    for (archive_bytes_max, code) in [(1_000_000, "read"), (1_000, "bomb")] {
        let extractor = limited(|limits| limits.archive_bytes_max = archive_bytes_max);
        let read = extractor.text(Source::Bytes(file.clone().into()), FileKind::Docx).await;
        assert_eq!(read.map_or_else(|error| error.code(), |_| "read"), code);
    }
}

fn host_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

fn children() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
    lists.map(|list| list.split_whitespace().count()).sum()
}

#[tokio::test]
async fn every_hostile_file_is_refused_in_time_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // Made before the measurement, and kept in files: making them takes memory of its own.
    let cases: Vec<(&str, std::path::PathBuf, &[&str])> = cases()
        .into_iter()
        .map(|(name, bytes, codes)| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            (name, path, codes)
        })
        .collect();
    assert!(cases.len() >= 25);
    let blobs = FolderBlobs::open(folder.path().join("files")).await.unwrap();
    let library = library_over(Arc::new(blobs), extractor());
    let before = host_bytes();
    let (mut wrong, mut most) = (Vec::new(), 0);
    for (name, path, codes) in cases {
        let started = Instant::now();
        let refusal = refusal(&library, name, std::fs::read(path).unwrap()).await;
        let took = started.elapsed();
        let growth = host_bytes().saturating_sub(before);
        most = most.max(growth);
        println!("{name:>14} {took:>6.2?} +{} KiB {refusal}", growth / 1_024);
        let code = refusal.split(':').next().unwrap();
        if !codes.contains(&code) || took > REFUSED_WITHIN || children() > 0 {
            wrong.push(format!("{name}: {refusal} after {took:?}, {} children", children()));
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert!(most < HOST_GROWTH_BYTES_MAX, "the host grew by {} KiB", most / 1_024);
}
