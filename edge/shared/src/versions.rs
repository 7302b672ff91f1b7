//! Dual send: events to every bound version of a stream, until readers have moved to the newest.
//!
//! Each version gets the rows in its own shape, checked against its own schema. Events count as sent when **all** have taken
//! theirs; what is sent again after the failure of one arrives twice at the others, which is safe: ids are deterministic.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use futures_util::future::join_all;
use serde_json::Value;
use weir_domain::telemetry::{all, binding, stream_name, versions, StreamSchema};

use crate::stream::{check, send_all, EventViolation, StreamError, StreamSender};

/// A version of a stream that may be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Name of the binding, such as `COMMERCE_TELEMETRY_V2`.
    pub binding: String,
    /// Name of the stream, such as `commerce_v2`.
    pub stream: String,
    /// Its schema.
    pub schema: Arc<StreamSchema>,
}

/// [`candidates`] by family. Made once: a Worker asks for them with each request.
static CANDIDATES: LazyLock<BTreeMap<&'static str, Vec<Version>>> = LazyLock::new(|| {
    let families = all().into_iter().map(|stream| stream.family());
    families.map(|family| (family, of_family(family))).collect()
});

/// The versions of `family` that a Worker of this build can feed, oldest first.
///
/// One more than `domain` describes: it has the schema of the newest, as a version made for another SQL or sink has. That the
/// schema files say the same is tested (`domain/tests/stream_schemas.rs`), so that no stream drops rows unseen.
#[must_use]
pub fn candidates(family: &str) -> &'static [Version] {
    CANDIDATES.get(family).map_or(&[], Vec::as_slice)
}

fn of_family(family: &str) -> Vec<Version> {
    let mut schemas: Vec<_> = versions(family)
        .into_iter()
        .map(|schema| (schema.version(), Arc::new(schema)))
        .collect();
    if let Some((number, newest)) = schemas.last().cloned() {
        schemas.push((number + 1, newest));
    }
    schemas
        .into_iter()
        .map(|(number, schema)| Version {
            binding: binding(family, number),
            stream: stream_name(family, number),
            schema,
        })
        .collect()
}

/// The bound versions of one stream.
#[derive(Debug)]
pub struct StreamVersions<S> {
    bound: Vec<(Version, S)>,
    /// The schema that events are made for.
    newest: Arc<StreamSchema>,
}

/// Checked rows, for each bound version those that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows(Vec<Vec<String>>);

impl<S: StreamSender> StreamVersions<S> {
    /// Those versions of `family` for which `sender` finds one; none if there is none.
    pub fn bound(family: &str, mut sender: impl FnMut(&Version) -> Option<S>) -> Option<Self> {
        let candidates = candidates(family);
        let newest = candidates.last()?.schema.clone();
        Self::of(
            newest,
            candidates
                .iter()
                .filter_map(|version| Some((version.clone(), sender(version)?))),
        )
    }

    fn of(newest: Arc<StreamSchema>, bound: impl Iterator<Item = (Version, S)>) -> Option<Self> {
        let bound: Vec<_> = bound.collect();
        (!bound.is_empty()).then_some(Self { bound, newest })
    }

    /// No rows yet.
    #[must_use]
    pub fn rows(&self) -> Rows {
        Rows(vec![Vec::new(); self.bound.len()])
    }

    /// Adds `event` for each version that takes it.
    ///
    /// # Errors
    /// The first [`EventViolation`], with the stream's name, when a version would drop the event without a word. It is added
    /// for the others all the same; whoever keeps it for a replay loses nothing, as ids are deterministic.
    pub fn add(&self, rows: &mut Rows, event: &Value) -> Result<(), EventViolation> {
        self.add_each(rows, event, None)
    }

    /// [`Self::add`] of an event that is known to be valid under the newest schema, where `text` is its JSON.
    ///
    /// # Errors
    /// As there, of an older version.
    pub fn add_checked(&self, rows: &mut Rows, event: &Value, text: &str) -> Result<(), EventViolation> {
        self.add_each(rows, event, Some(text))
    }

    /// `checked` is the text of an event that is known to be valid under the newest schema.
    fn add_each(&self, rows: &mut Rows, event: &Value, checked: Option<&str>) -> Result<(), EventViolation> {
        let mut first = Ok(());
        for ((version, _), texts) in self.bound.iter().zip(&mut rows.0) {
            let schema = &version.schema;
            // Told by where it lies: to compare all fields for each event would cost more than the rest.
            let text = match (Arc::ptr_eq(schema, &self.newest), checked) {
                (true, Some(text)) => Ok(text.to_owned()),
                (true, None) => check(schema, event),
                (false, _) => check(schema, &schema.narrowed(event, &self.newest)),
            };
            match text {
                Ok(text) => texts.push(text),
                Err(violation) => {
                    let detail = format!("{}: {}", version.stream, violation.detail);
                    first = first.and(Err(EventViolation { detail, ..violation }));
                }
            }
        }
        first
    }

    /// Sends `rows` to their versions, to all at the same time.
    ///
    /// # Errors
    /// [`StreamError`] with the name of each stream that did not take all of its rows and why.
    pub async fn send(&self, rows: &Rows) -> Result<(), StreamError> {
        let sends = self
            .bound
            .iter()
            .zip(&rows.0)
            .map(|((version, sender), texts)| async move {
                let sent = send_all(texts, sender).await;
                sent.map_err(|error| format!("{}: {}", version.stream, error.0))
            });
        let failures: Vec<_> = join_all(sends).await.into_iter().filter_map(Result::err).collect();
        if failures.is_empty() {
            return Ok(());
        }
        Err(StreamError(failures.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use pollster::block_on;
    use serde_json::json;
    use weir_domain::telemetry::{commerce, Field, FieldType};

    use super::*;

    #[derive(Default)]
    struct Stream {
        down: bool,
        rows: RefCell<Vec<Value>>,
    }

    impl StreamSender for &Stream {
        async fn send(&self, batch: &str) -> Result<(), StreamError> {
            if self.down {
                return Err(StreamError("503".into()));
            }
            self.rows
                .borrow_mut()
                .extend(serde_json::from_str::<Vec<Value>>(batch).unwrap());
            Ok(())
        }
    }

    fn version(number: u32, schema: Arc<StreamSchema>) -> Version {
        Version {
            binding: binding("commerce", number),
            stream: stream_name("commerce", number),
            schema,
        }
    }

    /// Version 1, and a version 2 that has `note` besides and requires it.
    fn two<'a>(first: &'a Stream, second: &'a Stream) -> StreamVersions<&'a Stream> {
        let mut newest = commerce();
        newest.name = "commerce_v2";
        newest.fields.push(Field {
            name: "note",
            field_type: FieldType::String,
            required: true,
            doc: "New [IAO: data item]",
        });
        let newest = Arc::new(newest);
        let bound = [
            (version(1, Arc::new(commerce())), first),
            (version(2, newest.clone()), second),
        ];
        StreamVersions::of(newest, bound.into_iter()).unwrap()
    }

    fn event(id: &str) -> Value {
        json!({
            "event_id": id, "event_type": "order_created", "schema_version": 2,
            "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z",
            "event_date": "2026-11-24", "event_hour": 10, "source": "webhook", "shop_domain": "demo.myshopify.com",
            "note": "n",
        })
    }

    #[test]
    fn the_versions_of_this_build_and_one_more_can_be_bound() {
        let found = candidates("commerce");
        let names: Vec<_> = found
            .iter()
            .map(|one| (one.binding.as_str(), one.stream.as_str()))
            .collect();
        assert_eq!(names[0], ("COMMERCE_TELEMETRY", "commerce_v1"));
        assert_eq!(names[1], ("COMMERCE_TELEMETRY_V2", "commerce_v2"));
        let stream = Stream::default();
        assert!(StreamVersions::<&Stream>::bound("commerce", |_| None).is_none());
        // After the cut-over the first version is not bound any more.
        let second = StreamVersions::bound("commerce", |one| one.binding.ends_with("_V2").then_some(&stream)).unwrap();
        assert_eq!(second.bound.len(), 1);
    }

    #[test]
    fn each_version_gets_every_event_in_its_own_shape() {
        let (first, second) = (Stream::default(), Stream::default());
        let streams = two(&first, &second);
        let mut rows = streams.rows();
        let text = event("b").to_string();
        assert_eq!(streams.add(&mut rows, &event("a")), Ok(()));
        assert_eq!(streams.add_checked(&mut rows, &event("b"), &text), Ok(()));
        assert_eq!(block_on(streams.send(&rows)), Ok(()));
        assert_eq!(*second.rows.borrow(), [event("a"), event("b")]);
        let ids: Vec<_> = first.rows.borrow().iter().map(|row| row["event_id"].clone()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert!(first
            .rows
            .borrow()
            .iter()
            .all(|row| row["schema_version"] == 1 && row.get("note").is_none()));
    }

    #[test]
    fn what_fails_is_named_and_nothing_counts_as_sent_until_all_have_it() {
        let (first, second) = (
            Stream::default(),
            Stream {
                down: true,
                ..Stream::default()
            },
        );
        let streams = two(&first, &second);
        let mut rows = streams.rows();
        streams.add(&mut rows, &event("a")).unwrap();
        assert_eq!(
            block_on(streams.send(&rows)),
            Err(StreamError("commerce_v2: 503".into()))
        );
        assert_eq!(
            first.rows.borrow().len(),
            1,
            "one that is down does not hold up the other"
        );

        let first = Stream {
            down: true,
            ..Stream::default()
        };
        let both = block_on(two(&first, &second).send(&rows)).unwrap_err();
        assert_eq!(both.0, "commerce_v1: 503; commerce_v2: 503");
    }

    #[test]
    fn an_event_that_one_version_would_drop_is_told_and_goes_to_the_other() {
        let (first, second) = (Stream::default(), Stream::default());
        let streams = two(&first, &second);
        let (mut rows, mut bad) = (streams.rows(), event("a"));
        bad.as_object_mut().unwrap().remove("note");
        let violation = streams.add(&mut rows, &bad).unwrap_err();
        assert_eq!(violation.reason, "missing_field");
        assert_eq!(violation.detail, "commerce_v2: note: required by the stream");
        block_on(streams.send(&rows)).unwrap();
        assert_eq!((first.rows.borrow().len(), second.rows.borrow().len()), (1, 0));
    }
}
