//! A bucket of R2, each of whose answers has a limit of time.

use std::future::Future;
use std::rc::Rc;

use futures_util::StreamExt;
use worker::{Bucket, ByteStream, Conditional, Error, Object, ObjectBody, PutOptionsBuilder, Result};

use crate::patience::Patience;

/// See the module.
#[derive(Debug, Clone)]
pub struct Storage {
    bucket: Bucket,
    patience: Rc<Patience>,
}

impl Storage {
    /// `bucket`, asked with the `patience` that all buckets of an invocation share: they are one far end.
    #[must_use]
    pub fn new(bucket: Bucket, patience: Rc<Patience>) -> Self {
        Self { bucket, patience }
    }

    /// The bucket, to make a request for [`Storage::wait`].
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The patience that is left.
    #[must_use]
    pub fn patience(&self) -> &Rc<Patience> {
        &self.patience
    }

    /// The outcome of `request`, made of this bucket.
    ///
    /// # Errors
    /// When R2 refuses it or does not answer in time.
    pub async fn wait<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        self.patience.bound(request).await
    }

    /// The text of the object `key`, or `None` when there is none.
    ///
    /// # Errors
    /// As [`Storage::wait`].
    pub async fn read_text(&self, key: &str) -> Result<Option<String>> {
        self.read(key, async |body| body.text().await).await
    }

    /// The bytes of the object `key`, or `None` when there is none.
    ///
    /// # Errors
    /// As [`Storage::wait`].
    pub async fn read_bytes(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.read(key, async |body| body.bytes().await).await
    }

    /// The text of the object `key` with its ETag, or `None` when there is none.
    ///
    /// # Errors
    /// As [`Storage::wait`].
    pub async fn read_tagged(&self, key: &str) -> Result<Option<(String, String)>> {
        self.wait(async {
            let object = self.bucket.get(key).execute().await?;
            match object.as_ref().and_then(|object| Some((object.body()?, object.etag()))) {
                Some((body, etag)) => Ok(Some((body.text().await?, etag))),
                None => Ok(None),
            }
        })
        .await
    }

    /// Makes the `object` if there is still the one of `etag`, or still none: whoever wrote it anew meanwhile has not been read.
    ///
    /// # Errors
    /// As [`Storage::wait`], and when it has changed.
    pub async fn replace(&self, object: PutOptionsBuilder<'_>, etag: Option<String>) -> Result<()> {
        let condition = match etag {
            Some(etag) => Conditional {
                etag_matches: Some(etag),
                ..Conditional::default()
            },
            None => Conditional {
                etag_does_not_match: Some("*".to_owned()),
                ..Conditional::default()
            },
        };
        let written = self.wait(object.only_if(condition).execute()).await?;
        written.map(drop).ok_or_else(changed)
    }

    async fn read<T>(&self, key: &str, whole: impl AsyncFnOnce(ObjectBody<'_>) -> Result<T>) -> Result<Option<T>> {
        self.wait(async {
            let object = self.bucket.get(key).execute().await?;
            match object.as_ref().and_then(Object::body) {
                Some(body) => Ok(Some(whole(body).await?)),
                None => Ok(None),
            }
        })
        .await
    }

    /// The object `key`, to be read piece by piece; `None` when there is none.
    ///
    /// # Errors
    /// As [`Storage::wait`].
    pub async fn open(&self, key: &str) -> Result<Option<Pieces<'_>>> {
        let object = self.wait(self.bucket.get(key).execute()).await?;
        let Some(body) = object.as_ref().and_then(Object::body) else {
            return Ok(None);
        };
        let (patience, stream) = (&*self.patience, body.stream()?);
        Ok(Some(Pieces { patience, stream }))
    }

    /// Removes the object `key`, if there is one.
    ///
    /// # Errors
    /// As [`Storage::wait`].
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.wait(self.bucket.delete(key)).await
    }
}

/// Why an object is not written anew.
pub(crate) fn changed() -> Error {
    Error::RustError("the object has changed while it was read".to_owned())
}

/// An object that is being read.
#[derive(Debug)]
pub struct Pieces<'a> {
    patience: &'a Patience,
    stream: ByteStream,
}

impl Pieces<'_> {
    /// The next piece, which is not empty; `None` after the last.
    ///
    /// # Errors
    /// As [`Storage::wait`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let next = async { self.stream.next().await.transpose() };
            let piece = self.patience.bound(next).await?;
            if !piece.as_ref().is_some_and(Vec::is_empty) {
                return Ok(piece);
            }
        }
    }
}
