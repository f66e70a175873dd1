//! The words of a fault: a value as it is shown, and what may have been meant.

/// The most characters of a value that a fault repeats.
const SHOWN_MAX: usize = 60;

/// A value in quotes, on one line, without secrets and cut where it is long.
pub(super) fn shown(text: &str) -> String {
    let text = without_secrets(text);
    let mut cut: String = text.chars().take(SHOWN_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

/// A URL may carry a password, and faults are logged: whatever could be one is left out.
fn without_secrets(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}***{}", &text[..scheme + 3], &text[at..])
        }
        _ => text.into(),
    }
}

/// A key as a path shows it: a word as it is, anything else in quotes.
pub(super) fn shown_key(key: &str) -> String {
    let word = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if word && key.len() <= 64 {
        key.into()
    } else {
        shown(key)
    }
}

/// Of `known`, the word that `text` was most likely meant to be, if any is near.
pub(super) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A slip or two in a long word, one in a short one; nothing may match by its length alone.
    let tolerance = if text.len() < 5 { 1 } else { 2 };
    known
        .into_iter()
        .map(|word| (distance(text, word), word))
        .filter(|(distance, _)| *distance <= tolerance)
        .min()
        .map(|(_, word)| word)
}

/// `; did you mean "word"?`, or nothing where no known word is near.
pub(super) fn did_you_mean<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(text, known).map_or_else(String::new, |word| format!("; did you mean {word:?}?"))
}

/// The longest word that is compared with others.
const WORD_MAX: usize = 64;

/// How many letters must be added, taken away, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() > WORD_MAX || b.len() > WORD_MAX {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["limits", "fees", "plan", "plans", "app_id"];
        for (text, meant) in [
            ("limts", Some("limits")),
            ("limit", Some("limits")),
            ("plna", Some("plan")),
            ("appid", Some("app_id")),
            ("Fees", Some("fees")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, known), meant, "{text}");
        }
        assert_eq!(nearest(&"l".repeat(100), known), None);
    }

    #[test]
    fn a_value_is_shown_on_one_line_cut_and_without_its_password() {
        assert_eq!(shown("a\nb"), r#""a\nb""#);
        assert_eq!(shown("redis://u:p@ss@h:1/0"), r#""redis://***@h:1/0""#);
        assert_eq!(shown(&"é".repeat(61)), format!("\"{}…\"", "é".repeat(60)));
    }
}
