//! The Rust side of `border.js`: what every request needs from JavaScript, each in one call.

use std::future::Future;

use js_sys::{Array, JsString, Promise, Uint8Array};
use wasm_bindgen::prelude::{wasm_bindgen, Closure};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::future_to_promise;
use worker::worker_sys::Context as JsContext;
use worker::{console_error, web_sys, Context, Env, Queue, Result};

use crate::content::Content;
use crate::head::{Head, Receipt};

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

    #[wasm_bindgen(catch, js_name = importKeys)]
    async fn keys_of(secrets: &Array) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = sendMessage)]
    async fn message_to(queue: &JsValue, line: &str, body: &[u8]) -> std::result::Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = intakeOf)]
    fn intake_of(
        path: &str,
        signed: &str,
        keys: &Array,
        names: &Array,
        limit: u32,
        discarded: u32,
        queue: &JsValue,
        millis: u32,
        taken: &str,
        settle: JsValue,
        failed: JsValue,
        late: &JsValue,
    ) -> JsValue;

    #[wasm_bindgen(js_name = takeSigned)]
    fn take_signed(
        intake: &JsValue,
        request: &web_sys::Request,
        announced: Option<u32>,
        signature: &Uint8Array,
        env: &Env,
        context: &JsContext,
    ) -> Promise;

    #[wasm_bindgen(js_name = jsonResponse)]
    fn response_of(status: u16, text: &str) -> web_sys::Response;

    #[wasm_bindgen(js_name = unavailableResponse)]
    fn unavailable_response_of(text: &str, seconds: u32) -> web_sys::Response;

    #[wasm_bindgen(js_name = within)]
    fn promise_within(answer: &Promise, millis: u32, late: &JsValue) -> Promise;

    #[wasm_bindgen(js_name = contentOf)]
    fn content_in(body: &JsValue) -> JsValue;
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
    /// The body, still JavaScript's; one of the keys signed it.
    Signed(Uint8Array),
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

/// A signed request whose body has been read, and what it came with.
pub struct Received {
    /// The request, without its body.
    pub request: web_sys::Request,
    /// When it came, and the headers that belong to its body.
    pub receipt: Receipt,
    /// Its body.
    pub body: SignedBody,
    /// Bindings.
    pub env: Env,
    /// The event.
    pub context: Context,
}

/// What becomes of a signed request.
pub enum Settled {
    /// This line goes to the queue, and the body behind it.
    Send(String),
    /// Something else; a promise of the answer.
    Answer(Promise),
}

/// What an intake is made of.
pub struct IntakeParts<'a> {
    /// Path of the requests that JavaScript takes before Rust has seen them; others of the same kind come by [`Intake::take`].
    pub path: &'static str,
    /// Name of the header with the signature of such a request, base64.
    pub signed: &'static str,
    /// Who may sign.
    pub keys: &'a SigningKeys,
    /// Headers that belong to a body.
    pub headers: &'static [&'static str],
    /// Most bytes of a body.
    pub limit: usize,
    /// Where the messages go.
    pub queue: &'a Queue,
    /// How long an answer may take.
    pub budget: &'a Budget,
    /// JSON text of the answer 200 to a request whose message the queue has.
    pub taken: &'a str,
}

/// How signed requests are taken to a queue, made once per isolate. JavaScript drives, from the body to the answer, since a
/// future of Rust costs more at each step; every decision is a call of Rust.
pub struct Intake(JsValue);

impl Intake {
    /// An intake of `parts`. `settle` says what becomes of a request; `failed` answers one whose message the queue did not take.
    pub fn new(
        parts: &IntakeParts<'_>,
        settle: impl Fn(Received) -> Settled + 'static,
        failed: impl Fn(JsValue) -> web_sys::Response + 'static,
    ) -> Self {
        let headers = parts.headers;
        let settle = move |request, receipt, body: Option<Uint8Array>, is_too_large, env, context| {
            let body = match body {
                _ if is_too_large => SignedBody::TooLarge,
                None => SignedBody::Forged,
                Some(body) => SignedBody::Signed(body),
            };
            let receipt = Receipt::new(receipt, headers);
            let context = Context::new(context);
            let received = Received {
                request,
                receipt,
                body,
                env,
                context,
            };
            match settle(received) {
                Settled::Send(line) => line.into(),
                Settled::Answer(answer) => answer.into(),
            }
        };
        let settle =
            Closure::<dyn Fn(web_sys::Request, String, Option<Uint8Array>, bool, Env, JsContext) -> JsValue>::new(
                settle,
            );
        let failed = Closure::<dyn Fn(JsValue) -> web_sys::Response>::new(failed);
        Self(intake_of(
            parts.path,
            parts.signed,
            &parts.keys.0,
            &HeaderNames::new(headers).array,
            bytes(parts.limit),
            bytes(MAX_DISCARDED_BYTES),
            parts.queue.as_ref(),
            parts.budget.millis,
            parts.taken,
            settle.into_js_value(),
            failed.into_js_value(),
            &parts.budget.late,
        ))
    }

    /// The intake as `edge/shared/handlers.mjs` asks for it.
    #[must_use]
    pub fn as_js(&self) -> &JsValue {
        &self.0
    }

    /// Takes `request` with the `signature`; a promise of the answer, within the budget.
    #[must_use]
    pub fn take(
        &self,
        request: &web_sys::Request,
        head: &Head,
        signature: &[u8],
        env: &Env,
        context: &JsContext,
    ) -> Promise {
        // A copy: it is looked at when wasm's memory may have moved.
        let signature = Uint8Array::from(signature);
        let announced = head.content_length().map(bytes);
        take_signed(&self.0, request, announced, &signature, env, context)
    }
}

/// A promise of what `answer` gives; an error of its own is logged and answered 500.
pub fn answering(answer: impl Future<Output = Result<web_sys::Response>> + 'static) -> Promise {
    future_to_promise(async move {
        let response = answer.await.unwrap_or_else(|error| {
            console_error!("{error}");
            json(500, r#"{"reason":"failed"}"#)
        });
        Ok(response.into())
    })
}

/// How long an answer may take, and the one that is given when that is over. Made once per isolate.
pub struct Budget {
    millis: u32,
    late: JsValue,
}

impl Budget {
    /// A budget of `millis`, after which `late` answers.
    pub fn new(millis: u32, late: impl Fn() -> web_sys::Response + 'static) -> Self {
        let late = Closure::<dyn Fn() -> web_sys::Response>::new(late).into_js_value();
        Self { millis, late }
    }

    /// `answer`, or the late one. What `answer` waits for is let go of with the request: it may still happen, or not.
    #[must_use]
    pub fn bound(&self, answer: &Promise) -> Promise {
        promise_within(answer, self.millis, &self.late)
    }
}

/// Whether so much is announced that reading it for the sake of an answer is not worth it.
#[must_use]
pub fn is_hopeless(announced: Option<usize>) -> bool {
    announced.is_some_and(|length| length > MAX_DISCARDED_BYTES)
}

fn bytes(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn copied(body: JsValue) -> Vec<u8> {
    body.unchecked_into::<Uint8Array>().to_vec()
}

/// Sends `line` with `body` behind it to `queue`; returns when that is durable there.
///
/// # Errors
/// When it is not.
pub async fn send_message(queue: &Queue, line: &str, body: &[u8]) -> Result<()> {
    message_to(queue.as_ref(), line, body).await?;
    Ok(())
}

/// What the message with `body` holds, of whatever content type it was sent with.
#[must_use]
pub fn content(body: &JsValue) -> Content {
    let content = content_in(body);
    match content.as_string() {
        Some(text) => Content::Text(text),
        None => Content::Bytes(copied(content)),
    }
}

/// An answer 503 of JSON `text`, which says that the request may come again in `seconds`.
#[must_use]
pub fn unavailable(text: &str, seconds: u32) -> web_sys::Response {
    unavailable_response_of(text, seconds)
}

/// An answer of JSON `text`.
#[must_use]
pub fn json(status: u16, text: &str) -> web_sys::Response {
    response_of(status, text)
}
