//! Events that their producer signed: the CloudEvents extension "Verifiable CloudEvents with DSSE".
//!
//! `dssematerial` is a DSSE envelope in base64. Its payload is a digest over the attributes, the data and those extension
//! attributes that `signedextattrs` names. Here the envelope's form and that digest are checked; whether a trusted key made
//! the signature is for whoever holds the keys ([`Material::signed_bytes`]).
//!
//! The specification hashes "the event's data" and leaves open how JSON data is spelled. A producer that signs has bytes in
//! hand, so those that came are tried, as well as compact JSON in the order in which the members came, and RFC 8785.
//!
//! Specification: cloudevents/spec, `cloudevents/extensions/verifiability.md`.

use super::Event;
use crate::json::{self, Limits};
use crate::ledger::dsse::pae;
use crate::problem::{Code, Problem};
use crate::time::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// `payloadType` of the envelope.
pub const PAYLOAD_TYPE: &str = "https://cloudevents.io/verifiability/dsse/v0.1";
/// Signatures looked at in one envelope.
pub const MAX_SIGNATURES: usize = 8;
/// Attributes that are always signed and so never named in `signedextattrs`; nor are the two that carry the signature.
const NEVER_NAMED: [&str; 10] = [
    "id",
    "source",
    "specversion",
    "type",
    "datacontenttype",
    "dataschema",
    "subject",
    "time",
    "dssematerial",
    "signedextattrs",
];

/// An envelope whose payload is the digest of this very event. Whose signatures it bears is still to be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Material {
    /// What the signatures are over: the DSSE pre-authentication encoding.
    pub signed_bytes: Vec<u8>,
    pub signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// A hint; empty when the envelope gives none.
    pub keyid: String,
    pub bytes: Vec<u8>,
}

/// `None` for an event without `dssematerial`.
///
/// # Errors
/// [`Code::UnverifiedEvent`] when the envelope is malformed or its digest is that of another event.
pub fn material(event: &Event) -> Result<Option<Material>, Problem> {
    let Some(encoded) = event.value.get("dssematerial").and_then(Value::as_str) else {
        // A list of signed attributes without a signature would only look like a signed event.
        return match event.value.get("signedextattrs") {
            Some(_) => Err(fault(
                "/signedextattrs",
                "the event names signed attributes and has no `dssematerial`",
                "send both or neither",
            )),
            None => Ok(None),
        };
    };
    let fix = "sign it as the CloudEvents extension for verifiability says, or leave `dssematerial` out";
    let malformed = |reason: &str| fault("/dssematerial", reason, fix);
    let envelope = STANDARD.decode(encoded).map_err(|_| malformed("`dssematerial` is not base64"))?;
    let limits = Limits { max_bytes: envelope.len(), max_depth: 4 };
    let envelope =
        json::parse(&envelope, limits).map_err(|_| malformed("`dssematerial` is not a DSSE envelope"))?;
    if envelope.get("payloadType").and_then(Value::as_str) != Some(PAYLOAD_TYPE) {
        return Err(malformed(&format!("the envelope's `payloadType` is not `{PAYLOAD_TYPE}`")));
    }
    let payload = envelope.get("payload").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    let payload = payload
        .filter(|payload| payload.len() == 32)
        .ok_or_else(|| malformed("the envelope's `payload` is not 32 bytes in base64"))?;
    let signatures = signatures(&envelope).ok_or_else(|| {
        malformed(&format!(
            "the envelope does not have 1 to {MAX_SIGNATURES} `signatures` with a base64 `sig` each"
        ))
    })?;
    let (head, tail) = around_data(event)?;
    let fits = data_digests(event).iter().any(|data| {
        let digest = Sha256::new().chain_update(&head).chain_update(data).chain_update(&tail).finalize();
        digest[..] == payload[..]
    });
    if !fits {
        return Err(fault(
            "/dssematerial",
            "the signed digest is not that of this event: it was changed after it was signed, or signed in another form",
            "send the event exactly as it was signed",
        ));
    }
    Ok(Some(Material { signed_bytes: pae(PAYLOAD_TYPE, &payload), signatures }))
}

fn signatures(envelope: &Value) -> Option<Vec<Signature>> {
    let listed = envelope.get("signatures")?.as_array()?;
    if !(1..=MAX_SIGNATURES).contains(&listed.len()) {
        return None;
    }
    let one = |entry: &Value| {
        let keyid = entry.get("keyid").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Signature { keyid, bytes: STANDARD.decode(entry.get("sig")?.as_str()?).ok()? })
    };
    listed.iter().map(one).collect()
}

/// The digests before and after that of the data.
fn around_data(event: &Event) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    let mut head = Vec::with_capacity(8 * 32);
    let mut take = |text: &str| head.extend_from_slice(&Sha256::digest(text.as_bytes()));
    for name in ["id", "source", "specversion", "type", "datacontenttype", "dataschema", "subject"] {
        take(event.value.get(name).and_then(Value::as_str).unwrap_or_default());
    }
    take(&event.time.as_deref().map(whole_seconds).unwrap_or_default());

    let mut tail = Vec::new();
    let Some(listed) = event.value.get("signedextattrs") else { return Ok((head, tail)) };
    let listed = listed.as_str().unwrap_or_default();
    let mut seen = BTreeSet::new();
    for name in listed.split(',') {
        let value = event.value.get(name).filter(|_| name != "data" && name != "data_base64");
        let Some(value) = value.filter(|_| seen.insert(name) && !NEVER_NAMED.contains(&name)) else {
            return Err(fault(
                "/signedextattrs",
                "`signedextattrs` is not a list of extension attributes of this event, each once",
                "write e.g. `exta,extb`, without spaces",
            ));
        };
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        tail.extend_from_slice(&Sha256::digest(name.as_bytes()));
        tail.extend_from_slice(&Sha256::digest(text.as_bytes()));
    }
    Ok((head, tail))
}

/// In UTC, to the second: finer parts are lost in some of the event formats.
fn whole_seconds(time: &str) -> String {
    // A leap second has no other spelling.
    let at = time.parse::<Timestamp>().ok().and_then(|at| Timestamp::from_second(at.as_second()).ok());
    at.map_or_else(|| time.to_owned(), |at| at.to_string())
}

fn data_digests(event: &Event) -> Vec<[u8; 32]> {
    let mut digests = event.signed_data.clone();
    digests.extend(spellings(&event.value).map(|bytes| <[u8; 32]>::from(Sha256::digest(bytes))));
    digests
}

/// The data of a parsed event as bytes.
fn spellings(value: &Value) -> impl Iterator<Item = Vec<u8>> {
    let encoded = value.get("data_base64").and_then(Value::as_str);
    let binary = encoded.map(|text| STANDARD.decode(text).unwrap_or_default());
    let json = value.get("data");
    let text = json.and_then(Value::as_str).map(|text| text.as_bytes().to_vec());
    let absent = (binary.is_none() && json.is_none()).then(Vec::new);
    binary.into_iter().chain(text).chain(json.map(|data| data.to_string().into_bytes())).chain(absent)
}

/// Of an event in JSON: the data's own bytes, and compact JSON in its order. `value` is what `bytes` parse to.
pub(super) fn data_of_json(bytes: &[u8], value: &Value) -> Vec<[u8; 32]> {
    let members: HashMap<String, &RawValue> = serde_json::from_slice(bytes).unwrap_or_default();
    let raw = members.get("data").map(|raw| raw.get().as_bytes().to_vec());
    raw.into_iter().chain(spellings(value)).map(|bytes| Sha256::digest(bytes).into()).collect()
}

/// Of an event in binary mode: the body, and what it parses to.
pub(super) fn data_of_body(body: &[u8], value: &Value) -> Vec<[u8; 32]> {
    std::iter::once(body.to_vec()).chain(spellings(value)).map(|bytes| Sha256::digest(bytes).into()).collect()
}

fn fault(path: &str, reason: &str, fix: &str) -> Problem {
    Problem::new(Code::UnverifiedEvent, path, reason, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventLimits;
    use crate::ids::TenantId;
    use serde_json::json;

    /// Case 5 of the specification's test vectors.
    const CASE_5: &str = "eyJwYXlsb2FkVHlwZSI6Imh0dHBzOi8vY2xvdWRldmVudHMuaW8vdmVyaWZpYWJpbGl0eS9kc3NlL3YwLjEiLCJwYXlsb2FkIjoicUNTZWlaa1MraEg5V2lDbGZxNnBsZnFZTlZ5Mmt2eFdSZm9CckxFem9Eaz0iLCJzaWduYXR1cmVzIjpbeyJrZXlpZCI6InRlc3RrZXkiLCJzaWciOiJEWXdiU3V4SDRXcWFhQlZPVlU4TllJYTZXYnZDazkvdkc5aGV0d3BKNHpJNWo2am1BTGRNaHcrcVZuc211YzY2NWZqVlJGVDFRUHUvanA1Z0c0U2pzUT09In1dfQ==";

    fn event(text: &str) -> Event {
        let tenant = TenantId::new("acme").unwrap();
        Event::structured(&tenant, text.as_bytes(), &EventLimits::default()).unwrap()
    }

    fn envelope(digest: &[u8], signatures: &Value) -> String {
        let payload = STANDARD.encode(digest);
        STANDARD.encode(
            json!({ "payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": signatures }).to_string(),
        )
    }

    fn digest(parts: &[&str]) -> Vec<u8> {
        let all: Vec<u8> = parts.iter().flat_map(|part| Sha256::digest(part.as_bytes())).collect();
        Sha256::digest(all).to_vec()
    }

    #[test]
    fn the_specifications_vector() {
        let mut value = json!({
            "specversion": "1.0", "id": "1", "source": "example/uri", "type": "example.type.binary",
            "datacontenttype": "application/octet-stream", "data_base64": "8J+koQ==", "dssematerial": CASE_5,
        });
        let found = material(&event(&value.to_string())).unwrap().unwrap();
        assert_eq!((found.signatures.len(), found.signatures[0].keyid.as_str()), (1, "testkey"));
        value["subject"] = json!("changed on the way");
        assert_eq!(material(&event(&value.to_string())).unwrap_err().path, "/dssematerial");
    }

    #[test]
    fn data_may_be_signed_in_the_spelling_that_came() {
        let signatures = json!([{ "keyid": "k", "sig": "AAAA" }]);
        let seconds = "2026-11-22T06:00:00Z";
        for signed in [r#"{ "b":1, "a":"x" }"#, r#"{"b":1,"a":"x"}"#, r#"{"a":"x","b":1}"#] {
            let material_ = envelope(
                &digest(&["1", "/s", "1.0", "t", "", "", "", seconds, signed, "exta", "v"]),
                &signatures,
            );
            let text = format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2026-11-22T07:00:00.123+01:00","exta":"v","extb":"w","signedextattrs":"exta","dssematerial":"{material_}","data":{{ "b":1, "a":"x" }}}}"#,
            );
            assert!(material(&event(&text)).unwrap().is_some(), "{signed}");
            // An attribute that is not signed may be added on the way; one that is may not be changed.
            assert!(material(&event(&text.replace(r#""w""#, r#""z""#))).is_ok());
            assert!(material(&event(&text.replace(r#""v""#, r#""z""#))).is_err());
        }
    }

    #[test]
    fn malformed_material_is_refused() {
        let good = digest(&["1", "/s", "1.0", "t", "", "", "", "", ""]);
        let one = json!([{ "keyid": "k", "sig": "AAAA" }]);
        let with = |name: &str, value: Value| {
            let mut event_ = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "dssematerial": envelope(&good, &one) });
            event_[name] = value;
            material(&event(&event_.to_string())).map(|found| found.is_some()).map_err(|problem| problem.path)
        };
        assert_eq!(with("extc", json!("x")), Ok(true));
        assert_eq!(with("dssematerial", Value::Null), Ok(false));
        let refused = Err("/dssematerial".to_owned());
        let other_type = STANDARD.encode(
            json!({ "payload": STANDARD.encode(&good), "payloadType": "x", "signatures": one }).to_string(),
        );
        for bad in [
            "%",
            "e30=",
            &other_type,
            &envelope(&good[..31], &one),
            &envelope(&good, &json!([])),
            &envelope(&good, &json!([{ "keyid": "k" }])),
            &envelope(&good, &Value::Array(vec![one[0].clone(); 9])),
        ] {
            assert_eq!(with("dssematerial", json!(bad)), refused, "{bad}");
        }
        for listed in ["exta", "id", "dssematerial", "signedextattrs", "data", " extb"] {
            assert_eq!(with("signedextattrs", json!(listed)), Err("/signedextattrs".to_owned()), "{listed}");
        }
    }
}
