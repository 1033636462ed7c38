//! A small HTTP/1.1 server on 127.0.0.1 for tests: files from memory or a folder, keep-alive, ranges, and faults on
//! request.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What to do with one request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Send the file; respect a range.
    Serve,
    /// Send the whole file, ignoring the range.
    IgnoreRange,
    /// Announce the full length, send this many bytes, then close.
    CutAfter(usize),
    /// Announce the full length, send this many bytes, then nothing until the server is dropped.
    StallAfter(usize),
    /// Send pieces of this many bytes with this pause in between.
    Slow(usize, Duration),
    /// Send these bytes instead.
    Instead(Vec<u8>),
    /// An empty answer with this status and these header lines (each with its `\r\n`).
    Status(u16, String),
    /// Send the file with chunked encoding, without a length.
    Chunked,
    /// Send these bytes as the whole answer, head and all, then close.
    Raw(Vec<u8>),
    /// Begin an answer with these bytes, then send others without end.
    Endless(Vec<u8>),
}

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The path, with its query.
    pub path: String,
    /// The header `Range`.
    pub range: Option<String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// What was posted.
    pub body: String,
    /// Number of the connection, from 0.
    pub connection: usize,
}

#[derive(Default)]
struct State {
    files: Mutex<HashMap<String, Arc<Vec<u8>>>>,
    root: Mutex<Option<PathBuf>>,
    next: Mutex<HashMap<String, VecDeque<Act>>>,
    always: Mutex<HashMap<String, Act>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    stop: AtomicBool,
}

/// A running server; dropping it stops it.
pub struct Server {
    port: u16,
    state: Arc<State>,
}

impl Server {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if shared.stop.load(Ordering::SeqCst) {
                    return;
                }
                shared.connections.store(number + 1, Ordering::SeqCst);
                let (stream, shared) = (stream.unwrap(), shared.clone());
                // An error means that the client has gone.
                std::thread::spawn(move || converse(&stream, number, &shared).map_err(|_| ()));
            }
        });
        Self { port, state }
    }

    /// The address of `path`, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Adds a file.
    pub fn file(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.state.files.lock().unwrap().insert(path.to_owned(), Arc::new(bytes.into()));
    }

    /// One with the same added files, and without any fault.
    pub fn like(other: &Self) -> Self {
        let server = Self::start();
        server.state.files.lock().unwrap().clone_from(&other.state.files.lock().unwrap());
        server
    }

    /// The added file of this path.
    pub fn content(&self, path: &str) -> Option<Arc<Vec<u8>>> {
        self.state.files.lock().unwrap().get(path).cloned()
    }

    /// Serves the files below `folder` for paths without an added file.
    pub fn folder(&self, folder: impl Into<PathBuf>) {
        *self.state.root.lock().unwrap() = Some(folder.into());
    }

    /// What the next requests for `path` get, in order.
    pub fn next(&self, path: &str, acts: impl IntoIterator<Item = Act>) {
        self.state.next.lock().unwrap().entry(path.to_owned()).or_default().extend(acts);
    }

    /// What every request for `path` gets once [`Server::next`] has run out.
    pub fn always(&self, path: &str, act: Act) {
        self.state.always.lock().unwrap().insert(path.to_owned(), act);
    }

    /// How many connections were opened so far, also those without a request.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, so that it stops.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// An address of this machine where nothing listens.
pub fn dead_url(path: &str) -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}{path}")
}

fn converse(stream: &TcpStream, connection: usize, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut range, mut authorization, mut length) = (None, None, 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':') {
                let value = Some(value.trim().to_owned());
                match name.to_ascii_lowercase().as_str() {
                    "range" => range = value,
                    "authorization" => authorization = value,
                    "content-length" => length = value.and_then(|value| value.parse().ok()).unwrap_or_default(),
                    _ => {}
                }
            }
        }
        let mut body = String::new();
        reader.by_ref().take(length).read_to_string(&mut body)?;
        let seen = Seen { path: path.clone(), range: range.clone(), authorization, body, connection };
        state.seen.lock().unwrap().push(seen);
        let act = state.next.lock().unwrap().get_mut(&path).and_then(VecDeque::pop_front);
        let act = act.or_else(|| state.always.lock().unwrap().get(&path).cloned()).unwrap_or(Act::Serve);
        if !reply(stream, &path, range.as_deref(), &act, state)? {
            return stream.shutdown(Shutdown::Both);
        }
    }
}

fn find(path: &str, state: &State) -> Option<Arc<Vec<u8>>> {
    if let Some(bytes) = state.files.lock().unwrap().get(path) {
        return Some(bytes.clone());
    }
    let root = state.root.lock().unwrap().clone()?;
    let path = path.trim_start_matches('/');
    if path.split('/').any(|part| part == "..") {
        return None;
    }
    std::fs::read(root.join(path)).ok().map(Arc::new)
}

/// Answers; true when the connection stays open.
fn reply(mut stream: &TcpStream, path: &str, range: Option<&str>, act: &Act, state: &State) -> std::io::Result<bool> {
    if let Act::Status(status, headers) = act {
        write!(stream, "HTTP/1.1 {status} Because\r\n{headers}Content-Length: 0\r\n\r\n")?;
        return Ok(true);
    }
    if let Act::Raw(answer) = act {
        stream.write_all(answer)?;
        return Ok(false);
    }
    if let Act::Endless(head) = act {
        stream.write_all(head)?;
        while !state.stop.load(Ordering::SeqCst) {
            stream.write_all(&[b'x'; 16 << 10])?;
        }
        return Ok(false);
    }
    let found = find(path, state);
    let file = match (act, &found) {
        (Act::Instead(bytes), _) => bytes.as_slice(),
        (_, Some(file)) => file.as_slice(),
        (_, None) => {
            write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            return Ok(true);
        }
    };
    let start = range
        .filter(|_| !matches!(act, Act::IgnoreRange))
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    if start.is_some_and(|start| start >= file.len()) {
        write!(
            stream,
            "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{}\r\nContent-Length: 0\r\n\r\n",
            file.len()
        )?;
        return Ok(true);
    }
    let body = &file[start.unwrap_or(0)..];
    let head = match start {
        Some(start) => {
            let (last, total) = (file.len() - 1, file.len());
            format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{last}/{total}\r\n")
        }
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    if matches!(act, Act::Chunked) {
        write!(stream, "{head}Transfer-Encoding: chunked\r\n\r\n")?;
        for piece in body.chunks(1000) {
            write!(stream, "{:x}\r\n", piece.len())?;
            stream.write_all(piece)?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")?;
        return Ok(true);
    }
    write!(stream, "{head}Content-Length: {}\r\n\r\n", body.len())?;
    match act {
        Act::CutAfter(count) => {
            stream.write_all(&body[..body.len().min(*count)])?;
            return Ok(false);
        }
        Act::StallAfter(count) => {
            stream.write_all(&body[..body.len().min(*count)])?;
            while !state.stop.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(false);
        }
        Act::Slow(size, pause) => {
            for piece in body.chunks(*size) {
                stream.write_all(piece)?;
                std::thread::sleep(*pause);
            }
        }
        _ => stream.write_all(body)?,
    }
    Ok(true)
}
