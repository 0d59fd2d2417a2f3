//! `POST /ledger:export`: an export as a tar, made while it is read.
//!
//! The export is of the head that is current when it is asked for. An `export` entry (who, which range, which root) is
//! recorded first; it comes after that head, so it is part of the next export.

use super::{head, tar};
use crate::app::{Answer, App, Call, internal, store_problem};
use crate::documents::record;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use notify_core::ids::TenantId;
use notify_core::json::{self, Limits};
use notify_core::ledger::checkpoint::Checkpoint;
use notify_core::ledger::commitment::{Commitment, opening_bytes};
use notify_core::ledger::entry::ExportEntry;
use notify_core::ledger::export::files;
use notify_core::ledger::export::line::stub_line;
use notify_core::ledger::export::writer::{
    StoredEntry, consistency_file, entry_line, prefix_file, proof_file,
};
use notify_core::ledger::note::Note;
use notify_core::ledger::proof;
use notify_core::ledger::tree::Hash;
use notify_core::problem::{Code, Problem};
use notify_core::time::rfc3339_millis;
use notify_store::model::LedgerHead;
use notify_store::{Commit, Effect};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Entries read and signed at once.
const CHUNK: u32 = 500;
/// Proofs of one export.
const MAX_PROOFS: usize = 1_000;
/// Chunks that wait for a slow reader.
const AHEAD: usize = 4;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// First entry; above 0 the export is a delta.
    from: u64,
    openings: bool,
    proofs: Vec<u64>,
    /// A checkpoint of this log that the auditor holds: the export then proves that it extends that one.
    previous: Option<String>,
}

/// What is going to be written.
struct Plan {
    tenant: TenantId,
    head: LedgerHead,
    from: u64,
    openings: bool,
    /// Name and content, in order, before the openings and entries.
    small: Vec<(String, String)>,
}

pub async fn export(call: Call) -> Answer {
    let asked = read_request(&call)?;
    let head = head(&call).await?;
    let plan = plan(&call, head, asked).await?;
    let (from, to) = (plan.from, plan.head.size);
    let entropy = record::entropy().map_err(|error| internal(&call.request, &error))?;
    let act = format!("export:{from}..{to}:{}", call.caller.actor.token);
    let (who, opening) = record::commit(&entropy, &act, "who", record::actor_bytes(&call.caller));
    let entry = ExportEntry { from, to, root: Hash(plan.head.root), who }.into_draft();
    let commit = Commit::new(call.tenant().clone(), vec![Effect::KeepOpening(opening)], vec![entry]);
    call.app.commit(commit).await.map_err(|error| store_problem(&call.request, &error))?;

    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(AHEAD);
    let (app, request) = (Arc::clone(&call.app), call.request.clone());
    tokio::spawn(async move {
        if let Err(error) = write(&app, &plan, &sender).await {
            tracing::error!(request, %error, "an export broke off");
            // The reader must see a broken body, not a short one.
            let _ = sender.send(Err(error)).await;
        }
    });
    let body = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"ledger.tar\""));
    Ok(response)
}

fn read_request(call: &Call) -> Result<Asked, Problem> {
    if call.body.is_empty() {
        return Ok(Asked::default());
    }
    let limits = Limits { max_bytes: call.app.limits.document_bytes, max_depth: 4 };
    let not_understood = |why: &dyn std::fmt::Display| {
        let fix =
            "send `from` (number), `openings` (true or false), `proofs` (list of numbers), `previous` (text)";
        invalid("", format!("the request is not understood: {why}"), fix)
    };
    let value = json::parse(&call.body, limits)?;
    if !value.is_object() {
        return Err(not_understood(&"it is no object"));
    }
    serde_json::from_value(value).map_err(|error| not_understood(&error))
}

fn invalid(path: &str, reason: impl Into<String>, fix: &str) -> Problem {
    Problem::new(Code::InvalidParameter, path, reason, fix)
}

/// Everything small: checkpoint, prefix, proofs.
async fn plan(call: &Call, head: LedgerHead, asked: Asked) -> Result<Plan, Problem> {
    let fault = |error: &dyn std::fmt::Display| internal(&call.request, error);
    if asked.from >= head.size {
        let reason = format!("the log has {} entries, so none from {}", head.size, asked.from);
        return Err(invalid("/from", reason, "ask from an entry that exists"));
    }
    let mut small = vec![(files::CHECKPOINT.to_owned(), head.checkpoint.clone())];
    if asked.from > 0 {
        let range = nodes(call, &proof::prefix_nodes(asked.from)).await?;
        small.push((files::PREFIX.to_owned(), prefix_file(asked.from, &range)));
    }
    if let Some(previous) = asked.previous {
        let old = Note::parse(previous.as_bytes()).ok().and_then(|note| Checkpoint::parse(&note.text).ok());
        let old = old.filter(|old| old.origin == head.origin && old.size <= head.size).ok_or_else(|| {
            invalid("/previous", "this is no checkpoint of this log", "send a signed checkpoint unchanged")
        })?;
        let wanted = proof::consistency_nodes(old.size, head.size).map_err(|error| fault(&error))?;
        let roots = nodes(call, &wanted).await?;
        let path = proof::consistency_proof(old.size, head.size, &roots).map_err(|error| fault(&error))?;
        small.push((files::PREVIOUS.to_owned(), previous));
        small.push((files::CONSISTENCY.to_owned(), consistency_file(&path)));
    }
    if asked.proofs.len() > MAX_PROOFS {
        return Err(invalid(
            "/proofs",
            format!("more than {MAX_PROOFS} proofs are asked for"),
            "ask for fewer",
        ));
    }
    let mut seen = HashSet::new();
    for (index, seq) in asked.proofs.iter().enumerate() {
        if *seq < asked.from || *seq >= head.size {
            let reason = format!("entry {seq} is not in this export");
            return Err(invalid(&format!("/proofs/{index}"), reason, "ask for entries that it holds"));
        }
        if seen.insert(*seq) {
            let wanted = proof::inclusion_nodes(*seq, head.size).map_err(|error| fault(&error))?;
            let roots = nodes(call, &wanted).await?;
            let path = proof::inclusion_proof(*seq, head.size, &roots).map_err(|error| fault(&error))?;
            small.push(proof_file(*seq, path, &head.checkpoint));
        }
    }
    let manifest = json!({
        "format": "notify-ledger-export@1",
        "log": head.origin,
        "from": asked.from,
        "size": head.size,
        "openings": asked.openings,
        "exportedAt": rfc3339_millis(call.app.clock.now()),
        "software": concat!("notify-studio ", env!("CARGO_PKG_VERSION")),
    });
    small.push((files::MANIFEST.to_owned(), format!("{manifest:#}\n")));
    Ok(Plan { tenant: call.tenant().clone(), head, from: asked.from, openings: asked.openings, small })
}

async fn nodes(call: &Call, wanted: &[(u8, u64)]) -> Result<Vec<Hash>, Problem> {
    let found = call.app.store.ledger_nodes(call.tenant(), wanted).await;
    Ok(found.map_err(|error| store_problem(&call.request, &error))?.into_iter().map(Hash).collect())
}

type Sink = mpsc::Sender<io::Result<Bytes>>;

async fn put(sink: &Sink, bytes: impl Into<Bytes>) -> io::Result<()> {
    let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader went away");
    sink.send(Ok(bytes.into())).await.map_err(gone)
}

async fn put_file(sink: &Sink, name: &str, content: Vec<u8>) -> io::Result<()> {
    let size = content.len() as u64;
    let mut block = tar::header(name, size).map_err(io::Error::other)?.to_vec();
    block.extend(content);
    block.extend(tar::padding(size));
    put(sink, block).await
}

async fn write(app: &Arc<App>, plan: &Plan, sink: &Sink) -> io::Result<()> {
    for (name, text) in &plan.small {
        put_file(sink, name, text.clone().into_bytes()).await?;
    }
    // A tar says a file's size before its content: the entries are read once to measure and once to write.
    let mut measured = 0;
    let mut written: HashSet<String> = HashSet::new();
    let envelope = app.export_key.seal(Vec::new()).to_json().len() as u64;
    let mut at = plan.from;
    while at < plan.head.size {
        let (entries, next) = chunk(app, plan, at).await?;
        for entry in &entries {
            measured += 1 + match &entry.payload {
                Some(payload) => envelope + (payload.len() as u64).div_ceil(3) * 4,
                None => stub_line(entry.seq, &Hash(entry.leaf_hash)).len() as u64,
            };
        }
        if plan.openings {
            let openings = app.store.openings(&plan.tenant, at, next).await.map_err(io::Error::other)?;
            for opening in openings {
                // One commitment may stand in several entries; a tar has no name twice.
                let commitment = Commitment::of(&opening.salt, &opening.bytes).hex();
                if written.insert(commitment.clone()) {
                    let bytes = opening_bytes(&opening.salt, &opening.bytes);
                    put_file(sink, &format!("payloads/{commitment}"), bytes).await?;
                }
            }
        }
        at = next;
    }
    put(sink, tar::header(files::ENTRIES, measured).map_err(io::Error::other)?.to_vec()).await?;
    let mut left = measured;
    let mut at = plan.from;
    while at < plan.head.size {
        let (entries, next) = chunk(app, plan, at).await?;
        let signer = Arc::clone(app);
        // A signature each: too much work for a thread that serves others.
        let signed = tokio::task::spawn_blocking(move || {
            let mut lines = Vec::new();
            for entry in &entries {
                let stored = StoredEntry {
                    seq: entry.seq,
                    payload: entry.payload.as_deref(),
                    leaf_hash: Hash(entry.leaf_hash),
                };
                lines.extend(entry_line(&signer.export_key, stored)?);
            }
            Ok::<_, notify_core::ledger::export::writer::DamagedEntry>(lines)
        });
        let lines = signed.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        left = left.checked_sub(lines.len() as u64).ok_or_else(changed)?;
        put(sink, lines).await?;
        at = next;
    }
    if left != 0 {
        return Err(changed());
    }
    put(sink, tar::padding(measured)).await?;
    put(sink, tar::END.as_slice()).await
}

fn changed() -> io::Error {
    io::Error::other("entries were pruned while they were exported")
}

async fn chunk(app: &App, plan: &Plan, at: u64) -> io::Result<(Vec<notify_store::model::LedgerEntry>, u64)> {
    let entries =
        app.store.ledger_entries(&plan.tenant, at, plan.head.size, CHUNK).await.map_err(io::Error::other)?;
    let whole = entries.iter().zip(at..).all(|(entry, expected)| entry.seq == expected);
    match entries.last() {
        Some(last) if whole => {
            let next = last.seq + 1;
            Ok((entries, next))
        }
        _ => Err(io::Error::other(format!("the log has a hole at or after entry {at}"))),
    }
}
