//! The encoding of certificates: DER, elements of tag, length and content (X.690, section 8.1 and 10.1).

/// Tag of a SEQUENCE.
pub const SEQUENCE: u8 = 0x30;

/// Tag and content of the first element of `data`, and the rest.
///
/// # Errors
/// What is wrong, as the end of a sentence about a certificate.
pub fn element(data: &[u8]) -> Result<(u8, &[u8], &[u8]), &'static str> {
    const SHORT: &str = "its certificate ends too early";
    let (&[tag, first], rest) = data.split_first_chunk::<2>().ok_or(SHORT)?;
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return Err("its certificate has a length that DER does not allow");
        }
        let (bytes, rest) = rest.split_at_checked(count).ok_or(SHORT)?;
        (bytes.iter().fold(0usize, |len, &b| len << 8 | usize::from(b)), rest)
    };
    let (content, rest) = rest.split_at_checked(len).ok_or(SHORT)?;
    Ok((tag, content, rest))
}

/// Content of the first element of `data`, which must have the tag `wanted`, and the rest.
///
/// # Errors
/// As [`element`], and another tag.
pub fn expect(data: &[u8], wanted: u8) -> Result<(&[u8], &[u8]), &'static str> {
    let (tag, content, rest) = element(data)?;
    if tag == wanted { Ok((content, rest)) } else { Err("its certificate is not built like one of X.509") }
}
