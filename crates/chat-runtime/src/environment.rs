//! The one place that reads the process environment: keys and secrets, by the name the
//! configuration gives.

/// The value of the variable `name`; an empty one is none.
#[cfg(any(feature = "openai", feature = "balance-http", feature = "webhook"))]
pub(crate) fn secret(name: &str) -> Option<secrecy::SecretString> {
    let value = std::env::var(name).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| secrecy::SecretString::from(value))
}
