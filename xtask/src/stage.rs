//! Builds the release binaries once (shared with `bench`) and lays out `target/stage` as an installation looks.

use crate::tools;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;

#[must_use]
pub fn stage_dir(root: &Path) -> PathBuf {
    root.join("target/stage")
}

/// The connectors: every folder below `connectors/` that has a manifest, in order of names.
fn connectors(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join("connectors"))? {
        let entry = entry?;
        if entry.path().join("notify-plugin.json").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Builds and stages; gives the folder.
pub fn stage(root: &Path) -> anyhow::Result<PathBuf> {
    let connectors = connectors(root)?;
    let mut packages =
        vec!["notify-cli".to_owned(), "notify-connector-host".to_owned(), "notify-rig".to_owned()];
    packages.extend(connectors.iter().map(|name| format!("notify-connector-{name}")));
    let mut build = vec!["build", "--release"];
    for package in &packages {
        build.extend(["-p", package]);
    }
    tools::run(&mut tools::cargo(root, &build))?;
    let stage = stage_dir(root);
    let release = tools::target_dir(root).join("release");
    for folder in ["bin", "plugins", "trust", "templates", "resources"] {
        let path = stage.join(folder);
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)?;
    }
    for program in ["notify", "notify-connector-host"] {
        copy(&release.join(program), &stage.join("bin").join(program))?;
    }
    copy_tree(&root.join("templates"), &stage.join("templates"))?;
    copy_tree(&root.join("resources"), &stage.join("resources"))?;
    // A key of this build signs its plug-ins; the public half is what the studio is told to trust.
    for name in &connectors {
        tools::run(
            Command::new(release.join("notify-rig"))
                .arg("--stage")
                .arg(&stage)
                .args(["stage-plugin", "--manifest"])
                .arg(root.join("connectors").join(name).join("notify-plugin.json"))
                .arg("--library")
                .arg(release.join(format!("libnotify_connector_{name}.so"))),
        )?;
    }
    Ok(stage)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    Ok(())
}

pub fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}
