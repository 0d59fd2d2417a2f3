//! What a tenant can reach, what it cannot, and that a changed file is seen.

use notify_connector_host::secrets::{MAX_BYTES, SecretReason, SecretResolver};
use notify_core::document::channel::SecretRef;
use notify_core::ids::TenantId;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn resolve_ref(resolver: &SecretResolver, owner: &str, reference: SecretRef) -> Result<String, SecretReason> {
    let secrets = BTreeMap::from([("key".to_owned(), vec![reference])]);
    match resolver.resolve(&tenant(owner), &secrets) {
        Ok(resolved) => {
            let value = resolved.newest("key").unwrap();
            assert_eq!(format!("{resolved:?} {value:?}"), "{\"key\"} ‹secret›");
            Ok(value.expose().to_owned())
        }
        Err(fault) => {
            assert_eq!(fault.name, "key");
            Err(fault.reason)
        }
    }
}

fn resolve(resolver: &SecretResolver, owner: &str, reference: &str) -> Result<String, SecretReason> {
    resolve_ref(resolver, owner, reference.to_owned().try_into().unwrap())
}

fn files(directory: &Path) -> SecretResolver {
    SecretResolver::with_environment(Some(directory.to_owned()), "NOTIFY_SECRET_", |_| None)
}

/// A folder with the secrets of `acme` and `other`, and everything around them that `acme` must not reach.
fn secret_tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for folder in ["secrets/acme/..data", "secrets/acme/deep/er", "secrets/other"] {
        fs::create_dir_all(path(folder)).unwrap();
    }
    let largest = vec![b'x'; MAX_BYTES as usize];
    for (name, content) in [
        ("secrets/acme/plain", "s3cret".as_bytes()),
        ("secrets/acme/newline", b"s3cret\n"),
        ("secrets/acme/crlf", b"s3cret\r\n"),
        ("secrets/acme/two-lines", b"one\ntwo\n\n"),
        ("secrets/acme/deep/er/key", b"deep"),
        ("secrets/acme/empty", b""),
        ("secrets/acme/only-newline", b"\n"),
        ("secrets/acme/binary", &[0xff, 0xfe]),
        ("secrets/acme/nul", b"a\0b"),
        ("secrets/acme/..data/mounted", b"mounted"),
        ("secrets/acme/largest", &largest),
        ("secrets/acme/too-large", &[largest.as_slice(), b"x"].concat()),
        ("secrets/acme/too-large-with-newline", &[largest.as_slice(), b"\r\nmore"].concat()),
        ("secrets/other/key", b"not yours"),
        ("secrets/operator", b"not yours"),
        ("outside", b"not yours"),
    ] {
        fs::write(path(name), content).unwrap();
    }
    symlink("..data/mounted", path("secrets/acme/mounted")).unwrap();
    symlink("../other/key", path("secrets/acme/neighbour")).unwrap();
    symlink(path("outside"), path("secrets/acme/absolute")).unwrap();
    symlink(path("secrets/acme/plain"), path("secrets/acme/absolute-inside")).unwrap();
    symlink("../../outside", path("secrets/acme/relative")).unwrap();
    symlink("/proc/self/environ", path("secrets/acme/environ")).unwrap();
    symlink("other", path("secrets/linked-tenant")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path("secrets/acme/fifo"), rustix::fs::FileType::Fifo, mode, 0)
        .unwrap();
    root
}

#[test]
fn files_of_the_own_tenant_only() {
    let root = secret_tree();
    let resolver = files(&root.path().join("secrets"));
    let largest = "x".repeat(MAX_BYTES as usize);
    for (owner, reference, expected) in [
        ("acme", "plain", Ok("s3cret")),
        ("acme", "plain", Ok("s3cret")), // from the cache
        ("acme", "newline", Ok("s3cret")),
        ("acme", "crlf", Ok("s3cret")),
        ("acme", "two-lines", Ok("one\ntwo\n")),
        ("acme", "deep/er/key", Ok("deep")),
        ("acme", "mounted", Ok("mounted")),
        ("acme", "largest", Ok(&*largest)),
        ("acme", "too-large", Err(SecretReason::TooLarge)),
        ("acme", "too-large-with-newline", Err(SecretReason::TooLarge)),
        ("acme", "empty", Err(SecretReason::Empty)),
        ("acme", "only-newline", Err(SecretReason::Empty)),
        ("acme", "binary", Err(SecretReason::NotText)),
        ("acme", "nul", Err(SecretReason::NotText)),
        ("acme", "absent", Err(SecretReason::FileMissing)),
        ("acme", "plain/below", Err(SecretReason::FileMissing)),
        ("acme", "deep", Err(SecretReason::NotAFile)),
        ("acme", "fifo", Err(SecretReason::NotAFile)),
        ("acme", "neighbour", Err(SecretReason::Outside)),
        ("acme", "absolute", Err(SecretReason::Outside)),
        ("acme", "absolute-inside", Err(SecretReason::Outside)),
        ("acme", "relative", Err(SecretReason::Outside)),
        ("acme", "environ", Err(SecretReason::Outside)),
        ("linked-tenant", "key", Err(SecretReason::Outside)),
        ("other", "key", Ok("not yours")),
        ("nobody", "key", Err(SecretReason::FileMissing)),
    ] {
        let got = resolve(&resolver, owner, &format!("secret://file/{reference}"));
        assert_eq!(got, expected.map(str::to_owned), "{owner} {reference}");
    }
    // References that the document parser would refuse, should one ever arrive by another way.
    for path in ["../other/key", "deep/../../operator", "/etc/hostname", "/proc/self/environ"] {
        let got = resolve_ref(&resolver, "acme", SecretRef::File(path.to_owned()));
        assert_eq!(got, Err(SecretReason::Outside), "{path}");
    }
    let without = SecretResolver::with_environment(None, "X_", |_| None);
    assert_eq!(resolve(&without, "acme", "secret://file/plain"), Err(SecretReason::NoDirectory));
}

#[test]
fn a_changed_file_is_read_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("acme");
    fs::create_dir(&folder).unwrap();
    fs::write(root.path().join("foreign"), "foreign").unwrap();
    fs::write(folder.join("key"), "first").unwrap();
    let resolver = files(root.path());
    let read = || resolve(&resolver, "acme", "secret://file/key");
    let is = |text: &str| Ok(text.to_owned());
    assert_eq!(read(), is("first"));
    // Replaced by rename, as tools for rotation do, with the old modification time restored.
    let modified = fs::metadata(folder.join("key")).unwrap().modified().unwrap();
    fs::write(folder.join("new"), "other").unwrap();
    fs::File::options().write(true).open(folder.join("new")).unwrap().set_modified(modified).unwrap();
    fs::rename(folder.join("new"), folder.join("key")).unwrap();
    assert_eq!(read(), is("other"));
    // Written in place, with another length.
    fs::write(folder.join("key"), "written in place").unwrap();
    assert_eq!(read(), is("written in place"));
    // Turned into a link to the outside after it was cached.
    fs::remove_file(folder.join("key")).unwrap();
    symlink("../foreign", folder.join("key")).unwrap();
    assert_eq!(read(), Err(SecretReason::Outside));
    fs::remove_file(folder.join("key")).unwrap();
    assert_eq!(read(), Err(SecretReason::FileMissing));
}

#[test]
fn variables_have_one_owner() {
    let resolver = SecretResolver::with_environment(None, "NOTIFY_SECRET_", |name| {
        (name != "NOTIFY_SECRET_ACME_UNSET").then(|| format!("{name}\n"))
    });
    for (owner, name, allowed) in [
        ("acme", "NOTIFY_SECRET_ACME_KEY", true),
        ("acme", "NOTIFY_SECRET_ACME_1", true),
        ("acme-eu", "NOTIFY_SECRET_ACME__EU_KEY", true),
        ("acme--eu", "NOTIFY_SECRET_ACME____EU_KEY", true),
        ("acme", "NOTIFY_SECRET_ACME__EU_KEY", false),
        ("acme", "NOTIFY_SECRET_ACME____EU_KEY", false),
        ("acme-eu", "NOTIFY_SECRET_ACME____EU_KEY", false),
        ("acme-eu", "NOTIFY_SECRET_ACME_EU_KEY", false),
        ("acme", "NOTIFY_SECRET_OTHER_KEY", false),
        ("acme", "NOTIFY_SECRET_ACMEX_KEY", false),
        ("acme", "NOTIFY_SECRET_ACME_", false),
        ("acme", "NOTIFY_SECRET_ACME", false),
        ("acme", "notify_secret_acme_key", false),
        ("acme", "PATH", false),
        ("acme", "DATABASE_URL", false),
    ] {
        let got = resolve(&resolver, owner, &format!("secret://env/{name}"));
        let expected = if allowed {
            Ok(name.to_owned())
        } else {
            Err(SecretReason::ForeignVariable(resolver.variable_prefix(&tenant(owner))))
        };
        assert_eq!(got, expected, "{owner} {name}");
    }
    let unset = resolve(&resolver, "acme", "secret://env/NOTIFY_SECRET_ACME_UNSET");
    assert_eq!(unset, Err(SecretReason::VariableMissing));
}

#[test]
fn order_of_a_rotation_is_kept_and_faults_name_no_value() {
    let resolver = SecretResolver::with_environment(None, "S_", |name| Some(format!("value of {name}")));
    let reference = |name: &str| SecretRef::Env(name.to_owned());
    let secrets = BTreeMap::from([("key".to_owned(), vec![reference("S_A_NEW"), reference("S_A_OLD")])]);
    let resolved = resolver.resolve(&tenant("a"), &secrets).unwrap();
    let values: Vec<_> = resolved.values("key").iter().map(|value| value.expose()).collect();
    assert_eq!(values, ["value of S_A_NEW", "value of S_A_OLD"]);
    assert!(resolved.values("absent").is_empty());

    let none = BTreeMap::from([("key".to_owned(), vec![])]);
    assert_eq!(resolver.resolve(&tenant("a"), &none).unwrap_err().reason, SecretReason::NoReference);
    let foreign = BTreeMap::from([("key".to_owned(), vec![reference("S_B_KEY")])]);
    assert_eq!(
        resolver.resolve(&tenant("a"), &foreign).unwrap_err().to_string(),
        "secret `key` (secret://env/S_B_KEY): this tenant's environment secrets begin with `S_A_` and a letter or \
         digit"
    );
}
