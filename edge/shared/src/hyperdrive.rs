//! A call of one of weir's functions over Hyperdrive.
//!
//! One fresh connection, one simple query, one row, one text column: prepared statements and typed multi-row results over
//! Hyperdrive are unsupported and fail by the tenth (workers-sdk issues 13797, 13798).

use std::future::Future;
use std::time::Duration;

use futures_util::future::join;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, SimpleQueryMessage};
use worker::postgres_tls::PassthroughTls;
use worker::{Delay, Hyperdrive, SecureTransport, Socket};

use crate::connection::{tls_is_disabled, Timeouts};
use crate::discreet::ServerError;
use crate::ingest::{IngestError, IngestTransport};
use crate::patience;
use crate::sql::{call_statement, Argument};

/// [`IngestTransport`] over a Hyperdrive binding. Host, port and credentials come from the binding, not from configuration.
#[derive(Debug)]
pub struct HyperdriveTransport {
    hyperdrive: Hyperdrive,
    timeouts: Timeouts,
}

impl HyperdriveTransport {
    /// A transport over `hyperdrive`, whose configuration must have query caching disabled: writes do not invalidate it.
    #[must_use]
    pub fn new(hyperdrive: Hyperdrive, timeouts: Timeouts) -> Self {
        Self { hyperdrive, timeouts }
    }

    fn connect(&self) -> Result<(Config, Socket), IngestError> {
        let mut config = Config::new();
        config
            .user(self.hyperdrive.user())
            .password(self.hyperdrive.password())
            .dbname(self.hyperdrive.database());
        let transport = if tls_is_disabled(&self.hyperdrive.connection_string()) {
            config.ssl_mode(SslMode::Disable);
            SecureTransport::Off
        } else {
            config.ssl_mode(SslMode::Require);
            SecureTransport::StartTls
        };
        let socket = Socket::builder()
            .secure_transport(transport)
            .connect(self.hyperdrive.host(), self.hyperdrive.port())
            .map_err(|error| IngestError::connection(error.to_string()))?;
        Ok((config, socket))
    }

    /// Calls `function` with `arguments` and returns its one text.
    ///
    /// # Errors
    /// [`IngestError`] when the call failed; then it is unknown whether it was committed.
    pub async fn call(&self, function: &str, arguments: &[Argument<'_>]) -> Result<String, IngestError> {
        let statement =
            call_statement(function, arguments).map_err(|error| IngestError::connection(error.to_string()))?;
        let (config, socket) = self.connect()?;
        let connecting = config.connect_raw(socket, PassthroughTls);
        let (client, connection) = within(self.timeouts.connect, "connection", connecting)
            .await?
            .map_err(|error| database(function, &error))?;
        // Both halves are driven here. A spawned connection outlives the request and crashes Hyperdrive's local proxy;
        // dropping the client at the end of its half lets the connection say Terminate and finish.
        let query = async move {
            let answer = client.simple_query(&statement).await;
            drop(client);
            answer
        };
        let (answer, _closed) = within(self.timeouts.statement, "answer", join(query, connection)).await?;
        one_text(&answer.map_err(|error| database(function, &error))?)
    }
}

impl IngestTransport for HyperdriveTransport {
    async fn ingest(&self, deliveries: &str) -> Result<String, IngestError> {
        self.call("weir.ingest", &[Argument::of_ingest(deliveries)]).await
    }
}

/// The outcome of `work`, or an error of the connection when it takes longer than `limit`. `work` is dropped then, and its
/// socket is closed with the event that opened it.
async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> Result<T, IngestError> {
    let outcome = patience::within(Delay::from(limit), work).await;
    outcome.ok_or_else(|| IngestError::connection(format!("no {what} within {} ms", limit.as_millis())))
}

fn one_text(messages: &[SimpleQueryMessage]) -> Result<String, IngestError> {
    messages
        .iter()
        .find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .ok_or_else(|| IngestError::connection("the function returned no row"))
}

/// tokio-postgres displays only "db error"; the code and the server's message are inside. Of the message no word is told that is
/// not weir's, nor DETAIL: either may be a customer's data.
fn database(function: &str, error: &tokio_postgres::Error) -> IngestError {
    let Some(server) = error.as_db_error() else {
        return IngestError::connection(error.to_string());
    };
    let sqlstate = server.code().code();
    let said = ServerError {
        sqlstate,
        message: server.message(),
        routine: server.routine(),
        names: [server.table(), server.column(), server.constraint()],
    };
    IngestError {
        sqlstate: Some(sqlstate.to_owned()),
        message: format!("{function}: {}", said.told()),
    }
}
