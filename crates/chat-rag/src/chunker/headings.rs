//! The headings of a Markdown text, and which of them hold at a place.

/// The longest heading that is repeated with each chunk under it.
const HEADING_CHARS_MAX: usize = 80;

#[derive(Debug)]
struct Heading {
    byte: usize,
    /// Titles from the outermost to this one.
    path: String,
}

/// Headings in the order of the text; none for other texts than Markdown.
#[derive(Debug, Default)]
pub(crate) struct Headings(Vec<Heading>);

impl Headings {
    /// The headings that begin with `#`, those in code fences left out.
    pub(crate) fn of_markdown(text: &str) -> Self {
        let mut found: Vec<Heading> = Vec::new();
        let mut above: Vec<(usize, String)> = Vec::new();
        let mut byte = 0_usize;
        let mut fence: Option<&str> = None;
        for line in text.split_inclusive('\n') {
            let start = line.trim_start();
            let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
            match (fence, mark) {
                (None, Some(mark)) => fence = Some(mark),
                (Some(open), Some(mark)) if open == mark => fence = None,
                _ => {}
            }
            if fence.is_none()
                && let Some((level, title)) = heading_of(start)
            {
                above.retain(|(other, _)| *other < level);
                above.push((level, title));
                let titles: Vec<&str> = above.iter().map(|(_, title)| title.as_str()).collect();
                found.push(Heading { byte, path: titles.join(" > ") });
            }
            byte = byte.saturating_add(line.len());
        }
        Self(found)
    }

    /// Whether a section begins with the line at `byte`.
    pub(crate) fn begins_at(&self, byte: usize) -> bool {
        self.0.binary_search_by_key(&byte, |heading| heading.byte).is_ok()
    }

    /// The document's name and the headings in force at `byte`.
    pub(crate) fn path(&self, name: &str, byte: usize) -> String {
        let above = self.0.partition_point(|heading| heading.byte <= byte);
        match above.checked_sub(1).and_then(|last| self.0.get(last)) {
            Some(heading) => format!("{name} > {}", heading.path),
            None => name.to_owned(),
        }
    }
}

/// Level and title of a line like `## Title ##`.
fn heading_of(line: &str) -> Option<(usize, String)> {
    let title = line.trim_start_matches('#');
    let level = line.len().saturating_sub(title.len());
    if !(1..=6).contains(&level) || !title.starts_with([' ', '\t']) {
        return None;
    }
    let title = title.trim().trim_end_matches('#').trim_end();
    Some((level, title.chars().take(HEADING_CHARS_MAX).collect()))
}
