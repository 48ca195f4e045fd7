//! Listening.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use crate::{
    Request, Response,
    connection::{Context, serve},
    guard::Names,
};

/// Connections at once; more are closed unanswered.
const MOST: usize = 64;
/// How often a server that waits looks whether it shall stop.
const PACE: Duration = Duration::from_millis(50);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    names: Names,
}

impl Server {
    /// Listens at `address` and `port` (0: a free one). Besides `localhost` and its address it answers to `host_names`.
    pub fn bind(address: IpAddr, port: u16, host_names: &[String]) -> io::Result<Self> {
        let listener = TcpListener::bind((address, port))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            names: Names::new(address, host_names),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is set. A thread a connection, a bounded number of them.
    pub fn run(&self, handler: &(dyn Fn(&Request) -> Response + Sync), stop: &AtomicBool) {
        let open = AtomicUsize::new(0);
        let context = Context {
            names: &self.names,
            handler,
            stop,
        };
        std::thread::scope(|scope| {
            while !stop.load(Ordering::Relaxed) {
                let Some(stream) = self.accept().filter(|_| open.load(Ordering::Relaxed) < MOST) else {
                    std::thread::sleep(PACE);
                    continue;
                };
                open.fetch_add(1, Ordering::Relaxed);
                let (open, context) = (&open, &context);
                scope.spawn(move || {
                    serve(stream, context);
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
    }

    fn accept(&self) -> Option<TcpStream> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).ok()?;
        Some(stream)
    }
}
