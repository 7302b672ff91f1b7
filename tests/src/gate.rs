//! A TCP proxy that can hold back one direction: whoever is killed while it does is killed between two known steps.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;

/// A way to another server, open at first.
pub struct Gate {
    /// Its address, `http://127.0.0.1:PORT`.
    pub url: String,
    /// What goes to the server.
    pub requests: Arc<Side>,
    /// What comes back.
    pub answers: Arc<Side>,
    accepting: tokio::task::JoinHandle<()>,
}

/// One direction.
#[derive(Default)]
pub struct Side {
    closed: AtomicBool,
    held: AtomicUsize,
}

impl Side {
    /// Holds back what comes from now on; it is never handed on.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
    }

    /// Lets pass what comes from now on.
    pub fn open(&self) {
        self.closed.store(false, SeqCst);
    }

    /// Pieces held back so far.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(SeqCst)
    }

    async fn carry(&self, mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin) {
        let mut buffer = vec![0; 1 << 16];
        let mut cut = false;
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            // The rest of what was held back in part is not whole either.
            cut |= self.closed.load(SeqCst);
            if cut {
                self.held.fetch_add(1, SeqCst);
            } else if to.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    }
}

impl Gate {
    /// A gate to the server at `target`, `http://HOST:PORT`, which may come and go.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn start(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let target = target.trim_start_matches("http://").to_owned();
        let (requests, answers) = (Arc::new(Side::default()), Arc::new(Side::default()));
        let sides = (Arc::clone(&requests), Arc::clone(&answers));
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (target, (requests, answers)) = (target.clone(), sides.clone());
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(&target).await else {
                        return;
                    };
                    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                    tokio::join!(requests.carry(from_near, to_far), answers.carry(from_far, to_near));
                });
            }
        });
        Ok(Self {
            url,
            requests,
            answers,
            accepting,
        })
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
