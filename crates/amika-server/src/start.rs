//! From a configuration to a server that listens: directory, store, first administrator, addresses.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use amika_host::machine::Machine;
use amika_sandbox::error::{Error, Kind, Result};
use amika_sandbox::progress::{Event, Progress};
use amika_sandbox::sandboxes::User;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::api;
use crate::api::idempotency::UnderWay;
use crate::audit_file::AuditFile;
use crate::auth::failures::Failures;
use crate::auth::rates::Asked;
use crate::auth::scope::{Role, Scope};
use crate::auth::tickets::Tickets;
use crate::clock::Clock;
use crate::config::{Config, Quota};
use crate::data::DataDir;
use crate::engine::Engines;
use crate::metrics::Metrics;
use crate::sandboxes::cloning;
use crate::sandboxes::conversation;
use crate::sandboxes::idle::Idleness;
use crate::sandboxes::look::Looks;
use crate::sandboxes::operations::{self, Operations};
use crate::sandboxes::snapshot::{self, Live};
use crate::sandboxes::turns;
use crate::sandboxes::{feed, rebuild, timers};
use crate::serve;
use crate::state::App;
use crate::store::open::open;
use crate::store::{self, Store, StoreError};
use crate::streams::Streams;
use crate::tls::Tls;

/// Name of the first administrator.
const FIRST_ADMIN: &str = "admin";

/// A server that listens, and answers once it is run.
pub struct Server {
    app: Arc<App>,
    listeners: Vec<TcpListener>,
    tls: Option<Tls>,
    data: DataDir,
    first: Option<First>,
}

/// What is told once: at the first start.
pub struct First {
    /// The first administrator's key.
    pub api_key: String,
    /// Signs in once, within 10 minutes.
    pub sign_in_url: String,
}

/// What operations tell whoever is not there.
struct ToTheLog;

impl Progress for ToTheLog {
    fn tell(&self, event: Event<'_>) {
        if let Event::Warning(message) = event {
            tracing::warn!("{message}");
        }
    }

    fn shows_steps(&self) -> bool {
        false
    }
}

impl Server {
    /// Takes the data directory, brings the store up to date, makes the first administrator where there is
    /// nobody, and listens.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where another server holds the directory or an address is taken, and what the parts
    /// fail with.
    pub async fn start(mut config: Config, machine: &Machine, clock: Clock) -> Result<Self> {
        let data = DataDir::take(&config.data)?;
        // git works in directories of its own: a path that is relative leads nowhere there.
        data.path().clone_into(&mut config.data);
        let seal = data.seal(machine)?;
        let tls = config
            .tls
            .clone()
            .map(|(cert, key)| Tls::load(cert, key))
            .transpose()?;
        let store = open(&data, clock.now()).await?;
        let listeners = listen(&config).await?;
        let address = address(&config, &listeners)?;
        let server_id = server_id(&data, &store).await?;
        let machine = machine.keeping_data_in(data.path());
        let user = Arc::new(User::new(machine, Arc::new(ToTheLog)));
        let changes = Arc::clone(store.changes());
        let ending = tokio::sync::watch::Sender::new(false);
        let app = Arc::new(App {
            names: App::names(&config),
            engines: Engines::new(user),
            looks: Looks::new(Arc::clone(&changes)),
            live: Live::default(),
            operations: Operations::new(Arc::clone(&changes)),
            changes,
            asked: Asked::new(config.rates),
            idempotent: UnderWay::default(),
            audit: AuditFile::new(data.path()),
            counting: tokio::sync::Mutex::default(),
            streams: Arc::new(Streams::new(ending.subscribe())),
            ending,
            tickets: Tickets::default(),
            ports: Arc::default(),
            store,
            idleness: Idleness::default(),
            saving: tokio::sync::Mutex::default(),
            seal,
            clock,
            failures: Failures::default(),
            metrics: Metrics::default(),
            config,
            server_id,
            address,
        });
        let first = first(&app).await.map_err(failed)?;
        Ok(Self {
            app,
            listeners,
            tls,
            data,
            first,
        })
    }

    /// Where it is found.
    pub fn address(&self) -> &str {
        &self.app.address
    }

    /// The first address that it listens on.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.listeners.first()?.local_addr().ok()
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// What is told at the first start alone.
    pub fn first(&self) -> Option<&First> {
        self.first.as_ref()
    }

    /// Answers until `stop`, and ends what is under way. `renew` has the certificate read anew.
    pub async fn run(self, renew: Arc<Notify>, stop: impl Future<Output = ()>) {
        let router = api::router(&self.app);
        let app = Arc::clone(&self.app);
        let recovering = Arc::clone(&app);
        // Before anybody is answered: what is made from now on is not among them.
        let untouched = app.store.untouched_sandboxes(app.clock.now()).await;
        let untouched = untouched.unwrap_or_default();
        let untold = app.store.untold_sandboxes().await.unwrap_or_default();
        let recovering = tokio::spawn(async move {
            turns::recover(&recovering).await;
            operations::recover(&recovering).await;
            conversation::recover(&recovering, untold);
            rebuild::rebuild(recovering, untouched).await;
        });
        let mut others = tokio::task::JoinSet::new();
        others.spawn(timers::watch(Arc::clone(&app)));
        others.spawn(feed::feed(Arc::clone(&app)));
        others.spawn(snapshot::watch(Arc::clone(&app)));
        others.spawn(keep_house(Arc::clone(&app)));
        serve::serve(
            Arc::clone(&app),
            router,
            self.listeners,
            self.tls,
            renew,
            stop,
        )
        .await;
        app.streams.ended().await;
        recovering.abort();
        others.shutdown().await;
        app.operations.end().await;
        app.store.close().await;
    }
}

/// The server's id. It stands in a file of the data directory too, so that one whose store was lost stays the same.
async fn server_id(data: &DataDir, store: &Store) -> Result<String> {
    let kept = data.server_id();
    let known = kept.clone();
    let make = || match known {
        Some(id) => id,
        None => crate::id::new(),
    };
    let id = store.meta("server_id", make).await.map_err(failed)?;
    if kept.as_ref() != Some(&id) {
        data.keep_server_id(&id)?;
    }
    Ok(id)
}

/// What is done once an hour.
async fn keep_house(app: Arc<App>) {
    loop {
        if let Err(error) = app.store.forget(app.clock.now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what is old stays in the store"
            );
        }
        if let Err(error) = app.audit.forget(app.clock.now()) {
            tracing::warn!(%error, "old files of the audit stay");
        }
        cloning::tidy(&app).await;
        if let Err(error) = app.store.forget_sessions(app.clock.now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old sessions of agents stay"
            );
        }
        if let Err(error) = api::uploads::sweep(&app).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old working copies stay"
            );
        }
        tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn failed(error: StoreError) -> Error {
    Error::new(Kind::Failure, "the store cannot be used").caused_by(&error)
}

async fn listen(config: &Config) -> Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for (address, may_be_missing) in config.addresses() {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if may_be_missing && error.kind() != std::io::ErrorKind::AddrInUse => {
                tracing::info!(%address, %error, "not listened on");
            }
            Err(error) => {
                let kind = match error.kind() {
                    std::io::ErrorKind::AddrInUse => Kind::Conflict,
                    _ => Kind::Failure,
                };
                return Err(Error::new(kind, format!("{address} cannot be listened on"))
                    .caused_by(&error)
                    .hint("choose another address with `--listen ADDR:PORT`"));
            }
        }
    }
    Ok(listeners)
}

fn address(config: &Config, listeners: &[TcpListener]) -> Result<String> {
    if let Some(url) = &config.public_url {
        return Ok(url.text.clone());
    }
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let first = listeners.first().map(TcpListener::local_addr).transpose();
    let first = first.ok().flatten();
    let first = first.ok_or_else(|| Error::new(Kind::Failure, "no address can be listened on"))?;
    let host = match (&config.domain, first.ip()) {
        (Some(domain), _) => domain.clone(),
        (None, ip) if ip.is_unspecified() || config.listen.is_none() => "localhost".to_owned(),
        (None, ip) if ip.is_ipv6() => format!("[{ip}]"),
        (None, ip) => ip.to_string(),
    };
    Ok(format!("{scheme}://{host}:{}", first.port()))
}

/// Makes the first administrator with a key and a link, where there is nobody.
async fn first(app: &App) -> store::Result<Option<First>> {
    if !app.store.has_no_user().await? {
        return Ok(None);
    }
    let now = app.clock.now();
    let user = store::User {
        id: crate::id::new(),
        name: FIRST_ADMIN.to_owned(),
        email: None,
        role: Role::Admin,
        is_disabled: false,
        quota: Quota::default(),
        created_at: now,
        updated_at: now,
    };
    app.store.add_user(&user).await?;
    let (_, token) = api::make_key(&app.store, &user.id, "first key", &Scope::ALL, now).await?;
    Ok(Some(First {
        api_key: token.reveal().to_owned(),
        sign_in_url: api::users::link(app, &user.id).await?,
    }))
}

/// A key for an administrator who lost his: for whoever has the data directory, while no server holds it.
///
/// # Errors
/// [`Kind::Conflict`] while a server runs, [`Kind::NotFound`] where there is no administrator.
pub async fn make_admin_key(data: &Path, clock: &Clock) -> Result<String> {
    let data = existing(data)?;
    let store = open(&data, clock.now()).await?;
    let made = admin_key(&store, clock).await.map_err(failed)?;
    store.close().await;
    made.ok_or_else(|| {
        Error::new(Kind::NotFound, "there is no administrator who can sign in")
            .hint("`amika server` makes the first one")
    })
}

async fn admin_key(store: &Store, clock: &Clock) -> store::Result<Option<String>> {
    let Some(user) = store.first_admin().await? else {
        return Ok(None);
    };
    let made = api::make_key(
        store,
        &user.id,
        "made on the server",
        &Scope::ALL,
        clock.now(),
    );
    Ok(Some(made.await?.1.reveal().to_owned()))
}

/// A data directory that is there.
///
/// # Errors
/// [`Kind::NotFound`] where there is none; as [`DataDir::take`].
pub fn existing(path: &Path) -> Result<DataDir> {
    if path.join(crate::data::DATABASE).exists() {
        return DataDir::take(path);
    }
    let message = format!("there is no server's data in {}", path.display());
    Err(Error::new(Kind::NotFound, message).hint("`--data DIR` names the directory"))
}
