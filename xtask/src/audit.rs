//! An auditor's look at the demo's export with nobody's code but PyPI's: sound it is believed, changed it is not.

use crate::{stage, tools};
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// What `resources/ledger/verify_with_python.py` imports.
pub const PACKAGES: [(&str, &str); 3] =
    [("securesystemslib", "1.6.0"), ("cryptography", "50.0.2"), ("rfc8785", "0.1.4")];

pub fn run(root: &Path) -> anyhow::Result<()> {
    let demo = stage::stage_dir(root).join("demo");
    let verify = |export: &Path| {
        let mut python = Command::new(root.join("target/tools/bin/python"));
        python.arg(root.join("resources/ledger/verify_with_python.py")).arg(export).arg(demo.join("trust"));
        python
    };
    tools::run(&mut verify(&demo.join("export")))?;
    let changed = demo.join("export-changed");
    let _ = std::fs::remove_dir_all(&changed);
    stage::copy_tree(&demo.join("export"), &changed)?;
    let file = changed.join("entries.jsonl");
    let mut bytes = std::fs::read(&file)?;
    let middle = bytes.len() / 2;
    let byte = bytes.get_mut(middle).context("the export has no entries")?;
    *byte = if *byte == b'A' { b'B' } else { b'A' };
    std::fs::write(&file, bytes)?;
    let status = verify(&changed).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.code() == Some(3), "one changed byte of the export was not noticed ({status})");
    std::fs::remove_dir_all(&changed)?;
    println!("one changed byte: not verified, as it must be");
    Ok(())
}
