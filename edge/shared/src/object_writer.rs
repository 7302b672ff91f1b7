//! An object of R2 of any size, written piece by piece; it comes into being when it is finished, or not at all.

use std::collections::HashMap;

use worker::{console_warn, Error, MultipartUpload, Result, UploadedPart};

use crate::storage::{changed, Storage};

/// Bytes of a part. R2 wants equal parts of at least 5 MiB, at most 10,000 of them; one is in memory at a time.
const PART_BYTES: usize = 8 << 20;

/// See the module.
#[derive(Debug)]
pub struct ObjectWriter<'a> {
    storage: &'a Storage,
    key: &'a str,
    metadata: HashMap<String, String>,
    over: Option<String>,
    upload: Option<MultipartUpload>,
    parts: Vec<UploadedPart>,
    buffer: Vec<u8>,
}

impl<'a> ObjectWriter<'a> {
    /// Begins the object `key` with `metadata` beside it.
    #[must_use]
    pub fn new(storage: &'a Storage, key: &'a str, metadata: HashMap<String, String>) -> Self {
        Self {
            storage,
            key,
            metadata,
            over: None,
            upload: None,
            parts: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// The same in the place of the object of `etag`, and of no other.
    #[must_use]
    pub fn over(mut self, etag: String) -> Self {
        self.over = Some(etag);
        self
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// When R2 does not take a part, or there are more than it takes.
    pub async fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(piece);
        while self.buffer.len() >= PART_BYTES {
            let rest = self.buffer.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.buffer, rest);
            self.put_part(part).await?;
        }
        Ok(())
    }

    async fn put_part(&mut self, part: Vec<u8>) -> Result<()> {
        let upload = match self.upload.take() {
            Some(upload) => upload,
            None => {
                let upload = self.storage.bucket().create_multipart_upload(self.key);
                let upload = upload.custom_metadata(std::mem::take(&mut self.metadata));
                self.storage.wait(upload.execute()).await?
            }
        };
        let number = u16::try_from(self.parts.len() + 1)
            .map_err(|_| Error::RustError("the object needs more parts than R2 takes".to_owned()))?;
        let uploaded = self.storage.wait(upload.upload_part(number, part)).await;
        self.upload = Some(upload);
        self.parts.push(uploaded?);
        Ok(())
    }

    /// Ends the object: from now on it is there, in place of one that was.
    ///
    /// # Errors
    /// When R2 does not take it, or there is another object to replace; then nothing has changed.
    pub async fn finish(mut self) -> Result<()> {
        let last = std::mem::take(&mut self.buffer);
        if self.upload.is_none() {
            let object = self.storage.bucket().put(self.key, last);
            let object = object.custom_metadata(self.metadata);
            return match self.over {
                Some(etag) => self.storage.replace(object, Some(etag)).await,
                None => self.storage.wait(object.execute()).await.map(drop),
            };
        }
        if !last.is_empty() {
            self.put_part(last).await?;
        }
        if !self.is_over_its_own().await? {
            self.abort().await;
            return Err(changed());
        }
        if let Some(upload) = self.upload.take() {
            self.storage.wait(upload.complete(self.parts)).await?;
        }
        Ok(())
    }

    /// Whether what is to be replaced is still there. The end of an upload takes no condition: who writes between this look and it
    /// is overwritten.
    async fn is_over_its_own(&self) -> Result<bool> {
        let Some(etag) = &self.over else { return Ok(true) };
        let there = self.storage.wait(self.storage.bucket().head(self.key)).await?;
        Ok(there.is_some_and(|object| object.etag() == *etag))
    }

    /// Gives it up. R2 drops an upload that nobody ends after a week; ending it now costs less.
    pub async fn abort(self) {
        if let Some(upload) = self.upload {
            if let Err(error) = self.storage.wait(upload.abort()).await {
                console_warn!("{}: the upload was not aborted: {error}", self.key);
            }
        }
    }
}
