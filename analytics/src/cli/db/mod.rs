//! `weir db`: installs weir in a PostgreSQL database and brings it up to date.
//!
//! - [`connection`]: TLS, and errors that say what to do
//! - [`script`]: the SQL-only install, embedded in the binary

pub(super) mod connection;
mod script;

use clap::Subcommand;
use tokio_postgres::Client;

use crate::say::say;
use crate::{Error, Result};
use connection::{connect, explain};

/// Arguments of `weir db`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs weir, with all migrations, roles and grants. Repeating it is harmless.
    Install {
        #[command(flatten)]
        database: Database,
        /// Functions as SQL instead of the extension, for managed PostgreSQL; uses pgcrypto where the server has it.
        #[arg(long)]
        sql_only: bool,
    },
    /// Applies missing migrations and renews roles and grants, whichever way weir was installed.
    Migrate {
        #[command(flatten)]
        database: Database,
    },
}

#[derive(Debug, clap::Args)]
struct Database {
    /// The database, as postgres://user:password@host:port/name. Its certificate is checked; without TLS only where the URL
    /// says ?sslmode=disable, or the server is this machine's and has none.
    #[arg(long, env = "WEIR_DATABASE_URL", hide_env_values = true)]
    url: String,
    /// Certificates (PEM) to trust besides the public ones, such as your provider's own authority. `sslrootcert` in the URL is
    /// the same.
    #[arg(long)]
    ca_file: Option<std::path::PathBuf>,
}

/// Of a database without weir.
pub(super) const NOT_INSTALLED: &str = "weir is not installed in this database; run weir db install first";

/// How weir is installed in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Installed {
    Nothing,
    Extension,
    SqlOnly,
}

/// Runs one verb of `weir db` and prints what it did.
///
/// # Errors
/// When the server is not reached, a right or an extension is missing, or weir is there in the other form.
pub async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Install { database, sql_only } => install(&database, sql_only).await,
        Command::Migrate { database } => migrate(&database).await,
    }
}

async fn install(database: &Database, sql_only: bool) -> Result<()> {
    let mut client = connect(&database.url, database.ca_file.as_deref()).await?;
    let found = installed(&client).await?;
    let (applied, kind) =
        match (found, sql_only) {
            (Installed::Extension, true) => return Err(Error::Invalid(
                "the extension weir is installed in this database; use it (weir db migrate), or run \"drop extension \
                 weir\" first: tables and their data stay"
                    .to_owned(),
            )),
            (Installed::SqlOnly, false) => return Err(Error::Invalid(
                "weir is installed in this database as SQL only; go on with --sql-only, or run \"drop schema weir, \
                 weir_sql cascade\" first: tables and their data stay"
                    .to_owned(),
            )),
            (_, true) => (install_sql_only(&mut client).await?, "SQL-only functions"),
            (_, false) => (install_extension(&mut client).await?, "extension"),
        };
    say!("weir is installed ({kind}); migrations applied: {applied}");
    Ok(())
}

async fn migrate(database: &Database) -> Result<()> {
    let mut client = connect(&database.url, database.ca_file.as_deref()).await?;
    let applied = match installed(&client).await? {
        Installed::Nothing => return Err(Error::Invalid(NOT_INSTALLED.to_owned())),
        Installed::Extension => call_migrate(&client).await?,
        // The functions are as old as the binary that wrote them: they are renewed with the migrations.
        Installed::SqlOnly => install_sql_only(&mut client).await?,
    };
    say!("migrations applied: {applied}");
    Ok(())
}

async fn installed(client: &Client) -> Result<Installed> {
    let sql = "select exists (select from pg_catalog.pg_extension where extname = 'weir'),
        pg_catalog.to_regnamespace('weir_sql') is not null";
    let row = client
        .query_one(sql, &[])
        .await
        .map_err(|error| explain("the database does not answer", &error, ""))?;
    Ok(match (row.get(0), row.get(1)) {
        (true, _) => Installed::Extension,
        (false, true) => Installed::SqlOnly,
        (false, false) => Installed::Nothing,
    })
}

/// Creates it and applies what is missing, in one transaction: what fails leaves nothing behind that would be in the way of the
/// other kind.
async fn install_extension(client: &mut Client) -> Result<i32> {
    let failed = |error: tokio_postgres::Error| explain("the install is not committed", &error, "");
    let transaction = client.transaction().await.map_err(failed)?;
    let create = "create extension if not exists weir";
    transaction.batch_execute(create).await.map_err(|error| {
        let hint = "a server without the extension's files takes --sql-only";
        explain("the extension weir is not created", &error, hint)
    })?;
    let applied = call_migrate(transaction.client()).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(applied)
}

/// Writes all functions anew and applies what is missing, in one transaction.
async fn install_sql_only(client: &mut Client) -> Result<i32> {
    let failed = |what: &str, error: &tokio_postgres::Error| {
        let hint = "the login needs the rights to create schemas, roles and, where it is missing, pgcrypto";
        explain(what, error, hint)
    };
    let transaction = client
        .transaction()
        .await
        .map_err(|error| failed("no transaction begins", &error))?;
    for (name, text) in script::parts()? {
        transaction
            .batch_execute(&text)
            .await
            .map_err(|error| failed(&format!("{name} fails"), &error))?;
    }
    let row = transaction
        .query_one("select weir.migrate()", &[])
        .await
        .map_err(|error| failed("the migrations fail", &error))?;
    transaction
        .commit()
        .await
        .map_err(|error| failed("the install does not commit", &error))?;
    Ok(row.get(0))
}

async fn call_migrate(client: &Client) -> Result<i32> {
    let row = client
        .query_one("select weir.migrate()", &[])
        .await
        .map_err(|error| explain("the migrations fail", &error, "run as the owner of weir's schemas"))?;
    Ok(row.get(0))
}
