//! SQLite on a disk that does not sync, and on one that is full.

use crate::serve::{Site, pause};
use notify_testkit::disk::{self, SmallDisk};
use std::fs;

/// Syncs begin to fail under load: events are refused in words, `/readyz` says so, and none that was accepted is lost,
/// not by the fault, not by a restart in the middle of it, and not by what the kernel forgot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_to_sync() {
    let mut site = Site::new("sqlite:notify.db").await;
    let (shim, trigger) = (disk::shim(site.path(".").as_path()), site.path("fail"));
    let home = site.path("home");
    let environment =
        [("LD_PRELOAD", shim.as_path()), (disk::WATCH, home.as_path()), (disk::FAIL, trigger.as_path())];
    assert!(site.start(&environment).await, "{}", site.log());
    for _ in 0..50 {
        assert!(site.publish().await);
    }
    fs::write(&trigger, "").unwrap();
    for _ in 0..5 {
        assert!(!site.publish().await, "an event that cannot be synced is not accepted");
    }
    assert!(fs::metadata(&trigger).unwrap().len() > 0, "syncs have failed");
    assert!(!site.ready().await);
    // Accepted before and asked for now: it is not known to be on the disk, so it is not confirmed.
    fs::remove_file(&trigger).unwrap();
    site.publish_until(true).await;
    site.until_ready_is(true).await;
    site.check().await;

    // Once more, with a kill and a start in the middle.
    fs::write(&trigger, "").unwrap();
    assert!(!site.publish().await);
    site.kill();
    assert!(!site.start(&environment).await, "it does not serve what it cannot keep");
    fs::remove_file(&trigger).unwrap();
    site.kill();
    assert!(site.start(&environment).await, "{}", site.log());
    assert!(site.publish().await);
    site.check().await;
}

/// A full disk refuses events in words; with room again the service goes on by itself, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_mounted) = SmallDisk::mount(folder.path(), 24) else {
        eprintln!("\n*** SKIPPED: only root may mount the small disk of this test ***\n");
        return;
    };
    let filler = folder.path().join("filler");
    let mut site = Site::new(&format!("sqlite:{}", folder.path().join("notify.db").display())).await;
    assert!(site.start(&[]).await, "{}", site.log());
    for _ in 0..20 {
        assert!(site.publish().await);
    }
    fs::write(&filler, vec![7; 20 * 1024 * 1024]).unwrap();
    site.publish_until(false).await;
    for _ in 0..5 {
        let _ = site.publish().await;
    }
    assert!(site.accepted.len() > 20, "there was room for some");
    fs::remove_file(&filler).unwrap();
    site.publish_until(true).await;
    site.until_ready_is(true).await;
    site.check().await;
    // And once more, ended by a kill while it is full.
    fs::write(&filler, vec![7; 18 * 1024 * 1024]).unwrap();
    site.publish_until(false).await;
    site.kill();
    fs::remove_file(&filler).unwrap();
    assert!(site.start(&[]).await, "{}", site.log());
    pause(10).await;
    site.check().await;
}
