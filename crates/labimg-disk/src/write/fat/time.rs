//! FAT's date and time.

/// A moment as stored: UTC, clamped to what FAT can hold (1980 to 2107), in steps of two seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DosTime {
    /// Years since 1980 in 7 bits, month in 4, day in 5.
    pub(super) date: u16,
    /// Hours in 5 bits, minutes in 6, half the seconds in 5.
    pub(super) time: u16,
}

impl DosTime {
    /// From seconds since 1970.
    pub(super) fn new(seconds: i64) -> Self {
        const FIRST: i64 = 315_532_800; // 1980-01-01 00:00:00
        const LAST: i64 = 4_354_819_198; // 2107-12-31 23:59:58
        let at = jiff::Timestamp::from_second(seconds.clamp(FIRST, LAST)).unwrap_or_default();
        let at = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let number = |n: i8| u16::try_from(n).unwrap_or(0);
        Self {
            date: (at.year() - 1980) as u16 * 512 + number(at.month()) * 32 + number(at.day()),
            time: number(at.hour()) * 2048 + number(at.minute()) * 32 + number(at.second()) / 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_clamped() {
        let text = |seconds| {
            let DosTime { date, time } = DosTime::new(seconds);
            let (y, m, d) = (1980 + (date >> 9), date >> 5 & 15, date & 31);
            format!("{y}-{m:02}-{d:02} {:02}:{:02}:{:02}", time >> 11, time >> 5 & 63, (time & 31) * 2)
        };
        assert_eq!(text(0), "1980-01-01 00:00:00");
        assert_eq!(text(1_700_000_001), "2023-11-14 22:13:20");
        assert_eq!(text(i64::MAX), "2107-12-31 23:59:58");
        assert_eq!(text(i64::MIN), "1980-01-01 00:00:00");
    }
}
