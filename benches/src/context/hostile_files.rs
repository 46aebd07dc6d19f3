//! Files made to hurt whoever reads them.

use std::io::Write as _;

use bytes::Bytes;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use crate::office_files::{WORD, docx_of, pdf_of, pdf_stream};

const MIB: usize = 1 << 20;

/// Name and bytes of each.
///
/// # Errors
/// One cannot be made.
pub(crate) fn hostile_files() -> anyhow::Result<Vec<(&'static str, Bytes)>> {
    Ok(vec![
        ("zeros.docx", docx_of(&vec![b' '; 300 * MIB], &[]).into()),
        ("entities.docx", entity_bomb().into()),
        ("objects.pdf", object_bomb()?.into()),
        ("huge.png", huge_png()?.into()),
    ])
}

/// Ten entities, each ten times the one before: a gigabyte of text.
fn entity_bomb() -> Vec<u8> {
    let mut entities = String::from("<!ENTITY e0 \"laughs\">");
    for number in 1..10 {
        let text = format!("&e{};", number - 1).repeat(10);
        entities.push_str(&format!("<!ENTITY e{number} \"{text}\">"));
    }
    let document = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE d [{entities}]><w:document {WORD}><w:body><w:p><w:r>\
         <w:t>&e9;</w:t></w:r></w:p></w:body></w:document>"
    );
    docx_of(document.as_bytes(), &[])
}

/// A stream of objects, a gigabyte packed twice.
fn object_bomb() -> anyhow::Result<Vec<u8>> {
    let packed = deflated(&zeros_deflated(1_024)?)?;
    let dictionary = "/Type /ObjStm /N 100 /First 800 /Filter [/FlateDecode /FlateDecode]";
    let page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R >>";
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_vec(),
        page.to_vec(),
        pdf_stream(dictionary, &packed),
    ];
    Ok(pdf_of(&objects, ""))
}

/// 119 million pixels of 8 bytes: as many as are taken, and more memory than a file is given.
fn huge_png() -> anyhow::Result<Vec<u8>> {
    const SIDE: u32 = 10_900;
    let mut header = [SIDE.to_be_bytes(), SIDE.to_be_bytes()].concat();
    header.extend_from_slice(&[16, 6, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, b"IHDR", &header)?;
    chunk(&mut file, b"IDAT", &zeros_deflated(16)?)?;
    chunk(&mut file, b"IEND", b"")?;
    Ok(file)
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) -> anyhow::Result<()> {
    let mut check = Crc::new();
    check.update(kind);
    check.update(data);
    file.extend_from_slice(&u32::try_from(data.len())?.to_be_bytes());
    file.extend_from_slice(kind);
    file.extend_from_slice(data);
    file.extend_from_slice(&check.sum().to_be_bytes());
    Ok(())
}

fn zeros_deflated(mebibytes: usize) -> anyhow::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; MIB];
    for _ in 0..mebibytes {
        encoder.write_all(&zeros)?;
    }
    Ok(encoder.finish()?)
}

fn deflated(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
