//! Turns of agents: each is a job of its sandbox's amikad, which goes on when whoever asked leaves, and when the server
//! ends. A server that starts takes them up again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amika_core::contract::env;
use amika_core::credential::Agent;
use amika_core::wire::JobRequest;
use amika_sandbox::agent::{Answer, Listener, turn};
use amika_sandbox::error::{Error, Kind};
use futures_util::StreamExt as _;
use tokio::sync::{broadcast, watch};

use crate::api::error::{ApiError, Result};
use crate::state::App;
use crate::store::{SessionRow, TurnEnd, TurnRow};

/// The longest message, in bytes.
pub const MESSAGE: usize = 512 << 10;

/// Pieces of what an agent says that are kept for whoever reads them late.
const PIECES: usize = 256;

/// So often the log of a job is asked for again where it broke off, and how long between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// How a turn ended, for whoever waits.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What the agent calls the conversation.
    pub agent_session_id: Option<String>,
    /// Whether the agent failed.
    pub is_error: bool,
    /// Whether it is signed out.
    pub is_signed_out: bool,
    /// What it answered.
    pub text: String,
    /// What it says that it cost.
    pub cost_usd: Option<f64>,
    /// Why there is no answer.
    pub failure: Option<ApiError>,
}

/// One that goes on.
pub struct Going {
    /// Its id.
    pub id: String,
    ended: watch::Receiver<Option<Ended>>,
    closing: watch::Receiver<bool>,
    /// What the agent says, in pieces; who is too late misses some.
    pub said: broadcast::Receiver<String>,
}

impl Going {
    /// Waits for its end, or the server's.
    pub async fn ended(&mut self) -> Ended {
        tokio::select! {
            ended = self.ended.wait_for(Option::is_some) => match ended {
                Ok(ended) => ended.clone().unwrap_or_else(Ended::cut_off),
                Err(_) => Ended::cut_off(),
            },
            _ = self.closing.wait_for(|is_closing| *is_closing) => Ended::cut_off(),
        }
    }
}

impl Ended {
    fn cut_off() -> Self {
        Self::failed(ApiError::conflict("the server is ending; the turn goes on"))
    }

    fn failed(error: ApiError) -> Self {
        Self {
            agent_session_id: None,
            is_error: true,
            is_signed_out: false,
            text: error.message.clone(),
            cost_usd: None,
            failure: Some(error),
        }
    }

    fn of(answer: Answer) -> Self {
        let is_told = !answer.is_signed_out || answer.text.contains("authentication_error");
        let text = if is_told {
            answer.text
        } else {
            format!("authentication_error: {}", answer.text)
        };
        Self {
            agent_session_id: answer.session,
            is_error: answer.is_error,
            is_signed_out: answer.is_signed_out,
            text,
            cost_usd: answer.cost_usd,
            failure: None,
        }
    }
}

/// Begins a turn of a conversation; it is noted before it begins.
///
/// # Errors
/// 409 while another turn of it goes on.
pub async fn begin(
    app: &Arc<App>,
    session: &SessionRow,
    is_new: bool,
    message: &str,
) -> Result<Going> {
    noted(app, session, is_new, message, None).await
}

/// Begins the first turn in a new sandbox, which is not to be told any more then.
///
/// # Errors
/// Those of the store.
pub async fn begin_first(app: &Arc<App>, session: &SessionRow, message: &str) -> Result<Going> {
    noted(app, session, true, message, Some(&session.sandbox_id)).await
}

async fn noted(
    app: &Arc<App>,
    session: &SessionRow,
    is_new: bool,
    message: &str,
    first_of: Option<&str>,
) -> Result<Going> {
    let now = app.clock.now();
    let row = TurnRow {
        id: crate::id::new(),
        session_id: session.id.clone(),
        is_new,
        job: None,
        state: "running".to_owned(),
        message: message.to_owned(),
        is_error: None,
        result: None,
        cost_usd: None,
        created_at: now,
        updated_at: now,
        ended_at: None,
    };
    if !app.store.add_turn(&row, first_of).await? {
        let message = format!("the agent is at another turn of session {}", session.id);
        return Err(ApiError::conflict(message).hint("wait until it ended, or begin a new session"));
    }
    Ok(follow(app, session.clone(), row))
}

/// Goes on with what a server was at when it ended.
pub async fn recover(app: &Arc<App>) {
    let unfinished = match app.store.unfinished_turns().await {
        Ok(unfinished) => unfinished,
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "turns are not taken up"
            );
            return;
        }
    };
    for row in unfinished {
        match app.store.agent_session(&row.session_id).await {
            Ok(Some(session)) if row.job.is_none() => {
                let why = "the server ended before the agent was started";
                let ended = Ended::failed(ApiError::conflict(why));
                settle(app, &session, &row, &ended).await;
            }
            Ok(Some(session)) => drop(follow(app, session, row)),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a turn is not taken up"
                );
            }
        }
    }
}

fn follow(app: &Arc<App>, session: SessionRow, row: TurnRow) -> Going {
    let (end, ended) = watch::channel(None);
    let (said, heard) = broadcast::channel(PIECES);
    let id = row.id.clone();
    let closing = app.ending.subscribe();
    let app = Arc::clone(app);
    tokio::spawn(async move {
        let ended = match run(&app, &session, &row, &said).await {
            Ok(answer) => Ended::of(answer),
            Err(error) => Ended::failed(error.into()),
        };
        settle(&app, &session, &row, &ended).await;
        let _ = end.send(Some(ended));
    });
    Going {
        id,
        ended,
        closing,
        said: heard,
    }
}

async fn run(
    app: &App,
    session: &SessionRow,
    row: &TurnRow,
    said: &broadcast::Sender<String>,
) -> Result<Answer, Error> {
    let agent: Agent = session
        .agent
        .parse()
        .map_err(|_| Error::new(Kind::Invalid, "there is no such agent"))?;
    let engine = app.engines.get().await?;
    // It may have been renamed since.
    let name = name_of(app, session).await?;
    let job = if let Some(job) = &row.job {
        job.clone()
    } else {
        let launch = turn(agent, session.agent_session_id.as_deref());
        let own = (env::EXEC_TURN.to_owned(), "1".to_owned());
        let variables: BTreeMap<String, String> = launch.env.into_iter().chain([own]).collect();
        let request = JobRequest {
            cmd: Some(launch.command),
            env: variables,
            input: Some(row.message.clone()),
            ..JobRequest::default()
        };
        let job = engine.start_job(&name, request).await?.id;
        let noted = app.store.note_job(&row.id, &job, app.clock.now()).await;
        noted.map_err(|error| {
            Error::new(Kind::Failure, "the store does not answer").caused_by(&error)
        })?;
        job
    };
    let mut is_named = false;
    let mut passed_on = 0_usize;
    for _ in 0..TRIES {
        // From its beginning: what was heard before is heard again, and passed on once.
        let mut listener = Listener::new(agent);
        let mut count = 0_usize;
        let mut pieces = engine.follow_job(&name, &job).await?;
        let is_whole = loop {
            match pieces.next().await {
                None => break true,
                Some(Err(_)) => break false,
                Some(Ok(bytes)) => {
                    for piece in listener.take(&bytes) {
                        count += 1;
                        if count > passed_on {
                            passed_on = count;
                            // Nobody may be listening.
                            let _ = said.send(piece);
                        }
                    }
                    if let Some(its) = listener.session().filter(|_| !is_named) {
                        let now = app.clock.now();
                        is_named = app.store.name_session(&session.id, its, now).await.is_ok();
                    }
                }
            }
        };
        let ended = engine.job(&name, &job).await?;
        if is_whole && ended.task.ended_at.is_some() {
            return Ok(listener.end(ended.task.exit_code));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::new(
        Kind::Failure,
        "what the agent says cannot be read to its end",
    ))
}

async fn name_of(app: &App, session: &SessionRow) -> Result<String, Error> {
    let look = app.looks.get(&app.engines).await?;
    let seen = look.values().find(|seen| seen.id() == session.sandbox_id);
    let seen = seen.ok_or_else(|| {
        let message = format!("sandbox \"{}\" is not there any more", session.sandbox_name);
        Error::new(Kind::NotFound, message)
    })?;
    Ok(seen.view.name.clone())
}

async fn settle(app: &App, session: &SessionRow, row: &TurnRow, ended: &Ended) {
    let end = TurnEnd {
        is_completed: ended.failure.is_none(),
        is_error: ended.is_error,
        result: ended.text.clone(),
        cost_usd: ended.cost_usd,
    };
    let noted = async {
        let now = app.clock.now();
        if let Some(its) = &ended.agent_session_id {
            app.store.name_session(&session.id, its, now).await?;
        }
        app.store.end_turn(&row.id, &end, now).await
    };
    if let Err(error) = noted.await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            id = row.id,
            "how a turn ended is not noted"
        );
    }
}
