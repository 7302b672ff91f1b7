//! A temporary PostgreSQL cluster, and a database per test, with the extension or the SQL-only install.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

use crate::lake::weir_binary;
use crate::service::{children, free_port, is_root, Service, Spec};
use crate::{failed, Result};

/// How weir comes into a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// The extension.
    Extension,
    /// The same functions as SQL, for servers without custom extensions.
    SqlOnly,
}

impl Install {
    fn template(self) -> &'static str {
        match self {
            Self::Extension => "weir_template",
            Self::SqlOnly => "weir_sql_only_template",
        }
    }

    /// Runs `weir db install` and returns what it printed.
    ///
    /// # Errors
    /// When the binary is not built, or with what it says when it fails.
    pub async fn run(self, url: &str) -> Result<String> {
        let mut arguments = vec!["db", "install", "--url", url];
        if self == Self::SqlOnly {
            arguments.push("--sql-only");
        }
        weir(&arguments).await
    }
}

/// Runs the `weir` command and returns what it printed.
///
/// # Errors
/// When the binary is not built, or with what it says when it fails.
pub async fn weir(arguments: &[&str]) -> Result<String> {
    let output = tokio::process::Command::new(weir_binary()?)
        .args(arguments)
        .output()
        .await?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Login of the Workers: member of role `weir_edge` and of nothing else.
pub const EDGE_LOGIN: &str = "weir_edge_login";
const EDGE_PASSWORD: &str = "weir_edge_test_password";

/// How the login is set up, by the statements of docs/deploy.md.
fn edge_login_settings() -> impl Iterator<Item = &'static str> {
    let text = include_str!("../../docs/deploy.md");
    text.lines()
        .filter(|line| line.starts_with("alter role weir_edge_login set "))
}

/// A running cluster.
pub struct Cluster {
    port: u16,
    next_database: AtomicU32,
    directory: PathBuf,
    command: Vec<String>,
    service: Service,
    prepared: Mutex<Vec<Install>>,
}

impl Cluster {
    /// Makes a cluster in a temporary directory and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed (`make setup`), or a step fails.
    pub async fn start() -> Result<Self> {
        let bin = bin_directory()?;
        let mut last = failed("not tried");
        // The port is chosen by us, so another process may take it in between: try again with another.
        for _ in 0..5 {
            match Self::try_start(&bin).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn try_start(bin: &str) -> Result<Self> {
        let user = is_root().then_some("postgres");
        let directory: PathBuf = tempfile::Builder::new().prefix("weir-pg-").tempdir()?.keep();
        if let Some(user) = user {
            run(Command::new("chown").arg(user).arg(&directory))?;
        }
        let data = directory.join("data");
        let mut initdb = match user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(format!("{bin}/initdb"));
                command
            }
            None => Command::new(format!("{bin}/initdb")),
        };
        initdb.current_dir("/").arg("-D").arg(&data);
        run(initdb.args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]))?;
        let port = free_port()?;
        let settings = [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".into(),
            format!("unix_socket_directories={}", directory.display()),
            // A temporary cluster: the machine's crash is not what these tests are about, kill -9 of the server is,
            // and that needs no fsync.
            "fsync=off".into(),
            "log_min_messages=warning".into(),
        ];
        let mut command = vec![format!("{bin}/postgres"), "-D".into(), data.display().to_string()];
        for setting in settings {
            command.extend(["-c".to_owned(), setting]);
        }
        let service = serve(&command, &directory)?;
        let cluster = Self {
            port,
            next_database: AtomicU32::new(0),
            directory,
            command,
            service,
            prepared: Mutex::new(Vec::new()),
        };
        cluster.wait_until_ready().await?;
        Ok(cluster)
    }

    /// Makes the template database of a kind of install when it is first asked for.
    async fn template(&self, install: Install, admin: &Client) -> Result<&'static str> {
        let template = install.template();
        let mut prepared = self.prepared.lock().await;
        if !prepared.contains(&install) {
            admin.batch_execute(&format!("create database {template}")).await?;
            install.run(&self.url("postgres", template)).await?;
            let copied = format!("alter database {template} with is_template true allow_connections true");
            admin.batch_execute(&copied).await?;
            if prepared.is_empty() {
                let login = format!("create role {EDGE_LOGIN} login password '{EDGE_PASSWORD}' in role weir_edge");
                admin.batch_execute(&login).await?;
                for setting in edge_login_settings() {
                    admin.batch_execute(setting).await?;
                }
            }
            prepared.push(install);
        }
        Ok(template)
    }

    /// Everything the server wrote to its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.service.log()
    }

    async fn wait_until_ready(&self) -> Result<Client> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(crate::service::READY_SECONDS);
        loop {
            match connect(&self.url("postgres", "postgres")).await {
                Ok(client) => return Ok(client),
                Err(error) if std::time::Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    }

    /// Kills the postmaster with SIGKILL and starts another over the same data, at the same port; returns when it has
    /// recovered.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn crash_and_come_back(&mut self) -> Result<()> {
        let children = children(self.service.pid)?;
        self.service.crash_and_keep(&self.directory)?;
        // They notice that their postmaster is gone and end; until then they hold its shared memory.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(crate::service::READY_SECONDS);
        while children
            .iter()
            .any(|pid| std::fs::exists(format!("/proc/{pid}")).unwrap_or(false))
        {
            if std::time::Instant::now() > deadline {
                return Err(failed("processes of the killed PostgreSQL do not end"));
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        self.service = serve(&self.command, &self.directory)?;
        self.recovered().await
    }

    /// Kills one process of the server with SIGKILL: a Worker's session while there is one, else the checkpointer. The
    /// postmaster then ends all sessions and recovers; returns when it has.
    ///
    /// # Errors
    /// When it does not recover.
    pub async fn crash_a_process(&self) -> Result<()> {
        let admin = connect(&self.url("postgres", "postgres")).await?;
        let victim = "select pid from pg_stat_activity where usename = $1 or backend_type = 'checkpointer'
            order by backend_type = 'checkpointer' limit 1";
        // Sessions of a Worker are short: the one that was found may have ended. So again, until this one is ended too.
        while let Ok(row) = admin.query_one(victim, &[&EDGE_LOGIN]).await {
            crate::service::kill(row.get(0));
        }
        self.recovered().await
    }

    async fn recovered(&self) -> Result<()> {
        let client = self.wait_until_ready().await?;
        client.simple_query("select 1").await?;
        Ok(())
    }

    fn url(&self, user: &str, database: &str) -> String {
        format!(
            "postgres://{user}:{EDGE_PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// A new database with the extension and all migrations, copied from a template.
    ///
    /// # Errors
    /// When the extension or the `weir` binary is not built (`make build`), or the copy fails.
    pub async fn database(&self) -> Result<Database> {
        self.database_with(Install::Extension).await
    }

    /// The same, installed in a named way.
    ///
    /// # Errors
    /// When what it needs is not built (`make build`), or the copy fails.
    pub async fn database_with(&self, install: Install) -> Result<Database> {
        let name = format!("weir_test_{}", self.next_database.fetch_add(1, Ordering::Relaxed));
        let admin = connect(&self.url("postgres", "postgres")).await?;
        let template = self.template(install, &admin).await?;
        admin
            .batch_execute(&format!("create database {name} template {template}"))
            .await?;
        Ok(Database {
            admin_url: self.url("postgres", &name),
            edge_url: self.url(EDGE_LOGIN, &name),
        })
    }
}

/// One test's database.
pub struct Database {
    /// Connection string of the superuser.
    pub admin_url: String,
    /// Connection string of the Workers' login.
    pub edge_url: String,
}

impl Database {
    /// A connection as superuser.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn admin(&self) -> Result<Client> {
        connect(&self.admin_url).await
    }

    /// A connection as the Workers' login.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn edge(&self) -> Result<Client> {
        connect(&self.edge_url).await
    }
}

/// Connects, and drives the connection in the background.
///
/// # Errors
/// When the server refuses.
pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn serve(command: &[String], directory: &Path) -> Result<Service> {
    Service::start(Spec {
        name: "PostgreSQL",
        command: command.to_vec(),
        environment: vec![],
        stop_signal: "INT",
        remove_directory: Some(directory.to_owned()),
        user: is_root().then_some("postgres"),
    })
}

fn bin_directory() -> Result<String> {
    let pg_config =
        std::env::var("WEIR_PG_CONFIG").unwrap_or_else(|_| "/usr/lib/postgresql/15/bin/pg_config".to_owned());
    let output = Command::new(&pg_config)
        .arg("--bindir")
        .output()
        .map_err(|error| failed(format!("{pg_config}: {error}; run `make setup`, or set WEIR_PG_CONFIG")))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .map_err(|error| failed(format!("{command:?}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!(
        "{command:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    )))
}
