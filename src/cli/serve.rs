//! `weir serve`: the service itself.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{USAGE, log_ignored, runtime};
use crate::app::App;
use crate::settings::{Database, LogFormat, Settings};
use crate::telemetry::logging::{self, chain};

pub(super) fn run(settings: Settings, ignored: &[String]) -> ExitCode {
    if let Err(errors) = settings.check() {
        eprintln!("weir serve cannot start:\n{errors}");
        return ExitCode::from(USAGE);
    }
    logging::start(
        settings.log.log_format == LogFormat::Json,
        &settings.log.log,
    );
    log_ignored(ignored);
    match runtime() {
        Ok(runtime) => {
            let code = runtime.block_on(serve(settings));
            // Threads that are still blocked are not waited for: the time for the stop is over.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            tracing::error!(error = chain(&error), "could not start");
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: Settings) -> ExitCode {
    if let Database::Sqlite(path) = settings.database.place() {
        tracing::info!(
            path = %path.display(),
            "no --database-url was given: keeping everything in an embedded SQLite database"
        );
    }
    let stop = CancellationToken::new();
    let served = async {
        match stop.run_until_cancelled(App::build(settings)).await {
            Some(app) => app?.run(stop.clone()).await,
            None => Ok(()),
        }
    };
    tokio::pin!(served);
    let _hangups = AbortOnDropHandle::new(tokio::spawn(log_hangups()));
    let outcome = tokio::select! {
        outcome = &mut served => outcome,
        () = asked_to_stop() => {
            stop.cancel();
            tokio::select! {
                outcome = &mut served => outcome,
                () = asked_to_stop() => {
                    tracing::warn!("asked to stop twice: not waiting any longer");
                    return ExitCode::FAILURE;
                }
            }
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&error), "weir cannot go on");
            ExitCode::FAILURE
        }
    }
}

/// Returns when SIGTERM or SIGINT comes.
pub(super) async fn asked_to_stop() {
    let (terminate, interrupt) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// Logs that SIGHUP does nothing. Without a handler it would end the process, and many operators
/// send it to reload settings.
async fn log_hangups() {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        return;
    };
    while hangups.recv().await.is_some() {
        tracing::info!("SIGHUP changes nothing: flags and environment are read at the start only");
    }
}
