//! A document that is made to fit, by leaving out what is missed least.
//!
//! First long tables and lists lose their end; then logs their beginning, since their end says
//! what went wrong; then the sections go that are missed least. What failed is told with its
//! last lines as long as anything stands that a reader can do without. Nothing is ever cut
//! within a fence, a row or a character.

use nixpy_github::markdown;

/// What stands under one heading.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Sections of a lower rank are kept longer. Those of rank 0 make the document.
    pub rank: u8,
    /// Of the heading; our own words.
    pub title: Option<String>,
    /// Whether it is seen only when it is asked for, and what says so; our own words.
    pub folded: Option<String>,
    /// In their order.
    pub parts: Vec<Part>,
}

/// What can be shortened in its own way.
#[derive(Clone, Debug)]
pub enum Part {
    /// Stays as it is.
    Text(String),
    /// The names of the columns, and how they are aligned; then its rows.
    Table(&'static [&'static str], Vec<String>),
    /// One line each.
    List(Vec<String>),
    /// Lines of others.
    Log(Vec<String>),
    /// A block that is of no use unless it is whole, and its language.
    Block(&'static str, String),
}

/// Sections up to this rank say what went wrong.
const FAILED: u8 = 1;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Of each table and list.
    rows: usize,
    /// Of each log of what failed.
    failed: usize,
    /// Of each other log.
    lines: usize,
    /// Of sections, up to this rank.
    rank: u8,
}

const WHOLE: Cut = cut(usize::MAX, usize::MAX, usize::MAX, u8::MAX);

/// One after the other; none keeps more of anything than the one before.
const STEPS: [Cut; 23] = [
    cut(1000, usize::MAX, usize::MAX, u8::MAX),
    cut(300, usize::MAX, usize::MAX, u8::MAX),
    cut(100, usize::MAX, usize::MAX, u8::MAX),
    cut(50, usize::MAX, usize::MAX, u8::MAX),
    cut(50, 100, 100, u8::MAX),
    cut(50, 40, 40, u8::MAX),
    cut(50, 20, 20, u8::MAX),
    cut(50, 20, 20, 7),
    cut(50, 20, 20, 6),
    cut(50, 20, 20, 5),
    cut(50, 20, 10, 5),
    cut(50, 10, 10, 5),
    cut(20, 10, 5, 5),
    cut(20, 5, 5, 5),
    cut(10, 5, 2, 5),
    cut(10, 5, 0, 5),
    cut(5, 5, 0, 4),
    cut(5, 5, 0, 3),
    cut(5, 2, 0, 3),
    cut(2, 0, 0, 3),
    cut(2, 0, 0, 2),
    cut(2, 0, 0, 1),
    cut(2, 0, 0, 0),
];

const fn cut(rows: usize, failed: usize, lines: usize, rank: u8) -> Cut {
    Cut {
        rows,
        failed,
        lines,
        rank,
    }
}

const NOTE: &str = "\n_Shortened to what fits here; the report as a file has everything._\n";

/// The document in no more than so many bytes; only its heading if nothing else fits.
pub fn fitted(heading: &str, sections: &[Section], limit: usize) -> String {
    let whole = rendered(heading, sections, WHOLE);
    if whole.len() <= limit {
        return whole;
    }
    for cut in STEPS {
        let text = rendered(heading, sections, cut) + NOTE;
        if text.len() <= limit {
            return text;
        }
    }
    let mut end = heading.len().min(limit);
    while !heading.is_char_boundary(end) {
        end -= 1;
    }
    heading[..end].to_owned()
}

fn rendered(heading: &str, sections: &[Section], cut: Cut) -> String {
    let mut text = format!("{heading}\n");
    for section in sections.iter().filter(|section| section.rank <= cut.rank) {
        if let Some(title) = &section.title {
            text.push_str(&format!("\n### {title}\n"));
        }
        if let Some(folded) = &section.folded {
            text.push_str(&format!("\n<details><summary>{folded}</summary>\n"));
        }
        let lines = match section.rank <= FAILED {
            true => cut.failed,
            false => cut.lines,
        };
        for part in &section.parts {
            text.push('\n');
            part.render(&mut text, Cut { lines, ..cut });
        }
        if section.folded.is_some() {
            text.push_str("\n</details>\n");
        }
    }
    text
}

impl Part {
    fn render(&self, text: &mut String, cut: Cut) {
        match self {
            Self::Text(words) => {
                text.push_str(words);
                text.push('\n');
            }
            Self::Table(columns, rows) => {
                let row = |cells: &mut dyn Iterator<Item = &str>| {
                    let cells: Vec<&str> = cells.collect();
                    format!("| {} |\n", cells.join(" | "))
                };
                // A column whose name ends so is one of figures.
                let name = |column: &&'static str| column.trim_end_matches(':');
                text.push_str(&row(&mut columns.iter().map(name)));
                let dashes = |column: &&'static str| match column.ends_with(':') {
                    true => "---:",
                    false => "---",
                };
                text.push_str(&row(&mut columns.iter().map(dashes)));
                kept(text, rows, cut.rows, |more| {
                    let rest = "| ".repeat(columns.len() - 1);
                    format!("| … and {more} more {rest}|")
                });
            }
            Self::List(items) => kept(text, items, cut.rows, |more| format!("- … and {more} more")),
            Self::Log(lines) => {
                let left_out = lines.len().saturating_sub(cut.lines);
                let kept = &lines[left_out..];
                if left_out > 0 {
                    text.push_str(&format!("_{left_out} lines before are left out_\n\n"));
                }
                if !kept.is_empty() {
                    text.push_str(&markdown::block("text", &kept.join("\n")));
                }
            }
            Self::Block(language, words) => text.push_str(&markdown::block(language, words)),
        }
    }
}

fn kept(text: &mut String, rows: &[String], most: usize, more: impl Fn(usize) -> String) {
    // To say that one is left out takes the room of one.
    let shown = match rows.len() {
        all if all <= most.saturating_add(1) => all,
        _ => most,
    };
    for row in &rows[..shown] {
        text.push_str(row);
        text.push('\n');
    }
    if shown < rows.len() {
        text.push_str(&more(rows.len() - shown));
        text.push('\n');
    }
}
