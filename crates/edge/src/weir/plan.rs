//! Follows Weir's plan: a long poll, the last one for ever, and a file for the next start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use hyper::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use tokio_util::sync::CancellationToken;

use super::{Pauses, Weir, in_query};
use crate::engine::Engine;
use crate::plan::Plan;

/// How long Weir may wait for a change.
const WAIT: Duration = Duration::from_secs(25);

/// How long after that an answer may come.
const GRACE: Duration = Duration::from_secs(10);

/// Follows the plan.
pub(crate) struct Follower {
    pub weir: Weir,
    /// This edge's name.
    pub name: String,
    pub file: Option<PathBuf>,
    pub engine: Arc<Engine>,
}

impl Follower {
    /// Asks for plans until the edge stops.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&self) {
        let (mut tag, mut pauses) = (None, Pauses::new());
        let mut is_away = false;
        loop {
            match self.ask(&mut tag).await {
                Ok(outcome) => {
                    self.count(outcome);
                    pauses = Pauses::new();
                    if std::mem::take(&mut is_away) {
                        tracing::info!("Weir answers with plans again");
                    }
                    if outcome == "unchanged_at_once" {
                        // A Weir that does not wait is not asked all the time.
                        tokio::time::sleep(pauses.next()).await;
                    }
                }
                Err((outcome, why)) => {
                    self.count(outcome);
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(why, "there is no plan from Weir: the last one stays");
                    }
                    tokio::time::sleep(pauses.next()).await;
                }
            }
        }
    }

    fn count(&self, outcome: &str) {
        let requests = &self.engine.metrics.plan_requests;
        requests.with_label_values(&[outcome]).inc();
    }

    /// Asks once.
    async fn ask(
        &self,
        tag: &mut Option<HeaderValue>,
    ) -> Result<&'static str, (&'static str, String)> {
        let (name, wait) = (in_query(&self.name), WAIT.as_secs());
        let path = format!("/v1/edges/plan?edge={name}&wait={wait}");
        let mut request = self.weir.request(&path);
        if let Some(tag) = tag {
            request.headers_mut().insert(IF_NONE_MATCH, tag.clone());
        }
        let began = tokio::time::Instant::now();
        let answered = self.weir.send(request, WAIT + GRACE).await;
        let answered = answered.map_err(|why| ("no_answer", why))?;
        match answered.status {
            304 if began.elapsed() < Duration::from_secs(1) => Ok("unchanged_at_once"),
            304 => Ok("unchanged"),
            200 => {
                let plan = Plan::parse(&answered.body);
                let plan = plan.map_err(|wrong| ("wrong", wrong.to_string()))?;
                tracing::info!(
                    plan = plan.number,
                    services = plan.services.len(),
                    "following a plan"
                );
                self.engine.follow(plan);
                *tag = answered.headers.get(ETAG).cloned();
                if let Some(file) = &self.file
                    && let Err(error) = write_file(file, &answered.body)
                {
                    tracing::warn!(%error, file = %file.display(), "could not keep the plan for the next start");
                }
                // Without a tag, Weir cannot wait for a change.
                Ok(if tag.is_some() {
                    "changed"
                } else {
                    "unchanged_at_once"
                })
            }
            status => Err(("refused", format!("status {status}"))),
        }
    }
}

/// Writes the file whole, or leaves it as it was.
fn write_file(file: &Path, plan: &[u8]) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, plan)?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(&beside, file)
}

/// Reads the plan that was kept. None if there is no file.
///
/// # Errors
/// The file cannot be read, or is no plan.
pub(crate) fn read_file(file: &Path) -> Result<Option<Plan>, String> {
    match fs::read(file) {
        Ok(bytes) => Plan::parse(&bytes)
            .map(Some)
            .map_err(|wrong| wrong.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
