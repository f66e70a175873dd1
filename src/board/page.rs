//! The page: one look tells whether something is wrong, which app is near what, and who was refused.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::html::{Grouped, Text};
use super::status::{Health, Status, percent, time};
use super::{Board, Query};
use crate::admission::Refused;
use crate::ledger::{Near, State};
use crate::quota::{Counter, RequestId, Resource};

/// The page's media type.
pub const PAGE_MEDIA_TYPE: &str = "text/html; charset=utf-8";
/// The page's style sheet.
pub const STYLE: &str = include_str!("style.css");

/// Percent of a limit from which on a bar is coloured as near.
const NEAR_PERCENT: u64 = 80;
/// How old the ledger's word may be before it is called late.
const LATE: Duration = Duration::from_secs(30);

/// The page as of now.
pub async fn page(board: &Board, health: Health, query: &Query) -> String {
    let status = board.status().await;
    let refused = if query.is_empty() {
        status.refusals.clone()
    } else {
        board.refused(query)
    };
    let mut page = String::with_capacity(16 * 1024);
    // Writing to a string cannot fail.
    let _ = write_page(&mut page, &status, health, query, &refused);
    page
}

fn write_page(
    page: &mut String,
    status: &Status,
    health: Health,
    query: &Query,
    refused: &[Refused],
) -> fmt::Result {
    let member = Text(&status.about.member);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n<title>{member} · imquota</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n<link rel=\"icon\" href=\"data:,\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n\
         <header><h1>imquota</h1><span class=\"quiet\">{member}</span>\
         <nav aria-label=\"Pages\"><a href=\"/\">Refresh</a><a href=\"/status\">Status as JSON</a>\
         <a href=\"/metrics\">Metrics</a></nav></header>\n<main id=\"main\">\n"
    )?;
    write_state(page, status, health)?;
    write_facts(page, status)?;
    write_nearest(page, &status.nearest)?;
    write_today(page, status)?;
    write_refusals(page, query, refused, status)?;
    write!(
        page,
        "</main>\n<footer><span>imquota {}</span><span>as of <time datetime=\"{now}\">{now}</time></span>\
         <span>up for {}</span><span>settings {} since <time datetime=\"{holds}\">{holds}</time></span>\
         </footer>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        spoken(Duration::from_millis(status.now.since(status.since))),
        status.settings.number,
        now = time(status.now),
        holds = time(status.settings.since),
    )
}

/// How bad a thing is, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grade {
    Good,
    Near,
    Bad,
}

fn troubles(status: &Status, health: Health) -> Vec<(Grade, String)> {
    let figures = &status.figures;
    let mut troubles = Vec::new();
    for (_, ok, why) in health.reasons() {
        if !ok {
            troubles.push((Grade::Bad, format!("Not ready: {why}.")));
        }
    }
    let cause = figures.cause.as_deref().unwrap_or_default();
    match figures.state {
        State::Up => {}
        State::Away => troubles.push((Grade::Bad, format!("The ledger is away: {cause}."))),
        State::Frozen => troubles.push((Grade::Bad, format!("The ledger is frozen: {cause}."))),
    }
    for (counter, open, _) in figures.lifted {
        if open {
            let what = shown(counter);
            let text = format!("The limit of {what} is lifted by the outage policy.");
            troubles.push((Grade::Bad, text));
        }
    }
    if !status.settings.is_current {
        let text =
            "The settings file has a fault, which the log names: the last good settings hold.";
        troubles.push((Grade::Near, text.into()));
    }
    if figures.state == State::Up && figures.sync_age.is_some_and(|age| age > LATE) {
        troubles.push((Grade::Near, "Settling is behind.".into()));
    }
    if figures.clock_error > Duration::from_secs(2) {
        let text = format!(
            "This machine's clock is {} from the ledger's.",
            spoken(figures.clock_error)
        );
        troubles.push((Grade::Near, text));
    }
    if !figures.silent.is_empty() {
        let text = format!("Silent sidecars: {}.", figures.silent.join(", "));
        troubles.push((Grade::Near, text));
    }
    if figures.in_doubt > 0 {
        let text = format!(
            "{} reservations are in doubt.",
            Grouped(figures.in_doubt as u64)
        );
        troubles.push((Grade::Near, text));
    }
    troubles
}

fn write_state(page: &mut String, status: &Status, health: Health) -> fmt::Result {
    let troubles = troubles(status, health);
    let worst = troubles.iter().map(|(grade, _)| *grade).max();
    let (class, word) = match worst.unwrap_or(Grade::Good) {
        Grade::Good => ("", "All is well"),
        Grade::Near => (" near", "Worth a look"),
        Grade::Bad => (" bad", "Something is wrong"),
    };
    write!(
        page,
        "<div class=\"state{class}\" role=\"status\"><p class=\"word\">{word}</p>"
    )?;
    if troubles.is_empty() {
        write!(
            page,
            "<p class=\"quiet\">The ledger answers, and has all that was due.</p>"
        )?;
    } else {
        write!(page, "<ul>")?;
        for (_, text) in &troubles {
            write!(page, "<li>{}</li>", Text(text))?;
        }
        write!(page, "</ul>")?;
    }
    writeln!(page, "</div>")
}

fn write_facts(page: &mut String, status: &Status) -> fmt::Result {
    let figures = &status.figures;
    let sum = |decision: &str| {
        let of = status.checks.checks.iter();
        of.filter(|one| one.decision == decision)
            .map(|one| one.count)
            .sum::<u64>()
    };
    let state = match figures.state {
        State::Up => "answers",
        State::Away => "is away",
        State::Frozen => "is frozen",
    };
    let age = figures
        .sync_age
        .map_or("never yet".into(), |age| format!("{} ago", spoken(age)));
    let silent = figures.silent.len();
    let members = if silent > 0 {
        format!("{} <small>{silent} silent</small>", figures.members)
    } else {
        figures.members.to_string()
    };
    let journal = figures.journal.0 * 100 / figures.journal.1.max(1);
    let facts: [(&str, String); 8] = [
        (
            "Ledger",
            format!("{state} <small>{}</small>", Text(&status.about.store)),
        ),
        ("Last in step", age),
        (
            "Not settled yet",
            Grouped(figures.unsettled_units).to_string(),
        ),
        ("Sidecars", members),
        ("Checks allowed", Grouped(sum("allow")).to_string()),
        ("Checks refused", Grouped(sum("deny")).to_string()),
        ("Apps in memory", Grouped(figures.apps as u64).to_string()),
        ("Journal", format!("{journal} % <small>of its room</small>")),
    ];
    write!(
        page,
        "<h2 class=\"skip\">How it stands</h2>\n<dl class=\"facts\">"
    )?;
    for (name, worth) in facts {
        write!(page, "<div><dt>{name}</dt><dd>{worth}</dd></div>")?;
    }
    writeln!(page, "</dl>")
}

fn write_nearest(page: &mut String, nearest: &[Near]) -> fmt::Result {
    writeln!(
        page,
        "<section aria-labelledby=\"near\"><h2 id=\"near\">Nearest to a limit</h2>\n<div class=\"scroll\">"
    )?;
    if nearest.is_empty() {
        writeln!(
            page,
            "<p class=\"empty\">Nothing that has a limit was created yet, as far as is known here.</p>"
        )?;
    } else {
        write!(
            page,
            "<table><caption>Counts that are nearest to their limits</caption><thead><tr>\
             <th scope=\"col\">App</th><th scope=\"col\">What</th><th scope=\"col\">Used</th>\
             <th scope=\"col\" class=\"number\">Count</th><th scope=\"col\" class=\"number\">Limit</th>\
             <th scope=\"col\" class=\"number\">Part</th></tr></thead><tbody>"
        )?;
        for near in nearest {
            let percent = percent(near);
            let class = match percent {
                100.. => " full",
                NEAR_PERCENT.. => " near",
                _ => "",
            };
            write!(
                page,
                "<tr><th scope=\"row\">{app}</th><td>{what}</td><td class=\"bar\">\
                 <svg class=\"bar{class}\" role=\"img\" aria-label=\"{percent} percent\" viewBox=\"0 0 100 4\" \
                 preserveAspectRatio=\"none\"><rect width=\"100\" height=\"4\" rx=\"1\"/>\
                 <rect class=\"used\" width=\"{width}\" height=\"4\" rx=\"1\"/></svg></td>\
                 <td class=\"number\">{count}</td><td class=\"number\">{limit}</td>\
                 <td class=\"number\"><span class=\"mark{class}\">{percent} %</span></td></tr>",
                app = near.app,
                what = shown(near.counter),
                width = percent.min(100),
                count = Grouped(near.count),
                limit = Grouped(near.limit),
            )?;
        }
        writeln!(page, "</tbody></table>")?;
    }
    writeln!(page, "</div></section>")
}

fn write_today(page: &mut String, status: &Status) -> fmt::Result {
    let today = status.today;
    writeln!(
        page,
        "<section aria-labelledby=\"today\"><h2 id=\"today\">Active users today \
         <span class=\"quiet\">{today}</span></h2>\n<div class=\"scroll\">"
    )?;
    if status.active.is_empty() {
        writeln!(
            page,
            "<p class=\"empty\">Nobody was recorded through this sidecar today.</p>"
        )?;
    } else {
        write!(
            page,
            "<table><caption>Apps with the most active users today</caption><thead><tr>\
             <th scope=\"col\">App</th><th scope=\"col\" class=\"number\">Active users</th>\
             <th scope=\"col\" class=\"number\">This month, forecast</th><th scope=\"col\">If</th></tr></thead><tbody>"
        )?;
        for (active, forecast) in &status.active {
            let (total, assumes) = forecast.as_ref().map_or(("not known", ""), |of| {
                (of.total.as_str(), of.assumes.as_str())
            });
            write!(
                page,
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"quiet small wide\">{}</td></tr>",
                active.app,
                Grouped(active.users),
                Text(total),
                Text(assumes),
            )?;
        }
        writeln!(page, "</tbody></table>")?;
    }
    writeln!(page, "</div></section>")
}

fn write_refusals(
    page: &mut String,
    query: &Query,
    refused: &[Refused],
    status: &Status,
) -> fmt::Result {
    let app = query.app.map(|app| app.to_string());
    let app = app.or_else(|| query.bad_app.clone()).unwrap_or_default();
    let id = query.request_id.as_deref().unwrap_or_default();
    writeln!(
        page,
        "<section aria-labelledby=\"refusals\"><h2 id=\"refusals\">Last refusals</h2>\n\
         <form method=\"get\" action=\"/#refusals\" role=\"search\" aria-label=\"Refusals\">\
         <label>App<input name=\"app\" inputmode=\"numeric\" size=\"12\" value=\"{}\"></label>\
         <label>Request id<input name=\"request_id\" size=\"28\" value=\"{}\"></label>\
         <button>Find</button></form>\n<div class=\"scroll\">",
        Text(&app),
        Text(id),
    )?;
    if query.bad_app.is_some() {
        writeln!(
            page,
            "<p class=\"empty\">An app's id is a whole number, such as 1400000001.</p>"
        )?;
    } else if refused.is_empty() {
        let text = if query.is_empty() {
            "Nothing was refused since the start."
        } else {
            "No such refusal is remembered here; another sidecar may have answered."
        };
        writeln!(page, "<p class=\"empty\">{text}</p>")?;
    } else {
        write!(
            page,
            "<table><caption>The newest refused checks</caption><thead><tr><th scope=\"col\">When</th>\
             <th scope=\"col\">App</th><th scope=\"col\">What</th><th scope=\"col\">Why</th>\
             <th scope=\"col\" class=\"number\">Count</th><th scope=\"col\" class=\"number\">Limit</th>\
             <th scope=\"col\">Request id</th></tr></thead><tbody>"
        )?;
        for one in refused {
            let ago = spoken(Duration::from_millis(status.now.since(one.at)));
            let limit = one.limit.and_then(crate::quota::Limit::get);
            let limit = limit.map_or("–".into(), |limit| Grouped(limit).to_string());
            let id = one.request_id.as_ref().map_or("–", RequestId::as_str);
            let watched = if one.shadowed {
                " <small>(only watched)</small>"
            } else {
                ""
            };
            write!(
                page,
                "<tr><td><time datetime=\"{at}\" title=\"{at}\">{ago} ago</time></td>\
                 <th scope=\"row\">{app}</th><td>{what}</td><td>{why}{watched}</td>\
                 <td class=\"number\">{used}</td><td class=\"number\">{limit}</td>\
                 <td><code>{id}</code></td></tr>",
                at = time(one.at),
                app = one.app,
                what = shown_resource(one.resource),
                why = why(one.reason),
                used = Grouped(one.used),
                id = Text(id),
            )?;
        }
        writeln!(page, "</tbody></table>")?;
    }
    writeln!(page, "</div></section>")
}

fn shown(counter: Counter) -> &'static str {
    match counter {
        Counter::Accounts => "accounts",
        Counter::Groups => "groups",
        Counter::AvRooms => "AV rooms",
        Counter::GroupsGained => "groups gained today",
    }
}

fn shown_resource(resource: Resource) -> &'static str {
    match resource {
        Resource::Account => "account",
        Resource::Group => "group",
        Resource::AvRoom => "AV room",
    }
}

/// A reason of the contract in words.
fn why(reason: &str) -> &str {
    match reason {
        "limit_reached" => "limit reached",
        "daily_gain_reached" => "daily gain reached",
        "app_unknown" => "app unknown",
        "app_disabled" => "app disabled",
        "store_unavailable" => "ledger unavailable",
        "request_expired" => "request id too old",
        other => other,
    }
}

/// A duration as one says it, in one unit.
fn spoken(time: Duration) -> impl Display {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn times_are_said_in_one_unit() {
        let said = [0, 250, 1_000, 119_000, 120_000, 7_200_000, 172_800_000]
            .map(|ms| spoken(Duration::from_millis(ms)).to_string());
        assert_eq!(
            said,
            ["0 ms", "250 ms", "1 s", "119 s", "2 min", "2 h", "2 days"]
        );
    }

    /// The colours of a scheme, by their names.
    fn colours(scheme: &str) -> BTreeMap<&str, [f64; 3]> {
        let declared = scheme
            .split(';')
            .filter_map(|one| one.trim().split_once(": #"));
        let channel = |hex: &str, at: usize| {
            let worth = u8::from_str_radix(&hex[at..at + 2], 16).expect("a colour");
            let worth = f64::from(worth) / 255.0;
            if worth <= 0.04045 {
                worth / 12.92
            } else {
                ((worth + 0.055) / 1.055).powf(2.4)
            }
        };
        declared
            .map(|(name, hex)| (name, [0, 2, 4].map(|at| channel(hex, at))))
            .collect()
    }

    #[test]
    fn what_is_written_can_be_read_in_light_and_in_dark() {
        let roots: Vec<_> = STYLE.split(":root {").skip(1).collect();
        let [light, dark] = roots[..] else {
            panic!("two schemes")
        };
        for scheme in [light, dark] {
            let scheme = scheme.split('}').next().expect("its end");
            let colours = colours(scheme);
            let light = |name: &str| {
                let [red, green, blue] = colours[name];
                0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
            };
            let grounds = [
                "--ground",
                "--panel",
                "--good-ground",
                "--near-ground",
                "--bad-ground",
            ];
            let inks = ["--text", "--quiet"].map(|ink| (ink, &grounds[..]));
            let marks = ["--accent", "--near", "--full"].map(|ink| (ink, &grounds[..2]));
            for (ink, grounds) in inks.into_iter().chain(marks) {
                for ground in grounds {
                    let (a, b) = (light(ink), light(ground));
                    let contrast = a.max(b) / a.min(b);
                    assert!(contrast >= 4.5, "{ink} on {ground}: {contrast}");
                }
            }
        }
    }
}
