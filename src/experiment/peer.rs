//! Somebody else's server: what the tasks of `--io echo` make their round trips to.
//!
//! A process of its own for each round. It is started before the clock, is no part of the round (neither of its processes
//! nor of its CPU time, its process group or its cgroup), and ends with the round or with the controller, whichever is
//! first. One thread is enough for any number of waiting tasks: what is due next is on top of a heap.
//!
//! What it is asked and answers is described in [`crate::workload::io::echo`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::Context;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::{Pid, geteuid};

use crate::engine::native::own_program;
use crate::sys::clock::monotonic_nanoseconds;
use crate::sys::fork;
use crate::sys::wait::{CpuTime, Which, wait};
use crate::workload::io::echo::{HEADER_BYTES, raise_file_limit};

/// The hidden first argument under which procbench is a peer.
pub const PEER: &str = "__peer";

/// The controller's side: a peer that does not outlive this value.
pub struct Peer {
    child: Option<Child>,
}

impl Peer {
    /// Starts a peer that listens at the abstract socket `name` and sends back `size` bytes to whoever asks.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(name: &str, size: u64) -> anyhow::Result<Self> {
        let listener = SocketAddr::from_abstract_name(name)
            .and_then(|address| UnixListener::bind_addr(&address))
            .context("failed to listen for those who do I/O with the peer")?;
        // It is there to be connected to before the process is: what comes early waits in the socket's queue.
        let child = own_program(PEER)?
            .args([std::process::id().to_string(), size.to_string()])
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("failed to start the peer")?;
        Ok(Self { child: Some(child) })
    }

    /// Ends it, and returns the CPU time that it has used; `None` if that is not known.
    pub fn stop(mut self) -> Option<CpuTime> {
        self.end()
    }

    fn end(&mut self) -> Option<CpuTime> {
        let child = self.child.take()?;
        let pid = child.id() as i32;
        // It is this process's child and not yet reaped, so the number is still its own.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        wait(Which::Only(pid)).ok().flatten().map(|reaped| reaped.usage)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The peer's whole life.
///
/// # Errors
/// If it cannot serve.
pub fn run() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(2);
    let mut number = || arguments.next().context("a number is missing")?.parse().context("not a number");
    let controller: usize = number()?;
    let size: usize = number()?;
    fork::die_with(i32::try_from(controller)?);
    fork::minimise_timer_slack();
    raise_file_limit();
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    Server::new(&listener, size)?.serve()
}

/// What epoll says it is about: the listener, the timer, or a connection by its place.
const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

struct Server<'a> {
    listener: &'a UnixListener,
    size: usize,
    epoll: Epoll,
    timer: TimerFd,
    /// When the timer will go off, in nanoseconds on `CLOCK_MONOTONIC`; never, if it is not set.
    set_for: u64,
    connections: Vec<Option<Connection>>,
    /// Places among those where nobody is.
    free: Vec<usize>,
    /// Who is to be answered when: the next one on top. The number tells a connection from a later one in its place.
    due: BinaryHeap<Reverse<(u64, usize, u64)>>,
    accepted: u64,
    /// Whether it has as many connections as it may.
    is_full: bool,
}

struct Connection {
    stream: UnixStream,
    number: u64,
    state: State,
    /// The request, and then what of it is sent back.
    bytes: Vec<u8>,
}

enum State {
    /// So many bytes of a request are there.
    Asked(usize),
    /// The answer is not due yet.
    Waiting,
    /// So many bytes of it are sent.
    Answered(usize),
}

/// What becomes of a connection.
#[derive(PartialEq)]
enum Fate {
    Stays,
    /// Its answer is due then, in nanoseconds on `CLOCK_MONOTONIC`.
    DueAt(u64),
    Ends,
}

impl<'a> Server<'a> {
    fn new(listener: &'a UnixListener, size: usize) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self {
            listener,
            size,
            epoll,
            timer,
            set_for: u64::MAX,
            connections: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            accepted: 0,
            is_full: false,
        })
    }

    fn serve(&mut self) -> anyhow::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                count => count.context("failed to wait for those who ask")?,
            };
            for event in &events[..count] {
                match event.data() {
                    LISTENER => self.accept()?,
                    // Whatever it went off for is looked at below. Until it is read it would go on saying so.
                    TIMER => {
                        let _ = self.timer.wait();
                        self.set_for = u64::MAX;
                    }
                    place => self.go_on(place as usize)?,
                }
            }
            self.answer_what_is_due()?;
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // As many as this process may have: those of tasks that have ended are still to be closed, and the guard
                // has seen to it that there are no more who live. Whoever is next waits until then.
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => return self.listen(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("failed to accept a connection"),
            };
            // Anybody may connect to a socket that is no file.
            if getsockopt(&stream, PeerCredentials).is_ok_and(|from| from.uid() != geteuid().as_raw()) {
                continue;
            }
            stream.set_nonblocking(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, place as u64))?;
            let number = self.accepted;
            self.accepted += 1;
            let bytes = vec![0; HEADER_BYTES + self.size];
            self.connections[place] = Some(Connection { stream, number, state: State::Asked(0), bytes });
            // Most have sent their request by now.
            self.go_on(place)?;
        }
    }

    /// Takes notice of new connections, or of none until one has ended.
    fn listen(&mut self, on: bool) -> anyhow::Result<()> {
        self.is_full = !on;
        let what = if on { EpollFlags::EPOLLIN } else { EpollFlags::empty() };
        self.epoll
            .modify(self.listener, &mut EpollEvent::new(what, LISTENER))
            .context("failed to go on listening")
    }

    /// Does what can be done for the connection at `place`, if there still is one.
    fn go_on(&mut self, place: usize) -> anyhow::Result<()> {
        let Some(connection) = self.connections.get_mut(place).and_then(Option::as_mut) else {
            return Ok(());
        };
        match connection.go_on(&self.epoll, place as u64)? {
            Fate::Stays => {}
            Fate::DueAt(time) => self.due.push(Reverse((time, place, connection.number))),
            Fate::Ends => {
                // Dropped, it is closed, and so forgotten by epoll.
                self.connections[place] = None;
                self.free.push(place);
                if self.is_full {
                    self.listen(true)?;
                }
            }
        }
        Ok(())
    }

    fn answer_what_is_due(&mut self) -> anyhow::Result<()> {
        while let Some(Reverse((time, place, number))) = self.due.peek().copied() {
            if time > monotonic_nanoseconds() {
                return self.set_timer(time);
            }
            self.due.pop();
            let waiting = self.connections.get_mut(place).and_then(Option::as_mut);
            if let Some(connection) = waiting.filter(|connection| connection.number == number) {
                connection.state = State::Answered(0);
                self.go_on(place)?;
            }
        }
        Ok(())
    }

    /// Has the timer go off at `time`, unless it does so before.
    fn set_timer(&mut self, time: u64) -> anyhow::Result<()> {
        if time < self.set_for {
            let at = Expiration::OneShot(TimeSpec::from(Duration::from_nanos(time)));
            self.timer.set(at, TimerSetTimeFlags::TFD_TIMER_ABSTIME).context("failed to set the timer")?;
            self.set_for = time;
        }
        Ok(())
    }
}

impl Connection {
    /// Reads, waits or answers, as far as that goes without waiting for the other side.
    fn go_on(&mut self, epoll: &Epoll, place: u64) -> anyhow::Result<Fate> {
        loop {
            match self.state {
                State::Asked(there) => match self.stream.read(&mut self.bytes[there..]) {
                    Ok(0) => return Ok(Fate::Ends),
                    Ok(read) if there + read < self.bytes.len() => self.state = State::Asked(there + read),
                    Ok(_) => {
                        let (header, _) = self.bytes.split_at(HEADER_BYTES);
                        let wait = u64::from_le_bytes(header.try_into().context("a header of eight bytes")?);
                        if wait > 0 {
                            self.state = State::Waiting;
                            return Ok(Fate::DueAt(monotonic_nanoseconds().saturating_add(wait)));
                        }
                        self.state = State::Answered(0);
                    }
                    Err(error) => return Ok(fate_after(&error)),
                },
                // Who asks before he is answered does not speak our language, and who has gone wants no answer.
                State::Waiting => {
                    return Ok(match self.stream.read(&mut [0]) {
                        Err(error) => fate_after(&error),
                        Ok(_) => Fate::Ends,
                    });
                }
                State::Answered(sent) => match self.stream.write(&self.bytes[HEADER_BYTES + sent..]) {
                    Ok(written) if HEADER_BYTES + sent + written < self.bytes.len() => {
                        self.state = State::Answered(sent + written);
                    }
                    Ok(_) => {
                        self.listen_for(epoll, place, EpollFlags::EPOLLIN)?;
                        self.state = State::Asked(0);
                    }
                    Err(error) => {
                        self.listen_for(epoll, place, EpollFlags::EPOLLOUT)?;
                        return Ok(fate_after(&error));
                    }
                },
            }
        }
    }

    /// Only answers that are longer than the socket's buffer ever make it listen for anything but the next request.
    fn listen_for(&self, epoll: &Epoll, place: u64, what: EpollFlags) -> anyhow::Result<()> {
        const FITS: usize = 32 << 10;
        if self.bytes.len() > FITS {
            epoll.modify(&self.stream, &mut EpollEvent::new(what, place))?;
        }
        Ok(())
    }
}

fn fate_after(error: &io::Error) -> Fate {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Fate::Stays,
        _ => Fate::Ends,
    }
}
