//! One named piece of the instructions.

/// How often a block changes. Steady blocks go first, so that the prefix stays the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Volatility {
    /// The same for every turn of a deployment.
    #[default]
    Static,
    /// Changes now and then: a conversation's own instructions, a memory.
    Slow,
    /// May differ from turn to turn, for example the date.
    Volatile,
}

/// One named piece of the instructions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InstructionBlock {
    /// Names it in reports; never sent.
    pub name: String,
    /// What the model is told; blank: the block is left out.
    pub text: String,
    /// How often it changes.
    pub volatility: Volatility,
}

impl InstructionBlock {
    /// A block that never changes.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), volatility: Volatility::Static }
    }

    /// A block that may differ from turn to turn: it goes to the end, where it breaks no prefix.
    pub fn volatile(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, text).with_volatility(Volatility::Volatile)
    }

    /// The same block, changing as often as said.
    #[must_use]
    pub fn with_volatility(self, volatility: Volatility) -> Self {
        Self { volatility, ..self }
    }
}
