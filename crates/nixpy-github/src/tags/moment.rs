//! Dates in the letters of moment.js (<https://momentjs.com/docs/#/displaying/format/>),
//! in English.

use jiff::Zoned;
use jiff::civil::Weekday;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Longer ones first: the first that the rest of a format begins with is meant.
const TOKENS: [&str; 66] = [
    "Hmmss", "hmmss", "Hmm", "hmm", "MMMM", "MMM", "MM", "Mo", "M", "DDDD", "DDDo", "DDD", "DD",
    "Do", "D", "dddd", "ddd", "dd", "do", "d", "ww", "wo", "w", "WW", "Wo", "W", "Qo", "Q",
    "YYYYYY", "YYYYY", "YYYY", "YY", "Y", "gggg", "gg", "GGGG", "GG", "e", "E", "a", "A", "hh",
    "h", "HH", "H", "kk", "k", "mm", "m", "ss", "s", "X", "x", "zz", "z", "ZZ", "Z", "LTS", "LT",
    "LLLL", "LLL", "LL", "L", "llll", "lll", "ll",
];

/// The date in a format; what is no letter of moment's, and all in brackets, stays.
pub(super) fn format(at: &Zoned, format: &str) -> String {
    let mut text = String::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        if c == '['
            && let Some((literal, behind)) = rest[1..].split_once(']')
            && !literal.contains('[')
        {
            text.push_str(literal);
            rest = behind;
            continue;
        }
        let fraction = rest.len() - rest.trim_start_matches('S').len();
        if fraction > 0 {
            let digits = fraction.min(9);
            let nanoseconds = format!("{:09}", at.subsec_nanosecond());
            text.push_str(&nanoseconds[..digits]);
            rest = &rest[digits..];
            continue;
        }
        match TOKENS.iter().find(|token| rest.starts_with(**token)) {
            Some(token) => {
                text.push_str(&one(at, token));
                rest = &rest[token.len()..];
            }
            None => {
                text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    text
}

fn one(at: &Zoned, token: &str) -> String {
    let (year, month, day) = (i64::from(at.year()), at.month(), i64::from(at.day()));
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let twelve = match hour % 12 {
        0 => 12,
        hour => hour,
    };
    let of_year = i64::from(at.day_of_year());
    let weekday = at.weekday();
    let from_sunday = i64::from(weekday.to_sunday_zero_offset());
    let month_name = MONTHS[usize::try_from(month - 1).unwrap_or_default()];
    let day_name = DAYS[usize::try_from(from_sunday).unwrap_or_default()];
    let quarter = i64::from((month - 1) / 3 + 1);
    let iso = at.date().iso_week_date();
    let (week_year, week) = week(at);
    let long = |formats: &str| format(at, formats);
    match token {
        "M" => month.to_string(),
        "Mo" => ordinal(i64::from(month)),
        "MM" => format!("{month:02}"),
        "MMM" => month_name[..3].to_owned(),
        "MMMM" => month_name.to_owned(),
        "Q" => quarter.to_string(),
        "Qo" => ordinal(quarter),
        "D" => day.to_string(),
        "Do" => ordinal(day),
        "DD" => format!("{day:02}"),
        "DDD" => of_year.to_string(),
        "DDDo" => ordinal(of_year),
        "DDDD" => format!("{of_year:03}"),
        "d" | "e" => from_sunday.to_string(),
        "do" => ordinal(from_sunday),
        "dd" => day_name[..2].to_owned(),
        "ddd" => day_name[..3].to_owned(),
        "dddd" => day_name.to_owned(),
        "E" => weekday.to_monday_one_offset().to_string(),
        "w" => week.to_string(),
        "wo" => ordinal(week),
        "ww" => format!("{week:02}"),
        "W" => iso.week().to_string(),
        "Wo" => ordinal(i64::from(iso.week())),
        "WW" => format!("{:02}", iso.week()),
        "Y" => year.to_string(),
        "YY" => format!("{:02}", year % 100),
        "YYYY" => format!("{year:04}"),
        "YYYYY" => format!("{year:05}"),
        "YYYYYY" => format!("{year:+07}"),
        "gg" => format!("{:02}", week_year % 100),
        "gggg" => format!("{week_year:04}"),
        "GG" => format!("{:02}", iso.year() % 100),
        "GGGG" => format!("{:04}", iso.year()),
        "A" => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        "a" => if hour < 12 { "am" } else { "pm" }.to_owned(),
        "H" => hour.to_string(),
        "HH" => format!("{hour:02}"),
        "h" => twelve.to_string(),
        "hh" => format!("{twelve:02}"),
        "k" => if hour == 0 { 24 } else { hour }.to_string(),
        "kk" => format!("{:02}", if hour == 0 { 24 } else { hour }),
        "m" => minute.to_string(),
        "mm" => format!("{minute:02}"),
        "s" => second.to_string(),
        "ss" => format!("{second:02}"),
        "Hmm" => format!("{hour}{minute:02}"),
        "hmm" => format!("{twelve}{minute:02}"),
        "Hmmss" => format!("{hour}{minute:02}{second:02}"),
        "hmmss" => format!("{twelve}{minute:02}{second:02}"),
        "X" => at.timestamp().as_second().to_string(),
        "x" => at.timestamp().as_millisecond().to_string(),
        "z" | "zz" => at.strftime("%Z").to_string(),
        "Z" => at.strftime("%:z").to_string(),
        "ZZ" => at.strftime("%z").to_string(),
        "LT" => long("h:mm A"),
        "LTS" => long("h:mm:ss A"),
        "L" => long("MM/DD/YYYY"),
        "LL" => long("MMMM D, YYYY"),
        "LLL" => long("MMMM D, YYYY h:mm A"),
        "LLLL" => long("dddd, MMMM D, YYYY h:mm A"),
        "ll" => long("MMM D, YYYY"),
        "lll" => long("MMM D, YYYY h:mm A"),
        "llll" => long("ddd, MMM D, YYYY h:mm A"),
        other => other.to_owned(),
    }
}

/// As Americans count: weeks begin on Sunday, and the first has the 1st of January in it.
fn week(at: &Zoned) -> (i64, i64) {
    let year = i64::from(at.year());
    let from_sunday = i64::from(at.weekday().to_sunday_zero_offset());
    // The Saturday of this week tells whose it is.
    let saturday = at
        .date()
        .checked_add(jiff::Span::new().days(6 - from_sunday));
    if saturday.is_ok_and(|saturday| i64::from(saturday.year()) > year) {
        return (year + 1, 1);
    }
    let of_year = i64::from(at.day_of_year());
    let first = i64::from(at.date().first_of_year().weekday().since(Weekday::Sunday));
    (year, (of_year - 1 + first) / 7 + 1)
}

fn ordinal(n: i64) -> String {
    let suffix = match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}
