//! `weir health`: asks a running service whether it is ready, for containers' health checks.

mod tls;

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::http::uri::Scheme;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::runtime;

/// How long the service may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The most of an answer that is shown, in bytes.
const SHOWN: usize = 64 * 1024;

/// Flags of `weir health`.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The admin listener of the service: https if it speaks TLS
    #[arg(
        long,
        env = "WEIR_ADMIN_URL",
        default_value = "http://127.0.0.1:8778",
        value_name = "URL"
    )]
    url: Uri,
    /// File with the authorities, in PEM, one of which must have signed the service's certificate.
    /// Without it, the certificate is not checked, as by the probes of Kubernetes: nothing secret is
    /// sent
    #[arg(long, env = "WEIR_ADMIN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

pub(super) fn run(args: &HealthArgs) -> ExitCode {
    let asked = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let asking = async { tokio::time::timeout(TIME_LIMIT, ask(args)).await };
            let late = |_| format!("no answer within {} s", TIME_LIMIT.as_secs());
            runtime.block_on(asking).map_err(late).flatten()
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
            eprintln!("could not ask {}: {error}", args.url);
            ExitCode::FAILURE
        }
    }
}

async fn ask(args: &HealthArgs) -> Result<(bool, String), String> {
    let authority = args.url.authority().ok_or("the URL has no host")?;
    let encrypted = match args.url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        _ => return Err("the URL begins with neither http:// nor https://".into()),
    };
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16();
    let port = port.unwrap_or(if encrypted { 443 } else { 80 });
    let connected = TcpStream::connect((host, port)).await;
    let io = connected.map_err(|error| error.to_string())?;
    let path = format!("{}/readyz", args.url.path().trim_end_matches('/'));
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .body(String::new())
        .map_err(|error| error.to_string())?;
    if encrypted {
        let io = tls::connect(io, host, args.ca.as_deref()).await?;
        send(io, request).await
    } else {
        send(io, request).await
    }
}

/// Sends a request, and reads its answer.
async fn send<I>(io: I, request: Request<String>) -> Result<(bool, String), String>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let said = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(said)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(said)?;
    let ready = answer.status().is_success();
    let text = read(answer).await.map_err(said)?;
    connection.abort();
    Ok((ready, text))
}

async fn read(answer: Response<Incoming>) -> Result<String, hyper::Error> {
    let mut body = answer.into_body();
    let mut text = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            text.extend_from_slice(&data);
        }
        if text.len() > SHOWN {
            text.truncate(SHOWN);
            break;
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
