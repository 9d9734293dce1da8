//! Bytes as hexadecimal digits, and back.

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The bytes of hexadecimal digits in either case; `None` where there is anything else.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    };
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| value(pair[0]) << 4 | value(pair[1]))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_in_either_case_and_nothing_else_is() {
        assert_eq!(unhex("00fFA9"), Some(vec![0, 255, 169]));
        assert_eq!(hex(&[0, 255, 169]), "00ffa9");
        for bad in ["0", "0g", " 0", "+1", "é0", "0x00"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
