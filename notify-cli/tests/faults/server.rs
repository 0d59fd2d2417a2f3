//! PostgreSQL is killed under the service: refused in words meanwhile, and it goes on by itself.

use crate::serve::Site;
use notify_testkit::postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_database_server() {
    let mut server = postgres::start();
    let mut site = Site::new(&server.url_for("studio")).await;
    assert!(site.start(&[]).await, "{}", site.log());
    for round in 0..2 {
        for _ in 0..20 {
            site.publish_until(true).await;
        }
        server.crash();
        assert!(!site.publish().await, "round {round}");
        site.until_ready_is(false).await;
        server.revive();
        site.publish_until(true).await;
        site.until_ready_is(true).await;
        site.check().await;
    }
}
