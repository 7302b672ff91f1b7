//! The Rust side of `border.js`: what every request needs from JavaScript, each in one call.

use js_sys::{Array, JsString, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use worker::{web_sys, Queue, Result};

use crate::head::Head;

/// How much of a refused body is still read and dropped, in bytes. An answer before the end of the body resets the
/// connection of a client that is still sending, which then never sees the 413.
const MAX_DISCARDED_BYTES: usize = 32 << 20;

#[wasm_bindgen(module = "/src/border.js")]
extern "C" {
    #[wasm_bindgen(js_name = readHead)]
    fn head_of(request: &web_sys::Request, names: &Array) -> String;

    #[wasm_bindgen(catch, js_name = readBody)]
    async fn body_of(
        request: &web_sys::Request,
        announced: Option<u32>,
        limit: u32,
        discarded: u32,
    ) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = readSigned)]
    async fn signed_body_of(
        request: &web_sys::Request,
        announced: Option<u32>,
        limit: u32,
        discarded: u32,
        keys: &Array,
        signature: &Uint8Array,
    ) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = importKeys)]
    async fn keys_of(secrets: &Array) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = sendText)]
    async fn text_to(queue: &JsValue, text: &str) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = jsonResponse)]
    fn response_of(status: u16, text: &str) -> web_sys::Response;
}

/// Names of headers as JavaScript has them, made once per isolate.
pub struct HeaderNames {
    names: &'static [&'static str],
    array: Array,
}

impl HeaderNames {
    /// `names`, as they will be asked for.
    #[must_use]
    pub fn new(names: &'static [&'static str]) -> Self {
        let array = names.iter().map(|name| JsString::from(*name)).collect();
        Self { names, array }
    }

    /// The head of `request`.
    #[must_use]
    pub fn read(&self, request: &web_sys::Request) -> Head {
        Head::new(head_of(request, &self.array), self.names)
    }
}

/// Keys that verify signatures (HMAC-SHA256), several while a secret is rotated. Held by the platform's own cryptography:
/// a body is hashed in native code.
pub struct SigningKeys(Array);

impl SigningKeys {
    /// The keys of `secrets`, none of which is empty: anybody could sign with that.
    ///
    /// # Errors
    /// When the platform does not take a secret.
    pub async fn import<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let secrets: Array = secrets.into_iter().map(JsString::from).collect();
        Ok(Self(keys_of(&secrets).await?.unchecked_into()))
    }
}

/// What became of a body that should be signed.
pub enum SignedBody {
    /// The body; one of the keys signed it.
    Signed(Vec<u8>),
    /// None of the keys signed it.
    Forged,
    /// It has more bytes than the limit.
    TooLarge,
}

/// The body of `request`, or `None` when it has more than `limit` bytes; kept no further than that, whatever
/// Content-Length announces.
///
/// # Errors
/// When the connection breaks.
pub async fn body(request: &web_sys::Request, announced: Option<usize>, limit: usize) -> Result<Option<Vec<u8>>> {
    if is_hopeless(announced) {
        return Ok(None);
    }
    let body = body_of(request, announced.map(bytes), bytes(limit), bytes(MAX_DISCARDED_BYTES)).await?;
    Ok((!body.is_null()).then(|| copied(body)))
}

/// The same with the `signature` of one of `keys`. What is not signed does not reach this side of the border.
///
/// # Errors
/// As [`body`].
pub async fn signed_body(
    request: &web_sys::Request,
    announced: Option<usize>,
    limit: usize,
    keys: &SigningKeys,
    signature: &[u8],
) -> Result<SignedBody> {
    if is_hopeless(announced) {
        return Ok(SignedBody::TooLarge);
    }
    let (limit, discarded) = (bytes(limit), bytes(MAX_DISCARDED_BYTES));
    // A copy: it is looked at when wasm's memory may have moved.
    let signature = Uint8Array::from(signature);
    let body = signed_body_of(request, announced.map(bytes), limit, discarded, &keys.0, &signature).await?;
    Ok(match body {
        body if body.is_null() => SignedBody::TooLarge,
        body if body.is_undefined() => SignedBody::Forged,
        body => SignedBody::Signed(copied(body)),
    })
}

/// Whether so much is announced that reading it for the sake of an answer is not worth it.
fn is_hopeless(announced: Option<usize>) -> bool {
    announced.is_some_and(|length| length > MAX_DISCARDED_BYTES)
}

fn bytes(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn copied(body: JsValue) -> Vec<u8> {
    body.unchecked_into::<Uint8Array>().to_vec()
}

/// Sends `text` to `queue`; returns when it is durable there.
///
/// # Errors
/// When it is not.
pub async fn send_text(queue: &Queue, text: &str) -> Result<()> {
    text_to(queue.as_ref(), text).await?;
    Ok(())
}

/// An answer of JSON `text`.
#[must_use]
pub fn json(status: u16, text: &str) -> web_sys::Response {
    response_of(status, text)
}
