//! The public keys of a tenant's producers, and their signatures on events (`dssematerial`).
//!
//! A folder of the operator's holds one folder per tenant, with one `<keyid>.pem` per key (SPKI): Ed25519, or ECDSA on
//! P-256 with SHA-256. A tenant's events are verified with its own keys only. Keys are read at start-up.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use notify_core::event::verifiable::{Material, Signature};
use notify_core::ids::{TenantId, hex};
use notify_core::problem::{Code, Problem};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keys of one tenant; each may be tried for every signature without a key id.
const MAX_KEYS: usize = 64;
/// SPKI of an Ed25519 key, without the key's 32 bytes.
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// SPKI of a P-256 key, without the point's 65 bytes.
const P256_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Why the folder is refused. For the operator.
#[derive(Debug, thiserror::Error)]
pub enum ProducerKeysFault {
    #[error("{path} cannot be read: {error}")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{0} is not a folder named after a tenant")]
    NoTenant(PathBuf),
    #[error("{0} is not a public key in PEM form (Ed25519 or ECDSA P-256)")]
    NoKey(PathBuf),
    #[error("{0} holds more than {MAX_KEYS} keys")]
    TooMany(PathBuf),
}

#[derive(Debug, Clone)]
struct Key {
    /// The file's name without `.pem`, and the hexadecimal SHA-256 of the SPKI: an envelope may use either.
    names: [String; 2],
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
}

/// All tenants' keys. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct ProducerKeys(Arc<BTreeMap<TenantId, Vec<Key>>>);

impl ProducerKeys {
    /// Reads the folder; one that does not exist holds no keys. A file that is no key refuses the whole: a typing error
    /// must not quietly remove a producer.
    ///
    /// # Errors
    /// [`ProducerKeysFault`].
    pub fn read(folder: &Path) -> Result<Self, ProducerKeysFault> {
        let mut tenants = BTreeMap::new();
        for path in entries(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let tenant = TenantId::new(name).map_err(|_| ProducerKeysFault::NoTenant(path.clone()))?;
            let mut keys = Vec::new();
            for file in entries(&path)? {
                if file.extension().is_none_or(|extension| extension != "pem") {
                    continue;
                }
                let text = std::fs::read_to_string(&file)
                    .map_err(|error| ProducerKeysFault::Unreadable { path: file.clone(), error })?;
                let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                keys.push(Key::from_pem(name, &text).ok_or(ProducerKeysFault::NoKey(file))?);
            }
            if keys.len() > MAX_KEYS {
                return Err(ProducerKeysFault::TooMany(path));
            }
            tenants.insert(tenant, keys);
        }
        Ok(Self(Arc::new(tenants)))
    }

    /// # Errors
    /// [`Code::UnverifiedEvent`] unless a key of the tenant's has made one of the signatures.
    pub fn verify(&self, tenant: &TenantId, material: &Material) -> Result<(), Problem> {
        let keys = self.0.get(tenant).map_or(&[][..], Vec::as_slice);
        let fits = |signature: &Signature| {
            let named = |key: &&Key| signature.keyid.is_empty() || key.names.contains(&signature.keyid);
            keys.iter().filter(named).any(|key| key.accepts(&material.signed_bytes, &signature.bytes))
        };
        if material.signatures.iter().any(fits) {
            return Ok(());
        }
        let ids: Vec<&str> = material
            .signatures
            .iter()
            .map(|signature| signature.keyid.as_str())
            .filter(|id| !id.is_empty())
            .collect();
        let by = if ids.is_empty() {
            String::new()
        } else {
            format!(" (signed by `{}`)", ids.join("`, `").escape_debug())
        };
        Err(Problem::new(
            Code::UnverifiedEvent,
            "/dssematerial",
            format!("no trusted key of this tenant has made the signature{by}"),
            "have the operator add the producer's public key to the tenant's folder of `intake.producer_keys_dir`, or \
             leave `dssematerial` out",
        ))
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ProducerKeysFault> {
    let unreadable = |error| ProducerKeysFault::Unreadable { path: folder.to_owned(), error };
    let listed = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        listed => listed.map_err(unreadable)?,
    };
    let mut paths: Vec<PathBuf> =
        listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

impl Key {
    fn from_pem(name: String, text: &str) -> Option<Self> {
        let inner = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
        let inner: String = inner
            .strip_suffix("-----END PUBLIC KEY-----")?
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .collect();
        let der = STANDARD.decode(inner).ok()?;
        let kind = if let Some(key) = der.strip_prefix(&ED25519_SPKI[..]) {
            (key.len() == 32).then(|| Kind::Ed25519(key.to_vec()))?
        } else {
            let point = der.strip_prefix(&P256_SPKI[..])?;
            (point.len() == 65).then(|| Kind::P256(point.to_vec()))?
        };
        Some(Self { names: [name, hex(&Sha256::digest(&der))], kind })
    }

    /// ECDSA signatures come as `r ‖ s` or in ASN.1.
    fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.kind {
            Kind::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            Kind::P256(key) if signature.len() == 64 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature).is_ok()
            }
            Kind::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::event::{Event, EventLimits, verifiable::material};

    /// Key, and case 5, of the test vectors of cloudevents/spec, `verifiability.md`.
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ805D3eqNZywjCI19lInBJOp7YMr\nCrzAH3CVTAOQ0jgMeCvVTiaRJaRPRDOv8UMs6U4SvKc6pnrIDOoSYI3fdA==\n-----END PUBLIC KEY-----\n";
    const CASE_5: &str = r#"{"specversion":"1.0","id":"1","source":"example/uri","type":"example.type.binary",
        "datacontenttype":"application/octet-stream","data_base64":"8J+koQ==","dssematerial":"eyJwYXlsb2FkVHlwZSI6Imh0dHBzOi8vY2xvdWRldmVudHMuaW8vdmVyaWZpYWJpbGl0eS9kc3NlL3YwLjEiLCJwYXlsb2FkIjoicUNTZWlaa1MraEg5V2lDbGZxNnBsZnFZTlZ5Mmt2eFdSZm9CckxFem9Eaz0iLCJzaWduYXR1cmVzIjpbeyJrZXlpZCI6InRlc3RrZXkiLCJzaWciOiJEWXdiU3V4SDRXcWFhQlZPVlU4TllJYTZXYnZDazkvdkc5aGV0d3BKNHpJNWo2am1BTGRNaHcrcVZuc211YzY2NWZqVlJGVDFRUHUvanA1Z0c0U2pzUT09In1dfQ=="}"#;

    #[test]
    fn the_specifications_vector_verifies_with_its_tenants_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let keys_of = |tenant: &str, file: &str| {
            let path = folder.path().join(tenant);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join(file), KEY).unwrap();
        };
        keys_of("acme", "testkey.pem");
        keys_of("renamed", "another.pem");
        let keys = ProducerKeys::read(folder.path()).unwrap();
        let verdict = |tenant: &str| {
            let tenant = TenantId::new(tenant).unwrap();
            let event = Event::structured(&tenant, CASE_5.as_bytes(), &EventLimits::default()).unwrap();
            let mut material = material(&event).unwrap().unwrap();
            let given = keys.verify(&tenant, &material).is_ok();
            material.signed_bytes.push(0);
            assert!(keys.verify(&tenant, &material).is_err(), "another message");
            given
        };
        assert_eq!(["acme", "renamed", "nobody"].map(verdict), [true, false, false]);
    }

    #[test]
    fn a_file_that_is_no_key_refuses_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ProducerKeys::read(&folder.path().join("missing")).is_ok());
        let tenant = folder.path().join("acme");
        std::fs::create_dir(&tenant).unwrap();
        std::fs::write(tenant.join("a.pem"), KEY.replace("MFkw", "MFkx")).unwrap();
        assert!(matches!(ProducerKeys::read(folder.path()), Err(ProducerKeysFault::NoKey(_))));
        std::fs::remove_dir_all(&tenant).unwrap();
        std::fs::create_dir(folder.path().join("No Tenant")).unwrap();
        assert!(matches!(ProducerKeys::read(folder.path()), Err(ProducerKeysFault::NoTenant(_))));
    }
}
