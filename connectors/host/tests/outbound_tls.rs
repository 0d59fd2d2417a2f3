//! TLS: only certificates of trusted authorities, for the very host.

mod support;

use notify_connector_host::outbound::{EgressPolicy, FaultKind, InvalidEgress, Outbound};
use notify_connector_host::secrets::ResolvedSecrets;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::{Names, Server, allow, answer, attempt_time, post};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig};

const TIMEOUT: Duration = Duration::from_secs(20);

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

async fn https_server(authority: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> Server {
    let key = KeyPair::generate().unwrap();
    let params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start_with(
        |_| answer(200, "secure"),
        move |tcp| {
            let acceptor = acceptor.clone();
            async move { acceptor.accept(tcp).await.ok() }
        },
    )
    .await
}

fn trusting(pem: Option<String>, server: &Server) -> Outbound {
    let here: &[&[std::net::SocketAddr]] = &[&[server.address]];
    let names = Names::new(&[("hooks.example", here), ("hooks.example.", here), ("other.example", here)]);
    let policy = EgressPolicy { extra_ca_pem: pem.map(String::into_bytes), ..allow(&["127.0.0.1"]) };
    Outbound::with_resolver(policy, names).unwrap()
}

#[tokio::test]
async fn certificates_are_verified_for_the_host() {
    let ours = authority("ours");
    let server = https_server(&ours, &["hooks.example", "127.0.0.1"]).await;
    let port = server.address.port();
    let (trusted, strange) = (Some(ours.pem()), Some(authority("another").pem()));
    for (pem, host, expected) in [
        (&trusted, "hooks.example", Ok(200)),
        (&trusted, "127.0.0.1", Ok(200)),
        (&trusted, "hooks.example.", Ok(200)),
        (&trusted, "other.example", Err("it is for another host")),
        (&strange, "hooks.example", Err("not trusted here; the operator can add it in [egress] ca")),
        (&None, "hooks.example", Err("not trusted here")),
    ] {
        let outbound = trusting(pem.clone(), &server);
        let request = post(&format!("https://{host}:{port}/"));
        let secrets = ResolvedSecrets::default();
        let result = outbound.execute(&request, &secrets, "dlv_1", attempt_time(), TIMEOUT).await;
        match (result, expected) {
            (Ok(response), Ok(status)) => {
                assert_eq!((response.status, response.body.as_slice()), (status, b"secure".as_slice()));
            }
            (Err(fault), Err(detail)) => {
                assert_eq!((fault.kind, fault.never_sent), (FaultKind::Tls, true), "{host}: {fault:?}");
                assert!(fault.detail.contains(detail), "{host}: {fault:?}");
            }
            (result, expected) => panic!("{host}: {result:?}, expected {expected:?}"),
        }
    }
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_fault() {
    let server = Server::start(|_| answer(200, "")).await;
    let outbound = trusting(None, &server);
    let request = post(&format!("https://{}/", server.address));
    let result =
        outbound.execute(&request, &ResolvedSecrets::default(), "dlv_1", attempt_time(), TIMEOUT).await;
    let fault = result.unwrap_err();
    assert_eq!((fault.kind, fault.never_sent), (FaultKind::Tls, true), "{fault:?}");
    assert_eq!((server.hits(), server.connections.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn damaged_authorities_are_refused_at_start() {
    let damaged = authority("ours").pem().replace("MII", "MIJ");
    for pem in
        ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &damaged]
    {
        let policy = EgressPolicy { extra_ca_pem: Some(pem.as_bytes().to_vec()), ..allow(&[]) };
        assert_eq!(Outbound::new(policy).err(), Some(InvalidEgress::ExtraCa), "{pem}");
    }
}
