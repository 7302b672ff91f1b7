//! Forgetting in R2: lists the rooms page by page, removes what names the customer or belongs to the shop, writes results of
//! bulk operations and their refused lines anew without the customer, keeps the certificate. Every step may be repeated: what is gone is not found again, and the certificate stays the first one.
//!
//! What is removed of a customer is handed to PostgreSQL once more before: it may be an order that never arrived there, and
//! PostgreSQL, which has forgotten the customer by now, takes the order without them.

use std::cell::Cell;

use serde_json::Value;
use weir_domain::webhook::Delivery;
use weir_edge_shared::decision::Decision;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::object_key::{plain, MAX_PART_CHARS};
use weir_edge_shared::object_writer::ObjectWriter;
use weir_edge_shared::pipeline::PipelineStream;
use weir_edge_shared::quarantine_room::put;
use weir_edge_shared::sql::Argument;
use weir_edge_shared::storage::Storage;
use weir_edge_shared::versions::StreamVersions;
use worker::{console_log, Include, Object, Result};

use crate::archived::{refusals_without, Forgetter};
use crate::bindings::{FarEnds, BUCKET, PUBLICATION_BUCKET, SYNC_BUCKET};
use crate::consume::consume;
use crate::kept::{Kept, UNKNOWN};
use crate::message::{BODIES, DELIVERY_METADATA};
use crate::redaction::{certificate, certificate_key, keeps_numbers_alone, Person, Progress, Subject};
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
    /// One delivery or event each: an object that names a customer goes.
    Records,
    /// What was refused of a part of an operation: written anew without the customer, and gone where nothing is left. In keys
    /// their shop comes first.
    Refusals,
    /// Results of whole operations: they are written anew without the customer. In keys their shop comes first.
    Results,
}

impl Content {
    /// How many requests an object counts as: a result is read twice and may be large.
    fn weight(self) -> u32 {
        match self {
            Self::Records | Self::Refusals => 1,
            Self::Results => 40,
        }
    }

    /// The prefix of the objects of `shop` below `room`, as far as keys tell.
    fn prefix(self, room: &str, shop: &str) -> String {
        match self {
            Self::Records => room.to_owned(),
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

/// Most objects of a page: what an invocation began with may be overdrawn by what they take, some six requests each.
const PAGE_OBJECTS: u32 = 25;
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
        holds: Content::Records,
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
    Done,
    /// Too many objects for one run: to be continued from here.
    More(Progress),
}

/// Forgets `subject` at the edge, from `progress` on, as long as there are requests `left` that this invocation may make for it.
///
/// # Errors
/// Why it has to be tried again.
pub async fn forget(
    around: &Around<'_>,
    delivery: &Delivery,
    subject: &Subject,
    progress: Progress,
    left: &mut u32,
) -> std::result::Result<Pass, String> {
    let broom = Broom {
        around,
        shop_domain: &delivery.shop_domain,
        shop: plain(&delivery.shop_domain, MAX_PART_CHARS),
        subject,
        left: Cell::new(*left),
    };
    let swept = broom.sweep(progress).await;
    *left = broom.left.get();
    match swept? {
        (progress, false) => Ok(Pass::More(progress)),
        (progress, true) => {
            broom.certify(&progress).await?;
            Ok(Pass::Done)
        }
    }
}

/// Where forgetting reaches.
pub struct Around<'a> {
    /// R2 and the queue.
    pub far_ends: &'a FarEnds,
    /// PostgreSQL.
    pub transport: &'a HyperdriveTransport,
    /// The streams.
    pub streams: &'a StreamVersions<PipelineStream>,
}

struct Broom<'a> {
    around: &'a Around<'a>,
    shop_domain: &'a str,
    /// The same as a part of keys.
    shop: String,
    subject: &'a Subject,
    /// Requests that may still be made.
    left: Cell<u32>,
}

impl Broom<'_> {
    fn charge(&self, requests: u32) {
        self.left.set(self.left.get().saturating_sub(requests));
    }

    /// Goes on from `progress`; whether everything is swept.
    async fn sweep(&self, mut progress: Progress) -> std::result::Result<(Progress, bool), String> {
        while let Some(room) = ROOMS.get(progress.rooms) {
            // A Worker that is not deployed has no bucket.
            let storage = self.around.far_ends.other_storage(room.binding);
            let cursor = match storage {
                Some(_) if self.left.get() == 0 => return Ok((progress, false)),
                Some(storage) => {
                    let (removed, cursor) = self
                        .sweep_page(room, &storage, progress.cursor.take())
                        .await
                        .map_err(|error| format!("{}: {error}", room.name))??;
                    *progress.removed.entry(room.name.to_owned()).or_default() += removed;
                    cursor
                }
                None => None,
            };
            progress.rooms += usize::from(cursor.is_none());
            progress.cursor = cursor;
        }
        Ok((progress, true))
    }

    /// Sweeps a page: how many objects were removed or written anew, and where the next page begins.
    async fn sweep_page(
        &self,
        room: &Room,
        storage: &Storage,
        cursor: Option<String>,
    ) -> Result<std::result::Result<(u64, Option<String>), String>> {
        let limit = self.left.get().div_ceil(room.holds.weight()).min(PAGE_OBJECTS);
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
        let page = storage.wait(page.execute()).await?;
        let (mut doomed, mut rewritten, mut failed) = (Vec::new(), 0, None);
        for object in page.objects() {
            match self.sweep_object(room, storage, &object).await {
                Ok(Ok(Fate::Goes)) => doomed.push(object.key()),
                Ok(Ok(Fate::Rewritten)) => rewritten += 1,
                Ok(Ok(Fate::Stays)) => {}
                failure => {
                    failed = Some(failure);
                    break;
                }
            }
        }
        let removed = doomed.len() as u64 + rewritten;
        // Also when something failed: what is done is done, and the next attempt does not begin with it.
        if !doomed.is_empty() {
            storage.wait(storage.bucket().delete_multiple(doomed)).await?;
        }
        if let Some(failure) = failed {
            return failure.map(|cause| cause.map(|_| (0, None)));
        }
        Ok(Ok((removed, page.truncated().then(|| page.cursor()).flatten())))
    }

    /// What becomes of `object`.
    async fn sweep_object(
        &self,
        room: &Room,
        storage: &Storage,
        object: &Object,
    ) -> Result<std::result::Result<Fate, String>> {
        self.charge(room.holds.weight());
        let key = object.key();
        let has_part = |name: &str| key.split('/').any(|part| part == name);
        let owner = has_part(&self.shop).then_some(self.shop_domain);
        match self.subject {
            _ if owner.is_none() && !has_part(UNKNOWN) => Ok(Ok(Fate::Stays)),
            Subject::Shop if owner.is_some() => Ok(Ok(Fate::Goes)),
            Subject::Customer(person) if room.holds == Content::Results => {
                let is_written = write_without(storage, object, person).await?;
                Ok(Ok(if is_written { Fate::Rewritten } else { Fate::Stays }))
            }
            _ => self.take_out(room, storage, object, owner).await,
        }
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
        match (kept.delivery, self.subject) {
            // Refused once more it would be kept once more, and find those that find it. It waits for an operator, as numbers.
            (Some((delivery, _)), Subject::Customer(_)) if kept.is_refused && Subject::of(&delivery).is_some() => {
                Ok(Ok(Fate::Stays))
            }
            // An earlier deployment kept of it not whose it is. It waits likewise.
            (None, Subject::Customer(_)) if keeps_numbers_alone(&kept.topic) => Ok(Ok(Fate::Stays)),
            (Some((delivery, replays)), Subject::Customer(_)) => {
                Ok(self.hand_in(delivery, replays).await.map(|()| Fate::Goes))
            }
            (None, Subject::Customer(person)) if room.holds == Content::Refusals => {
                let Some(without) = refusals_without(person, &kept.text) else {
                    return Ok(Ok(Fate::Goes));
                };
                self.charge(1);
                put(storage, &object.key(), without, object.custom_metadata()?).await?;
                Ok(Ok(Fate::Rewritten))
            }
            _ => Ok(Ok(Fate::Goes)),
        }
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

    async fn hand_in(&self, delivery: Delivery, replays: u32) -> std::result::Result<(), String> {
        self.charge(HAND_IN_REQUESTS);
        if Subject::of(&delivery).is_some() {
            // Another request that names them: it may name more orders, and has rooms of its own to go through.
            let handed_over = self.around.far_ends.hand_over(delivery, replays).await;
            return handed_over.map_err(|error| error.to_string());
        }
        let decisions = consume(&[delivery], self.around.transport, self.around.streams).await;
        match decisions.into_iter().next() {
            Some(Decision::Retry { cause }) => Err(cause),
            // What PostgreSQL refuses even now is nobody's any more.
            _ => Ok(()),
        }
    }

    async fn certify(&self, progress: &Progress) -> std::result::Result<(), String> {
        let Some(request) = self.subject.certificate_request(self.shop_domain) else {
            console_log!(
                "forgotten at the edge, somebody named by their contact alone: {:?}",
                progress.removed
            );
            return Ok(());
        };
        let arguments = [Argument::Json(&request.argument)];
        let answer = match self.around.transport.call(request.function, &arguments).await {
            // It knows no such shop, and so refused the request before, which the quarantine keeps.
            Err(error) if error.sqlstate.as_deref() == Some(REFUSED) => {
                console_log!("forgotten at the edge alone: {error}: {:?}", progress.removed);
                return Ok(());
            }
            answer => answer.map_err(|error| error.to_string())?,
        };
        let storage = &self.around.far_ends.storage;
        let of_answer = serde_json::from_str::<Value>(&answer).unwrap_or_default();
        let earlier = storage
            .read_text(&certificate_key(&of_answer)?)
            .await
            .map_err(|error| error.to_string())?;
        let earlier = earlier.and_then(|text| serde_json::from_str(&text).ok());
        let (key, text) = certificate(&answer, &progress.removed, |_| earlier)?;
        let put = storage.bucket().put(&key, text.clone());
        storage.wait(put.execute()).await.map_err(|error| error.to_string())?;
        console_log!("certificate {key}: {text}");
        Ok(())
    }
}

/// Writes the result `object` anew without `person`, if it names them. Read once to see that, and again to write: most results
/// name one customer in no line.
async fn write_without(storage: &Storage, object: &Object, person: &Person) -> Result<bool> {
    let metadata = object.custom_metadata()?;
    // The other queries do not ask for customers.
    let has_persons = metadata.get("kind").is_none_or(|kind| kind == "orders_core");
    let key = object.key();
    if !key.ends_with(".jsonl") || !has_persons {
        return Ok(false);
    }
    let mut forgetter = Forgetter::of(person);
    pour(storage, &key, &mut forgetter, None).await?;
    if forgetter.named == 0 {
        return Ok(false);
    }
    let mut target = ObjectWriter::new(storage, &key, metadata);
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
