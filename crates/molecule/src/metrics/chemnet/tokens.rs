//! SMILES as the symbols ChemNet reads.

/// Positions of a string; longer SMILES are cut.
pub(super) const LENGTH: usize = 350;
/// Number of symbols.
pub(super) const SYMBOLS: usize = 35;
/// The symbol for everything unknown, `X`.
const UNKNOWN: u8 = 33;
/// The symbol after the last one, `.`.
const END: u8 = 34;

/// The symbols of a SMILES and the end symbol, at most [`LENGTH`] together. A symbol has two characters where the second is
/// r, i or l. As in the original, reading stops at a `.`: of several fragments only the first is seen.
pub(super) fn tokens(smiles: &str) -> Vec<u8> {
    let mut characters = smiles.chars().take_while(|character| *character != '.').peekable();
    let mut tokens = Vec::with_capacity(smiles.len().min(LENGTH) + 1);
    while tokens.len() < LENGTH - 1 {
        let Some(first) = characters.next() else { break };
        let second = characters.next_if(|second| matches!(second, 'r' | 'i' | 'l'));
        tokens.push(symbol(first, second));
    }
    tokens.push(END);
    tokens
}

fn symbol(first: char, second: Option<char>) -> u8 {
    match (first, second) {
        ('C', None) => 0,
        ('N', None) => 1,
        ('O', None) => 2,
        ('H', None) => 3,
        ('F', None) => 4,
        ('C', Some('l')) => 5,
        ('P', None) => 6,
        ('B', None) => 7,
        ('B', Some('r')) => 8,
        ('S', None) => 9,
        ('I', None) => 10,
        ('S', Some('i')) => 11,
        ('#', None) => 12,
        ('(', None) => 13,
        (')', None) => 14,
        ('+', None) => 15,
        ('-', None) => 16,
        // Eight digits; 9 and 0 are unknown.
        ('1'..='8', None) => 17 + (first as u8 - b'1'),
        ('=', None) => 25,
        ('[', None) => 26,
        (']', None) => 27,
        ('@', None) => 28,
        ('c', None) => 29,
        ('n', None) => 30,
        ('o', None) => 31,
        ('s', None) => 32,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_characters_are_one_symbol_where_the_second_says_so() {
        assert_eq!(tokens("ClCBr"), [5, 0, 8, END]);
        assert_eq!(tokens("[SiH3]"), [26, 11, 3, 19, 27, END]);
        assert_eq!(tokens("C9/[Fe]"), [0, UNKNOWN, UNKNOWN, 26, 4, UNKNOWN, 27, END]);
    }

    #[test]
    fn only_the_first_fragment_is_seen() {
        assert_eq!(tokens("C.N"), [0, END]);
        assert_eq!(tokens(""), [END]);
    }

    #[test]
    fn long_strings_are_cut() {
        for length in [LENGTH - 1, LENGTH, 1_000] {
            let tokens = tokens(&"C".repeat(length));
            assert_eq!(tokens[..LENGTH - 1], [0; LENGTH - 1]);
            assert_eq!(tokens[LENGTH - 1..], [END]);
        }
    }
}
