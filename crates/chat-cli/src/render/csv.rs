//! Comma-separated values (RFC 4180) that no spreadsheet takes for a formula.

/// One record without its line end. A cell with a comma, a quote or a line end is quoted; one that a
/// spreadsheet would run (`=`, `+`, `-`, `@`, or white space that it skips) gets an apostrophe first.
pub(crate) fn csv_line<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| quoted(cell.as_ref())).collect();
    cells.join(",")
}

fn quoted(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{guard}{}\"", cell.replace('"', "\"\""))
    } else {
        format!("{guard}{cell}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells = ["plain", "", "a,b", "say \"hi\"", "two\nlines", " space "];
        assert_eq!(csv_line(cells), "plain,,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\", space ");
    }

    #[test]
    fn no_cell_is_a_formula() {
        let cells = ["=1+1", "+1", "-1", "@sum", "\tx", "\r=x", "=a,b", "1=1", "'=x"];
        assert_eq!(csv_line(cells), "'=1+1,'+1,'-1,'@sum,'\tx,\"'\r=x\",\"'=a,b\",1=1,'=x");
    }
}
