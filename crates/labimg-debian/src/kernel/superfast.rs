//! The iteration order of kmod's hash table.
//!
//! `depmod` writes modules.symbols by walking a table keyed with Paul Hsieh's `SuperFastHash`: buckets in ascending
//! order, byte order within a bucket. The kernel does not depend on it, but equal files can be compared with those of a
//! node's own `depmod`.

use std::collections::BTreeMap;

/// Buckets in the table of exported symbols.
pub const SYMBOL_BUCKETS: u32 = 2048;
/// Buckets in the table of module names.
pub const MODULE_BUCKETS: u32 = 512;

/// The bucket of a key in a table of `buckets` (a power of two).
fn position(key: &[u8], buckets: u32) -> u32 {
    hash(key) & (buckets - 1)
}

/// The values of `table` in the iteration order of kmod's hash table.
pub fn walk<V>(table: &BTreeMap<Vec<u8>, V>, buckets: u32) -> Vec<(&[u8], &V)> {
    let mut entries: Vec<_> = table.iter().map(|(k, v)| (k.as_slice(), v)).collect();
    // A stable sort keeps the map's byte order within each bucket.
    entries.sort_by_key(|(key, _)| position(key, buckets));
    entries
}

/// `SuperFastHash` (<http://www.azillionmonkeys.com/qed/hash.html>), seeded with the length; for ASCII keys.
fn hash(key: &[u8]) -> u32 {
    let half = |pair: &[u8]| pair.iter().rev().fold(0_u32, |n, &b| n << 8 | u32::from(b));
    let mut h = key.len() as u32;
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let (low, high) = chunk.split_at(2);
        h = h.wrapping_add(half(low));
        h = (h << 16) ^ (half(high) << 11) ^ h;
        h = h.wrapping_add(h >> 11);
    }
    match *chunks.remainder() {
        [a, b, c] => {
            h = h.wrapping_add(half(&[a, b]));
            h ^= h << 16;
            h ^= u32::from(c) << 18;
            h = h.wrapping_add(h >> 11);
        }
        [a, b] => {
            h = h.wrapping_add(half(&[a, b]));
            h ^= h << 11;
            h = h.wrapping_add(h >> 17);
        }
        [a] => {
            h = h.wrapping_add(u32::from(a));
            h ^= h << 10;
            h = h.wrapping_add(h >> 1);
        }
        _ => {}
    }
    h ^= h << 3;
    h = h.wrapping_add(h >> 5);
    h ^= h << 4;
    h = h.wrapping_add(h >> 17);
    h ^= h << 25;
    h.wrapping_add(h >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first symbols of Debian's arm64 kernel 6.12, in the order of its modules.symbols.
    const REAL: [&str; 8] = [
        "drm_dp_link_train_channel_eq_delay",
        "drm_need_swiotlb",
        "dsa_tag_8021q_bridge_vid",
        "jbd2_journal_inode_ranged_write",
        "qmi_txn_wait",
        "__twofish_setkey",
        "hisi_sas_probe",
        "mlx4_db_free",
    ];

    #[test]
    fn walks_as_kmod_does() {
        let table = REAL.iter().map(|s| (s.as_bytes().to_vec(), ())).collect();
        let order: Vec<_> = walk(&table, SYMBOL_BUCKETS).into_iter().map(|(k, ())| k).collect();
        assert_eq!(order, REAL.map(str::as_bytes));
        assert_ne!(order.iter().map(|k| k.to_vec()).collect::<Vec<_>>(), table.into_keys().collect::<Vec<_>>());
    }
}
