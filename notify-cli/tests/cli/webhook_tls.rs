//! `notify webhook verify` against receivers with a certificate.

use crate::notify;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_judged() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let answer = service_fn(async |_: Request<hyper::body::Incoming>| {
                    Ok::<_, Infallible>(Response::new(String::from("thanks")))
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("none.pem"), "nothing").unwrap();
    let check = async |host: &str, ca: Option<&str>, code: i32, said: &str| {
        let mut arguments = vec!["webhook".to_owned(), "verify".into(), format!("https://{host}:{port}/x")];
        arguments.extend(ca.into_iter().flat_map(|ca| ["--ca".to_owned(), ca.to_owned()]));
        let place = folder.path().to_owned();
        let run = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            notify(&arguments, &[], &place)
        });
        let run = run.await.unwrap();
        assert!(
            run.code == code && (run.out.contains(said) || run.err.contains(said)),
            "{said}\n{}{}",
            run.out,
            run.err
        );
    };
    check("localhost", None, 1, "the certificate's issuer is not trusted here").await;
    check("localhost", Some("ca.pem"), 0, "TLS 1.3 TLS13_").await;
    check("localhost", Some("ca.pem"), 0, "an unsigned delivery was taken").await;
    check("127.0.0.1", Some("ca.pem"), 1, "the certificate is for another host").await;
    check("localhost", Some("none.pem"), 2, "--ca holds no PEM certificate").await;
}
