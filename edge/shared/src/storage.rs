//! A bucket of R2, each of whose answers has a limit of time.

use std::future::Future;
use std::rc::Rc;

use worker::{Bucket, Result};

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
        self.wait(async {
            let object = self.bucket.get(key).execute().await?;
            match object.as_ref().and_then(worker::Object::body) {
                Some(body) => Ok(Some(body.text().await?)),
                None => Ok(None),
            }
        })
        .await
    }

    /// Removes the object `key`, if there is one.
    ///
    /// # Errors
    /// As [`Storage::wait`].
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.wait(self.bucket.delete(key)).await
    }
}
