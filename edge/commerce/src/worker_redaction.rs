//! Forgetting in R2: lists the rooms page by page, removes what names the customer or belongs to the shop, writes results of
//! bulk operations anew without the customer, keeps the certificate. Every step may be repeated: what is gone is not found again, and the certificate stays the first one.
//!
//! What is removed of a customer is handed to PostgreSQL once more before: it may be an order that never arrived there, and
//! PostgreSQL, which has forgotten the customer by now, takes the order without them.

use serde_json::Value;
use weir_domain::webhook::Delivery;
use weir_edge_shared::decision::Decision;
use weir_edge_shared::hyperdrive::HyperdriveTransport;
use weir_edge_shared::object_key::{plain, MAX_PART_CHARS};
use weir_edge_shared::object_writer::ObjectWriter;
use weir_edge_shared::pipeline::PipelineStream;
use weir_edge_shared::sql::Argument;
use weir_edge_shared::storage::Storage;
use weir_edge_shared::versions::StreamVersions;
use worker::{console_log, Include, Object, Result};

use crate::archived::Forgetter;
use crate::bindings::{FarEnds, BUCKET, PUBLICATION_BUCKET, SYNC_BUCKET};
use crate::consume::consume;
use crate::kept::{Kept, UNKNOWN};
use crate::message::{BODIES, DELIVERY_METADATA};
use crate::redaction::{certificate, certificate_key, Person, Progress, Subject};
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
    /// One delivery, line or event each: an object that names a customer goes.
    Records,
    /// Results of whole operations: they are written anew without the customer. In keys their shop comes first.
    Results,
}

impl Content {
    /// How many of the objects that one run may list an object counts as: a result is read twice and may be large.
    fn weight(self) -> u32 {
        match self {
            Self::Records => 1,
            Self::Results => 40,
        }
    }
}

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
        holds: Content::Records,
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

/// Forgets `subject` at the edge, from `progress` on, as long as there are objects `left` that this invocation may list.
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
    };
    match broom.sweep(progress, left).await? {
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
}

impl Broom<'_> {
    /// Goes on from `progress`; whether everything is swept.
    async fn sweep(&self, mut progress: Progress, left: &mut u32) -> std::result::Result<(Progress, bool), String> {
        while let Some(room) = ROOMS.get(progress.rooms) {
            // A Worker that is not deployed has no bucket.
            let storage = self.around.far_ends.other_storage(room.binding);
            let cursor = match storage {
                Some(_) if *left == 0 => return Ok((progress, false)),
                Some(storage) => {
                    let limit = left.div_ceil(room.holds.weight());
                    let (removed, listed, cursor) = self
                        .sweep_page(room, &storage, progress.cursor.take(), limit)
                        .await
                        .map_err(|error| format!("{}: {error}", room.name))??;
                    *left = left.saturating_sub(listed * room.holds.weight());
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

    /// Sweeps a page of at most `limit` objects: how many were removed or written anew, how many seen, and where the next page
    /// begins.
    async fn sweep_page(
        &self,
        room: &Room,
        storage: &Storage,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<std::result::Result<(u64, u32, Option<String>), String>> {
        let prefix = match room.holds {
            Content::Records => room.prefix.to_owned(),
            Content::Results => format!("{}{}/", room.prefix, self.shop),
        };
        let mut page = storage
            .bucket()
            .list()
            .prefix(prefix)
            .limit(limit.min(1000))
            .include(vec![Include::CustomMetadata]);
        if let Some(cursor) = cursor {
            page = page.cursor(cursor);
        }
        let page = storage.wait(page.execute()).await?;
        let objects = page.objects();
        let (mut doomed, mut rewritten) = (Vec::new(), 0);
        for object in &objects {
            let key = object.key();
            let has_part = |name: &str| key.split('/').any(|part| part == name);
            let owner = has_part(&self.shop).then_some(self.shop_domain);
            if owner.is_none() && !has_part(UNKNOWN) {
                continue;
            }
            let goes = match self.subject {
                Subject::Shop if owner.is_some() => Ok(true),
                Subject::Customer(person) if room.holds == Content::Results => {
                    rewritten += u64::from(write_without(storage, object, person).await?);
                    Ok(false)
                }
                _ => self.take_out(room, storage, object, owner).await?,
            };
            match goes {
                Ok(true) => doomed.push(key),
                Ok(false) => {}
                Err(cause) => return Ok(Err(cause)),
            }
        }
        let removed = doomed.len() as u64 + rewritten;
        if !doomed.is_empty() {
            storage.wait(storage.bucket().delete_multiple(doomed)).await?;
        }
        let cursor = page.truncated().then(|| page.cursor()).flatten();
        let listed = u32::try_from(objects.len()).unwrap_or(u32::MAX).max(1);
        Ok(Ok((removed, listed, cursor)))
    }

    /// Whether `object`, whose key names its `owner` if anybody knew it, is to go; then PostgreSQL has been given what is in it
    /// of a customer.
    async fn take_out(
        &self,
        room: &Room,
        storage: &Storage,
        object: &Object,
        owner: Option<&str>,
    ) -> Result<std::result::Result<bool, String>> {
        let described = described(object)?;
        if described.as_ref().and_then(Subject::of).is_some() {
            // The body of a request, perhaps of this one: it goes when that one is done.
            return Ok(Ok(false));
        }
        let Some(text) = storage.read_text(&object.key()).await? else {
            return Ok(Ok(false));
        };
        let kept = match room.name {
            "commerce/bodies" => Kept::body(text, described, owner),
            "commerce/quarantine" => record(storage, &text, owner).await,
            _ => Kept::other(text, owner),
        };
        let named = kept.names(self.subject, self.shop_domain);
        match (kept.delivery, self.subject) {
            (Some((delivery, replays)), Subject::Customer(_)) if named => {
                Ok(self.hand_in(delivery, replays).await.map(|()| true))
            }
            _ => Ok(Ok(named)),
        }
    }

    async fn hand_in(&self, delivery: Delivery, replays: u32) -> std::result::Result<(), String> {
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
        let answer = self
            .around
            .transport
            .call(request.function, &arguments)
            .await
            .map_err(|error| error.to_string())?;
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

/// A record of the quarantine with its body, wherever that lies.
async fn record(storage: &Storage, text: &str, owner: Option<&str>) -> Kept {
    let (kept, message) = Kept::record(text, owner);
    let Some(message) = message else { return kept };
    let replays = message.replays;
    match with_body(storage, message).await {
        Ok(delivery) => kept.with(delivery, replays),
        Err(_) => kept,
    }
}
