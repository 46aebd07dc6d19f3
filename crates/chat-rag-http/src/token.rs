//! Short-lived tokens: JWT, HS256, with the user's id and an end, as the service checks them.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chat_rag::{RagError, RagErrorKind, Result};
use chat_types::{Timestamp, UserId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::Sha256;

/// A token for `user` that holds from `now` for `seconds`.
pub(crate) fn token(
    secret: &SecretString,
    user: &UserId,
    now: Timestamp,
    seconds: u64,
) -> Result<String> {
    let issued = now.unix_ms().div_euclid(1_000);
    let ends = issued.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
    let claims = json!({ "id": user.as_str(), "iat": issued, "exp": ends });
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", part(&claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .map_err(|_| RagError::new(RagErrorKind::Invalid, "sign in", "the secret is no key"))?;
    mac.update(signed.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Ok(format!("{signed}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header and claims are read back, and the signature is checked with the MAC itself.
    #[test]
    fn a_token_says_who_asks_until_when_and_is_signed() {
        let secret = SecretString::from("secret");
        let now = Timestamp::from_unix_ms(1_700_000_000_999);
        let made = token(&secret, &UserId::new("ada").unwrap(), now, 300).unwrap();
        let mut parts = made.split('.');
        let mut part = || BASE64_URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
        assert_eq!(part(), br#"{"alg":"HS256","typ":"JWT"}"#);
        let claims: serde_json::Value = serde_json::from_slice(&part()).unwrap();
        assert_eq!(claims, json!({"id": "ada", "iat": 1_700_000_000, "exp": 1_700_000_300}));
        assert_eq!(part().len(), 32);
        let (signed, signature) = made.rsplit_once('.').unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(signed.as_bytes());
        mac.verify_slice(&BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }
}
