//! The hash by which OpenSSL finds a certificate's subject: SHA-1 over the canonical form of the name (`X509_NAME_hash`
//! in `X509_get_subject_name`(3); the form is described there and in RFC 5280, section 7.1).

use sha1::{Digest, Sha1};

use crate::der::{SEQUENCE, element, expect};

const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const UTF8_STRING: u8 = 0x0c;

/// The hash of the subject of a certificate in DER: what `openssl x509 -subject_hash` prints in hexadecimal.
///
/// # Errors
/// What is wrong with the certificate.
pub(crate) fn hash(certificate: &[u8]) -> Result<u32, &'static str> {
    let canonical = canonical(subject(certificate)?)?;
    let digest = Sha1::digest(canonical);
    Ok(u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// The content of the subject's Name (RFC 5280, section 4.1).
fn subject(certificate: &[u8]) -> Result<&[u8], &'static str> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    Ok(expect(rest, SEQUENCE)?.0)
}

/// The parts of the name in order; texts in UTF-8, lower case, with single spaces.
fn canonical(name: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut canonical = Vec::new();
    let mut parts = name;
    while !parts.is_empty() {
        let (mut attributes, rest) = expect(parts, SET)?;
        parts = rest;
        let mut set = Vec::new();
        while !attributes.is_empty() {
            let (attribute, rest) = expect(attributes, SEQUENCE)?;
            attributes = rest;
            let (tag, _, value) = element(attribute)?;
            // The object identifier unchanged, then the value.
            let mut content = attribute[..attribute.len() - value.len()].to_vec();
            if tag != 0x06 {
                return Err("its certificate has a name attribute without a type");
            }
            let (tag, text, _) = element(value)?;
            match canonical_text(tag, text) {
                Some(text) => content.extend(encode(UTF8_STRING, text.as_bytes())),
                None => content.extend_from_slice(value),
            }
            set.push(encode(SEQUENCE, &content));
        }
        set.sort();
        canonical.extend(encode(SET, &set.concat()));
    }
    Ok(canonical)
}

/// `None` for types that are compared unchanged.
fn canonical_text(tag: u8, bytes: &[u8]) -> Option<String> {
    let text = match tag {
        // UTF8String, PrintableString, IA5String, VisibleString; T61String is read as Latin-1.
        0x0c | 0x13 | 0x16 | 0x1a => String::from_utf8(bytes.to_vec()).ok()?,
        0x14 => bytes.iter().map(|&b| char::from(b)).collect(),
        // BMPString, UniversalString.
        0x1e => {
            let units = bytes.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()?
        }
        0x1c => {
            let units = bytes.chunks_exact(4).map(|c| char::from_u32(u32::from_be_bytes([c[0], c[1], c[2], c[3]])));
            units.collect::<Option<_>>()?
        }
        _ => return None,
    };
    let words: Vec<&str> =
        text.split(|c: char| c == ' ' || ('\t'..='\r').contains(&c)).filter(|w| !w.is_empty()).collect();
    Some(words.join(" ").to_ascii_lowercase())
}

fn encode(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let len = content.len();
    if len < 0x80 {
        out.push(len as u8);
    } else {
        let bytes = len.to_be_bytes();
        let bytes = &bytes[bytes.iter().take_while(|&&b| b == 0).count()..];
        out.push(0x80 | bytes.len() as u8);
        out.extend_from_slice(bytes);
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_compared_without_case_and_spaces() {
        assert_eq!(canonical_text(0x13, b"  Go  Daddy\t Inc ").as_deref(), Some("go daddy inc"));
        assert_eq!(canonical_text(0x14, b"\xc9t\xe9").as_deref(), Some("\u{c9}t\u{e9}"));
        assert_eq!(canonical_text(0x1e, b"\0A\0b").as_deref(), Some("ab"));
        assert_eq!(canonical_text(0x02, b"\x01"), None);
    }

    #[test]
    fn long_lengths() {
        let long = encode(SET, &[0; 300]);
        assert_eq!(long[..4], [SET, 0x82, 1, 44]);
        assert_eq!(element(&long).unwrap().1.len(), 300);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = hash(&bytes);
            let _ = canonical(&bytes);
        }
    }
}
