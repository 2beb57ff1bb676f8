//! Foreign text made fit to show.

/// Joins lines, drops control and direction-changing characters, cuts to `max` characters.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    let mut count = 0;
    for c in text.trim().chars() {
        let c = if c == '\n' || c == '\t' { ' ' } else { c };
        if c.is_control() || hidden(c) {
            continue;
        }
        if count == max {
            out.push('…');
            break;
        }
        out.push(c);
        count += 1;
    }
    out
}

/// Characters that are not seen but change what is: bidirectional controls, zero width, byte order mark.
fn hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
