//! A transfer as its caller sees it: pieces in order, none for too long, and not too few.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};

use super::{HttpError, TICK, check};

/// What the transfer's thread sends.
pub(super) enum Event {
    Head(StatusCode, Box<HeaderMap>),
    Piece(Vec<u8>),
    End,
}

/// A running transfer. Dropping it ends it.
#[derive(Debug)]
pub struct Body {
    url: String,
    pieces: Receiver<Result<Event, HttpError>>,
    stop: Option<Arc<AtomicBool>>,
    start: u64,
    total: Option<u64>,
    received: u64,
    pace: Pace,
}

/// What came in the current window, of time that was spent waiting: the caller may take its own time.
#[derive(Debug)]
pub(super) struct Pace {
    least: u64,
    window: Duration,
    came: u64,
    waited: Duration,
}

impl Pace {
    pub(super) fn new(least: u64, window: Duration) -> Self {
        Self { least, window, came: 0, waited: Duration::ZERO }
    }

    /// Counts a wait with the bytes that it brought; `Some` with those of a whole window when they are too few.
    fn too_slow(&mut self, waited: Duration, came: u64) -> Option<u64> {
        self.waited += waited;
        self.came += came;
        if self.waited < self.window {
            return None;
        }
        let came = std::mem::take(&mut self.came);
        self.waited = Duration::ZERO;
        (came < self.least).then_some(came)
    }
}

impl Body {
    pub(super) fn new(
        url: String,
        pieces: Receiver<Result<Event, HttpError>>,
        stop: Option<Arc<AtomicBool>>,
        pace: Pace,
    ) -> Self {
        Self { url, pieces, stop, start: 0, total: None, received: 0, pace }
    }

    /// Takes the head of the answer, which was asked for from byte `offset` on.
    pub(super) fn begun(mut self, first: Event, offset: u64) -> Result<Self, HttpError> {
        let Event::Head(status, headers) = first else { return Err(self.cut("no answer")) };
        (self.start, self.total) = extent(status, &headers);
        if self.start != 0 && self.start != offset {
            return Err(self.cut("the answer begins elsewhere than asked for"));
        }
        Ok(self)
    }

    /// Offset of the first piece in the file, in bytes: the requested offset, or 0 when the server sends the whole
    /// file.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Size of the whole file in bytes, when the server gives it.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next bytes; `None` at the end, when all announced bytes have come.
    ///
    /// # Errors
    /// [`HttpError::Timeout`], [`HttpError::Slow`], [`HttpError::Cut`], [`HttpError::Interrupted`].
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        match self.next()? {
            Event::Piece(piece) => {
                self.received += piece.len() as u64;
                Ok(Some(piece))
            }
            // Chunked answers announce no length. Their end is marked, and the client checks the mark.
            Event::End if self.total.is_none_or(|total| self.start + self.received == total) => Ok(None),
            Event::End | Event::Head(..) => Err(self.cut("fewer or more bytes came than announced")),
        }
    }

    /// What comes first, within this time.
    pub(super) fn first(&mut self, longest: Duration) -> Result<Event, HttpError> {
        let begun = Instant::now();
        loop {
            if let Some(event) = self.tick()? {
                return Ok(event);
            }
            if begun.elapsed() >= longest {
                return Err(HttpError::Timeout { url: self.url.clone(), waited: longest });
            }
        }
    }

    fn next(&mut self) -> Result<Event, HttpError> {
        loop {
            let begun = Instant::now();
            let event = self.tick()?;
            let came = if let Some(Event::Piece(piece)) = &event { piece.len() as u64 } else { 0 };
            if let Some(came) = self.pace.too_slow(begun.elapsed(), came) {
                return Err(HttpError::Slow { url: self.url.clone(), came, waited: self.pace.window });
            }
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    /// The next event, or none after a short wait.
    fn tick(&self) -> Result<Option<Event>, HttpError> {
        check(self.stop.as_deref())?;
        match self.pieces.recv_timeout(TICK) {
            Ok(event) => event.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.cut("the transfer ended without a word")),
        }
    }

    fn cut(&self, cause: &str) -> HttpError {
        HttpError::Cut { url: self.url.clone(), received: self.received, cause: cause.into() }
    }
}

/// Offset of an answer's bytes in the file, and the file's size (RFC 9110, 8.6 and 14.4).
pub(super) fn extent(status: StatusCode, headers: &HeaderMap) -> (u64, Option<u64>) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if status != StatusCode::PARTIAL_CONTENT {
        return (0, text(CONTENT_LENGTH).and_then(|length| length.parse().ok()));
    }
    let range = text(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes ")?.split_once('/'));
    let start = range.and_then(|(span, _)| span.split_once('-')?.0.parse().ok());
    // Without a readable range the position of the bytes is unknown: use an offset that nobody asks for.
    (start.unwrap_or(u64::MAX), range.and_then(|(_, total)| total.parse().ok()))
}
