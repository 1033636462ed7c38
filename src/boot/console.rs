//! Reads a machine's serial console: forwards it and searches for a text.

use std::io::{Read, Write};

/// Bytes kept at the end, for the search and for the last lines of a failed machine.
const KEPT: usize = 16 * 1024;

/// Searches for a text in a stream that comes in pieces.
#[derive(Debug)]
pub struct Watch {
    text: Option<Vec<u8>>,
    tail: Vec<u8>,
    found: bool,
}

impl Watch {
    /// Searches for `text`; `None` is never found.
    #[must_use]
    pub fn new(text: Option<&str>) -> Self {
        Self { text: text.map(|t| t.as_bytes().to_vec()), tail: Vec::new(), found: false }
    }

    /// Adds the next piece; true once the text has appeared.
    pub fn feed(&mut self, piece: &[u8]) -> bool {
        let overlap = self.text.as_ref().map_or(0, Vec::len);
        let from = self.tail.len().saturating_sub(overlap);
        self.tail.extend_from_slice(piece);
        if let Some(text) = &self.text
            && !text.is_empty()
        {
            self.found |= self.tail[from..].windows(text.len()).any(|w| w == text);
        }
        if self.tail.len() > KEPT {
            self.tail.drain(..self.tail.len() - KEPT);
        }
        self.found
    }

    /// The last lines seen.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        let text = String::from_utf8_lossy(&self.tail);
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

/// Reads `source` in a thread and sends its pieces, until its end.
pub fn pump(mut source: impl Read + Send + 'static) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count) = source.read(&mut buffer) {
            if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Where the console's text goes: the user's screen and a log file.
pub struct Tee<'a> {
    /// The screen.
    pub screen: &'a mut dyn Write,
    /// The log file, if requested.
    pub log: Option<std::fs::File>,
}

impl Tee<'_> {
    /// Writes to both. A closed screen is ignored; a full log is an error.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn write(&mut self, piece: &[u8]) -> std::io::Result<()> {
        let _ = self.screen.write_all(piece).and_then(|()| self.screen.flush());
        self.log.as_mut().map_or(Ok(()), |log| log.write_all(piece))
    }
}

impl std::fmt::Debug for Tee<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tee").field("log", &self.log).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cut_in_pieces_is_found() {
        let mut watch = Watch::new(Some("login:"));
        assert!(!watch.feed(b"master log"));
        assert!(watch.feed(b"in: "));
        assert!(watch.feed(b"more"), "it stays found");
        assert!(!Watch::new(None).feed(b"login:"));
    }

    #[test]
    fn the_last_lines_are_kept() {
        let mut watch = Watch::new(None);
        for i in 0..10_000 {
            watch.feed(format!("line {i}\r\n\r\n").as_bytes());
        }
        assert_eq!(watch.last_lines(2), "line 9998\nline 9999");
    }
}
