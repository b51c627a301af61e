//! The limit for polls: an actix-web handler that returns bytes from memory, and does nothing else.
//!
//! One body stays in the cores' caches; as many as there are services, far apart from one poll to
//! the next, do not, and neither do those that Weir serves.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};

use crate::process::eventually;

/// The argument that makes this program serve instead of measuring.
pub const ARGUMENT: &str = "serve-bytes";

/// A server of some bytes, in a process of its own as Weir is.
pub struct Bare {
    child: Child,
    pub url: String,
    _body: tempfile::NamedTempFile,
}

impl Bare {
    pub async fn start(body: &[u8], copies: usize) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), body).unwrap();
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program)
            .args([ARGUMENT, file.path().to_str().unwrap(), &copies.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let url = format!("http://{}", line.trim());
        eventually(
            Duration::from_secs(10),
            "the bare server answers",
            async || reqwest::get(&url).await.ok(),
        )
        .await;
        Self {
            child,
            url,
            _body: file,
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The distance between the bodies of two polls: a prime, so that each is used in turn, and large
/// enough that no prefetcher recognises a pattern.
const APART: usize = 7919;

/// Serves `copies` copies of a file's content in turn.
pub fn serve(file: &str, copies: usize) {
    let body = std::fs::read(file).unwrap();
    let bodies: Vec<Bytes> = (0..copies).map(|_| Bytes::copy_from_slice(&body)).collect();
    let bodies = Data::new(bodies);
    let turn = Data::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let server = HttpServer::new(move || {
            let send = async |bodies: Data<Vec<Bytes>>, turn: Data<AtomicUsize>| {
                let turn = turn.fetch_add(APART, Ordering::Relaxed) % bodies.len();
                HttpResponse::Ok()
                    .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")))
                    .body(Bytes::clone(&bodies[turn]))
            };
            App::new()
                .app_data(Data::clone(&bodies))
                .app_data(Data::clone(&turn))
                .default_service(web::to(send))
        })
        .bind("127.0.0.1:0")
        .unwrap();
        println!("{}", server.addrs()[0]);
        server.run().await.unwrap();
    });
}
