//! Debian's snapshot archive, which keeps versions that the mirrors have dropped.
//!
//! `<base>/archive/<archive>/<time>/<path>` is a file of the archive as it was at that time; a time between two snapshots
//! means the earlier one (snapshot.debian.org, "Usage").

use super::ArchiveName;

/// Where Debian keeps its snapshots.
pub const DEFAULT_URL: &str = "https://snapshot.debian.org";

const HOUR: i64 = 3600;

/// How long after an index's date a snapshot holds the files it lists, in seconds. Snapshots are taken every six hours,
/// and one taken before the index lacks its new files.
const DELAYS: [i64; 2] = [6 * HOUR, 24 * HOUR];

/// The addresses of a package listed in an index of `date` (seconds since 1970), best first.
pub(super) fn addresses(base: &str, archive: ArchiveName, date: i64, path: &str) -> Vec<String> {
    let archive = match archive {
        ArchiveName::Debian => "debian",
        ArchiveName::Security => "debian-security",
    };
    let base = base.trim_end_matches('/');
    DELAYS
        .iter()
        .filter_map(|delay| jiff::Timestamp::from_second(date.checked_add(*delay)?).ok())
        .map(|time| format!("{base}/archive/{archive}/{}/{path}", time.strftime("%Y%m%dT%H%M%SZ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_archive_time_and_path() {
        let found = addresses("https://snapshot.example/", ArchiveName::Security, 1_763_114_400, "pool/a_1.deb");
        assert_eq!(
            found,
            [
                "https://snapshot.example/archive/debian-security/20251114T160000Z/pool/a_1.deb",
                "https://snapshot.example/archive/debian-security/20251115T100000Z/pool/a_1.deb",
            ]
        );
    }
}
