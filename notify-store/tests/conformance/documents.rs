//! Tenants, documents and configuration versions.

use crate::support::*;
use notify_core::document::Kind;
use notify_store::model::Page;
use notify_store::{Guard, Refused, StoreError};

pub async fn tenants(fresh: Fresh) {
    let store = fresh.store;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    assert_eq!(store.tenant(&acme).await.unwrap(), None);
    assert_eq!(store.config_version(&acme).await.unwrap(), 0);
    let early = store.commit(put(&acme, Kind::Rule, "r", "{}")).await;
    assert!(matches!(early, Err(StoreError::Refused(Refused::NoTenant))));

    let made = store.commit(create_tenant_as(&acme, "log-1")).await.unwrap();
    assert_eq!((made.seqs, made.late), (vec![0], false));
    store.commit(create_tenant_as(&beta, "log-2")).await.unwrap();
    let again = store.commit(create_tenant_as(&acme, "log-3")).await;
    assert!(matches!(again, Err(StoreError::Refused(Refused::TenantExists))));

    let found = store.tenant(&acme).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.opaque.as_str()), ("Tenant acme", "log-1"));
    assert_eq!((found.config_version, found.created_at), (0, at(0)));
    let all = store.tenants().await.unwrap();
    assert_eq!(all.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["acme", "beta"]);
    assert_eq!(all[0], found);
    check_ledger(&store, &acme).await;

    // The database's clock runs and is near the other clocks of this world: after this code was written.
    let (first, second) = (store.now().await.unwrap(), store.now().await.unwrap());
    assert!(first <= second && first.as_second() > 1_750_000_000, "{first} {second}");
}

pub async fn versions(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    for (commit, version, config) in [
        (put(&acme, Kind::Rule, "r", "one"), Some(1), 1),
        (put(&acme, Kind::Rule, "r", "two"), Some(2), 2),
        (put(&acme, Kind::Channel, "r", "other kind"), Some(1), 3),
        (delete(&acme, Kind::Rule, "r"), None, 4),
        (put(&acme, Kind::Rule, "r", "three"), Some(3), 5),
    ] {
        let done = store.commit(commit).await.unwrap();
        assert_eq!((done.versions.first().copied(), done.config_version), (version, Some(config)));
        assert_eq!(store.config_version(&acme).await.unwrap(), config);
    }
    for (version, body) in [(Some(1), "one"), (Some(2), "two"), (None, "three")] {
        let found = store.document(&acme, Kind::Rule, "r", version).await.unwrap().unwrap();
        assert_eq!((found.body.as_str(), found.deleted, found.kind), (body, false, Kind::Rule));
    }
    assert_eq!(store.document(&acme, Kind::Rule, "r", Some(4)).await.unwrap(), None);
    assert_eq!(store.document(&acme, Kind::Bundle, "r", None).await.unwrap(), None);

    store.commit(delete(&acme, Kind::Channel, "r")).await.unwrap();
    let gone = store.document(&acme, Kind::Channel, "r", None).await.unwrap().unwrap();
    assert!(gone.deleted);
    let configuration = store.configuration(&acme).await.unwrap();
    assert_eq!(configuration.version, 6);
    let bodies: Vec<_> = configuration.documents.iter().map(|d| d.body.as_str()).collect();
    assert_eq!(bodies, ["three"]);
    for (kind, bodies) in [(Kind::Rule, vec!["three"]), (Kind::Channel, vec![])] {
        let part = store.configuration_of(&acme, kind).await.unwrap();
        let found: Vec<_> = part.documents.iter().map(|d| d.body.as_str()).collect();
        assert_eq!((part.version, found), (6, bodies), "{kind:?}");
    }
    let twice = store.commit(delete(&acme, Kind::Channel, "r")).await;
    assert!(matches!(twice, Err(StoreError::Refused(Refused::DocumentChanged { current: None }))));
}

pub async fn guards(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    store.commit(put(&acme, Kind::Rule, "r", "one")).await.unwrap();
    store.commit(put(&acme, Kind::Rule, "old", "one")).await.unwrap();
    store.commit(delete(&acme, Kind::Rule, "old")).await.unwrap();
    let version = |id: &str, expected| Guard::DocumentVersion { kind: Kind::Rule, id: id.into(), expected };
    let exists = |id: &str| Guard::DocumentExists { kind: Kind::Rule, id: id.into() };
    let changed = |current| Some(Refused::DocumentChanged { current });
    for (guard, refused) in [
        (version("r", None), changed(Some(1))),
        (version("r", Some(2)), changed(Some(1))),
        (version("old", Some(1)), changed(None)),
        (version("new", Some(1)), changed(None)),
        (exists("new"), changed(None)),
        (exists("old"), changed(None)),
        (Guard::ConfigVersion(2), Some(Refused::ConfigChanged { current: 3 })),
        (version("old", None), None),
        (version("new", None), None),
        (version("r", Some(1)), None),
        (exists("r"), None),
        (Guard::ConfigVersion(7), None),
    ] {
        let id = match &guard {
            Guard::DocumentVersion { id, .. } | Guard::DocumentExists { id, .. } => id.clone(),
            _ => "r".to_owned(),
        };
        let done = store.commit(put(&acme, Kind::Rule, &id, "next").guarded(guard.clone())).await;
        match refused {
            None => assert!(done.is_ok(), "{guard:?}: {done:?}"),
            Some(refused) => {
                assert!(matches!(&done, Err(StoreError::Refused(r)) if *r == refused), "{guard:?}: {done:?}");
            }
        }
    }
    check_ledger(&store, &acme).await;
}

pub async fn pages(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    for id in ["c", "a", "e", "b", "d"] {
        store.commit(put(&acme, Kind::Template, id, id)).await.unwrap();
    }
    store.commit(delete(&acme, Kind::Template, "b")).await.unwrap();
    let mut page = Page { limit: 2, after: None };
    let mut seen = Vec::new();
    loop {
        let found = store.documents(&acme, Kind::Template, &page).await.unwrap();
        seen.push(found.items.iter().map(|d| d.id.clone()).collect::<Vec<_>>().join(""));
        let Some(next) = found.next else { break };
        page.after = Some(next);
    }
    assert_eq!(seen, ["ac", "de"]);
}

pub async fn counts(fresh: Fresh) {
    let store = fresh.store;
    let (acme, other) = (tenant("acme"), tenant("other"));
    for id in [&acme, &other] {
        store.commit(create_tenant(id)).await.unwrap();
    }
    for id in ["a", "b", "c"] {
        store.commit(put(&acme, Kind::Rule, id, id)).await.unwrap();
    }
    // A second version and a delete: neither is one more.
    store.commit(put(&acme, Kind::Rule, "a", "again")).await.unwrap();
    store.commit(delete(&acme, Kind::Rule, "b")).await.unwrap();
    for (tenant, kind, expected) in
        [(&acme, Kind::Rule, 2), (&acme, Kind::Channel, 0), (&other, Kind::Rule, 0)]
    {
        assert_eq!(store.document_count(tenant, kind).await.unwrap(), expected, "{tenant} {kind:?}");
    }
    let deleted = store.deleted_documents(&acme, Kind::Rule).await.unwrap();
    assert_eq!(deleted, [("b".to_owned(), 1)]);
    assert_eq!(store.deleted_documents(&other, Kind::Rule).await.unwrap(), []);
}

/// `kind/id@version` of each changed document (`-` when it is gone), and how many texts came along.
async fn since(
    store: &notify_store::Store,
    id: &str,
    known: u64,
) -> Option<(u64, Vec<String>, Option<usize>)> {
    let found = store.configuration_since(&tenant(id), known).await.unwrap()?;
    let shown = |d: &notify_store::model::Document| {
        let gone = if d.deleted { "-" } else { "" };
        format!("{gone}{}/{}@{}", d.kind.as_str(), d.id, d.version)
    };
    Some((found.version, found.changed.iter().map(shown).collect(), found.texts.map(|texts| texts.len())))
}

pub async fn changes(fresh: Fresh) {
    let store = fresh.store;
    let (acme, other) = (tenant("acme"), tenant("other"));
    assert_eq!(since(&store, "acme", 0).await, None, "there is no such tenant");
    for id in [&acme, &other] {
        store.commit(create_tenant(id)).await.unwrap();
    }
    store.commit(put(&other, Kind::Rule, "r", "elsewhere")).await.unwrap();
    assert_eq!(since(&store, "acme", 0).await, Some((0, vec![], None)));
    for commit in [
        put(&acme, Kind::Rule, "a", "1"),
        put(&acme, Kind::Rule, "b", "2"),
        put(&acme, Kind::Rule, "a", "3"),
        put(&acme, Kind::Template, "t", "4"),
        put(&acme, Kind::Channel, "a", "5"),
        delete(&acme, Kind::Rule, "b"),
    ] {
        store.commit(commit).await.unwrap();
    }
    let refused = put(&acme, Kind::Rule, "never", "x").guarded(Guard::ConfigVersion(1));
    assert!(store.commit(refused).await.is_err());
    // Several documents in one commit are as many steps.
    let one = put(&acme, Kind::Bundle, "de", "7");
    let entries = one.entries().to_vec();
    let effects = ["x", "y"].map(|id| notify_store::Effect::PutDocument {
        kind: Kind::Rule,
        id: id.into(),
        digest: format!("sha256:{}", "cd".repeat(32)),
        body: "8".into(),
        at: at(3),
    });
    let many = notify_store::Commit::new(acme.clone(), effects.into(), entries);
    for (known, expected, texts) in [
        (0, vec!["channel/a@1", "rule/a@2", "-rule/b@1", "template/t@1"], Some(1)),
        (2, vec!["channel/a@1", "rule/a@2", "-rule/b@1", "template/t@1"], Some(1)),
        (4, vec!["channel/a@1", "-rule/b@1"], None),
        (6, vec![], None),
    ] {
        let found = since(&store, "acme", known).await;
        assert_eq!(found, Some((6, expected.iter().map(|s| (*s).to_owned()).collect(), texts)), "{known}");
    }
    assert_eq!(since(&store, "acme", 7).await, None, "nobody can know more than there is");
    store.commit(many).await.unwrap();
    store.commit(one).await.unwrap();
    let expected = ["bundle/de@1", "rule/x@1", "rule/y@1"].map(str::to_owned).to_vec();
    assert_eq!(since(&store, "acme", 6).await, Some((9, expected, Some(2))));
    assert_eq!(since(&store, "other", 0).await, Some((1, vec!["rule/r@1".into()], None)));
}

/// A process of an older version keeps no steps: what it wrote must not be missed.
pub async fn changes_of_an_older_store(fresh: Fresh) {
    let acme = tenant("acme");
    fresh.store.commit(create_tenant(&acme)).await.unwrap();
    for body in ["1", "2", "3"] {
        fresh.store.commit(put(&acme, Kind::Rule, "a", body)).await.unwrap();
    }
    fresh.execute(&acme, "DELETE FROM document_changes WHERE config_version = 2").await;
    for (known, expected) in [(0, None), (1, None), (2, Some((3, vec!["rule/a@3".to_owned()], None)))] {
        assert_eq!(since(&fresh.store, "acme", known).await, expected, "{known}");
    }
}

pub async fn probe(fresh: Fresh) {
    let store = fresh.store;
    for _ in 0..3 {
        store.probe_write(crate::support::at(5)).await.unwrap();
    }
    store.close().await;
    assert!(store.probe_write(crate::support::at(6)).await.is_err(), "a closed store takes no write");
}
