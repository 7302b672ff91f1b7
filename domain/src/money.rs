//! Exact money: integer minor units at the currency's ISO 4217 exponent, never a float.

use std::fmt;

/// An ISO 4217 currency code, three upper-case letters, such as `JPY`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// Why an amount or a currency code was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The code is not three upper-case ASCII letters.
    #[error("{0:?} is not a currency code of three capital letters")]
    NotACurrency(String),
    /// The text is not a plain decimal number (`-12.34`); exponents and blanks are refused.
    #[error("{0:?} is not a decimal amount")]
    NotADecimal(String),
    /// More non-zero decimals than the currency has: rounding it would change the shop's books.
    #[error("{amount:?} has more decimals than the {exponent} of {currency}")]
    TooManyDecimals {
        amount: String,
        currency: String,
        exponent: u8,
    },
    /// The amount does not fit an `i64` of minor units.
    #[error("{0:?} is too large for 64-bit minor units")]
    TooLarge(String),
}

// ISO 4217 exponents other than 2. Source: ISO 4217 list one, 2024.
const NO_DECIMALS: [&[u8; 3]; 16] = [
    b"BIF", b"CLP", b"DJF", b"GNF", b"ISK", b"JPY", b"KMF", b"KRW", b"PYG", b"RWF", b"UGX", b"VND", b"VUV", b"XAF",
    b"XOF", b"XPF",
];
const THREE_DECIMALS: [&[u8; 3]; 7] = [b"BHD", b"IQD", b"JOD", b"KWD", b"LYD", b"OMR", b"TND"];

// Codes that a shop may be registered with: those of Shopify's Admin API 2026-10, and of ISO 4217 those that it may add.
const KNOWN: &str =
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BYR BZD CAD \
    CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD \
    HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JEP JMD JOD JPY KES KGS KHR KID KMF KPW KRW KWD KYD KZT LAK LBP \
    LKR LRD LSL LTL LVL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR \
    PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STD STN SYP \
    SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VEF VES VND VUV WST XAF XCD XCG XOF XPF YER \
    ZAR ZMW ZWG";

impl Currency {
    /// Parses an ISO 4217 code.
    ///
    /// # Errors
    /// [`MoneyError::NotACurrency`] for anything but three capital letters. Unknown codes are accepted with exponent 2:
    /// Shopify adds currencies before this list does.
    pub fn from_code(code: &str) -> Result<Self, MoneyError> {
        match code.as_bytes() {
            &[a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::NotACurrency(code.to_owned())),
        }
    }

    /// Whether it is one that a shop can have. A body may name another: Shopify adds currencies before this list does. But a shop
    /// that is registered with a code that is none would have its amounts read by the wrong decimals.
    #[must_use]
    pub fn is_known(&self) -> bool {
        KNOWN.split(' ').any(|code| code == self.code())
    }

    /// The code, for example `"JPY"`.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters")
    }

    /// Number of decimals of the minor unit: 0 for JPY, 2 for EUR, 3 for KWD.
    #[must_use]
    pub fn exponent(&self) -> u8 {
        if NO_DECIMALS.contains(&&self.0) {
            0
        } else if THREE_DECIMALS.contains(&&self.0) {
            3
        } else {
            2
        }
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Reads a decimal text such as `"-12.30"` as minor units of `currency` (`-1230` for EUR). Trailing zeros beyond the
/// exponent are fine (`"1000.00"` JPY).
///
/// # Errors
/// [`MoneyError::NotADecimal`], [`MoneyError::TooManyDecimals`] or [`MoneyError::TooLarge`]; nothing is ever rounded.
pub fn parse_minor(text: &str, currency: Currency) -> Result<i64, MoneyError> {
    let not_decimal = || MoneyError::NotADecimal(text.to_owned());
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return Err(not_decimal());
    }
    let exponent = usize::from(currency.exponent());
    let significant = fraction.trim_end_matches('0');
    if significant.len() > exponent {
        return Err(MoneyError::TooManyDecimals {
            amount: text.to_owned(),
            currency: currency.code().to_owned(),
            exponent: currency.exponent(),
        });
    }
    let mut minor: i64 = 0;
    let padding = std::iter::repeat_n(b'0', exponent - significant.len());
    for digit in whole.bytes().chain(significant.bytes()).chain(padding) {
        minor = minor
            .checked_mul(10)
            .and_then(|value| value.checked_add(i64::from(digit - b'0')))
            .ok_or_else(|| MoneyError::TooLarge(text.to_owned()))?;
    }
    Ok(if negative { -minor } else { minor })
}

/// Writes minor units as a decimal text (`1230` EUR is `"12.30"`); the inverse of [`parse_minor`].
#[must_use]
pub fn format_minor(minor: i64, exponent: u8) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let digits = minor.unsigned_abs().to_string();
    let exponent = usize::from(exponent);
    if exponent == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = exponent + 1);
    let (whole, fraction) = padded.split_at(padded.len() - exponent);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minor(text: &str, code: &str) -> Result<i64, MoneyError> {
        parse_minor(text, Currency::from_code(code).unwrap())
    }

    #[test]
    fn amounts_use_the_exponent_of_their_currency() {
        assert_eq!(minor("12.3", "EUR"), Ok(1230));
        assert_eq!(minor("-0.01", "EUR"), Ok(-1));
        assert_eq!(minor("1000.00", "JPY"), Ok(1000));
        assert_eq!(minor("1.234", "KWD"), Ok(1234));
    }

    #[test]
    fn nothing_is_rounded_and_nothing_overflows() {
        assert!(matches!(
            minor("10.005", "EUR"),
            Err(MoneyError::TooManyDecimals { .. })
        ));
        assert!(matches!(
            minor("99999999999999999999", "EUR"),
            Err(MoneyError::TooLarge(_))
        ));
        for text in ["", "-", ".5", "5.", "1e3", " 1", "1,0", "--1", "1.2.3"] {
            assert!(
                matches!(minor(text, "EUR"), Err(MoneyError::NotADecimal(_))),
                "{text:?}"
            );
        }
    }

    #[test]
    fn codes_are_three_capitals() {
        for code in ["", "eur", "EURO", "E1R"] {
            assert!(Currency::from_code(code).is_err(), "{code:?}");
        }
    }

    #[test]
    fn what_a_shop_can_have_is_what_shopify_names() {
        let schema = include_str!("../fixtures/admin-schema/admin-2026-10.graphql");
        let line = schema
            .lines()
            .find(|line| line.starts_with("enum CurrencyCode "))
            .unwrap();
        let codes: Vec<&str> = line.split_whitespace().skip(3).filter(|code| *code != "}").collect();
        assert!(codes.len() > 150);
        for code in codes {
            // "Unrecognized currency", and one that is no code of three letters.
            let is_code = code != "XXX" && code.len() == 3;
            let known = Currency::from_code(code).is_ok_and(|currency| currency.is_known());
            assert_eq!(known, is_code, "{code}");
        }
        for code in ["JYP", "XXQ", "XXX"] {
            assert!(!Currency::from_code(code).unwrap().is_known(), "{code}");
        }
        for code in NO_DECIMALS.into_iter().chain(THREE_DECIMALS) {
            assert!(Currency(*code).is_known());
        }
    }

    proptest! {
        #[test]
        fn format_is_the_inverse_of_parse(value in -1_000_000_000_000_i64..1_000_000_000_000, code in "EUR|JPY|KWD") {
            let currency = Currency::from_code(&code).unwrap();
            prop_assert_eq!(parse_minor(&format_minor(value, currency.exponent()), currency), Ok(value));
        }
    }
}
