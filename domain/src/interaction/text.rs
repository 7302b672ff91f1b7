//! Free text of a sender: bounded, and without anything that looks like an e-mail address.

/// Most characters of an id, a placement or a campaign value. Longer ones are refused where they are ids.
pub const MAX_TEXT_CHARS: usize = 200;

/// `text` with its percent-escapes decoded; what is no UTF-8 afterwards is replaced.
#[must_use]
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Whether `text` holds something like an e-mail address, also percent-encoded (and encoded again, as redirects do).
///
/// Rather too often than too seldom: a lost placement is a gap in a report, a kept address is a breach.
#[must_use]
pub fn looks_like_email(text: &str) -> bool {
    const DECODINGS: usize = 3;
    let mut text = text.to_owned();
    for _ in 0..=DECODINGS {
        if has_address(&text) {
            return true;
        }
        let decoded = percent_decode(&text);
        if decoded == text {
            return false;
        }
        text = decoded;
    }
    // Still encoded after that is nobody's honest value.
    true
}

/// What is read as a full stop: IDNA's four, and the small ones that turn into one.
const STOPS: [char; 6] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}', '\u{fe52}', '\u{2024}'];

/// Characters that nobody sees: they keep a text apart for programs and not for people.
fn is_unseen(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// What is read as an at sign.
const AT_SIGNS: [char; 3] = ['@', '\u{ff20}', '\u{fe6b}'];

fn has_address(text: &str) -> bool {
    if !text.contains(AT_SIGNS) {
        return false;
    }
    let text: String = text.chars().filter(|letter| !is_unseen(*letter)).collect();
    text.match_indices(AT_SIGNS).any(|(at, sign)| {
        let of_local = |letter: char| letter.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.\"".contains(letter);
        let local = text[..at]
            .chars()
            .next_back()
            .is_some_and(|letter| of_local(letter) && letter != '/');
        let domain: String = text[at + sign.len()..]
            .chars()
            .take_while(|letter| letter.is_alphanumeric() || "-_".contains(*letter) || STOPS.contains(letter))
            .collect();
        let begins = domain.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
        local && begins && domain.trim_end_matches(STOPS).contains(STOPS)
    })
}

/// `value` trimmed, or `None` when nothing is left or it looks like an e-mail address.
///
/// # Errors
/// What is wrong with it: too long, or control characters in it.
pub fn free_text(value: &str) -> Result<Option<String>, String> {
    let value = value.trim();
    if value.chars().count() > MAX_TEXT_CHARS {
        return Err(format!("longer than {MAX_TEXT_CHARS} characters"));
    }
    if value.chars().any(char::is_control) {
        return Err("has a control character".into());
    }
    Ok(Some(value)
        .filter(|value| !value.is_empty() && !looks_like_email(value))
        .map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_seen_however_they_are_written() {
        for address in [
            "jane@example.com",
            "mailto:Jane.Doe+tag@mail.example.co.uk?x",
            "jane%40example.com",
            "jane%2540example.com",
            "jane%252540example%2Ecom",
            "to=jane@example.com&x",
            "jane＠example.com",
            "日本@例え.jp",
            "jane@example．com",
            "jane@example｡com",
            "jane@mail_host.example",
            "jane@_mail.example",
            "jane\u{200b}@example.com",
            "jane@\u{2060}example.com",
            "jane@example\u{ad}.com",
            "jane﹫example.com",
            "jane%E2%80%8B%40example.com",
        ] {
            assert!(looks_like_email(address), "{address}");
        }
        for other in [
            "",
            "a@",
            "@home",
            "/@user/post",
            "50% off",
            "a @ b.c",
            "user@host",
            "2%400",
            "x%",
            "%zz",
        ] {
            assert!(!looks_like_email(other), "{other}");
        }
    }

    #[test]
    fn free_text_is_bounded() {
        assert_eq!(free_text("  hero "), Ok(Some("hero".into())));
        assert_eq!(free_text(" "), Ok(None));
        assert_eq!(free_text("jane@example.com"), Ok(None));
        assert!(free_text("a\u{0}b").is_err());
        assert_eq!(
            free_text(&"é".repeat(MAX_TEXT_CHARS)).unwrap().unwrap().chars().count(),
            MAX_TEXT_CHARS
        );
        assert!(free_text(&"x".repeat(MAX_TEXT_CHARS + 1)).is_err());
    }

    #[test]
    fn decoding_leaves_alone_what_is_no_escape() {
        assert_eq!(percent_decode("a%20b%4"), "a b%4");
        assert_eq!(percent_decode("%é%2"), "%é%2");
        assert_eq!(percent_decode("%E3%81%82"), "あ");
    }
}
