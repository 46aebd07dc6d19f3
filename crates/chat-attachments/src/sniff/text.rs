//! Whether bytes are text, and of which kind.

use serde::de::IgnoredAny;

/// So much is enough to tell the look of a text.
const HEAD_BYTES_MAX: usize = 64 * 1_024;

/// JSON up to here is parsed to be sure; above, its first and last characters must do.
const JSON_BYTES_MAX: usize = 1024 * 1_024;

/// Old 8-bit text has a few odd bytes, binary data has many: at most one control byte in so many.
const BYTES_PER_CONTROL_MIN: usize = 200;

/// Lines looked at for columns and Markdown marks.
const LINES_MAX: usize = 50;

/// Extensions of text kinds.
const EXTENSIONS: &[(&str, &str)] = &[
    ("c", "text/x-c"),
    ("cc", "text/x-c++"),
    ("cpp", "text/x-c++"),
    ("cs", "text/x-csharp"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("dart", "text/x-dart"),
    ("diff", "text/x-diff"),
    ("ex", "text/x-elixir"),
    ("go", "text/x-go"),
    ("h", "text/x-c"),
    ("hpp", "text/x-c++"),
    ("hs", "text/x-haskell"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ini", "text/x-ini"),
    ("java", "text/x-java"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("jsx", "text/javascript"),
    ("kt", "text/x-kotlin"),
    ("lua", "text/x-lua"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("ndjson", "application/jsonl"),
    ("patch", "text/x-diff"),
    ("php", "text/x-php"),
    ("pl", "text/x-perl"),
    ("ps1", "text/x-powershell"),
    ("py", "text/x-python"),
    ("r", "text/x-r"),
    ("rb", "text/x-ruby"),
    ("rs", "text/x-rust"),
    ("scala", "text/x-scala"),
    ("sh", "text/x-shellscript"),
    ("sql", "application/sql"),
    ("svg", "image/svg+xml"),
    ("swift", "text/x-swift"),
    ("tex", "text/x-tex"),
    ("toml", "application/toml"),
    ("ts", "text/x-typescript"),
    ("tsv", "text/tab-separated-values"),
    ("tsx", "text/x-typescript"),
    ("xhtml", "text/html"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

/// Bytes that are text, and the head of them as ASCII-compatible bytes.
pub(super) struct Text<'b> {
    all: &'b [u8],
    /// Empty for UTF-16, of which only the name can tell more.
    head: &'b [u8],
}

impl<'b> Text<'b> {
    pub(super) fn of(bytes: &'b [u8]) -> Option<Self> {
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            // UTF-16 of any script has line ends, spaces or digits: a high byte of zero somewhere. An
            // MPEG frame that begins with the same two bytes is told by its odd length or lack of them.
            let is_even = bytes.len().is_multiple_of(2);
            let head = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes);
            let is_little = bytes.starts_with(&[0xff, 0xfe]);
            return (is_even && is_utf16(head, is_little))
                .then_some(Self { all: bytes, head: &[] });
        }
        let all = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
        let controls = all.iter().filter(|b| is_control(**b)).count();
        let is_clean = controls.saturating_mul(BYTES_PER_CONTROL_MIN) <= all.len();
        if all.contains(&0) || !is_clean || (!is_utf8(all) && !looks_eight_bit(all)) {
            return None;
        }
        Some(Self { all, head: all.get(..HEAD_BYTES_MAX).unwrap_or(all) })
    }

    pub(super) fn media_type(&self, extension: Option<&str>) -> &'static str {
        let by_extension = EXTENSIONS.iter().find(|row| Some(row.0) == extension);
        if let Some((_, media_type)) = by_extension {
            return media_type;
        }
        let head = self.head.trim_ascii_start();
        if self.is_json() {
            "application/json"
        } else if starts_with_any(head, &["<!doctype html", "<html"]) {
            "text/html"
        } else if starts_with_any(head, &["<?xml", "<svg"]) {
            "application/xml"
        } else if head.starts_with(b"#!") {
            "text/x-shellscript"
        } else if extension.is_none() && has_columns(head) {
            "text/csv"
        } else if extension.is_none() && is_markdown(head) {
            "text/markdown"
        } else {
            "text/plain"
        }
    }

    fn is_json(&self) -> bool {
        let text = self.all.trim_ascii();
        let has_brackets = (text.starts_with(b"{") && text.ends_with(b"}"))
            || (text.starts_with(b"[") && text.ends_with(b"]"));
        if !has_brackets || text.len() > JSON_BYTES_MAX {
            return has_brackets;
        }
        match serde_json::from_slice::<IgnoredAny>(text) {
            Ok(_) => true,
            // Deeper than the parser goes: JSON all the same, and refused as such later.
            Err(error) => error.to_string().starts_with("recursion limit"),
        }
    }
}

fn starts_with_any(head: &[u8], marks: &[&str]) -> bool {
    marks.iter().any(|mark| {
        head.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark.as_bytes()))
    })
}

const fn is_control(byte: u8) -> bool {
    (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b)) || byte == 0x7f
}

/// UTF-8; a last character that was cut off does not count against it.
fn is_utf8(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

/// Text of an old 8-bit encoding: mostly ASCII, no byte that such encodings leave unused.
fn looks_eight_bit(bytes: &[u8]) -> bool {
    let high = bytes.iter().filter(|b| !b.is_ascii()).count();
    let unused = bytes.iter().any(|b| matches!(b, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d));
    !unused && high.saturating_mul(3) <= bytes.len()
}

fn is_utf16(head: &[u8], is_little: bool) -> bool {
    let units = head.chunks_exact(2).skip(1).filter_map(|pair| pair.try_into().ok());
    let units = units
        .map(|pair| if is_little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) });
    let mut controls = 0_usize;
    let mut plain = 0_usize;
    for unit in units {
        match u8::try_from(unit) {
            Ok(byte) if byte == 0 || is_control(byte) => controls += 1,
            Ok(_) => plain += 1,
            Err(_) => {}
        }
    }
    controls == 0 && (plain > 0 || head.len() <= 2)
}

/// At least three lines, and each of them has the same number (two or more) of one separator.
fn has_columns(head: &[u8]) -> bool {
    let lines: Vec<&[u8]> = lines(head).collect();
    lines.len() >= 3
        && [b',', b'\t', b';'].into_iter().any(|separator| {
            let columns = |line: &&[u8]| line.iter().filter(|b| **b == separator).count();
            let first = lines.first().map_or(0, columns);
            first >= 2 && lines.iter().all(|line| columns(line) == first)
        })
}

/// Two different marks that plain prose does not have.
fn is_markdown(head: &[u8]) -> bool {
    let is_heading = |line: &[u8]| {
        let rest = line.trim_ascii_start();
        let marks = rest.iter().take_while(|b| **b == b'#').count();
        (1..=6).contains(&marks) && rest.get(marks) == Some(&b' ')
    };
    let is_item = |line: &[u8]| line.starts_with(b"- ") || line.starts_with(b"* ");
    let has_link = |line: &[u8]| line.windows(2).any(|pair| pair == b"](");
    let marks = [
        lines(head).any(is_heading),
        lines(head).filter(|line| is_item(line)).count() >= 2,
        lines(head).any(|line| line.starts_with(b"```")),
        lines(head).any(has_link),
    ];
    marks.iter().filter(|mark| **mark).count() >= 2
}

/// Non-empty lines of the head; the last one may be cut and is left out.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = if head.len() < HEAD_BYTES_MAX {
        head
    } else {
        let end = head.iter().rposition(|b| *b == b'\n').unwrap_or(head.len());
        head.get(..end).unwrap_or(head)
    };
    whole.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty()).take(LINES_MAX)
}
