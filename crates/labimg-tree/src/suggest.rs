//! `did you mean …?`: the names that look like a mistyped one.
//!
//! In a short list ([`nearest`]) a likely name is better than none. Among the tens of thousands of names of an archive
//! ([`nearest_of_many`]) only typing errors count.

/// ``did you mean `a` or `b`?``, as help; `None` without names.
#[must_use]
pub fn did_you_mean(names: &[String]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", quoted.join(" or ")))
}

/// The names most similar to `name`, best first, at most three.
#[must_use]
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    // 0.7 accepts one wrong letter in a short word and rejects unrelated words.
    const ALIKE: f64 = 0.7;
    let mut scored: Vec<(f64, &str)> = names
        .into_iter()
        .map(|n| (strsim::jaro_winkler(&name.to_lowercase(), n), n))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, n)| n.to_owned()).collect()
}

/// The names that differ from `name` only by typing errors, nearest first, at most three.
#[must_use]
pub fn nearest_of_many<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    // One error in four letters.
    let limit = (name.len() / 4).clamp(1, 3);
    let mut close: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|other| other.len().abs_diff(name.len()) <= limit)
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// For names that resemble each other: those that differ from `name` by typing errors; without any, the most similar ones.
#[must_use]
pub fn nearest_of_alike(name: &str, names: &[&str]) -> Vec<String> {
    let slips = nearest_of_many(name, names.iter().copied());
    if slips.is_empty() { nearest(name, names.iter().copied()) } else { slips }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_names_in_a_short_list_and_slips_in_a_long_one() {
        let boards = ["rpi3", "rpi4", "rpi5", "virt"];
        assert_eq!(nearest("rpi44", boards), ["rpi4", "rpi3", "rpi5"]);
        assert!(nearest("qqqq", boards).is_empty());
        assert_eq!(nearest_of_alike("rpi44", &boards), ["rpi4"]);
        assert!(nearest_of_many("rpi44x", boards).is_empty());
        assert_eq!(nearest_of_alike("rpi44x", &boards), ["rpi4", "rpi3", "rpi5"]);
        assert_eq!(nearest_of_many("alpah", ["alpha", "alphas", "beta"]), ["alpha"]);
        assert_eq!(did_you_mean(&nearest("vitr", boards)).as_deref(), Some("did you mean `virt`?"));
        assert_eq!(
            did_you_mean(&nearest("rpi44", boards)).as_deref(),
            Some("did you mean `rpi4` or `rpi3` or `rpi5`?")
        );
        assert_eq!(did_you_mean(&[]), None);
    }
}
