//! Wide tables for a terminal: side by side as far as there is room, and what is left below.

use anstyle::Style;

use super::grid::{Cell, Grid, Tone, table_width};
use super::style::{COLOURS, DIM, TITLE, paint};

/// Between two columns.
const GAP: usize = 2;

/// `grid` as text, in as many blocks as it takes for none to be wider than a terminal; each has the first column.
pub fn blocks(grid: &Grid) -> Vec<String> {
    blocks_of(grid, table_width())
}

/// The same, none of them wider than so many columns, unless one column alone is.
fn blocks_of(grid: &Grid, widest: usize) -> Vec<String> {
    let header = grid.header.iter().map(|title| Cell::new(title).with(Tone::Title)).collect();
    let rows: Vec<Vec<Cell>> =
        std::iter::once(header).chain(grid.full_rows().map(|row| row.cloned().collect())).collect();
    let width_of = |column: usize| rows.iter().map(|row| width(&row[column])).max().unwrap_or(0);
    let columns = grid.header.len();
    let mut blocks = Vec::new();
    let mut from = 1;
    while from < columns {
        let mut total = width_of(0);
        let fits = |column: &usize| {
            total += GAP + width_of(*column);
            *column == from || total <= widest
        };
        let shown: Vec<usize> = (from..columns).take_while(fits).collect();
        from += shown.len();
        let line = |row: &Vec<Cell>| {
            let mut line = painted(&row[0]) + &" ".repeat(width_of(0) - width(&row[0]));
            for column in &shown {
                line += &" ".repeat(GAP + width_of(*column) - width(&row[*column]));
                line += &painted(&row[*column]);
            }
            line.trim_end().to_owned() + "\n"
        };
        blocks.push(rows.iter().map(line).collect());
    }
    blocks
}

fn width(cell: &Cell) -> usize {
    cell.text.chars().count()
}

/// The text in its tone, with the spaces behind it, which are there so that figures stand below each other.
fn painted(cell: &Cell) -> String {
    let text = cell.text.trim_end();
    let painted = match style_of(cell.tone) {
        None => text.to_owned(),
        Some(style) => paint(style, text),
    };
    painted + &" ".repeat(width(cell) - text.chars().count())
}

/// How a tone looks on a terminal.
fn style_of(tone: Tone) -> Option<Style> {
    match tone {
        Tone::Plain => None,
        Tone::Title => Some(TITLE),
        Tone::Dim => Some(DIM),
        Tone::Good => Some(COLOURS[0]),
        Tone::Bad => Some(COLOURS[COLOURS.len() - 1]),
        Tone::Of(place) => Some(COLOURS[place % COLOURS.len()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_goes_into_another_block() {
        let row = |text: &str| (0..20).map(|_| Cell::new(text)).collect::<Vec<_>>();
        let grid = Grid { header: vec!["12345678".into(); 20], rows: vec![row("1.00×")] };
        let blocks = blocks_of(&grid, 80);
        assert_eq!(blocks.len(), 3);
        for block in &blocks {
            let plain = anstream::adapter::strip_str(block).to_string();
            assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
            assert!(plain.starts_with("12345678"));
        }
    }
}
