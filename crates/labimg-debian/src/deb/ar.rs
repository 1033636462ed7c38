//! The `ar` archives of packages: the common format of ar(5) with short names, as deb(5) requires.
//!
//! The crate `ar` makes packages in tests but does not read them here. For a table of long names, which no package has,
//! it allocates the size in the header (up to 10 GB) before it reads anything, and it hides where a member ends.

use std::io::{self, Read};

/// The first bytes of every archive.
pub const MAGIC: &[u8; 8] = b"!<arch>\n";

/// Size of a member's header in bytes.
pub const HEADER_LEN: usize = 60;

/// The header of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, without padding and without the trailing `/` of some tools.
    pub name: String,
    /// Its size in bytes; an odd one is followed by a byte of padding.
    pub size: u64,
}

/// Reads a member's header.
///
/// # Errors
/// What is wrong with it.
pub fn parse_header(header: &[u8; HEADER_LEN]) -> Result<Header, &'static str> {
    let (name, rest) = header.split_at(16);
    let (size, end) = rest.split_at(32).1.split_at(10);
    if end != b"`\n" {
        return Err("no ar header where a member should begin");
    }
    let name = std::str::from_utf8(name).map_err(|_| "a member's name is not text")?.trim_end_matches(' ');
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a member's name is not text");
    }
    let size = std::str::from_utf8(size).ok().map(|s| s.trim_end_matches(' '));
    let size = size.filter(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit())).and_then(|s| s.parse().ok());
    Ok(Header { name: name.to_owned(), size: size.ok_or("a member's size is not a number")? })
}

/// Reads the next member's header from `reader`, positioned at one; `None` at the end of the archive.
///
/// # Errors
/// A read error; [`io::ErrorKind::InvalidData`] with the reason when the header is bad or truncated.
pub fn next_header(reader: &mut impl Read) -> io::Result<Option<Header>> {
    let mut header = [0; HEADER_LEN];
    let mut have = 0;
    while have < HEADER_LEN {
        match reader.read(&mut header[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::Error::new(io::ErrorKind::InvalidData, "the file ends inside an ar header")),
            Ok(count) => have += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    parse_header(&header).map(Some).map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers() {
        let text = format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "data.tar.xz/", 0, 0, 0, 100_644, 1234);
        let header = next_header(&mut text.as_bytes()).unwrap().unwrap();
        assert_eq!(header, Header { name: "data.tar.xz".into(), size: 1234 });
        assert!(next_header(&mut &b""[..]).unwrap().is_none());
        assert!(next_header(&mut &text.as_bytes()[..59]).is_err());
        assert!(next_header(&mut text.replace("1234", "-234").as_bytes()).is_err());
        assert!(next_header(&mut text.replace('`', "'").as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_header_panics(bytes in proptest::collection::vec(any::<u8>(), 0..130)) {
            let mut rest = bytes.as_slice();
            while let Ok(Some(_)) = next_header(&mut rest) {}
        }
    }
}
