//! DKIM (RFC 6376, RFC 8463) through `mail-auth`: relaxed/relaxed, without `l=`, headers signed once more than they
//! occur, so that nobody can add a second `From` or `Subject` under our signature.

use crate::config::Dkim;
use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dkim::{DkimSigner, Done};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// Twice: the second names a header that must not appear.
const OVERSIGNED: [&str; 10] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Reply-To",
    "Message-ID",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Id",
    "Content-Type",
];
const SIGNED: [&str; 6] =
    ["MIME-Version", "In-Reply-To", "References", "Auto-Submitted", "Content-Transfer-Encoding", "Cc"];
/// Signers kept: parsing an RSA key checks it, which costs more than signing with it.
const MAX_KEPT: usize = 64;

enum Signer {
    Rsa(DkimSigner<RsaKey<Sha256>, Done>),
    Ed25519(DkimSigner<Ed25519Key, Done>),
}

/// Keys that were read, by what they were read from.
#[derive(Default)]
pub struct Signers {
    kept: Mutex<HashMap<KeyOf, Arc<Signer>>>,
}

/// Whose, and the hash of the key's text.
type KeyOf = (Dkim, [u8; 32]);

fn headers() -> impl Iterator<Item = &'static str> {
    OVERSIGNED.into_iter().chain(OVERSIGNED).chain(SIGNED)
}

fn read(dkim: &Dkim, pem: &str) -> Result<Signer, String> {
    let der = PrivateKeyDer::from_pem_slice(pem.trim().as_bytes())
        .map_err(|_| "the secret `dkim` is no private key in PEM form".to_owned())?;
    if let PrivateKeyDer::Pkcs8(pkcs8) = &der
        && let Ok(key) = Ed25519Key::from_pkcs8_maybe_unchecked_der(pkcs8.secret_pkcs8_der())
    {
        let signer = DkimSigner::from_key(key).domain(&dkim.domain).selector(&dkim.selector);
        return Ok(Signer::Ed25519(signer.headers(headers())));
    }
    let key = RsaKey::<Sha256>::from_key_der(der).map_err(|_| {
        "the secret `dkim` is neither an RSA key of at least 2048 bits nor an Ed25519 key".to_owned()
    })?;
    let signer = DkimSigner::from_key(key).domain(&dkim.domain).selector(&dkim.selector);
    Ok(Signer::Rsa(signer.headers(headers())))
}

impl Signers {
    /// The message with its `DKIM-Signature` in front.
    ///
    /// # Errors
    /// Text about the key, without a byte of it.
    pub fn sign(&self, dkim: &Dkim, pem: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let signer = self.signer(dkim, pem)?;
        let signature = match signer.as_ref() {
            Signer::Rsa(signer) => signer.sign(message),
            Signer::Ed25519(signer) => signer.sign(message),
        };
        let signature = signature.map_err(|error| format!("DKIM: the message cannot be signed: {error}"))?;
        let mut out = signature.to_header().into_bytes();
        out.extend_from_slice(message);
        Ok(out)
    }

    fn signer(&self, dkim: &Dkim, pem: &str) -> Result<Arc<Signer>, String> {
        use sha2::Digest as _;
        let key = (dkim.clone(), sha2::Sha256::digest(pem.as_bytes()).into());
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(signer) = kept {
            return Ok(signer);
        }
        let signer = Arc::new(read(dkim, pem)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, Arc::clone(&signer));
        Ok(signer)
    }
}
