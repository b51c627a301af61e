//! Where alerts are sent.

use std::path::{Path, PathBuf};

use clap::Args;
use hyper::Uri;

use crate::alerts::WebhookUrl;

/// The most bytes of a file that are read.
const FILE_MAX: u64 = 8 << 10;

/// Where alerts are sent.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Alerts")]
pub struct AlertSettings {
    /// URL that gets a POST with a JSON document when an alert begins and when it ends. Alerts are log lines in any case
    #[arg(
        long,
        env = "WEIR_ALERT_WEBHOOK",
        value_name = "URL",
        hide_env_values = true
    )]
    pub alert_webhook: Option<WebhookUrl>,
    /// File that contains the URL, instead of --alert-webhook: processes' arguments are no secret
    #[arg(
        long,
        env = "WEIR_ALERT_WEBHOOK_FILE",
        value_name = "FILE",
        conflicts_with = "alert_webhook"
    )]
    pub alert_webhook_file: Option<PathBuf>,
}

impl AlertSettings {
    /// The URL of the webhook; none without one.
    ///
    /// # Errors
    /// Names the flag and says what is wrong, without the URL.
    pub fn webhook(&self) -> Result<Option<Uri>, String> {
        if let Some(url) = &self.alert_webhook {
            let url = url.read();
            return url
                .map(Some)
                .map_err(|wrong| format!("--alert-webhook: {wrong}"));
        }
        let Some(file) = &self.alert_webhook_file else {
            return Ok(None);
        };
        let url = read(file).and_then(|url| url.read().map_err(str::to_owned));
        url.map(Some)
            .map_err(|wrong| format!("--alert-webhook-file {}: {wrong}", file.display()))
    }

    pub(super) fn check(&self, problems: &mut Vec<String>) {
        problems.extend(self.webhook().err());
    }
}

fn read(file: &Path) -> Result<WebhookUrl, String> {
    use std::io::Read;
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = opened.take(FILE_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    Ok(WebhookUrl::from(text.as_str()))
}
