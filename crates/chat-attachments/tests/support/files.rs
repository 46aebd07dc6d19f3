//! Files of every format, made by code.
#![expect(clippy::unwrap_used, reason = "what makes files for tests may fail the test")]
#![allow(dead_code, clippy::allow_attributes, reason = "each user takes its own part")]

use std::io::{Cursor, Write as _};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A ZIP archive of these parts, deflated.
pub(crate) fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/MAIN" ContentType="application/vnd.openxmlformats-officedocument.KIND.main+xml"/></Types>"#;

const RELATIONSHIPS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">ITEMS</Relationships>"#;

const OFFICE_DOCUMENT: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

fn relationship(id: &str, kind: &str, target: &str) -> String {
    format!(r#"<Relationship Id="{id}" Type="{OFFICE_DOCUMENT}/{kind}" Target="{target}"/>"#)
}

fn package(main: &str, kind: &str, parts: &[(&str, &[u8])]) -> Vec<u8> {
    let types = CONTENT_TYPES.replace("MAIN", main).replace("KIND", kind);
    let links = RELATIONSHIPS.replace("ITEMS", &relationship("rId1", "officeDocument", main));
    let mut all: Vec<(&str, &[u8])> =
        vec![("[Content_Types].xml", types.as_bytes()), ("_rels/.rels", links.as_bytes())];
    all.extend_from_slice(parts);
    zip(&all)
}

/// A Word file whose main part is this XML.
pub(crate) fn docx_of(document: &[u8], more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut parts: Vec<(&str, &[u8])> = vec![("word/document.xml", document)];
    parts.extend_from_slice(more);
    package("word/document.xml", "wordprocessingml.document", &parts)
}

pub(crate) const WORD: &str =
    r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main""#;

/// A Word file: a heading, paragraphs, and a table of one row.
pub(crate) fn docx(heading: &str, paragraphs: &[&str], row: &[&str]) -> Vec<u8> {
    let run = |text: &str| format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>");
    let body: String = paragraphs.iter().map(|text| run(text)).collect();
    let cells: String = row.iter().map(|text| format!("<w:tc>{}</w:tc>", run(text))).collect();
    let document = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><w:document {WORD}><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"/><w:outlineLvl w:val="0"/></w:pPr><w:r><w:t>{heading}</w:t></w:r></w:p>{body}<w:tbl><w:tr>{cells}</w:tr></w:tbl></w:body></w:document>"#
    );
    let styles = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><w:styles {WORD}><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style></w:styles>"#
    );
    let links = RELATIONSHIPS.replace("ITEMS", &relationship("rId1", "styles", "styles.xml"));
    let more: [(&str, &[u8]); 2] = [
        ("word/_rels/document.xml.rels", links.as_bytes()),
        ("word/styles.xml", styles.as_bytes()),
    ];
    docx_of(document.as_bytes(), &more)
}

/// All of an archive but its directory.
pub(crate) fn without_directory(archive: &[u8]) -> Vec<u8> {
    let start = archive.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    archive.get(..start).unwrap().to_vec()
}

/// An Excel file with one sheet whose `<sheetData>` is this.
pub(crate) fn xlsx_of(name: &str, sheet_data: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    const MAIN: &str = r#"xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main""#;
    let workbook = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><workbook {MAIN} xmlns:r="{OFFICE_DOCUMENT}"><sheets><sheet name="{name}" sheetId="1" r:id="rId1"/></sheets></workbook>"#
    );
    let links =
        RELATIONSHIPS.replace("ITEMS", &relationship("rId1", "worksheet", "worksheets/sheet1.xml"));
    let sheet = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><worksheet {MAIN}><sheetData>{sheet_data}</sheetData></worksheet>"#
    );
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("xl/workbook.xml", workbook.as_bytes()),
        ("xl/_rels/workbook.xml.rels", links.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ];
    parts.extend_from_slice(more);
    package("xl/workbook.xml", "spreadsheetml.sheet", &parts)
}

/// An Excel file of text cells.
pub(crate) fn xlsx(name: &str, rows: &[&[&str]]) -> Vec<u8> {
    let cell = |(column, text): (char, &&str), row: usize| {
        format!(r#"<c r="{column}{row}" t="inlineStr"><is><t>{text}</t></is></c>"#)
    };
    let row = |(number, cells): (usize, &&[&str])| {
        let number = number + 1;
        let cells: String = ('A'..).zip(*cells).map(|found| cell(found, number)).collect();
        format!(r#"<row r="{number}">{cells}</row>"#)
    };
    xlsx_of(name, &rows.iter().enumerate().map(row).collect::<String>(), &[])
}

/// A PowerPoint file, a slide per text.
pub(crate) fn pptx(slides: &[&str]) -> Vec<u8> {
    const P: &str = r#"xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main""#;
    let ids: String = (1..=slides.len())
        .map(|n| format!(r#"<p:sldId id="{}" r:id="rId{n}"/>"#, 255 + n))
        .collect();
    let main = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><p:presentation {P} xmlns:r="{OFFICE_DOCUMENT}"><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"#
    );
    let links: String = (1..=slides.len())
        .map(|n| relationship(&format!("rId{n}"), "slide", &format!("slides/slide{n}.xml")))
        .collect();
    let links = RELATIONSHIPS.replace("ITEMS", &links);
    let slides: Vec<(String, String)> = slides
        .iter()
        .enumerate()
        .map(|(n, text)| {
            let xml = format!(
                r#"<?xml version="1.0" encoding="UTF-8"?><p:sld {P}><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>"#
            );
            (format!("ppt/slides/slide{}.xml", n + 1), xml)
        })
        .collect();
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("ppt/presentation.xml", main.as_bytes()),
        ("ppt/_rels/presentation.xml.rels", links.as_bytes()),
    ];
    parts.extend(slides.iter().map(|(name, xml)| (name.as_str(), xml.as_bytes())));
    package("ppt/presentation.xml", "presentationml.presentation", &parts)
}

/// A PDF of these objects, numbered from 1; the first is the catalogue.
pub(crate) fn pdf_of(objects: &[Vec<u8>], trailer: &str) -> Vec<u8> {
    let mut file = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        writeln!(file, "{} 0 obj", number + 1).unwrap();
        file.extend_from_slice(object);
        file.extend_from_slice(b"\nendobj\n");
    }
    let start = file.len();
    write!(file, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).unwrap();
    for offset in offsets {
        writeln!(file, "{offset:010} 00000 n ").unwrap();
    }
    let size = objects.len() + 1;
    write!(file, "trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n")
        .unwrap();
    file
}

pub(crate) fn pdf_stream(dictionary: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = format!("<< {dictionary} /Length {} >>\nstream\n", bytes.len()).into_bytes();
    stream.extend_from_slice(bytes);
    stream.extend_from_slice(b"\nendstream");
    stream
}

/// A PDF with a page per text.
pub(crate) fn pdf(pages: &[&str]) -> Vec<u8> {
    let kids: String = (0..pages.len()).map(|n| format!("{} 0 R ", 4 + 2 * n)).collect();
    let mut objects = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", pages.len()).into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
            .to_vec(),
    ];
    for (n, text) in pages.iter().enumerate() {
        let page = format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R \
             /Resources << /Font << /F1 3 0 R >> >> >>",
            5 + 2 * n
        );
        objects.push(page.into_bytes());
        let mut content = String::from("BT /F1 12 Tf 72 720 Td 14 TL\n");
        for line in text.lines() {
            content.push_str(&format!("({line}) Tj T*\n"));
        }
        content.push_str("ET");
        objects.push(pdf_stream("", content.as_bytes()));
    }
    pdf_of(&objects, "")
}

/// An image of vertical stripes.
pub(crate) fn picture(width: u32, height: u32, format: image::ImageFormat) -> Vec<u8> {
    let stripes = image::RgbImage::from_fn(width, height, |x, _| {
        if (x / 8).is_multiple_of(2) {
            image::Rgb([200, 30, 30])
        } else {
            image::Rgb([250, 250, 240])
        }
    });
    let mut bytes = Vec::new();
    stripes.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// Silence, 16 bits, one channel.
pub(crate) fn wav(rate: u32, samples: u32, channels: u16) -> Vec<u8> {
    let data = samples * 2;
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&(36 + data).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&channels.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&rate.wrapping_mul(2).to_le_bytes());
    file.extend_from_slice(&2_u16.to_le_bytes());
    file.extend_from_slice(&16_u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data.to_le_bytes());
    file.resize(file.len() + usize::try_from(data).unwrap(), 0);
    file
}

/// Empty frames of MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 1,152 samples and 417 bytes each.
pub(crate) fn mp3(frames: usize) -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x90, 0x00];
    frame.resize(417, 0);
    frame.repeat(frames)
}
