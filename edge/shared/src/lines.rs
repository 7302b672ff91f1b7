//! Lines of a text that comes in pieces.

/// What is left of the last piece: the beginning of a line.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// The lines that are whole with the next piece, each with its line feed. An empty piece ends the text; its last line may
    /// have none.
    pub fn whole(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut lines = std::mem::take(&mut self.partial);
        lines.extend_from_slice(piece);
        if !piece.is_empty() {
            let end = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            self.partial = lines.split_off(end);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_pieces_the_lines_are_whole_and_nothing_is_lost() {
        let text = b"one\n\ntwo\nthree";
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                let whole = lines.whole(piece);
                assert!(whole.is_empty() || whole.ends_with(b"\n"), "{size}");
                found.extend(whole);
            }
            let last = lines.whole(b"");
            found.extend_from_slice(&last);
            assert_eq!(
                (found.as_slice(), last.ends_with(b"three")),
                (&text[..], true),
                "{size}"
            );
        }
    }
}
