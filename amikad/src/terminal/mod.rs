//! Terminals that stay when nobody looks at them: a pty with a name, a model of what it shows, and viewers who come
//! and go.
//!
//! One task of the HTTP runtime reads each (`drive`). Its output goes to the model and, in the same order, to every
//! viewer; one who is slow misses some of it and is shown the picture instead, so that nobody waits for anybody.

mod drive;
mod screen;
mod unfinished;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amika_core::terminal::bounded;
use amika_core::wire;
use hyper::body::Bytes;
use tokio::sync::broadcast;

use crate::sys;
use crate::task::{Full, Keeps, Kept, Kind, Progress, TaskId};
pub(crate) use screen::Screen;

/// So many run at a time.
const RUNNING: usize = 16;
/// So many that ended are kept.
const ENDED: usize = 16;
/// Pieces of output that a viewer may be behind.
const BEHIND: usize = 64;

/// Columns and rows.
pub(crate) type Size = (u16, u16);

/// The terminals of this boot.
#[derive(Debug)]
pub(crate) struct Terminals(Kept<Terminal>);

impl Default for Terminals {
    fn default() -> Self {
        Self(Kept::new(RUNNING, ENDED))
    }
}

/// One terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    name: String,
    /// What its program is to the supervisor.
    pub(crate) task: TaskId,
    command: String,
    /// How its program fares.
    pub(crate) progress: Arc<Progress>,
    inner: Mutex<Inner>,
}

struct Inner {
    size: Size,
    /// How much of it each viewer can see, as far as they said.
    viewers: BTreeMap<u64, Option<Size>>,
    last_viewer: u64,
    shows: Shows,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it shows is nobody's business.
        f.debug_struct("Inner")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// What it shows.
enum Shows {
    /// What its program writes.
    Live {
        /// The side that shows and types.
        near: Arc<OwnedFd>,
        screen: Box<Screen>,
        sender: broadcast::Sender<Piece>,
    },
    /// What its program wrote last.
    Last { picture: Bytes, text: String },
}

/// A piece of what happens on a terminal.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Its program wrote this.
    Output(Bytes),
    /// It has this size from now on.
    Size(Size),
}

/// What is to be seen now, and what happens from now on.
#[derive(Debug)]
pub(crate) struct View {
    /// Its size.
    pub(crate) size: Size,
    /// Shows it on a terminal of any state.
    pub(crate) picture: Bytes,
    /// Nothing where nothing more happens.
    pub(crate) pieces: Option<broadcast::Receiver<Piece>>,
}

/// The place of somebody who looks at it, for as long as he does.
#[derive(Debug)]
pub(crate) struct Viewer {
    terminal: Arc<Terminal>,
    number: u64,
}

impl Terminals {
    /// Makes place for one more; returns it and the side that its program is to run on.
    pub(crate) fn add(
        &self,
        name: Option<String>,
        size: Size,
        command: String,
    ) -> io::Result<Result<(Arc<Terminal>, OwnedFd), Full>> {
        let (near, far) = sys::open_terminal()?;
        sys::resize_terminal(near.as_fd(), size.0, size.1)?;
        let number = self.0.next_number();
        let terminal = Arc::new(Terminal {
            name: name.unwrap_or_else(|| format!("terminal-{number}")),
            task: TaskId {
                kind: Kind::Terminal,
                number,
            },
            command,
            progress: Arc::default(),
            inner: Mutex::new(Inner {
                size,
                viewers: BTreeMap::new(),
                last_viewer: 0,
                shows: Shows::Live {
                    near: Arc::new(near),
                    screen: Box::new(Screen::new(size)),
                    sender: broadcast::Sender::new(BEHIND),
                },
            }),
        });
        Ok(self.0.add(terminal.clone()).map(|_| (terminal, far)))
    }

    /// Takes one out that came to nothing.
    pub(crate) fn remove(&self, terminal: &Arc<Terminal>) {
        self.0.remove(terminal);
    }

    /// The one of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Terminal>> {
        self.0.find(name)
    }

    /// Those that were started, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Terminal>> {
        let mut all = self.0.all();
        all.retain(|terminal| terminal.progress.now().started_at.is_some());
        all
    }
}

impl Keeps for Terminal {
    fn name(&self) -> &str {
        &self.name
    }

    fn has_ended(&self) -> bool {
        self.progress.now().ended.is_some()
    }
}

impl Terminal {
    /// What is told of it; `kills` is what the kernel ended for want of memory so far.
    pub(crate) fn record(&self, kills: u64) -> wire::Terminal {
        let inner = self.lock();
        wire::Terminal {
            name: self.name.clone(),
            task: self.progress.record(&self.command, kills),
            columns: inner.size.0,
            rows: inner.size.1,
            viewers: u32::try_from(inner.viewers.len()).unwrap_or(u32::MAX),
        }
    }

    /// The text that it shows.
    pub(crate) fn text(&self) -> String {
        match &self.lock().shows {
            Shows::Live { screen, .. } => screen.text(),
            Shows::Last { text, .. } => text.clone(),
        }
    }

    /// Somebody looks at it from now on, who can see so much of it.
    pub(crate) fn attach(self: &Arc<Self>, size: Option<Size>) -> (Viewer, View) {
        let mut inner = self.lock();
        inner.last_viewer += 1;
        let number = inner.last_viewer;
        inner.viewers.insert(number, size);
        inner.fit();
        let viewer = Viewer {
            terminal: self.clone(),
            number,
        };
        (viewer, inner.view())
    }

    /// The side that shows and types; nothing once its program ended.
    fn near(&self) -> Option<Arc<OwnedFd>> {
        match &self.lock().shows {
            Shows::Live { near, .. } => Some(near.clone()),
            Shows::Last { .. } => None,
        }
    }

    /// Its program wrote this.
    fn wrote(&self, bytes: &[u8]) {
        if let Shows::Live { screen, sender, .. } = &mut self.lock().shows {
            screen.process(bytes);
            if sender.receiver_count() > 0 {
                // Whoever left meanwhile needs none of it.
                let _ = sender.send(Piece::Output(Bytes::copy_from_slice(bytes)));
            }
        }
    }

    /// Its program ended and all that it wrote is here: what was held for it goes.
    fn finish(&self) {
        let mut inner = self.lock();
        if let Shows::Live { screen, .. } = &inner.shows {
            // The sender goes with it, by which viewers know.
            inner.shows = Shows::Last {
                picture: screen.picture().into(),
                text: screen.text(),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whatever somebody panicked over, the next piece is shown.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn view(&self) -> View {
        let (picture, pieces) = match &self.shows {
            Shows::Live { screen, sender, .. } => {
                (screen.picture().into(), Some(sender.subscribe()))
            }
            Shows::Last { picture, .. } => (picture.clone(), None),
        };
        View {
            size: self.size,
            picture,
            pieces,
        }
    }

    /// Makes it as large as all can see: bytes go to each viewer as they are, and on a smaller one they would be
    /// another picture. It stays as it is while nobody says.
    fn fit(&mut self) {
        let said = self.viewers.values().flatten();
        let smallest = said.copied().reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)));
        let Some((columns, rows)) = smallest.filter(|size| *size != self.size) else {
            return;
        };
        if let Shows::Live {
            near,
            screen,
            sender,
        } = &mut self.shows
        {
            // Of a terminal that is about to end, which has no size any more.
            let _ = sys::resize_terminal(near.as_fd(), columns, rows);
            screen.resize((columns, rows));
            let _ = sender.send(Piece::Size((columns, rows)));
            self.size = (columns, rows);
        }
    }
}

impl Viewer {
    /// The terminal.
    pub(crate) fn terminal(&self) -> &Terminal {
        &self.terminal
    }

    /// He can see so much of it from now on.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let mut inner = self.terminal.lock();
        inner
            .viewers
            .insert(self.number, Some(bounded(columns, rows)));
        inner.fit();
    }

    /// What is to be seen now, for one who missed something.
    pub(crate) fn view(&self) -> View {
        self.terminal.lock().view()
    }

    /// Waits until the terminal took `bytes`, as typed; nothing comes of it once its program ended.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] where nobody reads them.
    pub(crate) async fn types(&self, bytes: &[u8]) -> io::Result<()> {
        match self.terminal.near() {
            Some(near) => drive::write(&near, bytes).await,
            None => Ok(()),
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut inner = self.terminal.lock();
        inner.viewers.remove(&self.number);
        inner.fit();
    }
}
