//! A form with a file in it (RFC 7578), as one body.

use bytes::Bytes;
use chat_types::ContentHash;

/// The longest file name that is sent.
const NAME_BYTES_MAX: usize = 255;

/// A body and what it is.
pub(crate) struct Form {
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// A file in a form.
pub(crate) struct FilePart<'a> {
    pub(crate) field: &'a str,
    pub(crate) name: &'a str,
    pub(crate) media_type: &'a str,
    pub(crate) bytes: &'a [u8],
}

/// Plain fields, then the file.
pub(crate) fn form(fields: &[(&str, &str)], file: &FilePart<'_>) -> Form {
    let boundary = boundary(fields, file.bytes);
    let mut body = Vec::with_capacity(file.bytes.len().saturating_add(1_024));
    for (name, value) in fields {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(head.as_bytes());
    }
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\n\
         Content-Type: {}\r\n\r\n",
        file.field,
        quoted(file.name),
        media_type(file.media_type),
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file.bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Form { content_type, body: body.into() }
}

/// A line that does not stand in what is sent: the hash of it, hashed again in the one case in
/// 2^256 that it does.
fn boundary(fields: &[(&str, &str)], bytes: &[u8]) -> String {
    let values = fields.iter().map(|(_, value)| value.as_bytes());
    let mut hash = ContentHash::of(values.clone().chain([bytes]));
    loop {
        let boundary = hash.as_str().as_bytes();
        let stands_in = |text: &[u8]| text.windows(boundary.len()).any(|part| part == boundary);
        if !values.clone().chain([bytes]).any(stands_in) {
            return hash.as_str().to_owned();
        }
        hash = ContentHash::of([hash.as_str()]);
    }
}

/// A name within quotes, as browsers write it: no path, no line break, no quote.
fn quoted(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let file = file.get(..file.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or_default();
    let plain = file.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
    let plain: String = plain.chars().filter(|character| !character.is_control()).collect();
    if plain.is_empty() { "file".to_owned() } else { plain }
}

/// The media type, if it looks like one.
fn media_type(text: &str) -> &str {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-_;= ".contains(&byte);
    if text.contains('/') && text.bytes().all(is_part) { text } else { "application/octet-stream" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, media_type: &str, bytes: &[u8]) -> String {
        let file = FilePart { field: "file", name, media_type, bytes };
        let form = form(&[("file_id", "f-1")], &file);
        let boundary = form.content_type.rsplit('=').next().unwrap();
        String::from_utf8_lossy(&form.body).replace(boundary, "B")
    }

    #[test]
    fn a_form_is_written_like_this() {
        let expected = "--B\r\nContent-Disposition: form-data; name=\"file_id\"\r\n\r\nf-1\r\n\
            --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.md\"\r\n\
            Content-Type: text/markdown\r\n\r\nhello\r\n--B--\r\n";
        assert_eq!(written("a.md", "text/markdown", b"hello"), expected);
    }

    #[test]
    fn names_and_types_cannot_add_headers() {
        for (name, expected) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.txt", "y.txt"),
            ("a\"; x=\"b.md", "a%22; x=%22b.md"),
            ("a\r\nX-Evil: 1.md", "a%0D%0AX-Evil: 1.md"),
            ("", "file"),
            ("ü 日本.md", "ü 日本.md"),
        ] {
            let form = written(name, "a/b\r\nX-Evil: 1", b"");
            assert!(form.contains(&format!("filename=\"{expected}\"\r\n")), "{form}");
            assert!(form.contains("Content-Type: application/octet-stream\r\n"), "{form}");
        }
    }
}
