//! `weir health`: asks a running service whether it is ready, for containers' health checks.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::runtime;

/// Flags of `weir health`.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The admin listener of the service
    #[arg(
        long,
        env = "WEIR_ADMIN_URL",
        default_value = "http://127.0.0.1:8778",
        value_name = "URL"
    )]
    url: String,
}

pub(super) fn run(args: &HealthArgs) -> ExitCode {
    let url = format!("{}/readyz", args.url.trim_end_matches('/'));
    let asked = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            runtime
                .block_on(ask(&url))
                .map_err(|error| error.without_url().to_string())
        });
    match asked {
        Ok((true, answer)) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Ok((false, answer)) => {
            eprintln!("not ready: {answer}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("could not ask {url}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(url: &str) -> Result<(bool, String), reqwest::Error> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()?;
    let response = client.get(url).send().await?;
    Ok((response.status().is_success(), response.text().await?))
}
