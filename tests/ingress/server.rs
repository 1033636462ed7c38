//! Small servers, and what they are asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde::{Deserialize, Serialize};

/// A request, with the size of its body.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// With small letters.
    pub headers: Vec<(String, String)>,
    pub bytes: u64,
    /// The beginning of the body.
    pub body: Vec<u8>,
}

impl Asked {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// An answer, as a client sees it.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Said {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The request that reached a service.
    pub fn seen(&self) -> Asked {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Writes a whole answer.
pub fn answer(to: &mut dyn Write, status: &str, headers: &str, body: &str) -> std::io::Result<()> {
    write!(to, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())?;
    to.flush()
}

/// How a server answers.
type Answers = Arc<dyn Fn(&Asked, &mut dyn Write) -> std::io::Result<()> + Send + Sync>;

/// Serves for ever; returns the port, which is any with 0.
pub fn serve(
    port: u16,
    tls: Option<Arc<ServerConfig>>,
    answers: impl Fn(&Asked, &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers: Answers = Arc::new(answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (tls, answers) = (tls.clone(), Arc::clone(&answers));
            // An error means that the client has gone.
            std::thread::spawn(move || match tls {
                Some(config) => {
                    let connection = ServerConnection::new(config).unwrap();
                    talk(StreamOwned::new(connection, stream), &answers)
                }
                None => talk::<TcpStream>(stream, &answers),
            });
        }
    });
    port
}

fn talk<S: Read + Write>(stream: S, answers: &Answers) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    loop {
        let mut asked = head(&mut reader)?;
        body(&mut reader, &mut asked)?;
        answers(&asked, reader.get_mut())?;
    }
}

fn line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn head(reader: &mut impl BufRead) -> std::io::Result<Asked> {
    let first = line(reader)?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut asked =
        Asked { method: words.next().unwrap_or_default(), path: words.next().unwrap_or_default(), ..Asked::default() };
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { return Ok(asked) };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn body(reader: &mut impl BufRead, asked: &mut Asked) -> std::io::Result<()> {
    let bad = |e| std::io::Error::new(std::io::ErrorKind::InvalidData, e);
    if asked.all("transfer-encoding") == ["chunked"] {
        loop {
            let size = u64::from_str_radix(&line(reader)?, 16).map_err(bad)?;
            count(reader, size, asked)?;
            line(reader)?;
            if size == 0 {
                return Ok(());
            }
        }
    }
    let size = asked.all("content-length").first().map_or(Ok(0), |size| size.parse()).map_err(bad)?;
    count(reader, size, asked)
}

fn count(reader: &mut impl BufRead, size: u64, asked: &mut Asked) -> std::io::Result<()> {
    let mut left = size;
    while left > 0 {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let used = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let room = 4096_usize.saturating_sub(asked.body.len()).min(used);
        asked.body.extend_from_slice(&piece[..room]);
        reader.consume(used);
        left -= used as u64;
    }
    asked.bytes += size;
    Ok(())
}
