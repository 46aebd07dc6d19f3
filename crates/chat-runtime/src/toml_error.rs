//! What TOML says of a file that it cannot read.

/// TOML errors draw the line they mean; the drawing is left out, line and cause stay.
pub(crate) fn one_line(text: &str) -> String {
    let mut lines = text.lines().filter(|line| {
        let start = line.trim_start();
        !(start.is_empty()
            || start.starts_with('|')
            || start.starts_with(|c: char| c.is_ascii_digit()))
    });
    let first = lines.next().unwrap_or_default().trim();
    let rest: Vec<&str> = lines.map(str::trim).collect();
    if rest.is_empty() {
        return first.to_owned();
    }
    format!("{first}: {}", rest.join(" "))
}
