//! Labels: what a file was called, made safe to show, to log and to put into a prompt.
//!
//! A label is never a path: nothing in this crate opens, creates or joins one. It is cleaned all the
//! same, because other programs (a download, an export) may one day write a file of that name.

/// File systems take 255 bytes; half of that leaves room for what a download adds.
pub const LABEL_BYTES_MAX: usize = 120;

/// An extension above this is part of the name.
const EXTENSION_BYTES_MAX: usize = 16;

/// What a file without a usable name is called.
const NAMELESS: &str = "file";

/// Names that Windows keeps for devices, whatever their extension.
const RESERVED: [&str; 22] = [
    "aux", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "con", "lpt1",
    "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "nul", "prn",
];

/// The label of a file that was given as `name`: its last component, without anything that a shell, a
/// file system or a terminal could act on. Never empty, never `.` or `..`, at most
/// [`LABEL_BYTES_MAX`] bytes; cleaning a label changes nothing.
#[must_use]
pub fn clean_label(name: &str) -> String {
    let last = name.rsplit(is_separator).find(|part| !trim(part).is_empty()).unwrap_or("");
    let kept: String = last.chars().filter(|c| !is_unsafe(*c)).map(plain).collect();
    let label = trim(&shorten(trim(&kept))).to_owned();
    if label.is_empty() {
        return NAMELESS.to_owned();
    }
    let stem = label.split('.').next().unwrap_or("").trim_end();
    if RESERVED.contains(&stem.to_ascii_lowercase().as_str()) {
        return format!("_{label}");
    }
    label
}

/// The lower-case extension of a label, without its dot; none for `README` and `.profile`.
pub(crate) fn extension(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let is_one = !stem.is_empty()
        && !extension.is_empty()
        && extension.len() <= EXTENSION_BYTES_MAX
        && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    is_one.then(|| extension.to_ascii_lowercase())
}

/// Slashes of every script that a careless comparison takes for one.
const fn is_separator(c: char) -> bool {
    matches!(
        c,
        '/' | '\\'
            | '\u{2044}'
            | '\u{2215}'
            | '\u{2216}'
            | '\u{29f5}'
            | '\u{29f8}'
            | '\u{29f9}'
            | '\u{fe68}'
            | '\u{ff0f}'
            | '\u{ff3c}'
    )
}

/// Controls, and the invisible characters that reorder or hide what follows (`gpj.exe` shown as
/// `exe.jpg`).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Characters that name a drive, a stream, a wildcard, a pipe or a quote somewhere.
const fn plain(c: char) -> char {
    match c {
        ':' | '*' | '?' | '"' | '<' | '>' | '|' | '`' | '$' => '_',
        other => other,
    }
}

/// Dots and spaces at the ends: hidden files, parents, and what Windows drops silently.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '.' || c.is_whitespace())
}

/// Cuts the stem, so that the extension stays readable.
fn shorten(label: &str) -> String {
    if label.len() <= LABEL_BYTES_MAX {
        return label.to_owned();
    }
    let tail = extension(label).map(|extension| format!(".{extension}")).unwrap_or_default();
    let mut end = LABEL_BYTES_MAX.saturating_sub(tail.len());
    while !label.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    format!("{}{tail}", trim(label.get(..end).unwrap_or("")))
}
