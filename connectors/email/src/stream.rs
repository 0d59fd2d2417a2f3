//! What lies between the mail dialogue and the network: limits on a server that talks without end or says no goodbye.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::client::TlsStream;

/// A server may say so much between two things that we say. Replies are far shorter; without an end, lettre would keep
/// all of one line in memory.
pub(crate) const MAX_SAID: usize = 16 * 1024;
/// And so many lines: lettre reads a reply from its beginning again for each of them.
const MAX_LINES: usize = 256;
/// Nobody waits longer for an answer to `QUIT`.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);
/// lettre begins with a greeting; after STARTTLS the server sends none.
const GREETING: &[u8] = b"220 encrypted\r\n";

/// A stream with those limits.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    said: usize,
    lines: usize,
    /// What is read before anything of the network.
    first: &'static [u8],
    /// Runs since `QUIT`. lettre also says it by itself, where no caller could bound it.
    farewell: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(crate) const fn new(inner: S) -> Self {
        Self { inner, said: 0, lines: 0, first: b"", farewell: None }
    }

    /// For a connection that was greeted in plain text and is encrypted now.
    pub(crate) const fn greeted(inner: S) -> Self {
        Self { inner, said: 0, lines: 0, first: GREETING, farewell: None }
    }

    fn left(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let over = self.farewell.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let (now, later) = self.first.split_at(self.first.len().min(buf.remaining()));
            buf.put_slice(now);
            self.first = later;
            return Poll::Ready(Ok(()));
        }
        self.left(cx)?;
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let new = buf.filled().get(before..).unwrap_or_default();
        self.said += new.len();
        self.lines += new.iter().filter(|b| **b == b'\n').count();
        if self.said > MAX_SAID || self.lines > MAX_LINES {
            return Poll::Ready(Err(io::Error::other("the server talks without end")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // A message is written in one piece and begins with a header.
        if buf == b"QUIT\r\n" && self.farewell.is_none() {
            self.farewell = Some(Box::pin(tokio::time::sleep_until(Instant::now() + FAREWELL)));
        }
        self.left(cx)?;
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if matches!(polled, Poll::Ready(Ok(written)) if written > 0) {
            (self.said, self.lines) = (0, 0);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.left(cx)?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.left(cx)?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Guarded<TcpStream> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

impl AsyncTokioStream for Guarded<TlsStream<TcpStream>> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.get_ref().0.peer_addr()
    }
}
