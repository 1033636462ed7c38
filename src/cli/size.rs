//! Sizes as users write them.

/// Reads `512M`, `2G`, `1.5G`, `4GiB` or plain bytes; K, M, G and T are powers of 1024.
///
/// # Errors
/// A text that is not a size.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a size; write 512M, 2G or 64G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err(bad()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| bad())?;
    let bytes = number * f64::from(1 << (shift / 2)) * f64::from(1 << (shift - shift / 2));
    // 2^60 bytes is more than any card and still exact enough.
    if !(0.0..=(1u64 << 60) as f64).contains(&bytes) {
        return Err(bad());
    }
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64G"), Ok(64 << 30));
        assert_eq!(parse_size("1.5g"), Ok(3 << 29));
        assert_eq!(parse_size("512MiB"), Ok(512 << 20));
        assert_eq!(parse_size("100"), Ok(100));
        for bad in ["", "G", "-1G", "1X", "1e99", "nan", "inf"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
