//! Signs a plug-in for a staged product. The key is made here and thrown away: the next stage makes another.

use anyhow::Context;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use notify_connector_host::stage::stage_plugin;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The plug-in's manifest template.
    #[arg(long)]
    manifest: PathBuf,
    /// The built library.
    #[arg(long)]
    library: PathBuf,
}

/// Leaves `<stage>/plugins/<name>/` and the public key in `<stage>/trust/`.
pub fn run(stage: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed)?;
    let key = SigningKey::from_bytes(&seed);
    let manifest =
        std::fs::read(&arguments.manifest).with_context(|| arguments.manifest.display().to_string())?;
    let folder = stage_plugin(&arguments.library, &manifest, &key, &stage.join("plugins"))?;
    let name = folder.file_name().and_then(|name| name.to_str()).context("the plug-in has no name")?;
    let trust = stage.join("trust");
    std::fs::create_dir_all(&trust)?;
    let pem =
        key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| anyhow::anyhow!("{error}"))?;
    std::fs::write(trust.join(format!("{name}.pem")), pem)?;
    Ok(())
}
