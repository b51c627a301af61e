//! `weir edge`: the data plane, in front of backends of traces.

use std::process::ExitCode;

use clap::Args;
use tokio_util::sync::CancellationToken;
use weir_edge::{Edge, Failure, Settings};

use super::serve::asked_to_stop;
use super::{USAGE, log_ignored, runtime};
use crate::settings::{LogFormat, LogSettings};
use crate::telemetry::logging::{self, chain};

/// What an edge does, and what it logs.
#[derive(Args)]
pub(super) struct EdgeArgs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    log: LogSettings,
}

pub(super) fn run(args: EdgeArgs, ignored: &[String]) -> ExitCode {
    logging::start(args.log.log_format == LogFormat::Json, &args.log.log);
    log_ignored(ignored);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = chain(&error), "could not start");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(edge(args.settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ (Failure::Ended(_) | Failure::Listen(..))) => {
            tracing::error!(error = chain(&failure), "the edge cannot go on");
            ExitCode::FAILURE
        }
        Err(wrong) => {
            eprintln!("weir edge cannot start:\n{wrong}");
            ExitCode::from(USAGE)
        }
    };
    // Threads that are still blocked are not waited for: the time for the stop is over.
    runtime.shutdown_background();
    code
}

async fn edge(settings: Settings) -> Result<(), Failure> {
    let edge = Edge::build(settings).await?;
    let stop = CancellationToken::new();
    let running = edge.run(stop.clone());
    tokio::pin!(running);
    tokio::select! {
        outcome = &mut running => return outcome,
        () = asked_to_stop() => stop.cancel(),
    }
    tokio::select! {
        outcome = &mut running => outcome,
        () = asked_to_stop() => {
            tracing::warn!("asked to stop twice: not waiting any longer");
            Err(Failure::Ended("stop"))
        }
    }
}
