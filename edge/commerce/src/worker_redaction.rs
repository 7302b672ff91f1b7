//! Forgetting in R2: lists the rooms page by page, removes what names the customer or belongs to the shop, writes results of
//! bulk operations and their refused lines anew without the customer, keeps the certificate. Every step may be repeated: what is gone is not found again, and the certificate stays the first one.
//!
//! What is removed of a customer is handed to PostgreSQL once more before: it may be an order that never arrived there, and
//! PostgreSQL, which has forgotten the customer by now, takes the order without them. What it does not take stays as it would have
//! been stored, without them too.
//!
//! Other redactions go through the same rooms at the same time. What is written anew replaces what was read and nothing else.

use std::cell::Cell;

use serde_json::Value;
use weir_domain::webhook::Delivery;
use weir_edge_shared::decision::Decision;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::object_key::{plain, MAX_PART_CHARS};
use weir_edge_shared::object_writer::ObjectWriter;
use weir_edge_shared::pipeline::PipelineStream;
use weir_edge_shared::quarantine_room::put_anew;
use weir_edge_shared::sql::Argument;
use weir_edge_shared::storage::Storage;
use weir_edge_shared::versions::StreamVersions;
use worker::{console_log, Include, Object, Result};

use crate::archived::{refusals_without, Forgetter};
use crate::bindings::{metadata_of, FarEnds, BUCKET, PUBLICATION_BUCKET, SYNC_BUCKET};
use crate::consume::consume;
use crate::interactions::{interactions_without, Left};
use crate::kept::{received_millis, Kept, UNKNOWN};
use crate::message::{BODIES, DELIVERY_METADATA};
use crate::redaction::{
    certificate, certificate_key, keeps_numbers_alone, millis, CertificateRequest, Person, Progress, Subject,
};
use crate::worker_queue::with_body;

/// A part of a bucket that may name customers.
struct Room {
    name: &'static str,
    binding: &'static str,
    prefix: &'static str,
    holds: Content,
}

/// What the objects of a room are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// One delivery each: an object that names a customer goes, or is written anew without them where PostgreSQL does not take it.
    Records,
    /// An interaction each, or rows of several visitors: they are written anew without the customer.
    Interactions,
    /// What was refused of a part of an operation: written anew without the customer, and gone where nothing is left. In keys
    /// their shop comes first.
    Refusals,
    /// Results of whole operations: they are written anew without the customer. In keys their shop comes first.
    Results,
}

impl Content {
    /// Most objects of a page. What is left is looked at between two pages: each of these takes some six requests, a result may take all.
    fn page_objects(self) -> u32 {
        match self {
            Self::Records | Self::Interactions | Self::Refusals => 25,
            Self::Results => 1,
        }
    }

    /// The prefix of the objects of `shop` below `room`, as far as keys tell.
    fn prefix(self, room: &str, shop: &str) -> String {
        match self {
            Self::Records | Self::Interactions => room.to_owned(),
            Self::Refusals | Self::Results => format!("{room}{shop}/"),
        }
    }
}

/// What becomes of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
    /// Written anew already.
    Rewritten,
}

/// Bytes of a result that count as a request: what an invocation reads of the archive before it leaves the rest to another is then a
/// few GB, which take a minute of its five of CPU (wrangler.jsonc).
const BYTES_A_REQUEST: u64 = 8 << 20;
/// SQLSTATE of a request that PostgreSQL does not take (invalid_parameter_value).
const REFUSED: &str = "22023";
/// What handing in a delivery takes: PostgreSQL, the stream or the queue, R2.
const HAND_IN_REQUESTS: u32 = 3;

const ROOMS: [Room; 6] = [
    Room {
        name: "commerce/quarantine",
        binding: BUCKET,
        prefix: "quarantine/",
        holds: Content::Records,
    },
    Room {
        name: "commerce/bodies",
        binding: BUCKET,
        prefix: BODIES,
        holds: Content::Records,
    },
    Room {
        name: "publication/quarantine",
        binding: PUBLICATION_BUCKET,
        prefix: "quarantine/",
        holds: Content::Interactions,
    },
    Room {
        name: "sync/quarantine",
        binding: SYNC_BUCKET,
        prefix: "quarantine/",
        holds: Content::Refusals,
    },
    Room {
        name: "sync/archive",
        binding: SYNC_BUCKET,
        prefix: "archive/",
        holds: Content::Results,
    },
    // Copies of refused lines, which replays of earlier deployments made; they read the archive now.
    Room {
        name: "sync/replay",
        binding: SYNC_BUCKET,
        prefix: "replay/",
        holds: Content::Records,
    },
];

/// What one run came to.
pub enum Pass {
    /// All rooms are done and the certificate is kept.
    Done(Progress),
    /// Too many objects for one run: to be continued from here.
    More(Progress),
    /// To be tried again from here, and why.
    Failed(Progress, String),
}

/// Forgets `subject` at the edge in the run called `run`, from `progress` on, as long as there are requests `left` that this invocation may make for it.
pub async fn forget(
    around: &Around<'_>,
    delivery: &Delivery,
    subject: &Subject,
    mut progress: Progress,
    run: &str,
    left: &mut u32,
) -> Pass {
    if *subject == Subject::Shop && progress.until_millis.is_none() {
        if let Err(cause) = begin_shop(around, delivery, &mut progress).await {
            return Pass::Failed(progress, cause);
        }
    }
    let broom = Broom {
        around,
        delivery,
        shop_domain: &delivery.shop_domain,
        shop: plain(&delivery.shop_domain, MAX_PART_CHARS),
        subject,
        until_millis: progress.until_millis.unwrap_or(u64::MAX),
        left: Cell::new(*left),
    };
    let swept = broom.sweep(&mut progress).await;
    *left = broom.left.get();
    let certified = match swept {
        Ok(false) => return Pass::More(progress),
        Ok(true) => broom.certify(&progress, run).await,
        Err(cause) => Err(cause),
    };
    match certified {
        Ok(()) => Pass::Done(progress),
        Err(cause) => Pass::Failed(progress, cause),
    }
}

/// Asks PostgreSQL, which has forgotten the shop by now or would not, for the certificate: only once, and before anything is swept.
/// When that is done the shop may have registered anew, and would be forgotten as another one.
async fn begin_shop(
    around: &Around<'_>,
    delivery: &Delivery,
    progress: &mut Progress,
) -> std::result::Result<(), String> {
    let mut until = around.began_millis;
    if progress.is_of_an_earlier_deployment() {
        until = millis(&delivery.received_at).unwrap_or_default();
    }
    progress.until_millis = Some(until);
    if progress.is_done_in_postgres(&Subject::Shop) {
        return Ok(());
    }
    let asked = match Subject::Shop.certificate_request(delivery) {
        Some(request) => around.certificate(&request).await,
        None => return Ok(()),
    };
    let begun = match asked {
        Ok(Some(answer)) => progress.begin_shop(&answer, until),
        answer => answer.map(|_| ()),
    };
    if begun.is_err() {
        progress.until_millis = None; // To be asked again.
    }
    begun
}

/// Where forgetting reaches.
pub struct Around<'a> {
    /// R2 and the queue.
    pub far_ends: &'a FarEnds,
    /// PostgreSQL.
    pub transport: &'a HyperdriveTransport,
    /// The streams.
    pub streams: &'a StreamVersions<PipelineStream>,
    /// When the batch was begun, before PostgreSQL had it, in milliseconds since 1970.
    pub began_millis: u64,
}

impl Around<'_> {
    /// PostgreSQL's answer to `request`; `None` where it knows no such shop, and so refused the request before, which the quarantine
    /// keeps.
    async fn certificate(&self, request: &CertificateRequest) -> std::result::Result<Option<String>, String> {
        let arguments = [Argument::Json(&request.argument)];
        match self.transport.call(request.function, &arguments).await {
            Err(error) if error.sqlstate.as_deref() == Some(REFUSED) => {
                console_log!("forgotten at the edge alone: {error}");
                Ok(None)
            }
            answer => answer.map(Some).map_err(|error| error.to_string()),
        }
    }
}

struct Broom<'a> {
    around: &'a Around<'a>,
    delivery: &'a Delivery,
    shop_domain: &'a str,
    /// The same as a part of keys.
    shop: String,
    subject: &'a Subject,
    /// Of a shop: what came since stays.
    until_millis: u64,
    /// Requests that may still be made.
    left: Cell<u32>,
}

impl Broom<'_> {
    fn charge(&self, requests: u32) {
        self.left.set(self.left.get().saturating_sub(requests));
    }

    /// Goes on from `progress`, which says afterwards what is done; whether that is everything.
    async fn sweep(&self, progress: &mut Progress) -> std::result::Result<bool, String> {
        while let Some(room) = ROOMS.get(progress.rooms) {
            // A Worker that is not deployed has no bucket.
            let storage = self.around.far_ends.other_storage(room.binding);
            let cursor = match storage {
                Some(_) if self.left.get() == 0 => return Ok(false),
                Some(storage) => {
                    let (removed, next) = self.sweep_page(room, &storage, progress.cursor.clone()).await;
                    *progress.removed.entry(room.name.to_owned()).or_default() += removed;
                    next.map_err(|cause| format!("{}: {cause}", room.name))?
                }
                None => None,
            };
            progress.rooms += usize::from(cursor.is_none());
            progress.cursor = cursor;
        }
        Ok(true)
    }

    /// Sweeps a page: how many objects were removed or written anew, and where the next page begins. Also when something fails: what
    /// is done is done, and the next attempt does not begin with it.
    async fn sweep_page(
        &self,
        room: &Room,
        storage: &Storage,
        cursor: Option<String>,
    ) -> (u64, std::result::Result<Option<String>, String>) {
        let limit = self.left.get().min(room.holds.page_objects());
        let mut page = storage
            .bucket()
            .list()
            .prefix(room.holds.prefix(room.prefix, &self.shop))
            .limit(limit)
            .include(vec![Include::CustomMetadata]);
        if let Some(cursor) = cursor {
            page = page.cursor(cursor);
        }
        self.charge(1);
        let page = match storage.wait(page.execute()).await {
            Ok(page) => page,
            Err(error) => return (0, Err(error.to_string())),
        };
        let (mut doomed, mut rewritten, mut failed) = (Vec::new(), 0, None);
        for object in page.objects() {
            match self.sweep_object(room, storage, &object).await {
                Ok(Ok(Fate::Goes)) => doomed.push(object.key()),
                Ok(Ok(Fate::Rewritten)) => rewritten += 1,
                Ok(Ok(Fate::Stays)) => {}
                Ok(Err(cause)) => failed = Some(cause),
                Err(error) => failed = Some(error.to_string()),
            }
            if failed.is_some() {
                break;
            }
        }
        let removed = doomed.len() as u64 + rewritten;
        if !doomed.is_empty() {
            if let Err(error) = storage.wait(storage.bucket().delete_multiple(doomed)).await {
                return (rewritten, Err(error.to_string()));
            }
        }
        let next = page.truncated().then(|| page.cursor()).flatten();
        (removed, failed.map_or(Ok(next), Err))
    }

    /// What becomes of `object`.
    async fn sweep_object(
        &self,
        room: &Room,
        storage: &Storage,
        object: &Object,
    ) -> Result<std::result::Result<Fate, String>> {
        let key = object.key();
        let is_read = match (room.holds, self.subject) {
            (Content::Results, Subject::Customer(_)) => may_name_customers(object)?,
            _ => false,
        };
        self.charge(if is_read { cost_of_reading(object.size()) } else { 1 });
        let has_part = |name: &str| key.split('/').any(|part| part == name);
        let owner = has_part(&self.shop).then_some(self.shop_domain);
        if owner.is_none() && !has_part(UNKNOWN) {
            return Ok(Ok(Fate::Stays));
        }
        match self.subject {
            Subject::Shop if !self.is_of_before(room, storage, object).await? => Ok(Ok(Fate::Stays)),
            Subject::Shop if owner.is_some() => Ok(Ok(Fate::Goes)),
            Subject::Customer(_) if room.holds == Content::Results && !is_read => Ok(Ok(Fate::Stays)),
            Subject::Customer(person) if room.holds == Content::Results => {
                let is_written = write_without(storage, object, person).await?;
                Ok(Ok(if is_written { Fate::Rewritten } else { Fate::Stays }))
            }
            _ => self.take_out(room, storage, object, owner).await,
        }
    }

    /// Whether what `object` holds came before the shop was forgotten, whenever it was put where it is.
    async fn is_of_before(&self, room: &Room, storage: &Storage, object: &Object) -> Result<bool> {
        if object.uploaded().as_millis() < self.until_millis {
            return Ok(true);
        }
        let came = match (room.name, room.holds) {
            (_, Content::Results) => object.custom_metadata()?.get("started_at").and_then(|at| millis(at)),
            ("commerce/bodies", _) => described(object)?.and_then(|delivery| millis(&delivery.received_at)),
            _ => {
                self.charge(1);
                let text = storage.read_text(&object.key()).await?;
                text.and_then(|text| received_millis(&text))
            }
        };
        Ok(came.is_some_and(|came| came < self.until_millis))
    }

    /// What becomes of `object`, whose key names its `owner` if anybody knew it. Where it goes, PostgreSQL has been given what is
    /// in it of a customer.
    async fn take_out(
        &self,
        room: &Room,
        storage: &Storage,
        object: &Object,
        owner: Option<&str>,
    ) -> Result<std::result::Result<Fate, String>> {
        let described = described(object)?;
        if described.as_ref().and_then(Subject::of).is_some() {
            // The body of a request, perhaps of this one: it goes when that one is done.
            return Ok(Ok(Fate::Stays));
        }
        let Some(text) = storage.read_text(&object.key()).await? else {
            return Ok(Ok(Fate::Stays));
        };
        let kept = match room.name {
            "commerce/bodies" => Kept::body(text, described, owner),
            "commerce/quarantine" => self.record(storage, &text, owner).await,
            _ => Kept::other(text, owner),
        };
        if !kept.names(self.subject, self.shop_domain) {
            return Ok(Ok(Fate::Stays));
        }
        match (&kept.delivery, self.subject) {
            // Refused once more it would be kept once more, and find those that find it. It waits for an operator, as numbers.
            (Some((delivery, _)), Subject::Customer(_)) if kept.is_refused && Subject::of(delivery).is_some() => {
                Ok(Ok(Fate::Stays))
            }
            // An earlier deployment kept of it not whose it is. It waits likewise.
            (None, Subject::Customer(_)) if keeps_numbers_alone(&kept.topic) => Ok(Ok(Fate::Stays)),
            (Some((delivery, replays)), Subject::Customer(person)) => {
                let left = match self.hand_in(delivery.clone(), *replays).await {
                    Ok(None) => Left::Nothing,
                    Ok(Some((reason, detail))) => kept.refused(person, &reason, &detail),
                    Err(cause) => return Ok(Err(cause)),
                };
                self.leave(room, storage, object, left).await.map(Ok)
            }
            (None, Subject::Customer(person)) => {
                let left = match room.holds {
                    Content::Refusals => refusals_without(person, &kept.text).map_or(Left::Nothing, Left::This),
                    Content::Interactions => interactions_without(person, &kept.text),
                    Content::Records | Content::Results => Left::Nothing,
                };
                self.leave(room, storage, object, left).await.map(Ok)
            }
            _ => Ok(Ok(Fate::Goes)),
        }
    }

    /// Leaves of `object` what is `left` of it.
    async fn leave(&self, room: &Room, storage: &Storage, object: &Object, left: Left) -> Result<Fate> {
        let without = match left {
            Left::All => return Ok(Fate::Stays),
            Left::Nothing => return Ok(Fate::Goes),
            Left::This(without) => without,
        };
        let metadata = match room.name {
            "commerce/quarantine" => metadata_of(&serde_json::from_str(&without)?),
            _ => object.custom_metadata()?,
        };
        self.charge(1);
        put_anew(storage, object, without, metadata).await?;
        Ok(Fate::Rewritten)
    }

    /// A record of the quarantine with its body, wherever that lies.
    async fn record(&self, storage: &Storage, text: &str, owner: Option<&str>) -> Kept {
        let (kept, message) = Kept::record(text, owner);
        let Some(message) = message else { return kept };
        self.charge(u32::from(message.body_key.is_some()));
        let replays = message.replays;
        match with_body(storage, message).await {
            Ok(delivery) => kept.with(delivery, replays),
            Err(_) => kept,
        }
    }

    /// Gives PostgreSQL or the queue what is about to go; what was not taken and why, as a reason and a detail.
    async fn hand_in(&self, delivery: Delivery, replays: u32) -> std::result::Result<Option<(String, String)>, String> {
        self.charge(HAND_IN_REQUESTS);
        if Subject::of(&delivery).is_some() {
            // Another request that names them: it may name more orders, and has rooms of its own to go through.
            let handed_over = self.around.far_ends.hand_over(delivery, replays).await;
            return handed_over.map(|()| None).map_err(|error| error.to_string());
        }
        let decisions = consume(&[delivery], self.around.transport, self.around.streams).await;
        match decisions.into_iter().next() {
            Some(Decision::Retry { cause }) => Err(cause),
            Some(Decision::Quarantine { reason, detail }) => Ok(Some((reason, detail))),
            Some(Decision::Acknowledge) | None => Ok(None),
        }
    }

    async fn certify(&self, progress: &Progress, run: &str) -> std::result::Result<(), String> {
        let answer = match (self.subject, self.subject.certificate_request(self.delivery)) {
            (Subject::Shop, _) => progress.certificate.as_ref().map(Value::to_string),
            (Subject::Customer(_), Some(request)) => self.around.certificate(&request).await?,
            (Subject::Customer(_), None) => None,
        };
        let Some(answer) = answer else {
            console_log!("forgotten at the edge, without a certificate: {:?}", progress.removed);
            return Ok(());
        };
        let storage = &self.around.far_ends.storage;
        let of_answer = serde_json::from_str::<Value>(&answer).unwrap_or_default();
        let earlier = storage
            .read_tagged(&certificate_key(&of_answer)?)
            .await
            .map_err(|error| error.to_string())?;
        let (earlier, etag) = earlier.unzip();
        let earlier = earlier.and_then(|text| serde_json::from_str(&text).ok());
        let (key, text) = certificate(&answer, run, &progress.removed, earlier)?;
        let object = storage.bucket().put(&key, text.clone());
        let kept = storage.replace(object, etag).await;
        kept.map_err(|error| format!("certificate {key}: {error}"))?;
        console_log!("certificate {key}: {text}");
        Ok(())
    }
}

/// How many requests a result of so many `bytes` counts as that is read: twice, line by line, and it may be large.
fn cost_of_reading(bytes: u64) -> u32 {
    u32::try_from(bytes / BYTES_A_REQUEST)
        .unwrap_or(u32::MAX)
        .saturating_add(40)
}

/// Whether customers may be named in the result `object`: the other queries do not ask for them.
fn may_name_customers(object: &Object) -> Result<bool> {
    let metadata = object.custom_metadata()?;
    let asks = metadata.get("kind").is_none_or(|kind| kind == "orders_core");
    Ok(asks && object.key().ends_with(".jsonl"))
}

/// Writes the result `object` anew without `person`, if it names them. Read once to see that, and again to write: most results
/// name one customer in no line.
async fn write_without(storage: &Storage, object: &Object, person: &Person) -> Result<bool> {
    let metadata = object.custom_metadata()?;
    let key = object.key();
    let mut forgetter = Forgetter::of(person);
    pour(storage, &key, &mut forgetter, None).await?;
    if forgetter.named == 0 {
        return Ok(false);
    }
    let mut target = ObjectWriter::new(storage, &key, metadata).over(object.etag());
    match pour(storage, &key, &mut Forgetter::of(person), Some(&mut target)).await {
        Ok(()) => target.finish().await.map(|()| true),
        Err(error) => {
            target.abort().await;
            Err(error)
        }
    }
}

/// Sends the object `key` through `forgetter`, and what comes out of it to `target`.
async fn pour(
    storage: &Storage,
    key: &str,
    forgetter: &mut Forgetter<'_>,
    mut target: Option<&mut ObjectWriter<'_>>,
) -> Result<()> {
    let Some(mut pieces) = storage.open(key).await? else {
        return Ok(()); // Removed by the bucket's lifecycle rule meanwhile.
    };
    loop {
        let piece = pieces.next().await?;
        let kept = forgetter.feed(piece.as_deref().unwrap_or_default());
        if let Some(target) = &mut target {
            target.push(&kept).await?;
        }
        if piece.is_none() {
            return Ok(());
        }
    }
}

/// The delivery whose large body `object` is, written beside it without the body.
fn described(object: &Object) -> Result<Option<Delivery>> {
    let metadata = object.custom_metadata()?;
    let described = metadata.get(DELIVERY_METADATA);
    Ok(described.and_then(|text| serde_json::from_str(text).ok()))
}
