//! What images, pages, sound and film cost, by generation of models: formulas with date and source.
//!
//! A table, since vendors change their formulas with a new generation and keep the old ones for the
//! models that are there. A model that is in no row pays the most of every kind. Not here: the
//! formulas (`image`).

use chat_types::{ContentPart, Tokens};

use crate::image::ImageRule;

/// When the rows were last compared with their sources.
pub const MEDIA_RULES_CHECKED: &str = "2026-11";

/// What media cost for one generation of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaRules {
    /// Names the generation in reports, and in the keys of stored counts.
    pub name: &'static str,
    /// Beginnings of the names of its models; the longest one of all rows wins.
    pub models: &'static [&'static str],
    /// When the vendor made the rule.
    pub since: &'static str,
    /// Where it is written, or who measured it.
    pub source: &'static str,
    /// Images.
    pub image: ImageRule,
    /// A page of a PDF that is sent as a file: its text and, where vendors look at it, its image.
    pub pdf_page: Tokens,
    /// A second of sound.
    pub audio_second: Tokens,
    /// A second of film, its sound included.
    pub video_second: Tokens,
}

const OPENAI: &str = "OpenAI, Images and vision, Calculating costs";
const ANTHROPIC: &str = "Anthropic, Vision, Evaluate image size; PDF support";
const GOOGLE: &str = "Google, Media resolution; Understand and count tokens";

const fn openai(
    name: &'static str,
    models: &'static [&'static str],
    since: &'static str,
    image: ImageRule,
) -> MediaRules {
    MediaRules {
        name,
        models,
        since,
        source: OPENAI,
        image,
        // What the reference system takes, and a third more for pages dense with text.
        pdf_page: Tokens::new(2_000),
        // A token for a tenth of a second.
        audio_second: Tokens::new(10),
        // It takes no film; frames would be sent as images.
        video_second: Tokens::new(300),
    }
}

const fn anthropic(
    name: &'static str,
    models: &'static [&'static str],
    since: &'static str,
    image: ImageRule,
    pdf_page: u64,
) -> MediaRules {
    MediaRules {
        name,
        models,
        since,
        source: ANTHROPIC,
        image,
        pdf_page: Tokens::new(pdf_page),
        // It takes neither.
        audio_second: Tokens::new(32),
        video_second: Tokens::new(300),
    }
}

const fn tiles(base: u32, per_tile: u32) -> ImageRule {
    ImageRule::Tiles512 { base, per_tile }
}

const fn patches(patches_max: u32, permille: u32) -> ImageRule {
    ImageRule::Patches32 { patches_max, permille }
}

/// GPT-4o's tiles and one page for a file: what a counter takes that was given no model.
pub(crate) const DEFAULT: MediaRules = MediaRules {
    // What the reference system takes.
    pdf_page: Tokens::new(1_500),
    ..openai("default", &[], "2024-05", tiles(85, 170))
};

/// The most of every row and kind: what a model costs that is in none. Only GPT-4o mini's tiles cost
/// more, since its tokens were made cheap.
pub(crate) const UNKNOWN: MediaRules = MediaRules {
    name: "unknown",
    models: &[],
    since: MEDIA_RULES_CHECKED,
    source: "the most of the other rows",
    image: patches(16_384, 1_200),
    pdf_page: Tokens::new(3_000),
    audio_second: Tokens::new(32),
    video_second: Tokens::new(300),
};

/// All rows.
pub(crate) const ROWS: [MediaRules; 20] = [
    openai(
        "gpt-4o",
        &["gpt-4o", "chatgpt-4o", "gpt-4.1", "gpt-4.5", "gpt-4-turbo", "gpt-4-vision"],
        "2024-05",
        tiles(85, 170),
    ),
    openai("gpt-4o-mini", &["gpt-4o-mini"], "2024-07", tiles(2_833, 5_667)),
    openai("o1", &["o1", "o3"], "2024-12", tiles(75, 150)),
    openai("computer-use", &["computer-use"], "2025-03", tiles(65, 129)),
    openai("gpt-4.1-mini", &["gpt-4.1-mini"], "2025-04", patches(1_536, 1_620)),
    openai("gpt-4.1-nano", &["gpt-4.1-nano"], "2025-04", patches(1_536, 2_460)),
    openai("o4-mini", &["o4-mini", "codex-mini"], "2025-04", patches(1_536, 1_720)),
    openai("gpt-5", &["gpt-5", "gpt-5.1"], "2025-08", tiles(70, 140)),
    openai("gpt-5-mini", &["gpt-5-mini", "gpt-5.1-codex-mini"], "2025-08", patches(1_536, 1_620)),
    openai("gpt-5-nano", &["gpt-5-nano"], "2025-08", patches(1_536, 2_460)),
    // Measured: multiplied by 1.2, which the page does not say.
    openai("gpt-5.2", &["gpt-5.2", "gpt-5.3"], "2025-12", patches(2_500, 1_200)),
    openai("gpt-5.4", &["gpt-5.4", "gpt-5.5"], "2026-03", patches(10_000, 1_200)),
    // The page says 1,536 patches; up to 2,500 were billed. Multiplied as the page says, by more
    // than was billed.
    openai("gpt-5.4-mini", &["gpt-5.4-mini", "gpt-5.5-mini"], "2026-03", patches(2_500, 1_620)),
    openai("gpt-5.4-nano", &["gpt-5.4-nano", "gpt-5.5-nano"], "2026-03", patches(2_500, 2_460)),
    // No bound was met up to 11,970 patches; a square of 4,096 pixels is taken for one.
    openai("gpt-6", &["gpt-6", "gpt-5.6"], "2026-08", patches(16_384, 1_200)),
    anthropic(
        "claude-3",
        &["claude-3", "claude-2"],
        "2024-03",
        ImageRule::Area750 { edge_px_max: 1_568, tokens_max: 1_600 },
        3_000,
    ),
    anthropic(
        "claude-4",
        &["claude-sonnet-4", "claude-opus-4", "claude-haiku-4"],
        "2025-05",
        // Measured: 4 for the block, 32 more if it was scaled.
        ImageRule::Patches28 { edge_px_max: 1_568, patches_max: 1_568, base: 36 },
        3_000,
    ),
    anthropic(
        "claude-4.7",
        &["claude-opus-4-7", "claude-opus-4-8", "claude-opus-4-9", "claude-fable", "claude"],
        "2026-04",
        ImageRule::Patches28 { edge_px_max: 2_576, patches_max: 4_784, base: 44 },
        3_000,
    ),
    MediaRules {
        name: "gemini-2",
        models: &["gemini-1", "gemini-2"],
        since: "2024-12",
        source: GOOGLE,
        // 258 and up to 2,048 for what is looked at closer.
        image: ImageRule::Tiles768 { tiles_max: 9 },
        pdf_page: Tokens::new(258),
        audio_second: Tokens::new(32),
        // 263 for a frame a second, and the sound.
        video_second: Tokens::new(295),
    },
    MediaRules {
        name: "gemini-3",
        models: &["gemini-3", "gemini-4", "gemini"],
        since: "2025-11",
        source: GOOGLE,
        image: ImageRule::Flat { tokens: 1_120 },
        pdf_page: Tokens::new(560),
        audio_second: Tokens::new(32),
        video_second: Tokens::new(102),
    },
];

impl MediaRules {
    /// The rules for a model by its name, in whatever words a vendor or a router puts before it
    /// (`openai/gpt-4o`, `us.anthropic.claude-opus-4-7`). Unknown: the most of every kind.
    #[must_use]
    pub fn of_model(model: &str) -> &'static Self {
        static TABLE: [MediaRules; 20] = ROWS;
        static NOBODY: MediaRules = UNKNOWN;
        let rows = TABLE.iter().flat_map(|row| row.models.iter().map(move |name| (*name, row)));
        rows.filter(|(name, _)| names(model, name))
            .max_by_key(|(name, _)| name.len())
            .map_or(&NOBODY, |(_, row)| row)
    }

    /// All rows, for those who show them.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.into_iter()
    }

    /// What a counter takes that was given no model: GPT-4o's tiles, one page for a file.
    #[must_use]
    pub fn default_rules() -> &'static Self {
        static RULES: MediaRules = DEFAULT;
        &RULES
    }

    /// The tokens of a PDF of `pages` that is sent as a file.
    #[must_use]
    pub fn pdf(&self, pages: u32) -> Tokens {
        self.pdf_page.scaled_up(pages, 1)
    }

    /// The tokens of sound of this length; a part of a second counts as a whole one.
    #[must_use]
    pub fn audio(&self, duration_ms: u64) -> Tokens {
        seconds(self.audio_second, duration_ms)
    }

    /// The tokens of film of this length, its sound included.
    #[must_use]
    pub fn video(&self, duration_ms: u64) -> Tokens {
        seconds(self.video_second, duration_ms)
    }

    /// The tokens of an image or a file; none for other parts. A file whose pages and length are
    /// not known here counts as one page.
    #[must_use]
    pub fn part(&self, part: &ContentPart) -> Option<Tokens> {
        match part {
            ContentPart::Image { width_px, height_px, .. } => {
                Some(self.image.tokens(*width_px, *height_px))
            }
            ContentPart::File { .. } => Some(self.pdf_page),
            _ => None,
        }
    }
}

fn seconds(of_one: Tokens, duration_ms: u64) -> Tokens {
    Tokens::new(of_one.get().saturating_mul(duration_ms.div_ceil(1_000)))
}

/// `model` is called `name`, or begins with it after what stands before a model's own name.
fn names(model: &str, name: &str) -> bool {
    model.match_indices(name).any(|(at, _)| {
        let before = model.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| matches!(before, '/' | '.' | ':' | '@'))
    })
}
