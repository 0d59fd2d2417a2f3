use super::*;

/// An echo server: what comes in goes back, and an end is answered by an end.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    address
}

/// What a client sees that says `hello world`, ends its side, and listens.
async fn said_back(proxy: &Proxy) -> String {
    let talk = async {
        let mut stream = match TcpStream::connect(proxy.address()).await {
            Ok(stream) => stream,
            Err(error) => return format!("not connected: {}", error.kind()),
        };
        if let Err(error) = stream.write_all(b"hello world").await {
            return format!("not written: {}", error.kind());
        }
        let _ = stream.shutdown().await;
        let mut back = Vec::new();
        let mut buffer = [0; 64];
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return format!("{} end", String::from_utf8_lossy(&back)),
                Ok(count) => back.extend_from_slice(&buffer[..count]),
                Err(error) => return format!("{} {}", String::from_utf8_lossy(&back), error.kind()),
            }
        }
    };
    tokio::time::timeout(Duration::from_millis(400), talk).await.unwrap_or_else(|_| "silence".to_owned())
}

const fn cut(toward: Toward, when: When, how: Ending) -> Fault {
    Fault::Cut(Cut { toward, when, how })
}

#[tokio::test]
async fn each_fault_looks_as_it_should() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let check = async |fault: Fault, expected: &[&str]| {
        proxy.set(Script::Each(vec![fault.clone()]));
        let seen = said_back(&proxy).await;
        assert!(expected.contains(&seen.as_str()), "{fault:?}: {seen}");
        assert_eq!(said_back(&proxy).await, "hello world end", "the next one passes");
    };
    let text = |text: &str| text.as_bytes().to_vec();
    check(Fault::Pass, &["hello world end"]).await;
    let slow = Duration::from_millis(20);
    check(Fault::Delay { to_server: slow, to_client: slow }, &["hello world end"]).await;
    check(Fault::BlackHole, &["silence"]).await;
    // A reset may meet the client while it writes or when it reads.
    check(
        Fault::ResetAtOnce,
        &[" connection reset", "not written: connection reset", "not written: broken pipe"],
    )
    .await;
    for (when, passed) in [
        (When::After(0), ""),
        (When::After(5), "hello"),
        (When::Before(text("world")), ""),
        (When::Passed(text("lo w")), "hello w"),
    ] {
        let reset = format!("{passed} connection reset");
        check(cut(Toward::Client, when.clone(), Ending::Close), &[&format!("{passed} end"), &reset]).await;
        check(cut(Toward::Client, when.clone(), Ending::HalfClose), &[&format!("{passed} end")]).await;
        check(cut(Toward::Client, when.clone(), Ending::Silence), &["silence"]).await;
        check(cut(Toward::Server, when, Ending::HalfClose), &[&format!("{passed} end")]).await;
    }
    // What was passed on before a reset may be lost with it.
    let resets = ["hello connection reset", " connection reset"];
    check(cut(Toward::Client, When::After(5), Ending::Reset), &resets).await;
    check(cut(Toward::Client, When::After(99), Ending::Reset), &["hello world end"]).await;
    proxy.refuse(true).await;
    assert_eq!(said_back(&proxy).await, "not connected: connection refused");
    proxy.refuse(false).await;
    assert_eq!(said_back(&proxy).await, "hello world end");
}

/// Sends a word and waits for it to come back.
async fn echoed(stream: &mut TcpStream, word: &[u8]) -> io::Result<()> {
    stream.write_all(word).await?;
    let mut back = vec![0; word.len()];
    stream.read_exact(&mut back).await.map(drop)
}

#[tokio::test]
async fn open_connections_meet_armed_cuts_once_and_can_be_severed() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    echoed(&mut stream, b"COMM").await.unwrap();
    let when = When::Before(b"COMMIT".to_vec());
    proxy.arm(Cut { toward: Toward::Server, when, how: Ending::Reset });
    assert!(proxy.is_armed());
    let broken = echoed(&mut stream, b"IT;").await.unwrap_err();
    assert_eq!((broken.kind(), proxy.is_armed()), (io::ErrorKind::ConnectionReset, false));
    assert_eq!(proxy.bytes(Toward::Server), 4, "the end of the word was held back");

    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    echoed(&mut stream, b"COMMIT").await.unwrap();
    proxy.arm(Cut { toward: Toward::Client, when: When::After(2), how: Ending::Close });
    echoed(&mut stream, b"abc").await.unwrap_err();
    assert_eq!(proxy.bytes(Toward::Client), 4 + 6 + 2);

    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    echoed(&mut stream, b"x").await.unwrap();
    proxy.sever(Ending::Reset);
    let broken = echoed(&mut stream, b"x").await.unwrap_err();
    assert!([io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe].contains(&broken.kind()), "{broken}");
    assert_eq!((proxy.connections(), proxy.cuts()), (3, 2));
}

#[test]
fn one_seed_draws_one_sequence_with_the_given_odds() {
    let draw = |seed| {
        let odds = vec![(0.03, Fault::BlackHole), (0.01, Fault::ResetAtOnce)];
        let mut decisions = Decisions::from(Script::Drawn { seed, odds });
        (0..20_000).map(|_| decisions.next()).collect::<Vec<_>>()
    };
    let drawn = draw(7);
    assert_eq!(drawn, draw(7));
    assert_ne!(drawn, draw(8));
    let share = |fault: &Fault| drawn.iter().filter(|drawn| *drawn == fault).count();
    assert!((500..700).contains(&share(&Fault::BlackHole)), "{}", share(&Fault::BlackHole));
    assert!((150..250).contains(&share(&Fault::ResetAtOnce)), "{}", share(&Fault::ResetAtOnce));
}
