//! Somebody looks at a terminal: what it shows goes to him, and what he types to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use amika_core::terminal::{FromTerminal, FromViewer, Kind};
use amika_tunnel::terminal::{read_frame, write_frame};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::timeout;

use crate::publish::Shared;
use crate::terminal::{Piece, Size, Terminal, View, Viewer};

/// Bytes of a frame at most.
const FRAME: usize = 32 << 10;
/// How long he may take nothing of what waits for him: then he is let go, and sees the last picture when he comes
/// again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves him until he leaves or the terminal ended.
pub(super) async fn serve(
    outside: Upgraded,
    terminal: &Arc<Terminal>,
    size: Option<Size>,
    shared: &Shared,
) {
    let (from, mut to) = split(TokioIo::new(outside));
    let (viewer, view) = terminal.attach(size);
    tokio::select! {
        // The error says that he left, or takes nothing.
        shown = show(&mut to, &viewer, view) => if shown.is_ok() {
            let _ = timeout(PATIENCE, to.shutdown()).await;
        },
        // So does this one, or that what he says is no frame.
        _ = listen(from, &viewer, shared) => {}
    }
}

/// Shows him what the terminal shows, until it ended.
async fn show(
    to: &mut (impl AsyncWrite + Unpin),
    viewer: &Viewer,
    mut view: View,
) -> io::Result<()> {
    'anew: loop {
        say(to, FromTerminal::Size(view.size.0, view.size.1)).await?;
        output(to, &view.picture).await?;
        let Some(mut pieces) = view.pieces.take() else {
            return end(to, viewer).await;
        };
        loop {
            let mut piece = match pieces.recv().await {
                Ok(piece) => Some(piece),
                Err(RecvError::Lagged(_)) => {
                    view = viewer.view();
                    continue 'anew;
                }
                Err(RecvError::Closed) => return end(to, viewer).await,
            };
            // What is there already goes with it.
            let mut gathered = Vec::new();
            while let Some(next) = piece.take() {
                match next {
                    Piece::Output(bytes) => {
                        gathered.extend_from_slice(&bytes);
                        if gathered.len() < FRAME {
                            piece = match pieces.try_recv() {
                                Ok(piece) => Some(piece),
                                // Told again by the next one.
                                Err(TryRecvError::Empty | TryRecvError::Closed) => None,
                                Err(TryRecvError::Lagged(_)) => {
                                    view = viewer.view();
                                    continue 'anew;
                                }
                            };
                        }
                    }
                    Piece::Size((columns, rows)) => {
                        output(to, &gathered).await?;
                        gathered.clear();
                        say(to, FromTerminal::Size(columns, rows)).await?;
                    }
                }
            }
            output(to, &gathered).await?;
        }
    }
}

async fn end(to: &mut (impl AsyncWrite + Unpin), viewer: &Viewer) -> io::Result<()> {
    // It is finished after it is known to have ended.
    if let Some((end, _)) = viewer.terminal().progress.now().ended {
        say(to, FromTerminal::ExitCode(end.exit_code())).await?;
    }
    Ok(())
}

/// Bytes, in as many frames as they need.
async fn output(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(FRAME) {
        send(to, Kind::Bytes, piece).await?;
    }
    Ok(())
}

async fn say(to: &mut (impl AsyncWrite + Unpin), word: FromTerminal) -> io::Result<()> {
    let json = serde_json::to_vec(&word)?;
    send(to, Kind::Control, &json).await
}

async fn send(to: &mut (impl AsyncWrite + Unpin), kind: Kind, content: &[u8]) -> io::Result<()> {
    match timeout(PATIENCE, write_frame(to, kind, content)).await {
        Ok(sent) => sent,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Passes on what he types and says, until he leaves.
async fn listen(
    mut from: impl AsyncRead + Unpin,
    viewer: &Viewer,
    shared: &Shared,
) -> io::Result<()> {
    let mut content = Vec::new();
    loop {
        match read_frame(&mut from, &mut content).await? {
            Kind::Bytes if content.is_empty() => {}
            Kind::Bytes => {
                shared.activity.typed();
                viewer.types(&content).await?;
            }
            Kind::Control => {
                let FromViewer::Resize(columns, rows) = serde_json::from_slice(&content)?;
                viewer.resize(columns, rows);
            }
        }
    }
}
