//! The files that TLS of a listener is made from: the certificate chain, its key, and who signs clients'. For the
//! listeners of the service and of the edge.
//!
//! Begin with [`TlsFiles::read`]. Nothing here puts a byte of a file into an error, because it may be one of a key.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{
    NoClientAuth, NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
    danger::ClientCertVerifier,
};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use x509_cert::der::Decode;

/// What a listener speaks inside TLS, as ALPN says it, the best first.
pub type Protocols = &'static [&'static [u8]];

/// HTTP/1.1 alone.
pub const HTTP1: Protocols = &[b"http/1.1"];

/// HTTP/2, which gRPC needs, or HTTP/1.1.
pub const HTTP2_OR_1: Protocols = &[b"h2", b"http/1.1"];

/// The largest file that is read, in bytes. A system's whole list of authorities takes 250 KB.
const LARGEST_FILE: u64 = 1 << 20;

/// The mode bit that lets everybody read a file.
const READ_BY_ALL: u32 = 0o004;

/// Why the files cannot be used. Each says which file, and nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// A file cannot be read.
    #[error("could not read {}", .file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is too large to be what it should be.
    #[error("{} is larger than {LARGEST_FILE} bytes", .0.display())]
    TooLarge(PathBuf),
    /// A file is damaged.
    #[error("{} is not valid PEM: {problem}", .file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file has no certificate.
    #[error("{} contains no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no key that can be used.
    #[error("{} contains no private key, or only an encrypted one", .0.display())]
    NoKey(PathBuf),
    /// A file has a certificate that cannot be read.
    #[error("{} contains a certificate that is not valid", .0.display())]
    InvalidCertificate(PathBuf),
    /// The certificate and the key do not fit each other, or the key is of an unknown kind.
    #[error("could not use {} with {}", .key.display(), .certificate.display())]
    Unfit {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// An authority cannot be used.
    #[error("could not use the authorities in {}", .file.display())]
    Authorities {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
    /// The certificate is no longer valid.
    #[error("the certificate in {} ended at {until}", .file.display())]
    Ended {
        /// Which file.
        file: PathBuf,
        /// When it ended.
        until: DateTime<Utc>,
    },
}

/// The files of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate that the listener presents, with those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities one of which must have signed a client's certificate. Without them, clients
    /// are not asked for one.
    pub client_ca: Option<PathBuf>,
}

/// What was in the files when they were read.
pub struct Contents {
    files: TlsFiles,
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    key_is_public: bool,
}

/// From when until when a chain of certificates is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: DateTime<Utc>,
    /// The last.
    pub until: DateTime<Utc>,
}

/// What a listener needs for its handshakes.
pub struct Prepared {
    /// What it presents and demands.
    pub config: Arc<ServerConfig>,
    /// When what it presents is valid.
    pub validity: Validity,
}

impl TlsFiles {
    /// Reads the files. This blocks.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn read(&self) -> Result<Contents, TlsFilesError> {
        let (certificate, _) = read(&self.certificate)?;
        let (key, mode) = read(&self.key)?;
        let client_ca = self.client_ca.as_deref().map(read).transpose()?;
        Ok(Contents {
            files: self.clone(),
            certificate,
            key,
            client_ca: client_ca.map(|(authorities, _)| authorities),
            key_is_public: mode & READ_BY_ALL != 0,
        })
    }
}

fn read(file: &Path) -> Result<(Vec<u8>, u32), TlsFilesError> {
    let failed = |source| TlsFilesError::Read {
        file: file.to_owned(),
        source,
    };
    let opened = File::open(file).map_err(failed)?;
    let mode = opened.metadata().map_err(failed)?.permissions().mode();
    let mut contents = Vec::new();
    let mut most = opened.take(LARGEST_FILE + 1);
    most.read_to_end(&mut contents).map_err(failed)?;
    if contents.len() as u64 > LARGEST_FILE {
        return Err(TlsFilesError::TooLarge(file.to_owned()));
    }
    Ok((contents, mode))
}

impl Contents {
    /// A digest by which a change is noticed, so that no key has to be remembered for that.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let authorities = self.client_ca.as_deref().unwrap_or_default();
        let mut digest = Sha256::new();
        for part in [&self.certificate, &self.key, authorities] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    /// Whether everybody on the machine may read the key.
    #[must_use]
    pub fn key_is_public(&self) -> bool {
        self.key_is_public
    }

    /// Makes of them what a listener that speaks `protocols` needs.
    ///
    /// # Errors
    /// One of the files is damaged, or they do not fit each other.
    pub fn prepare(&self, protocols: Protocols) -> Result<Prepared, TlsFilesError> {
        let files = &self.files;
        let chain = certificates(&files.certificate, &self.certificate)?;
        let validity = validity(&files.certificate, &chain)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsFilesError::NoKey(files.key.clone()),
            error => damaged(&files.key, &error),
        })?;
        let unfit = |source| TlsFilesError::Unfit {
            key: files.key.clone(),
            certificate: files.certificate.clone(),
            source,
        };
        let clients = self.clients()?;
        let asks = clients.offer_client_auth();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unfit)?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(unfit)?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A client that comes again saves the costly part of its handshake. Nothing is remembered for
        // it: it brings a ticket. A certificate of a client would not be checked again, so those
        // get no ticket.
        if asks {
            config.send_tls13_tickets = 0;
        } else {
            config.ticketer = ring::Ticketer::new().map_err(unfit)?;
            config.send_tls13_tickets = 1;
        }
        Ok(Prepared {
            config: Arc::new(config),
            validity,
        })
    }

    /// What is demanded of clients.
    fn clients(&self) -> Result<Arc<dyn ClientCertVerifier>, TlsFilesError> {
        let (Some(file), Some(authorities)) = (&self.files.client_ca, &self.client_ca) else {
            return Ok(Arc::new(NoClientAuth));
        };
        let mut roots = RootCertStore::empty();
        for authority in certificates(file, authorities)? {
            roots
                .add(authority)
                .map_err(|_| TlsFilesError::InvalidCertificate(file.clone()))?;
        }
        let provider = Arc::new(ring::default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|source| TlsFilesError::Authorities {
                file: file.clone(),
                source,
            })
    }
}

/// The certificates of a file; at least one.
fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| damaged(file, &error))?;
    if all.is_empty() {
        return Err(TlsFilesError::NoCertificate(file.to_owned()));
    }
    Ok(all)
}

/// When all certificates of a chain are valid.
fn validity(file: &Path, chain: &[CertificateDer<'_>]) -> Result<Validity, TlsFilesError> {
    let mut whole = Validity {
        from: DateTime::<Utc>::MIN_UTC,
        until: DateTime::<Utc>::MAX_UTC,
    };
    for certificate in chain {
        let of = x509_cert::Certificate::from_der(certificate)
            .map_err(|_| TlsFilesError::InvalidCertificate(file.to_owned()))?;
        let of = of.tbs_certificate().validity();
        whole.from = whole.from.max(instant(&of.not_before));
        whole.until = whole.until.min(instant(&of.not_after));
    }
    Ok(whole)
}

fn instant(time: &x509_cert::time::Time) -> DateTime<Utc> {
    let seconds = time.to_unix_duration().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// What is wrong with a file, without the part of it that the error holds.
fn damaged(file: &Path, error: &pem::Error) -> TlsFilesError {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it cannot be parsed",
    };
    TlsFilesError::Damaged {
        file: file.to_owned(),
        problem,
    }
}
