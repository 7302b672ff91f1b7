//! What a queue message holds. Ours hold text, sent as such or as its bytes; what somebody else sends there is kept as well.

use std::borrow::Cow;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, or the JSON of what is neither text nor bytes.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Content {
    /// Its text; of bytes, as far as they are text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes),
        }
    }

    /// The same as bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Base64 of bytes that their text does not give back.
    #[must_use]
    pub fn base64(&self) -> Option<String> {
        match self {
            Self::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => Some(STANDARD.encode(bytes)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_of_any_content() {
        for (content, text, base64) in [
            (Content::Text("é".into()), "é", None),
            (Content::Bytes("é".into()), "é", None),
            (Content::Bytes(vec![b'a', 0xff]), "a\u{fffd}", Some("Yf8=".to_owned())),
        ] {
            assert_eq!((content.text().as_ref(), content.base64()), (text, base64.clone()));
            assert_eq!(content.into_bytes() == text.as_bytes(), base64.is_none());
        }
    }
}
