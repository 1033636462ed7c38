//! One 512-byte header block.

use super::BLOCK;

/// The fields of a header block, before extensions.
#[derive(Debug)]
pub(super) struct Header {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: u8,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub mtime: i64,
    pub user: String,
    pub group: String,
    pub device: (u32, u32),
}

/// Reads a header block that is not all zeros; the error says what is wrong.
pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Header, &'static str> {
    // Every range below is within the 512 bytes.
    let field = |from: usize, len: usize| &block[from..from + len];
    check_sum(block)?;
    let posix = field(257, 6) == b"ustar\0";
    let gnu = field(257, 8) == b"ustar  \0";
    let mut path = text(field(0, 100));
    let prefix = text(field(345, 155));
    if posix && !prefix.is_empty() {
        path = [&prefix[..], b"/", &path[..]].concat();
    }
    let name = |bytes| if posix || gnu { String::from_utf8_lossy(&text(bytes)).into_owned() } else { String::new() };
    let small = |from, len| u32::try_from(number(field(from, len))?).map_err(|_| "a number is out of range");
    let kind = block[156];
    // Other types may have any bytes in these two fields.
    let device = if matches!(kind, b'3' | b'4') { (small(329, 8)?, small(337, 8)?) } else { (0, 0) };
    Ok(Header {
        path,
        link: text(field(157, 100)),
        kind,
        mode: (number(field(100, 8))? & 0o7777) as u16,
        uid: small(108, 8)?,
        gid: small(116, 8)?,
        size: u64::try_from(number(field(124, 12))?).map_err(|_| "a negative size")?,
        mtime: number(field(136, 12))?,
        user: name(field(265, 32)),
        group: name(field(297, 32)),
        device,
    })
}

fn check_sum(block: &[u8; BLOCK]) -> Result<(), &'static str> {
    let stands = number(&block[148..156]).map_err(|_| "not a tar header")?;
    let counted = |i: usize, b: u8| if (148..156).contains(&i) { b' ' } else { b };
    let unsigned: i64 = block.iter().enumerate().map(|(i, &b)| i64::from(counted(i, b))).sum();
    // Some old programs added signed bytes; both sums are accepted, as other readers do.
    let signed: i64 = block.iter().enumerate().map(|(i, &b)| i64::from(counted(i, b) as i8)).sum();
    if stands == unsigned || stands == signed { Ok(()) } else { Err("a header with a wrong checksum") }
}

/// Up to the first NUL byte.
fn text(field: &[u8]) -> Vec<u8> {
    field.split(|&b| b == 0).next().unwrap_or_default().to_vec()
}

/// Octal digits between spaces, ended by NUL or space; or, with the top bit set, GNU's big-endian binary.
fn number(field: &[u8]) -> Result<i64, &'static str> {
    const RANGE: &str = "a number is out of range";
    if let Some((&first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        let start = if first & 0x40 != 0 { -1 } else { 0 };
        let start = (start << 6) | i64::from(first & 0x3f);
        return rest.iter().try_fold(start, |n: i64, &b| n.checked_mul(256).map(|n| n | i64::from(b))).ok_or(RANGE);
    }
    let digits = field.trim_ascii_start();
    let digits = digits.split(|&b| b == 0 || b == b' ').next().unwrap_or_default();
    digits.iter().try_fold(0i64, |n, &b| match b {
        b'0'..=b'7' => n.checked_mul(8).map(|n| n + i64::from(b - b'0')).ok_or(RANGE),
        _ => Err("a number that is not octal"),
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b"   644 \0"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert!(number(b"00008\0\0\0").is_err());
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\x02"), Ok(258));
        assert_eq!(number(&[0xff; 12]), Ok(-1));
        assert!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    }
}
