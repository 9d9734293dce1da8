//! `create` from the request to a sandbox that is ready, and the same as far as its plan.
//!
//! Request → name and lock → repository and trust → settings → facts → plan → apply → ready. Each stage is a
//! file of this directory; here they are put one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use amika_core::agent_config::CLAUDE_STATE;
use amika_core::config::RepoConfig;
use amika_core::credential::Selection;
use amika_core::name::SandboxName;
use amika_core::service::{Binding, HostPort, ResolveError};
use amika_core::text::shell_quote;
use amika_git as git;

use super::agent_config;
use super::apply::{Job, Settle, apply, interrupted, unmake};
use super::created::Created;
use super::credentials::{find as find_credentials, read as read_credentials};
use super::dotfiles::{self, OwnDotfiles};
use super::dry_run::{PlanView, RepositoryView};
use super::facts::{Facts, MissingImage, gather};
use super::file_mounts;
use super::from_volume;
use super::mounts::{refuse_conflicts, refuse_remote_binds};
use super::name::{self, Taken as TakenName};
use super::network;
use super::plan::{self, Plan};
use super::repository;
use super::request::{CreateRequest, Dotfiles, OwnWays, Wait, WantedRepository};
use super::rights::wait_with_inner_engine;
use super::settings::{self, Settings};
use super::sidecars;
use super::source::{Contents, Source};
use super::taken::{Taken, TakenView};
use super::tell::{say_what_is_taken, tell_of_missing, tell_of_network};
use super::trust::{self, TrustRequest};
use super::upload::Upload;
use crate::cancel::Cancel;
use crate::delete::Clones;
use crate::error::{Error, Kind, Result};
use crate::given::Given;
use crate::lock::FileLock;
use crate::ports;
use crate::progress::{Progress, Steps};
use crate::ready::{self, Ready, Until};
use crate::sandbox::{Sandbox, State};
use crate::sandboxes::{Sandboxes, to_its_end};
use crate::unreported::{self, Asked, Mark};

impl Sandboxes {
    /// Makes a sandbox, starts it, and waits for it as it was asked to. What fails or is canceled is unmade.
    /// Who stops waiting for the answer cancels nothing.
    ///
    /// The name is locked until the answer is dropped; see [`Created::told`].
    ///
    /// # Errors
    /// Those of the stages: [`Kind::Invalid`] for what cannot be meant, [`Kind::Conflict`] for a name or port that is
    /// taken, [`Kind::Repository`], [`Kind::Image`], [`Kind::SetupFailed`] and [`Kind::NotReady`] of one that stays,
    /// [`Kind::Canceled`], and those of the engine.
    pub async fn create(
        &self,
        request: CreateRequest,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<Created> {
        let making = Making::new(self, progress, cancel);
        to_its_end(making.create(request)).await
    }

    /// What [`Sandboxes::create`] would make; nothing is made, and nothing is copied or built.
    ///
    /// # Errors
    /// As [`Sandboxes::create`]; [`Kind::Image`] where the image is not there.
    pub async fn plan(
        &self,
        request: CreateRequest,
        progress: Arc<dyn Progress>,
        cancel: &Cancel,
    ) -> Result<PlanView> {
        let making = Making::new(self, progress, cancel);
        to_its_end(making.plan(request)).await
    }
}

/// A create under way, with what every stage is given.
struct Making {
    engine: Sandboxes,
    out: Arc<dyn Progress>,
    steps: Steps,
    cancel: Cancel,
}

/// What there is to do.
enum Prepared {
    /// A sandbox is to be made.
    New(Box<New>),
    /// A create that was killed has made it.
    Made(Box<Made>),
}

/// What is known before anything is made.
struct New {
    name: SandboxName,
    lock: FileLock,
    source: Option<Source>,
    copy: git::Copy,
    has_new_branch: bool,
    settings: Settings,
    /// What it is given that neither its environment nor a label tells.
    given: Option<Given>,
    /// The user's dotfiles.
    dotfiles: Option<OwnDotfiles>,
    /// What of the repository's configuration holds.
    taken: Option<TakenView>,
    asked: Asked,
    facts: Facts,
}

/// A sandbox that was started, and that nobody was told of yet.
struct Made {
    name: SandboxName,
    lock: FileLock,
    /// What of the repository's configuration holds.
    taken: Option<TakenView>,
    /// How to unmake it when it is canceled; not where somebody may have found it and worked in it.
    undo: Option<Box<Plan>>,
    /// Whether it has an engine of its own.
    nested_engine: bool,
    /// Whether dotfiles are installed in it.
    has_dotfiles: bool,
}

impl Making {
    fn new(engine: &Sandboxes, out: Arc<dyn Progress>, cancel: &Cancel) -> Self {
        Self {
            engine: engine.for_one_operation(),
            steps: Steps::new(Arc::clone(&out)),
            out,
            cancel: cancel.clone(),
        }
    }

    async fn create(mut self, request: CreateRequest) -> Result<Created> {
        let (wait, replace) = (request.wait, request.replace);
        let made = match self.prepared(request, false).await? {
            Prepared::Made(made) => *made,
            Prepared::New(new) => Box::pin(self.make(*new, replace)).await?,
        };
        let ready = match wait {
            Wait::No => None,
            wait => match wait.until() {
                Some(until) => {
                    let waited = self.wait(&made, until).await;
                    if made.has_dotfiles {
                        dotfiles::tell(&self.engine, made.name.as_str(), &*self.out).await;
                    }
                    Some(waited?)
                }
                None => None,
            },
        };
        let Made {
            name, lock, taken, ..
        } = made;
        Created::of(self.engine, &name, lock, ready, taken, &self.steps).await
    }

    async fn plan(mut self, request: CreateRequest) -> Result<PlanView> {
        let new = match self.prepared(request, true).await? {
            Prepared::New(new) => *new,
            Prepared::Made(made) => {
                let message = format!("sandbox \"{}\" is there already", made.name);
                return Err(Error::new(Kind::Conflict, message));
            }
        };
        let settle = settle(&new.settings, self.engine.is_local());
        let plan = self.planned(&new, &settle, true).await?;
        let repository = new.source.as_ref().map(|source| match &source.contents {
            Contents::Copied(repository) => {
                let facts = repository.facts();
                RepositoryView::of(facts, new.copy, new.has_new_branch)
                    .told_as(source.told_source())
            }
            Contents::Kept(_) => RepositoryView::of_volume(source.label()),
        });
        let dotfiles = new.dotfiles.map(|it| it.view);
        Ok(PlanView::of(&plan, repository, new.taken, dotfiles))
    }

    /// Waits until it is ready; what is canceled, or lacks what it was to have, is unmade.
    async fn wait(&mut self, made: &Made, until: Until) -> Result<Ready> {
        let (engine, cancel) = (&self.engine, &self.cancel);
        let name = made.name.as_str();
        let wait = Box::pin(ready::wait(
            engine,
            name,
            true,
            until,
            &mut self.steps,
            cancel,
        ));
        let waited = if made.nested_engine {
            wait_with_inner_engine(engine, name, wait).await
        } else {
            wait.await
        };
        let error = match waited {
            Ok(ready) => return Ok(ready),
            Err(error) => error,
        };
        let reason = match error.kind {
            // Without its engine it is not what was asked for.
            Kind::RightMissing => error,
            Kind::Canceled if made.undo.is_some() => interrupted(),
            Kind::Canceled | Kind::EngineUnreachable => return Err(error),
            _ => {
                // Else the same create finds it, and tells of it.
                unreported::clear(&made.lock);
                return Err(error);
            }
        };
        let Some(plan) = &made.undo else {
            unreported::clear(&made.lock);
            return Err(reason);
        };
        let error = unmake(engine, plan, reason, &*self.out, cancel).await;
        self.forget_unmade(&made.name, &made.lock).await;
        Err(error)
    }

    /// All that changes nothing, or what may stay: an image.
    async fn prepared(&mut self, request: CreateRequest, only_plan: bool) -> Result<Prepared> {
        let cancel = self.cancel.clone();
        tokio::select! {
            prepared = Box::pin(self.prepare(request, only_plan)) => prepared,
            () = cancel.requested() => Err(interrupted()),
        }
    }

    async fn prepare(&mut self, request: CreateRequest, only_plan: bool) -> Result<Prepared> {
        let CreateRequest {
            sandbox: mut request,
            repository: wanted,
            saved,
            trust,
            sign_ins_named,
            secrets,
            owner,
            allowed,
            replace,
            wait: _,
        } = request;
        request.check()?;
        let engine = &self.engine;
        let keeps_old = replace || only_plan;
        let TakenName {
            name,
            lock,
            unreported,
        } = name::take(engine, request.name.as_ref(), keeps_old).await?;
        refuse_remote_binds(&request.mounts, engine.is_local())?;
        refuse_conflicts(&request.mounts, None)?;
        network::refuse_missing(engine, request.network.as_deref()).await?;
        let machine = engine.machine();
        let (out, steps) = (&*self.out, &mut self.steps);
        let mut source = match &wanted {
            Some(WantedRepository::Clone(wanted)) => {
                Some(repository::open(wanted, machine, out, steps).await?)
            }
            Some(WantedRepository::Volume(wanted)) => {
                let is_replaced = replace && from_volume::can_replace(engine, &name).await?;
                let own = (unreported.is_some() || is_replaced).then_some(name.as_str());
                let open = from_volume::open(engine, wanted, &mut request, own, out, steps);
                Some(open.await?)
            }
            None => None,
        };
        let clone = source.as_ref().map(Source::label);
        refuse_conflicts(
            &request.mounts,
            clone.as_ref().map(|clone| clone.name.as_str()),
        )?;
        let trust = match &mut source {
            Some(source) => {
                let asked = TrustRequest {
                    by: trust,
                    sign_ins_named,
                    only_plan,
                };
                Some(trust::settle(&asked, &request, machine, source, &*self.out).await?)
            }
            None => None,
        };
        let no_config = RepoConfig::default();
        let config = source.as_ref().map_or(&no_config, |source| &source.config);
        let scripts = source.as_ref().map(|source| source.scripts.clone());
        let scripts = scripts.unwrap_or_default();
        let mut settings = settings::merge(&request, saved, config, scripts.clone())?;
        allowed.check(&settings)?;
        sidecars::refuse_network(&settings)?;
        sidecars::refuse_name(&name, &settings.services)?;
        file_mounts::add(engine, &mut settings, config, source.as_ref(), &owner, out).await?;
        let clone = source.as_ref().map(|source| source.label().name);
        refuse_conflicts(&settings.mounts, clone.as_deref())?;
        let taken = trust.map(|trust| TakenView {
            taken: Taken::beside(&settings, config, &scripts),
            trust,
        });
        if let Some(taken) = &taken {
            say_what_is_taken(taken, &*self.out);
            if !taken.trust.lets_sign_ins_in() {
                settings.credentials = Selection::none();
            }
            if !(settings.own_ways.is_asked || taken.trust.lets_own_ways_in()) {
                settings.own_ways = OwnWays::none();
            }
            let is_wanted = |it: &Dotfiles| it.is_asked || taken.trust.lets_own_ways_in();
            settings.dotfiles = settings.dotfiles.filter(is_wanted);
        }
        let given = match (&secrets, settings.secret_env.is_empty()) {
            (Some(secrets), _) if !only_plan => {
                let given = secrets.given(&settings.secret_env).await?;
                tell_of_missing(&settings.secret_env, Some(&given), &*self.out);
                Some(given)
            }
            (None, false) => {
                tell_of_missing(&settings.secret_env, None, &*self.out);
                None
            }
            _ => None,
        };
        if let Some(warning) = settings::rights_by_configuration(&settings) {
            self.out.warn(&warning);
        }
        let clone = match &wanted {
            Some(WantedRepository::Clone(wanted)) => Some(&wanted.git),
            Some(WantedRepository::Volume(_)) | None => None,
        };
        let copy = clone.map_or(git::Copy::Clean, |git| git.copy);
        let has_new_branch = clone.is_some_and(|git| git.new_branch.is_some());
        let volume = source.as_ref().and_then(Source::volume);
        let asked = Asked::of(&settings, copy, volume);
        if settings.dotfiles.is_some() {
            dotfiles::refuse_conflicts(&settings.mounts)?;
        }
        if let Some(unreported) = unreported {
            unreported
                .must_be(engine, &name, &asked, source.as_ref())
                .await?;
            unreported.start_again(engine).await?;
            self.out.note(&format!(
                "\"{name}\" was made by a create that was interrupted: going on where that one ended"
            ));
            return Ok(Prepared::Made(Box::new(Made {
                name,
                lock,
                taken,
                undo: None,
                nested_engine: settings.has_nested_engine(),
                has_dotfiles: settings.dotfiles.is_some(),
            })));
        }
        if let (Some(source), Some(taken)) = (&mut source, &taken) {
            repository::fetch_lfs(source, &taken.trust, &*self.out, &mut self.steps).await?;
        }
        let dotfiles = match &settings.dotfiles {
            None => None,
            Some(wanted) => {
                let read = dotfiles::read(wanted, only_plan, machine, out, &mut self.steps);
                Some(read.await?)
            }
        };
        let missing = if only_plan {
            MissingImage::Refuse
        } else {
            MissingImage::Get
        };
        sidecars::get_images(engine, &mut settings, missing, &mut self.steps).await?;
        let facts = gather(engine, &settings, source.as_ref(), missing, &mut self.steps).await?;
        for warning in settings.fit(facts.engine_size)? {
            self.out.warn(&warning);
        }
        Ok(Prepared::New(Box::new(New {
            name,
            lock,
            source,
            copy,
            has_new_branch,
            settings,
            given,
            dotfiles,
            taken,
            asked,
            facts,
        })))
    }

    /// The plan, with what else is said of it.
    async fn planned(&self, new: &New, settle: &Settle<'_>, only_plan: bool) -> Result<Plan> {
        let New {
            name,
            settings,
            facts,
            ..
        } = new;
        let (engine, out) = (&self.engine, &*self.out);
        // No host port is asked for where none can be published.
        let bindings = match facts
            .network
            .publishes_ports()
            .then(|| settle(&BTreeSet::new()))
        {
            None => Vec::new(),
            Some(Ok(bindings)) => bindings,
            Some(Err(error)) => return Err(ports::refusal(engine, &error).await),
        };
        tell_of_network(name, settings, &facts.network, out);
        let repository = new.source.as_ref().map(|source| plan::Repository {
            label: source.label(),
            volume: source.volume().map(str::to_owned),
        });
        let mut plan = plan::plan(name, settings, facts, repository.as_ref(), bindings);
        plan::can_be_executed(&plan, new.given.as_ref())?;
        let home = engine.machine().home_dir();
        let credentials = find_credentials(&home, &settings.credentials, &settings.mounts);
        for warning in &facts.sources.warnings {
            out.warn(warning);
        }
        for note in &facts.sources.notes {
            out.note(note);
        }
        let taken = read_credentials(&home, &credentials, out);
        let has_state = taken.as_ref().is_some_and(|taken| {
            let mut files = taken.upload.files.iter();
            files.any(|file| file.path == CLAUDE_STATE)
        });
        let ways = (&settings.own_ways, &settings.mounts);
        if let Some((upload, said)) = agent_config::read(&home, ways.0, ways.1, has_state, out) {
            if !only_plan {
                out.note(&said);
            }
            plan.uploads.push(upload);
        }
        if let Some(taken) = taken {
            if !only_plan {
                let renewing = &taken.renewing;
                crate::sign_ins::warn_of_other_copies(engine, name.as_str(), renewing, out).await?;
                let agents: Vec<&str> = taken.agents.iter().map(|agent| agent.as_str()).collect();
                let agents = agents.join(", ");
                out.note(&format!("  sign-ins copied in: {agents}"));
            }
            plan.add_credentials(taken.upload, taken.agents);
        }
        if let Some(given) = &new.given {
            plan.give(given);
        }
        if settings.dotfiles.is_some() {
            let uploads = dotfiles::uploads(&plan.uploads, &settings.mounts);
            plan.uploads.extend(uploads);
        }
        Ok(plan)
    }

    /// Makes the sandbox and starts it.
    async fn make(&mut self, new: New, replace: bool) -> Result<Made> {
        let settle = settle(&new.settings, self.engine.is_local());
        let mut plan = self.planned(&new, &settle, false).await?;
        let New {
            name,
            lock,
            source,
            settings,
            asked,
            facts,
            ..
        } = &new;
        let snapshot = match source {
            Some(source) => source.snapshot().await?,
            None => None,
        };
        if let Some(snapshot) = &snapshot {
            let json = serde_json::to_vec(snapshot).unwrap_or_default();
            plan.uploads.push(Upload::git_snapshot(json));
        }
        if replace {
            self.replace(name).await?;
        }
        let token = self.engine.user_key()?.token(facts.id.as_str());
        let mark = Mark {
            asked: asked.fingerprint(&token, snapshot.as_ref()),
            id: facts.id.clone(),
        };
        mark.leave(lock);
        let mut job = Job {
            engine: &self.engine,
            settings,
            repository: source.as_ref().and_then(Source::to_copy),
            dotfiles: new.dotfiles.as_ref().and_then(|it| it.repository.as_ref()),
            injection: facts.injection.as_ref(),
            plan,
            settle: &settle,
        };
        if let Err(error) = apply(&mut job, &*self.out, &mut self.steps, &self.cancel).await {
            self.forget_unmade(name, lock).await;
            return Err(error);
        }
        let plan = Box::new(job.plan);
        let nested_engine = plan.container.nested_engine;
        Ok(Made {
            name: new.name,
            lock: new.lock,
            taken: new.taken,
            undo: Some(plan),
            nested_engine,
            has_dotfiles: new.settings.dotfiles.is_some(),
        })
    }

    /// Takes the mark away of a sandbox that was unmade: its file would stay for ever.
    async fn forget_unmade(&self, name: &SandboxName, lock: &FileLock) {
        let there = self.engine.inspect_container(name.as_str()).await;
        if there.is_err_and(|error| error.is_not_found()) {
            unreported::clear(lock);
        }
    }

    /// Deletes the sandbox of the same name, if there is one; its git volume stays.
    async fn replace(&self, name: &SandboxName) -> Result<()> {
        let engine = &self.engine;
        let old = match Sandbox::find_any(engine, name.as_str()).await {
            Ok(old) => old,
            Err(error) if error.kind == Kind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        crate::unsaved::refuse(engine, &old, false).await?;
        let is_unfinished = old.state_of_making() == Some(State::Interrupted);
        let clones = if is_unfinished {
            Clones::Unmade
        } else {
            Clones::Stay
        };
        let removed = crate::delete::remove(engine, &old.container.id, &old.record, clones).await?;
        self.out
            .note(&format!("the old sandbox \"{name}\" is deleted"));
        removed.tell_of_data(&*self.out);
        for volume in removed.kept {
            self.out.note(&format!(
                "the old sandbox's git volume {volume} stays: `amika sandbox create --from-volume {0}` goes on with it, \
                 `amika volume delete {0}` removes it",
                shell_quote(&volume)
            ));
        }
        Ok(())
    }
}

/// Settles host ports, without those that are given.
fn settle(
    settings: &Settings,
    local: bool,
) -> impl Fn(&BTreeSet<HostPort>) -> Result<Vec<Binding>, ResolveError> {
    move |excluded| {
        let Settings {
            services,
            publish,
            port_host_ip,
            ..
        } = settings;
        ports::settle(services, publish, *port_host_ip, excluded, local)
    }
}
