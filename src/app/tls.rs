//! TLS of the listeners: which of them speak it, and their files, which are read again when they
//! change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::net::tls::{
    Contents, HTTP1, HTTP2_OR_1, Prepared, Protocols, Tls, TlsFiles, TlsFilesError, Validity,
};
use crate::settings::{Settings, TlsListener};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Label, ListenerName, Metrics, TlsReload};
use crate::worker;

/// How often the files are read. They are small, and Kubernetes replaces them by moving a link, which
/// no watch on the files themselves would see.
const LOOK: Duration = Duration::from_secs(1);

/// The looks at which files must be found unusable. A certificate and its key may be replaced one after
/// the other, and do not fit each other in between.
const TRUSTED_LOOKS: u32 = 2;

/// The listeners that speak TLS.
pub(super) struct Encrypted {
    listeners: Mutex<Vec<Watched>>,
    metrics: Arc<Metrics>,
}

/// A listener that speaks TLS, and what it was made from.
struct Watched {
    name: ListenerName,
    files: TlsFiles,
    protocols: Protocols,
    tls: Tls,
    /// The digest of the files that are in use.
    used: [u8; 32],
    /// The looks since the files could be used.
    failures: u32,
    /// Why what is in the files now is not in use, as it was logged.
    refused: Option<String>,
}

impl Encrypted {
    /// Reads the files of all listeners that are on and speak TLS.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(super) fn open(
        settings: &Settings,
        metrics: &Arc<Metrics>,
        clock: &dyn Clock,
    ) -> Result<Self, TlsFilesError> {
        let mut listeners = Vec::new();
        for (name, files, protocols) in wanted(settings) {
            let contents = files.read()?;
            let prepared = contents.prepare(protocols)?;
            if prepared.validity.until <= clock.now() {
                tracing::warn!(
                    file = %files.certificate.display(),
                    until = %prepared.validity.until,
                    "the certificate has ended: clients will not accept it"
                );
            }
            tell(metrics, name, prepared.validity);
            warn_of_public_key(&contents, &files);
            listeners.push(Watched {
                name,
                protocols,
                tls: Tls::new(&prepared, name, Arc::clone(metrics)),
                used: contents.digest(),
                failures: 0,
                refused: None,
                files,
            });
        }
        Ok(Self {
            listeners: Mutex::new(listeners),
            metrics: Arc::clone(metrics),
        })
    }

    /// TLS of this listener, if it speaks it.
    pub(super) fn of(&self, name: ListenerName) -> Option<Tls> {
        let listeners = self.listeners();
        let mut all = listeners.iter();
        all.find(|listener| listener.name == name)
            .map(|listener| listener.tls.clone())
    }

    /// Whether a listener speaks TLS.
    pub(super) fn speaks_tls(&self, listener: ListenerName) -> bool {
        self.listeners().iter().any(|one| one.name == listener)
    }

    /// The listeners that speak TLS, for the log.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self
            .listeners()
            .iter()
            .map(|one| one.name.value())
            .collect();
        match names.is_empty() {
            true => "off".into(),
            false => names.join(","),
        }
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Watched>> {
        let locked = self.listeners.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at all files once. This blocks.
    fn look(&self, now: DateTime<Utc>) {
        for listener in self.listeners().iter_mut() {
            listener.look(&self.metrics, now);
        }
    }

    /// Looks at the files again and again, until told to stop.
    pub(super) async fn watch(self: Arc<Self>, clock: Arc<dyn Clock>, stop: CancellationToken) {
        if self.listeners().is_empty() {
            return stop.cancelled().await;
        }
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let (encrypted, now) = (Arc::clone(&self), clock.now());
            // A volume that hangs stops this task alone. The blocking thread ends with the process.
            let looked = worker::blocking(move || encrypted.look(now));
            stop.run_until_cancelled(looked).await;
        }
    }
}

impl Watched {
    fn look(&mut self, metrics: &Metrics, now: DateTime<Utc>) {
        match self.changed(now) {
            Ok(changed) => {
                if let Some((contents, prepared)) = changed {
                    self.tls.replace(&prepared);
                    self.used = contents.digest();
                    tell(metrics, self.name, prepared.validity);
                    self.count(metrics, TlsReload::Succeeded);
                    tracing::info!(
                        listener = self.name.value(),
                        until = %prepared.validity.until,
                        "the files of TLS have changed: new connections use the new ones"
                    );
                    warn_of_public_key(&contents, &self.files);
                }
                self.failures = 0;
                self.refused = None;
            }
            Err(error) => {
                let said = chain(&error);
                self.failures += 1;
                if self.failures >= TRUSTED_LOOKS && self.refused.as_ref() != Some(&said) {
                    self.count(metrics, TlsReload::Failed);
                    tracing::error!(
                        listener = self.name.value(),
                        error = said,
                        "the files of TLS have changed and cannot be used: the old ones stay in use"
                    );
                    self.refused = Some(said);
                }
            }
        }
        let refused = f64::from(u8::from(self.refused.is_some()));
        metrics.tls_files_refused.of(self.name).set(refused);
    }

    /// What is in the files now, if it is not what is in use.
    fn changed(&self, now: DateTime<Utc>) -> Result<Option<(Contents, Prepared)>, TlsFilesError> {
        let contents = self.files.read()?;
        if contents.digest() == self.used {
            return Ok(None);
        }
        let prepared = contents.prepare(self.protocols)?;
        let until = prepared.validity.until;
        if until <= now {
            let file = self.files.certificate.clone();
            return Err(TlsFilesError::Ended { file, until });
        }
        Ok(Some((contents, prepared)))
    }

    fn count(&self, metrics: &Metrics, outcome: TlsReload) {
        metrics.tls_reloads.of((self.name, outcome)).inc();
    }
}

/// The listeners that are to speak TLS, with their files.
fn wanted(settings: &Settings) -> Vec<(ListenerName, TlsFiles, Protocols)> {
    let (tls, listeners) = (&settings.tls, &settings.listeners);
    let (Some(certificate), Some(key)) = (&tls.tls_cert, &tls.tls_key) else {
        return Vec::new();
    };
    let files = |client_ca: Option<&PathBuf>| TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_ca: client_ca.cloned(),
    };
    let sdk = files(tls.client_ca.as_ref());
    let grpc = files(tls.grpc_client_ca.as_ref());
    let all = [
        (TlsListener::Sdk, true, ListenerName::Sdk, sdk, HTTP1),
        (
            TlsListener::Grpc,
            listeners.grpc_listen.0.is_some(),
            ListenerName::Grpc,
            grpc,
            HTTP2_OR_1,
        ),
        (
            TlsListener::Xray,
            listeners.xray_listen.0.is_some(),
            ListenerName::Xray,
            files(None),
            HTTP1,
        ),
        (
            TlsListener::Admin,
            true,
            ListenerName::Admin,
            files(None),
            HTTP1,
        ),
        (
            TlsListener::Observe,
            listeners.observe_listen.0.is_some(),
            ListenerName::Observe,
            files(None),
            HTTP1,
        ),
    ];
    let wanted = all
        .into_iter()
        .filter(|(listener, is_on, ..)| *is_on && tls.tls_listeners.contains(listener));
    wanted
        .map(|(_, _, name, files, protocols)| (name, files, protocols))
        .collect()
}

fn tell(metrics: &Metrics, name: ListenerName, validity: Validity) {
    let seconds = |at: DateTime<Utc>| at.timestamp() as f64;
    metrics.tls_not_before.of(name).set(seconds(validity.from));
    metrics.tls_not_after.of(name).set(seconds(validity.until));
}

/// A key that everybody may read is used all the same: Kubernetes mounts secrets like that unless
/// told otherwise.
fn warn_of_public_key(contents: &Contents, files: &TlsFiles) {
    if contents.key_is_public() {
        tracing::warn!(
            file = %files.key.display(),
            "everybody on this machine may read the private key: set its mode to 0640 or less"
        );
    }
}
