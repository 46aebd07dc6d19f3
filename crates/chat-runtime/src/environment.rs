//! The one place that reads the process environment: API keys, by the name the configuration gives.

/// The value of the variable `name`; an empty one is none.
#[cfg(feature = "openai")]
pub(crate) fn secret(name: &str) -> Option<secrecy::SecretString> {
    let value = std::env::var(name).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| secrecy::SecretString::from(value))
}
