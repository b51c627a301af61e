//! Certificates, files of TLS, and clients that speak it.

use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, DEFAULT_VERSIONS, RootCertStore, SupportedProtocolVersion,
};
use weir::clock::{Clock, SystemClock};

const HOUR: i64 = 3600;

/// When a certificate is valid, in seconds from now.
#[derive(Debug, Clone, Copy)]
pub struct Valid(pub i64, pub i64);

impl Valid {
    pub const NOW: Self = Self(-HOUR, 1000 * HOUR);
    pub const BEFORE: Self = Self(-2 * HOUR, -HOUR);
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// Signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = params(Valid::NOW);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("it signs itself"))
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of a server on this machine.
    pub fn server(&self, valid: Valid) -> Identity {
        self.sign(valid, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate of a client.
    pub fn client(&self, valid: Valid) -> Identity {
        self.sign(valid, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, valid: Valid, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = params(valid);
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.0).expect("it is signed");
        Identity {
            certificate: signed.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn params(Valid(from, until): Valid) -> CertificateParams {
    let names = ["localhost", "127.0.0.1"].map(String::from);
    let mut params = CertificateParams::new(names).expect("names");
    let now = SystemClock.now().timestamp();
    let at = |seconds: i64| {
        let since_1970 = u64::try_from(now + seconds).expect("it is after 1970");
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970)
    };
    params.not_before = at(from);
    params.not_after = at(until);
    params
}

/// A folder as Kubernetes mounts a secret: links to a folder of which there is always a whole one.
pub struct Secret {
    folder: TempDir,
    version: u32,
}

impl Secret {
    pub fn of(identity: &Identity) -> Self {
        let folder = TempDir::new().expect("a directory");
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            let link = folder.path().join(name);
            symlink(Path::new("..data").join(name), link).expect("a link");
        }
        let mut secret = Self { folder, version: 0 };
        secret.replace(&identity.certificate, &identity.key, None);
        secret
    }

    /// Puts other contents in its place, in one step.
    pub fn replace(&mut self, certificate: &str, key: &str, authorities: Option<&str>) {
        self.version += 1;
        let version = format!("..{}", self.version);
        let whole = self.folder.path().join(&version);
        std::fs::create_dir(&whole).expect("a directory");
        std::fs::write(whole.join("tls.crt"), certificate).expect("written");
        std::fs::write(whole.join("tls.key"), key).expect("written");
        set_mode(&whole.join("tls.key"), 0o600);
        if let Some(authorities) = authorities {
            std::fs::write(whole.join("ca.crt"), authorities).expect("written");
        }
        let draft = self.folder.path().join("..draft");
        symlink(version, &draft).expect("a link");
        std::fs::rename(draft, self.folder.path().join("..data")).expect("moved");
    }

    pub fn file(&self, name: &str) -> String {
        let file = self.folder.path().join(name);
        file.to_str().expect("a path in UTF-8").to_owned()
    }

    /// The flags that turn TLS on.
    pub fn flags(&self) -> [String; 4] {
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| self.file(name));
        ["--tls-cert".into(), certificate, "--tls-key".into(), key]
    }
}

pub fn set_mode(file: &PathBuf, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(file, permissions).expect("our own file");
}

/// A client that speaks TLS.
#[derive(Clone)]
pub struct TlsClient {
    roots: RootCertStore,
    identity: Option<Identity>,
    versions: Vec<&'static SupportedProtocolVersion>,
    protocols: Vec<Vec<u8>>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub text: String,
    /// The server's own certificate.
    pub certificate: CertificateDer<'static>,
}

impl TlsClient {
    /// A client that accepts servers of an authority.
    pub fn trusting(authority: &str) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(authority.as_bytes());
        roots.add(authority.expect("PEM")).expect("an authority");
        Self {
            roots,
            identity: None,
            versions: DEFAULT_VERSIONS.to_vec(),
            protocols: Vec::new(),
        }
    }

    /// The same with a certificate of its own.
    pub fn with(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// The same with one version of TLS.
    pub fn only(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// The same, which says what it speaks inside.
    pub fn speaking(mut self, protocols: &[&str]) -> Self {
        let names = protocols.iter().map(|name| name.as_bytes().to_vec());
        self.protocols = names.collect();
        self
    }

    /// Connects and shakes hands. That says nothing of what the server thinks of this client's
    /// certificate: it says so later.
    pub async fn connect(&self, url: &str) -> io::Result<TlsStream<TcpStream>> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&self.versions)
            .expect("versions that there are")
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
                let chain = chain.map(|one| one.expect("PEM")).collect();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("they fit")
            }
        };
        config.alpn_protocols.clone_from(&self.protocols);
        let io = TcpStream::connect(address(url)).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, io).await
    }

    /// Requests a path, on a connection of its own.
    pub async fn get(&self, url: &str, path: &str) -> io::Result<Answered> {
        let mut stream = self.connect(url).await?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let (_, session) = stream.get_ref();
        let chain = session.peer_certificates().unwrap_or_default();
        let status = text.get(9..12).and_then(|status| status.parse().ok());
        Ok(Answered {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            certificate: chain
                .first()
                .expect("servers have one")
                .clone()
                .into_owned(),
            text,
        })
    }
}

/// The address in a URL.
pub fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}
