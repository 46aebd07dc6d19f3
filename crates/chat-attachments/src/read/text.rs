//! Text as it stands: decoded, otherwise untouched.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::error::ExtractError;
use crate::extracted::Extracted;
use crate::kind::FileKind;
use crate::limits::ExtractLimits;

/// Pages name their encoding early; browsers look at so much.
const DECLARATION_BYTES_MAX: usize = 1_024;

pub(super) fn read(
    kind: FileKind,
    bytes: &[u8],
    limits: &ExtractLimits,
) -> Result<Extracted, ExtractError> {
    if kind == FileKind::Json {
        check_nesting(bytes, limits.nesting_max)?;
    }
    Ok(Extracted { text: decode(bytes), ..Extracted::of(kind) })
}

/// By its byte-order mark, else UTF-8, else by what a page declares, else as Western European, where
/// every byte is some character.
pub(super) fn decode(bytes: &[u8]) -> String {
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(bytes) {
        let body = bytes.get(mark_bytes..).unwrap_or_default();
        return encoding.decode_without_bom_handling(body).0.into_owned();
    }
    // A file that was cut within a character is UTF-8 still.
    let is_utf8 = std::str::from_utf8(bytes).map_or_else(|e| e.error_len().is_none(), |_| true);
    let encoding = if is_utf8 { UTF_8 } else { declared(bytes).unwrap_or(WINDOWS_1252) };
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

/// `charset=…` of a page, `encoding="…"` of XML.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..DECLARATION_BYTES_MAX).unwrap_or(bytes);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = ["charset=", "encoding="].iter().find_map(|key| Some(head.split_once(key)?.1))?;
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    Encoding::for_label(value.get(..end.unwrap_or(value.len()))?.as_bytes())
}

/// What reads this JSON next may recurse.
fn check_nesting(bytes: &[u8], nesting_max: u32) -> Result<(), ExtractError> {
    let (mut depth, mut in_string, mut is_escaped) = (0_u32, false, false);
    for byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth = depth.saturating_add(1),
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > nesting_max {
            let detail = format!("its brackets nest more than {nesting_max} deep");
            return Err(ExtractError::bomb(detail));
        }
    }
    Ok(())
}
