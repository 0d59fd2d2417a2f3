//! `notify ledger`: reading and exporting; verification is in [`super::verify`].

use super::verify;
use crate::args::{Format, Global, LedgerCommand};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::progress;
use crate::tar::Tar;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub async fn run(global: &Global, command: LedgerCommand) -> Result<(), Failure> {
    match command {
        LedgerCommand::Head => head(global).await,
        LedgerCommand::Entries { from, limit } => entries(global, from, limit).await,
        LedgerCommand::Export { out, from, openings, proof, prev } => {
            let mut request = json!({ "from": from, "openings": openings, "proofs": proof });
            if let Some(prev) = prev {
                request["previous"] = String::from_utf8_lossy(&crate::files::read(&prev)?).into();
            }
            export(global, &out, &request).await
        }
        LedgerCommand::Verify { export, trust, tree_only, filtered, prev } => {
            let asked = verify::Asked { export, trust, tree_only, filtered, prev };
            verify::run(global.output, &asked)
        }
        LedgerCommand::Trust { home, out, tenant } => {
            verify::write_trust(&home, &out, tenant.as_deref()).await
        }
    }
}

async fn head(global: &Global) -> Result<(), Failure> {
    let head = json!(Client::new(global)?.checkpoint().await?);
    match global.output {
        Format::Table => {
            let get = |pointer: &str| match head.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            output::say(&output::fields(&[
                ("log", get("/origin")),
                ("size", get("/size")),
                ("root", get("/root")),
                ("at", get("/at")),
            ]));
            output::say("");
            output::say(get("/checkpoint").trim_end());
        }
        format => output::structured(format, &head),
    }
    Ok(())
}

async fn entries(global: &Global, from: u64, limit: u32) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let (mut items, mut from): (Vec<Value>, _) = (Vec::new(), Some(from));
    while let Some(start) = from {
        let missing = (limit as usize).saturating_sub(items.len()).min(500);
        if missing == 0 {
            break;
        }
        let page = client.ledger_entries(start, u32::try_from(missing).unwrap_or(500)).await?;
        from = page.next;
        items.extend(page.items);
    }
    let columns: &[Column] =
        &[("SEQ", "/seq"), ("AT", "/at"), ("KIND", "/kind"), ("ABOUT", "/about"), ("LEAF HASH", "/leafHash")];
    output::list(global.output, &json!(items), &items, columns, "No entries from there on.");
    Ok(())
}

async fn export(global: &Global, out: &Path, request: &Value) -> Result<(), Failure> {
    let as_tar = out.extension().is_some_and(|extension| extension == "tar");
    if !as_tar && out.read_dir().is_ok_and(|mut inside| inside.next().is_some()) {
        let reason = format!("{} is not empty", out.display());
        return Err(Failure::usage(reason, "name a new folder, or a file that ends in .tar"));
    }
    let client = Client::new(global)?;
    let mut response = client.export(request).await?;
    let bar = progress::bytes("exporting");
    // Under another name until it is whole.
    let part = sibling(out);
    let failed =
        |error: std::io::Error| Failure::other(format!("{} cannot be written: {error}", out.display()), "");
    let mut file = File::create(&part).map_err(failed)?;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                file.write_all(&chunk).map_err(failed)?;
                bar.inc(chunk.len() as u64);
            }
            Ok(None) => break,
            Err(error) => {
                let _ = std::fs::remove_file(&part);
                return Err(Failure::other(format!("the export broke off: {error}"), "try again"));
            }
        }
    }
    bar.finish_and_clear();
    file.sync_all().map_err(failed)?;
    let whole = Tar::open(&part)
        .map_err(|error| Failure::other(format!("the export is not whole: {error}"), "try again"));
    let result = match whole {
        Err(failure) => Err(failure),
        Ok(_) if as_tar => std::fs::rename(&part, out).map_err(failed),
        Ok(tar) => unpack(&tar, out).map_err(failed),
    };
    let _ = std::fs::remove_file(&part);
    result?;
    match global.output {
        Format::Table => output::say(&format!("exported to {}", out.display())),
        format => output::structured(format, &json!({ "export": out.display().to_string() })),
    }
    Ok(())
}

fn sibling(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".part-{}", std::process::id()));
    out.with_file_name(name)
}

/// Only what an export may hold, and never over anything that is there.
fn unpack(tar: &Tar, out: &Path) -> std::io::Result<()> {
    use notify_core::ledger::export::files::classify;
    std::fs::create_dir_all(out)?;
    for member in &tar.members {
        let safe = member.regular && classify(&member.name).is_ok() && !member.name.starts_with("./");
        if !safe {
            return Err(std::io::Error::other(format!("`{}` is no file of an export", member.name)));
        }
        let target = out.join(&member.name);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::options().write(true).create_new(true).open(&target)?;
        let mut content = tar.reader(member)?.take(member.size);
        std::io::copy(&mut content, &mut file)?;
    }
    Ok(())
}
