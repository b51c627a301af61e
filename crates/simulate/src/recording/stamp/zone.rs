//! The zone at the end of a time.

/// Removes the zone at the end, and returns its offset from UTC in minutes; none if it is not known.
///
/// `UTC`, `GMT` and `Z` are known, and offsets like `+00`, `+0000` and `+00:00`. A name behind an offset,
/// as Go (`+0200 CEST`), Java (`+02:00[Europe/Berlin]`) and JavaScript (`GMT+0200 (CEST)`) write it, says
/// nothing more.
pub(super) fn without_zone(label: &str) -> Option<(&str, Option<i64>)> {
    let mut text = label;
    let mut named = false;
    for (open, close) in [('[', ']'), ('(', ')')] {
        if let Some((before, _)) = text
            .strip_suffix(close)
            .and_then(|text| text.rsplit_once(open))
        {
            (text, named) = (before.trim_end(), true);
        }
    }
    let mut offset = utc(&mut text).then_some(0);
    if offset.is_none()
        && let Some((before, word)) = text.rsplit_once(' ')
        && word.bytes().all(|byte| byte.is_ascii_uppercase())
        && !matches!(word, "AM" | "PM")
    {
        (text, named) = (before, true);
    }
    if let Some((before, minutes)) = signed(text) {
        if offset == Some(0) && minutes != 0 {
            return None;
        }
        (text, offset) = (before, Some(minutes));
        utc(&mut text);
    }
    if named && offset.is_none() {
        return None;
    }
    Some((text, offset))
}

/// Removes a name of UTC at the end.
fn utc(text: &mut &str) -> bool {
    let digit = |text: &str| text.ends_with(|last: char| last.is_ascii_digit());
    for name in ["UTC", "GMT", "Z", "z"] {
        if let Some(before) = text.strip_suffix(name).map(str::trim_end)
            && (digit(before) || before.ends_with(['M', 'm']))
        {
            *text = before;
            return true;
        }
    }
    false
}

/// Splits off an offset behind a time, in minutes.
fn signed(text: &str) -> Option<(&str, i64)> {
    let place = text.rfind(['+', '-'])?;
    let (before, offset) = text.split_at(place);
    // Otherwise it is a part of the date.
    if !before.contains(':') && !before.contains('T') {
        return None;
    }
    let digits = offset[1..].replace(':', "");
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.as_str(), "0"),
        4 => digits.split_at_checked(2)?,
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    if !(0..=18).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    Some((before.trim_end(), sign * (60 * hours + minutes)))
}
