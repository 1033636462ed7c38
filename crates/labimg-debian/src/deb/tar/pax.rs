//! Extended headers of pax: records `LENGTH KEY=VALUE
//! ` that replace header fields.

use std::collections::BTreeMap;

/// Fields of a header that extended headers and GNU long names replace.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub mtime: Option<i64>,
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

impl Overrides {
    /// Adds the records of one extended header; the error says what is wrong.
    pub fn read(&mut self, mut records: &[u8]) -> Result<(), &'static str> {
        const BAD: &str = "a bad record in an extended header";
        while !records.is_empty() {
            let space = records.iter().take(20).position(|&b| b == b' ').ok_or(BAD)?;
            let length: usize = parse(&records[..space]).ok_or(BAD)?;
            if length > records.len() {
                return Err(BAD);
            }
            let record = records.get(space + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or(BAD)?;
            records = &records[length..];
            let equals = record.iter().position(|&b| b == b'=').ok_or(BAD)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            self.set(std::str::from_utf8(key).map_err(|_| BAD)?, value)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), &'static str> {
        let number = "a bad number in an extended header";
        let text = || String::from_utf8_lossy(value).into_owned();
        match key {
            "path" => self.path = Some(value.to_vec()),
            "linkpath" => self.link = Some(value.to_vec()),
            "size" => self.size = Some(parse(value).ok_or(number)?),
            "uid" => self.uid = Some(parse(value).ok_or(number)?),
            "gid" => self.gid = Some(parse(value).ok_or(number)?),
            "uname" => self.user = Some(text()),
            "gname" => self.group = Some(text()),
            "mtime" => self.mtime = Some(seconds(value).ok_or(number)?),
            _ if key.starts_with("GNU.sparse.") => return Err("a sparse file, which this program does not read"),
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.").filter(|n| !n.is_empty()) {
                    self.xattrs.insert(name.to_owned(), value.to_vec());
                }
            }
        }
        Ok(())
    }

    /// These fields, and those of `global` where they are not set.
    pub fn over(self, global: &Overrides) -> Overrides {
        let mut xattrs = global.xattrs.clone();
        xattrs.extend(self.xattrs);
        Overrides {
            path: self.path.or_else(|| global.path.clone()),
            link: self.link.or_else(|| global.link.clone()),
            size: self.size.or(global.size),
            uid: self.uid.or(global.uid),
            gid: self.gid.or(global.gid),
            user: self.user.or_else(|| global.user.clone()),
            group: self.group.or_else(|| global.group.clone()),
            mtime: self.mtime.or(global.mtime),
            xattrs,
        }
    }
}

fn parse<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Decimal seconds, perhaps negative, perhaps with a fraction: rounded down.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or((1, whole), |digits| (-1, digits));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let whole = parse::<i64>(digits.as_bytes())? * sign;
    let below = sign < 0 && fraction.bytes().any(|b| b != b'0');
    whole.checked_sub(i64::from(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let mut own = Overrides::default();
        own.read(b"12 path=a=b\n26 mtime=1700000000.50000\n29 SCHILY.xattr.user.x=a\nb\0c\n").unwrap();
        assert_eq!(own.path.as_deref(), Some(&b"a=b"[..]));
        assert_eq!(own.mtime, Some(1_700_000_000));
        assert_eq!(own.xattrs["user.x"], b"a\nb\0c");
        for bad in
            ["", "5", "8 path=a\n", "11 path=a=b\n", "0 a=b\n", "2 \n", "11 size=-1\n", "22 GNU.sparse.major=1\n"]
        {
            assert!(bad.is_empty() || Overrides::default().read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_before_1970() {
        assert_eq!(seconds(b"-1"), Some(-1));
        assert_eq!(seconds(b"-1.5"), Some(-2));
        assert_eq!(seconds(b"-0.5"), Some(-1));
        assert_eq!(seconds(b"1.5"), Some(1));
        assert_eq!(seconds(b"1.x"), None);
        assert_eq!(seconds(b""), None);
    }
}
