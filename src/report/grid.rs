//! A table, whoever shows it: a terminal, Markdown, a page.

use std::io;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width};

use super::style::plain;

/// Text has lines of this many columns at most, and so have tables, unless they are shown on a wider screen.
pub const WIDTH: usize = 80;

/// Between two columns of a table.
const GAP: usize = 2;

/// How wide the terminal is that standard output goes to; `None` where it is no terminal.
pub fn terminal_columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(columns, _)| usize::from(columns.0))
}

/// How many columns a table on standard output may have. In a file it does not depend on who watched.
pub fn table_width() -> usize {
    terminal_columns().map_or(WIDTH, |columns| columns.max(WIDTH))
}

/// Where all columns have to share the room, this much stays for names: the longest mode, or `:workers=64`.
const SHARED_ROOM: usize = 12;

/// A header and rows; the first column names the row, the others are figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// What stands above the columns.
    pub header: Vec<String>,
    /// Each may have fewer cells than the header.
    pub rows: Vec<Vec<Cell>>,
}

/// A piece of text in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What is read.
    pub text: String,
    /// How it looks; it says nothing that the text does not.
    pub tone: Tone,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Like the others.
    Plain,
    /// Less important.
    Dim,
    /// For the better.
    Good,
    /// For the worse.
    Bad,
    /// What names others.
    Title,
    /// Told apart from others by the colour of its place among them.
    Of(usize),
}

impl Cell {
    /// A plain text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: plain(&text.into()).into_owned(), tone: Tone::Plain }
    }

    /// A text that is less important.
    pub fn dim(text: impl Into<String>) -> Self {
        Self::new(text).with(Tone::Dim)
    }

    /// The same text in another tone.
    pub fn with(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

impl Grid {
    /// A table without rows.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|title| (*title).to_owned()).collect(), rows: Vec::new() }
    }

    /// The same without the columns that say nothing of any row.
    #[must_use]
    pub fn without_empty_columns(self) -> Self {
        let says = |cell: &Cell| !matches!(cell.text.as_str(), "" | "—");
        let kept: Vec<bool> = (0..self.header.len())
            .map(|place| place == 0 || self.rows.iter().any(|row| row.get(place).is_some_and(says)))
            .collect();
        let is_kept = |place: &usize| kept.get(*place) == Some(&true);
        let header = self.header.into_iter().enumerate().filter(|(place, _)| is_kept(place));
        let of_row = |row: Vec<Cell>| {
            row.into_iter().enumerate().filter(|(place, _)| is_kept(place)).map(|(_, cell)| cell).collect()
        };
        Self {
            header: header.map(|(_, title)| title).collect(),
            rows: self.rows.into_iter().map(of_row).collect(),
        }
    }

    /// The rows, each with as many cells as the header.
    pub fn full_rows(&self) -> impl Iterator<Item = impl Iterator<Item = &Cell>> {
        const EMPTY: &Cell = &Cell { text: String::new(), tone: Tone::Plain };
        let columns = self.header.len();
        self.rows.iter().map(move |row| row.iter().chain(std::iter::repeat(EMPTY)).take(columns))
    }

    /// How many columns of a terminal its lines take where none is broken.
    pub fn width(&self) -> usize {
        let gaps = self.header.len().saturating_sub(1) * GAP;
        (0..self.header.len()).map(|place| self.width_of(place)).sum::<usize>() + gaps
    }

    /// How many columns of a terminal the widest cell of the column at `place` takes.
    fn width_of(&self, place: usize) -> usize {
        let width = |text: &str| text.chars().count();
        let cells = self.rows.iter().filter_map(|row| Some(width(&row.get(place)?.text)));
        cells.fold(width(&self.header[place]), usize::max)
    }

    /// Whether its lines fit into so many `columns`, the names broken before the colons of their settings if need be.
    pub fn fits(&self, columns: usize) -> bool {
        let longest_setting = |name: &str| {
            let settings = name.split(':').enumerate();
            settings.map(|(at, of)| of.chars().count() + usize::from(at > 0)).max().unwrap_or(0)
        };
        let names = self.rows.iter().filter_map(|row| Some(longest_setting(&row.first()?.text)));
        let title = self.header.first().map_or(0, |title| title.chars().count());
        let narrowest = names.fold(title, usize::max);
        self.width() - self.width_of(0) + narrowest <= columns
    }

    /// How many columns are left for the names where all else stands in one line; `None` where that leaves too few to read
    /// them, and all columns have to share.
    fn room_for_names(&self) -> Option<usize> {
        const FEWEST: usize = 8;
        let others = self.width() - self.width_of(0);
        table_width().checked_sub(others).filter(|room| *room >= FEWEST)
    }

    /// Lines for a terminal, in colour: whether that reaches a reader is decided where they are printed.
    pub fn for_terminal(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(table_width()).unwrap_or(u16::MAX));
        table.enforce_styling();
        table.set_header(
            self.header.iter().map(|title| comfy_table::Cell::new(title).add_attribute(Attribute::Bold)),
        );
        let room = self.room_for_names();
        let room_for_name = room.unwrap_or(SHARED_ROOM);
        for row in &self.rows {
            table.add_row(row.iter().enumerate().map(|(place, cell)| {
                let drawn = match place {
                    0 => comfy_table::Cell::new(in_pieces(&cell.text, room_for_name)),
                    _ => comfy_table::Cell::new(&cell.text),
                };
                match cell.tone {
                    Tone::Plain => drawn,
                    Tone::Dim => drawn.add_attribute(Attribute::Dim),
                    Tone::Good => drawn.fg(Color::Green),
                    Tone::Bad => drawn.fg(Color::Red),
                    Tone::Title => drawn.add_attribute(Attribute::Bold),
                    // Only tables in blocks have these.
                    Tone::Of(_) => drawn,
                }
            }));
        }
        let last = table.column_count().saturating_sub(1);
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if place < last { GAP as u16 } else { 0 }));
            if place > 0 {
                column.set_cell_alignment(CellAlignment::Right);
                if room.is_some() {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            } else if room.is_none() {
                let least = self.width_of(0).min(SHARED_ROOM) + GAP;
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least as u16)));
            }
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

/// The name of a strategy in lines of at most `columns`, broken before the colons of its settings, and within
/// one that is longer still behind `=` and `_`, or behind the `-` of its engine.
fn in_pieces(name: &str, columns: usize) -> String {
    if name.chars().count() <= columns {
        return name.to_owned();
    }
    let broken = |piece: String, behind: &[char]| match piece.chars().count() > columns {
        true => piece.split_inclusive(behind).map(str::to_owned).collect(),
        false => vec![piece],
    };
    let mut settings = name.split(':');
    let mode = broken(settings.next().unwrap_or_default().to_owned(), &['-']);
    let settings = settings.flat_map(|of| broken(format!(":{of}"), &['=', '_']));
    let pieces: Vec<String> = mode.into_iter().chain(settings).collect();
    wrap_pieces_to(pieces.iter().map(String::as_str), "", columns).join("\n")
}

/// A space at which no line ends.
const GLUE: &str = "\u{a0}";

/// `text` with its numbers kept together with their units.
pub fn glued(text: &str) -> String {
    const UNITS: [&str; 9] = [" ×", " %", " s", " ms", " µs", " ns", " KiB", " MiB", " GiB"];
    let mut glued = format!("{text} ");
    for unit in UNITS {
        for end in [" ", ",", ".", ")", ";"] {
            glued = glued.replace(&format!("{unit}{end}"), &format!("{GLUE}{}{end}", &unit[1..]));
        }
    }
    glued.pop();
    glued
}

/// `text` in lines of at most [`WIDTH`] columns. A number and its unit stay together.
pub fn wrap(text: &str) -> Vec<String> {
    wrap_to(text, WIDTH)
}

/// As [`wrap`], in lines of at most `columns` columns.
pub fn wrap_to(text: &str, columns: usize) -> Vec<String> {
    let text = plain(text);
    let glued = glued(&text);
    let words = glued.split([' ', '\n']).filter(|word| !word.is_empty());
    wrap_pieces_to(words, " ", columns).into_iter().map(|line| line.replace(GLUE, " ")).collect()
}

/// `pieces` in lines of at most [`WIDTH`] columns, with `separator` between two on the same line.
pub fn wrap_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>, separator: &str) -> Vec<String> {
    wrap_pieces_to(pieces, separator, WIDTH)
}

fn wrap_pieces_to<'a>(
    pieces: impl IntoIterator<Item = &'a str>,
    separator: &str,
    columns: usize,
) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces {
        let last = lines.last_mut().expect("there is always a line");
        let width = |text: &str| text.chars().count();
        let piece = &*plain(piece);
        if !last.is_empty() && width(last) + width(separator) + width(piece) > columns {
            lines.push(piece.to_owned());
        } else {
            if !last.is_empty() {
                last.push_str(separator);
            }
            last.push_str(piece);
        }
    }
    lines
}
