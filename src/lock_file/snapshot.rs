//! Debian's archive of snapshots, where a version stays that the mirrors have dropped.
//!
//! `<base>/archive/<archive>/<time>/<path>` is a file of the archive as it was at that time; a time between two snapshots
//! means the earlier one (snapshot.debian.org, "Usage").

use super::ArchiveName;

/// Where Debian keeps its snapshots.
pub const DEFAULT_URL: &str = "https://snapshot.debian.org";

const HOUR: i64 = 3600;

/// How long after an index is dated a snapshot holds what it lists, in seconds: snapshots are taken every six hours, and
/// one that was taken before the index does not have what is new in it.
const DELAYS: [i64; 2] = [6 * HOUR, 24 * HOUR];

/// Where a package is found that an index of `date` (seconds since 1970) lists, best first.
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
