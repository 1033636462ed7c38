//! From a package file to its plain form, and from there to a [`Deb`].
//!
//! Plain form: the data tar; the control tar; the data tar's headers without the contents between them; then 48 bytes
//! of trailer: [`MARK`], and the three lengths in bytes as little-endian 64-bit numbers. A change of this format needs
//! a new [`KIND`].

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use liblzma::stream::{CONCATENATED, MtStreamBuilder, Stream};

use super::tar::{self, Entries, HeadersOnly, TarError};
use super::{Deb, DebError, ar, control};
use labimg_tree::Blob;
use labimg_tree::interrupt;

/// The kind under which plain forms are kept in the store.
pub(super) const KIND: &str = "deb-plain-1";

const MARK: &[u8; 24] = b"labimg plain package  1\n";
const TRAILER_LEN: u64 = 48;

/// A control archive is a few kilobytes; the largest in Debian is below 10 MB.
const MOST_CONTROL: u64 = 64 << 20;

/// The largest packages in Debian unpack to some 4 GB; anything larger is a decompression bomb.
const MOST_DATA: u64 = 16 << 30;

/// The headers of a tar are kept in memory. The largest packages in Debian have some 100,000 entries: 100 MB of them.
const MOST_HEADERS: u64 = 256 << 20;

/// `xz -9` needs 65 MiB for decompression; dictionaries that need more than this are refused.
const MOST_XZ_MEMORY: u64 = 512 << 20;

/// From this compressed size on (bytes), an xz member with several blocks is decompressed on all processors.
const LARGE_XZ: u64 = 16 << 20;

/// Decompresses and checks the package file `deb` and writes its plain form to `out`.
///
/// # Errors
/// When it cannot be read or is not a sound package of format 2: a bad or missing member, damaged compressed data, a
/// bad tar, unreasonable sizes. The message names the file, the member and the fault. [`DebError::Write`] is about
/// `out`.
pub fn decompress(deb: &Path, out: &mut File) -> Result<(), DebError> {
    let io_error = |source| DebError::Io { path: deb.to_owned(), source };
    let bad = |member: &str, what: String| DebError::Bad {
        path: deb.to_owned(),
        member: member.to_owned(),
        what,
        source: None,
    };
    let broken = |member: &str, e: &io::Error| DebError::Bad {
        path: deb.to_owned(),
        member: member.to_owned(),
        what: "it cannot be unpacked".to_owned(),
        source: Some(e.to_string().into()),
    };
    let file = File::open(deb).map_err(io_error)?;
    let mut left = file.metadata().map_err(io_error)?.len();
    let mut reader = BufReader::with_capacity(256 << 10, file);

    let mut magic = [0; ar::MAGIC.len()];
    if reader.read_exact(&mut magic).is_err() || magic != *ar::MAGIC {
        return Err(bad("ar magic", "it does not begin as an ar archive".into()));
    }
    left -= magic.len() as u64;

    let mut next = |reader: &mut BufReader<File>, want: &str| -> Result<ar::Header, DebError> {
        loop {
            let header = ar::next_header(reader).map_err(|e| bad("ar header", e.to_string()))?;
            let header = header.ok_or_else(|| bad(want, "this member is missing: the file is cut off".into()))?;
            left = left.saturating_sub(ar::HEADER_LEN as u64);
            if header.size > left {
                let what = format!("it should have {} bytes but the file ends after {left}", header.size);
                return Err(bad(&header.name, what));
            }
            let padded = header.size + header.size % 2;
            left = left.saturating_sub(padded);
            if header.name.starts_with(want) {
                return Ok(header);
            }
            // deb(5): members whose names begin with an underscore are skipped.
            if !header.name.starts_with('_') {
                return Err(bad(&header.name, format!("{want} was expected here")));
            }
            io::copy(&mut reader.take(padded), &mut io::sink()).map_err(io_error)?;
        }
    };

    let header = next(&mut reader, "debian-binary")?;
    let mut format = Vec::new();
    member(&mut reader, &header, |r| r.take(256).read_to_end(&mut format).map(drop)).map_err(io_error)?;
    if !format.starts_with(b"2.") {
        let format = String::from_utf8_lossy(&format).trim_end().to_owned();
        return Err(bad("debian-binary", format!("package format `{format}` is not 2.0")));
    }

    let header = next(&mut reader, "control.tar")?;
    let codec = Codec::of(&header.name, "control.tar").map_err(|e| bad(&header.name, e))?;
    let mut control_tar = Vec::new();
    member(&mut reader, &header, |r| {
        codec.reader(r, header.size)?.take(MOST_CONTROL + 1).read_to_end(&mut control_tar).map(drop)
    })
    .map_err(|e| broken(&header.name, &e))?;
    if control_tar.len() as u64 > MOST_CONTROL {
        return Err(bad(&header.name, "it unpacks to more than 64 MiB".into()));
    }
    control::members(&control_tar).map_err(|e| bad(&header.name, e))?;

    let header = next(&mut reader, "data.tar")?;
    let codec = Codec::of(&header.name, "data.tar").map_err(|e| bad(&header.name, e))?;
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let mut copied = Ok(Copied::default());
    member(&mut reader, &header, |r| {
        copied = copy_tar(codec.reader(r, header.size)?, &mut out);
        Ok(())
    })
    .map_err(|e| broken(&header.name, &e))?;
    let Copied { len: data_len, headers } = copied.map_err(|e| match e {
        CopyError::Tar(TarError::Read(_)) if interrupt::requested() => interrupt::Interrupted.into(),
        CopyError::Tar(TarError::Read(e)) => broken(&header.name, &e),
        CopyError::Tar(e @ TarError::Bad { .. }) => bad(&header.name, e.to_string()),
        CopyError::Write(e) => DebError::Write(e),
    })?;

    let mut trailer = MARK.to_vec();
    for len in [data_len, control_tar.len() as u64, headers.len() as u64] {
        trailer.extend(len.to_le_bytes());
    }
    for part in [&control_tar, &headers, &trailer] {
        out.write_all(part).map_err(DebError::Write)?;
    }
    out.flush().map_err(DebError::Write)
}

/// Gives `read` the bytes of a member, then skips the unread rest and the padding.
fn member<R: BufRead>(
    reader: &mut R,
    header: &ar::Header,
    read: impl FnOnce(&mut io::Take<&mut R>) -> io::Result<()>,
) -> io::Result<()> {
    let mut bytes = reader.take(header.size);
    read(&mut bytes)?;
    let rest = bytes.limit() + header.size % 2;
    io::copy(&mut reader.take(rest), &mut io::sink()).map(drop)
}

/// How a member is compressed.
#[derive(Debug, Clone, Copy)]
enum Codec {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Codec {
    fn of(name: &str, stem: &str) -> Result<Self, String> {
        match name.strip_prefix(stem) {
            Some("") => Ok(Self::None),
            Some(".gz") => Ok(Self::Gzip),
            Some(".xz") => Ok(Self::Xz),
            Some(".zst") => Ok(Self::Zstd),
            _ => Err("this compression is not supported; gzip, xz and zstd are".into()),
        }
    }

    fn reader<'a>(self, from: impl BufRead + 'a, size: u64) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(from),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
            Self::Xz => {
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                let stream = if size >= LARGE_XZ && threads > 1 {
                    MtStreamBuilder::new()
                        .threads(u32::try_from(threads).unwrap_or(1))
                        .memlimit_threading(MOST_XZ_MEMORY)
                        .memlimit_stop(MOST_XZ_MEMORY)
                        .decoder()
                } else {
                    Stream::new_stream_decoder(MOST_XZ_MEMORY, CONCATENATED)
                };
                Box::new(liblzma::bufread::XzDecoder::new_stream(from, stream?))
            }
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(from)?),
        })
    }
}

/// Copies a tar from front to back and collects its headers.
struct Copying<R, W> {
    from: R,
    out: Sink<W>,
    headers: Vec<u8>,
    buffer: Vec<u8>,
    done: u64,
}

/// Keeps a write error separate: the archive's reader would report it as damage of the archive.
struct Sink<W> {
    out: W,
    failed: Option<io::Error>,
}

impl<W: Write> Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes).map_err(|e| {
            let kind = e.kind();
            self.failed = Some(e);
            kind.into()
        })
    }
}

/// A copied tar.
#[derive(Debug, Default)]
struct Copied {
    /// Its size in bytes.
    len: u64,
    headers: Vec<u8>,
}

/// Why a tar was not copied.
#[derive(Debug)]
enum CopyError {
    Tar(TarError),
    Write(io::Error),
}

impl<R, W> Copying<R, W> {
    fn grow(&mut self, len: u64) -> io::Result<()> {
        self.done = self.done.saturating_add(len);
        if self.done > MOST_DATA {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it unpacks to more than 16 GiB"));
        }
        Ok(())
    }
}

impl<R: Read, W: Write> tar::Source for Copying<R, W> {
    fn header_bytes(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.grow(buffer.len() as u64)?;
        if (self.headers.len() + buffer.len()) as u64 > MOST_HEADERS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its headers take more than 256 MiB"));
        }
        self.from.read_exact(buffer)?;
        self.headers.extend_from_slice(buffer);
        self.out.write(buffer)
    }

    fn skip(&mut self, mut len: u64) -> io::Result<()> {
        self.grow(len)?;
        while len > 0 {
            interrupt::check()?;
            let count = len.min(self.buffer.len() as u64) as usize;
            let piece = &mut self.buffer[..count];
            self.from.read_exact(piece)?;
            self.out.write(piece)?;
            len -= count as u64;
        }
        Ok(())
    }
}

/// Copies the tar that `from` gives to `out`.
fn copy_tar(from: impl Read, out: impl Write) -> Result<Copied, CopyError> {
    let out = Sink { out, failed: None };
    let source = Copying { from, out, headers: Vec::new(), buffer: vec![0; 256 << 10], done: 0 };
    let mut entries = Entries::new(source);
    let all = entries.by_ref().try_for_each(|entry| entry.map(drop));
    let Copying { mut from, out, headers, done, .. } = entries.into_source();
    if let Some(e) = out.failed {
        return Err(CopyError::Write(e));
    }
    all.map_err(CopyError::Tar)?;
    // The rest is padding; it is read so that the decompressor reaches its checksums.
    let endless = || io::Error::new(io::ErrorKind::InvalidData, "its padding has no end");
    match io::copy(&mut (&mut from).take(MOST_DATA), &mut io::sink()) {
        Ok(MOST_DATA) => Err(CopyError::Tar(endless().into())),
        Ok(_) => Ok(Copied { len: done, headers }),
        Err(e) => Err(CopyError::Tar(e.into())),
    }
}

impl Deb {
    /// Reads a plain form written by [`decompress`].
    ///
    /// # Errors
    /// A read error, or when it is damaged.
    pub fn from_plain(data: Blob) -> Result<Self, DebError> {
        let damaged = |what: String| DebError::Plain { path: data.path().to_owned(), what };
        let cut = || damaged("the file was cut off or changed".into());
        let read = |from: u64, len: u64| -> Result<Vec<u8>, DebError> {
            let mut bytes = vec![0; len as usize];
            data.read_exact_at(&mut bytes, from)
                .map(|()| bytes)
                .map_err(|source| DebError::Io { path: data.path().to_owned(), source })
        };
        let end = data.len().checked_sub(TRAILER_LEN).ok_or_else(cut)?;
        let trailer = read(end, TRAILER_LEN)?;
        let lens = trailer.strip_prefix(MARK).ok_or_else(cut)?;
        let len = |at: usize| Some(u64::from_le_bytes(lens.get(at..at + 8)?.try_into().ok()?));
        let lens = len(0).zip(len(8)).zip(len(16));
        let ((data_len, control_len), headers_len) = lens.ok_or_else(cut)?;
        let sum = data_len.checked_add(control_len).and_then(|n| n.checked_add(headers_len));
        if sum != Some(end) || control_len > MOST_CONTROL || headers_len > MOST_HEADERS {
            return Err(cut());
        }
        let small = read(data_len, control_len + headers_len)?;
        let (control_tar, headers) = small.split_at(control_len as usize);
        let (control, control_time) = control::members(control_tar).map_err(damaged)?;
        let entries: Result<Vec<_>, _> = Entries::new(HeadersOnly(headers)).collect();
        let entries = entries.map_err(|e| damaged(e.to_string()))?;
        Ok(Self { control, control_time, data, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_without_end_are_refused() {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(::tar::EntryType::GNULongName);
        header.set_size(1 << 20);
        header.set_cksum();
        let mut long_name = header.as_bytes().to_vec();
        long_name.resize(512 + (1 << 20), 0);
        let archive =
            (0..260).fold(Box::new(io::empty()) as Box<dyn Read>, |all, _| Box::new(all.chain(&long_name[..])));
        let error = copy_tar(archive, io::sink()).unwrap_err();
        assert!(matches!(&error, CopyError::Tar(e) if e.to_string().contains("256 MiB")), "{error:?}");
    }
}
