//! The alerts that Weir gives by itself.

use std::sync::Arc;

use super::Parts;
use crate::alerts::{Watch, Webhook};
use crate::jobs::host;
use crate::supervise::Supervisor;
use crate::telemetry::metrics::TaskName;

impl Parts {
    /// Judges alerts from now on, and sends them where the settings say.
    pub(super) fn watch_alerts(&self, supervisor: &mut Supervisor) {
        let (shared, leadership) = (&self.shared, self.shared.leadership.clone());
        // The settings were checked, but a file may have gone since.
        let url = self.settings.alerts.webhook().unwrap_or_else(|why| {
            tracing::error!(why, "alerts are logged, and not sent");
            None
        });
        let metrics = || Arc::clone(&shared.metrics);
        let webhook = url.map(|url| Arc::new(Webhook::new(url, host(), metrics())));
        let watch = Watch {
            served: Arc::clone(&shared.served),
            clock: Arc::clone(&shared.clock),
            database: self.database.clone(),
            metrics: metrics(),
            leads: Arc::new(move || leadership.term().is_some()),
            interval: shared.interval,
            stale_after_seconds: self.stale_after_seconds(),
            webhook: webhook.clone(),
        };
        supervisor.keep(TaskName::AlertWatch, move |stop| {
            let watch = watch.clone();
            async move {
                watch.run(stop).await;
                Ok(())
            }
        });
        let Some(webhook) = webhook else { return };
        supervisor.keep(TaskName::AlertWebhook, move |stop| {
            let webhook = Arc::clone(&webhook);
            async move {
                webhook.run(stop).await;
                Ok(())
            }
        });
    }
}
