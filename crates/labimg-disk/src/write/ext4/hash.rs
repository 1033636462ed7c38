//! The `half_md4` hash of names that orders hashed folders
//! (kernel Documentation/filesystems/ext4, "Hash Tree Directories").

/// Hash and minor hash of a name; bytes are signed (superblock flag 1).
pub fn half_md4(name: &[u8], seed: &[u8; 16]) -> (u32, u32) {
    let mut state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];
    if *seed != [0; 16] {
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    let mut rest = name;
    while !rest.is_empty() {
        transform(&mut state, &words(rest));
        rest = rest.get(32..).unwrap_or_default();
    }
    // The lowest bit marks a hash that continues in the next leaf; the highest value marks the end.
    let hash = match state[1] & !1 {
        0xFFFF_FFFE => 0xFFFF_FFFC,
        hash => hash,
    };
    (hash, state[2])
}

/// Up to 32 bytes as eight big-endian words, padded with the length of the remaining name.
fn words(rest: &[u8]) -> [u32; 8] {
    // A name has at most 255 bytes, so its length fits a byte.
    let pad = u32::from_ne_bytes([rest.len() as u8; 4]);
    let mut words = [pad; 8];
    for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
        *word = bytes.iter().fold(pad, |word, &byte| (word << 8).wrapping_add_signed((byte as i8).into()));
    }
    words
}

fn transform(state: &mut [u32; 4], input: &[u32; 8]) {
    // The input word of each step and its rotation, in the three rounds.
    const ORDER: [[usize; 8]; 3] = [[0, 1, 2, 3, 4, 5, 6, 7], [1, 3, 5, 7, 0, 2, 4, 6], [3, 7, 2, 6, 1, 5, 0, 4]];
    const ROTATE: [[u32; 4]; 3] = [[3, 7, 11, 19], [3, 5, 9, 13], [3, 9, 11, 15]];
    const ADD: [u32; 3] = [0, 0x5A82_7999, 0x6ED9_EBA1];
    let [mut a, mut b, mut c, mut d] = *state;
    for round in 0..3 {
        for step in 0..8 {
            let mixed = match round {
                0 => d ^ (b & (c ^ d)),
                1 => (b & c).wrapping_add((b ^ c) & d),
                _ => b ^ c ^ d,
            };
            let sum = a.wrapping_add(mixed).wrapping_add(input[ORDER[round][step]]).wrapping_add(ADD[round]);
            (a, b, c, d) = (d, sum.rotate_left(ROTATE[round][step % 4]), b, c);
        }
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_debugfs() {
        // From debugfs: dx_hash -h half_md4 -s 01020304-0506-0708-090a-0b0c0d0e0f10 NAME
        let seed = std::array::from_fn(|i| i as u8 + 1);
        for (name, hash) in [
            ("hello", (0xE2DD_F968, 0xC8BC_0924)),
            ("Főtanúsítvány", (0xB3CE_7206, 0xBAE5_22BE)),
            (&"é".repeat(36), (0xB0FF_9794, 0xC651_B6BA)),
        ] {
            assert_eq!(half_md4(name.as_bytes(), &seed), hash, "{name}");
        }
    }
}
