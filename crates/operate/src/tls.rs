//! TLS of the client.

use std::sync::Arc;

use hyper::http::uri::Scheme;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::failure::Failure;

/// Trusts these authorities, in PEM; without them, the system's. Those are read only if they are needed.
pub fn config(scheme: &Scheme, authorities: Option<&[u8]>) -> Result<ClientConfig, Failure> {
    let mut trusted = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| {
                    Failure::Usage(format!("the file of authorities is no PEM: {error:?}"))
                })?;
                trusted
                    .add(certificate)
                    .map_err(|error| Failure::Usage(format!("the file of authorities: {error}")))?;
            }
            if trusted.is_empty() {
                return Err(Failure::Usage(
                    "the file of authorities holds no certificate".into(),
                ));
            }
        }
        None if *scheme == Scheme::HTTPS => {
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        None => {}
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::because("cannot set up TLS", error))?;
    Ok(config.with_root_certificates(trusted).with_no_client_auth())
}
