//! The page: HTML with its style and pictures inside, nothing fetched, and no scripts but those of [`super::motion`].

use std::fmt::Write as _;

use super::style::STYLE;
use super::{Bar, Block, Chart, Curves, Figure, Picture, Report, Section, Table, motion};

/// What a browser makes sure of, whatever the scripts hold: the page loads nothing and sends nothing.
const NOTHING_FETCHED: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:";

/// Text that is safe inside an element and inside a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What HTML forbids.
            '\0' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

impl Report {
    /// The whole page.
    pub(super) fn html(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail, so the results below are dropped.
        let _ = write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{NOTHING_FETCHED}\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head>\n<body><main>\n<header><h1>{title}</h1><p>{}</p></header>\n",
            escape(&self.subtitle),
            title = escape(&self.title),
        );
        if !self.tiles.is_empty() {
            page.push_str("<div class=\"tiles\">");
            for tile in &self.tiles {
                let _ = write!(
                    page,
                    "<div class=\"tile\"><div class=\"name\">{}</div><div class=\"value\">{}</div>{}{}<div class=\"note\">{}</div></div>",
                    escape(&tile.name),
                    escape(&tile.figure.value),
                    tile.figure
                        .error
                        .as_ref()
                        .map(|error| format!("<div class=\"error\">{}</div>", escape(error)))
                        .unwrap_or_default(),
                    tile.figure.bar.map(bar).unwrap_or_default(),
                    escape(&tile.note),
                );
            }
            page.push_str("</div>\n");
        }
        for section in &self.sections {
            section.write(&mut page);
        }
        if !self.colophon.is_empty() {
            page.push_str("<footer><dl>");
            for (name, value) in &self.colophon {
                let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
            }
            page.push_str("</dl></footer>\n");
        }
        page.push_str("</main></body></html>\n");
        page
    }
}

impl Section {
    fn write(&self, page: &mut String) {
        let _ = writeln!(page, "<section><h2>{}</h2>", escape(&self.heading));
        if !self.note.is_empty() {
            let _ = writeln!(page, "<p class=\"lead\">{}</p>", escape(&self.note));
        }
        for block in &self.blocks {
            match block {
                Block::Table(table) => table.write(page),
                Block::Charts(charts) => write_charts(page, charts),
                Block::Curves(curves) => write_curves(page, curves),
                Block::HeatMaps(maps) => {
                    let maps: Vec<_> = maps.iter().map(|map| (map.title.as_str(), map.svg())).collect();
                    write_side_by_side(page, &[], &maps);
                }
                Block::Pictures(pictures) => write_pictures(page, pictures),
                Block::Motions(scenes) => motion::write(page, scenes),
            }
        }
        page.push_str("</section>\n");
    }
}

impl Table {
    fn write(&self, page: &mut String) {
        let notes = self.rows.iter().any(|row| !row.note.is_empty());
        page.push_str("<div class=\"scroll\"><table><thead><tr><th></th>");
        for column in &self.columns {
            let _ = write!(page, "<th class=\"figure\">{}</th>", escape(column));
        }
        if notes {
            page.push_str("<th class=\"protocol\">protocol</th>");
        }
        page.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            let _ = write!(page, "<tr><th scope=\"row\">{}</th>", escape(&row.name));
            for place in 0..self.columns.len() {
                match row.figures.get(place).and_then(Option::as_ref) {
                    Some(figure) => {
                        let _ = write!(page, "<td class=\"figure\">{}</td>", cell(figure));
                    }
                    None => page.push_str("<td class=\"figure none\">\u{2013}</td>"),
                }
            }
            if notes {
                let _ = write!(page, "<td class=\"protocol\">{}</td>", escape(&row.note));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</tbody></table></div>\n");
    }
}

fn cell(figure: &Figure) -> String {
    let error = figure.error.as_ref().map(|error| format!(" <span class=\"error\">{}</span>", escape(error)));
    format!(
        "{}{}{}",
        escape(&figure.value),
        error.unwrap_or_default(),
        figure.bar.map(bar).unwrap_or_default()
    )
}

/// A share as a bar with its interval as a whisker.
fn bar(Bar { value, low, high }: Bar) -> String {
    let at = |share: f64| 100.0 * share.clamp(0.0, 1.0);
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" width=\"100\" height=\"6\"/>\
         <rect class=\"s0 fill\" width=\"{:.2}\" height=\"6\"/><rect class=\"whisker\" x=\"{:.2}\" y=\"2.2\" width=\"{:.2}\" height=\"1.6\"/></svg>",
        at(value),
        at(low),
        (at(high) - at(low)).max(0.0)
    )
}

fn write_charts(page: &mut String, charts: &[Chart]) {
    let names = charts.iter().flat_map(|chart| &chart.series).map(|series| series.name.as_str());
    let drawings: Vec<_> = charts.iter().map(|chart| (chart.title.as_str(), chart.svg())).collect();
    write_side_by_side(page, &distinct(names), &drawings);
}

fn write_curves(page: &mut String, curves: &[Curves]) {
    let names = curves.iter().flat_map(|curves| &curves.lines).map(|line| line.name.as_str());
    let drawings: Vec<_> = curves.iter().map(|curves| (curves.title.as_str(), curves.svg())).collect();
    write_side_by_side(page, &distinct(names), &drawings);
}

/// Names in order of their first appearance.
fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A legend and drawings with their titles.
fn write_side_by_side(page: &mut String, names: &[&str], drawings: &[(&str, String)]) {
    page.push_str("<div class=\"legend\">");
    for (place, name) in names.iter().enumerate() {
        let _ = write!(page, "<span><i class=\"s{place}\"></i>{}</span>", escape(name));
    }
    page.push_str("</div><div class=\"charts\">");
    for (title, svg) in drawings {
        let _ = write!(page, "<figure><figcaption>{}</figcaption>{svg}</figure>", escape(title));
    }
    page.push_str("</div>\n");
}

fn write_pictures(page: &mut String, pictures: &[Picture]) {
    page.push_str("<div class=\"pictures\">");
    for picture in pictures {
        let description = escape(&picture.description);
        let _ = write!(
            page,
            "<figure title=\"{description}\" aria-label=\"{description}\">{}<figcaption>{}</figcaption></figure>",
            picture.svg,
            escape(&picture.caption)
        );
    }
    page.push_str("</div>\n");
}

#[cfg(test)]
mod tests {
    use super::super::{Row, Tile};
    use super::*;

    #[test]
    fn what_users_name_their_files_cannot_break_the_page() {
        let hostile = "<script>alert('\"&')</script>\0";
        let report = Report {
            title: hostile.to_owned(),
            subtitle: hostile.to_owned(),
            tiles: vec![Tile {
                name: hostile.to_owned(),
                figure: Figure::plain(hostile),
                note: hostile.to_owned(),
            }],
            sections: vec![Section {
                heading: hostile.to_owned(),
                note: hostile.to_owned(),
                blocks: vec![
                    Block::Table(Table {
                        columns: vec![hostile.to_owned()],
                        rows: vec![Row {
                            name: hostile.to_owned(),
                            figures: vec![Some(Figure::plain(hostile))],
                            note: hostile.to_owned(),
                        }],
                    }),
                    Block::Pictures(vec![Picture {
                        svg: "<svg></svg>".to_owned(),
                        caption: hostile.to_owned(),
                        description: hostile.to_owned(),
                    }]),
                ],
            }],
            colophon: vec![(hostile.to_owned(), hostile.to_owned())],
        };
        let page = report.html();
        assert!(!page.contains("<script") && !page.contains('\0') && !page.contains("('\""), "{page}");
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
        for (open, close) in
            [("<table", "</table>"), ("<section", "</section>"), ("<figure", "</figure>"), ("<tr", "</tr>")]
        {
            assert_eq!(page.matches(open).count(), page.matches(close).count(), "{open}");
        }
        // Nothing is fetched.
        let page = page.replace("http-equiv", "");
        assert!(!page.contains("http") && !page.contains("src=") && !page.contains("url("));
    }
}
