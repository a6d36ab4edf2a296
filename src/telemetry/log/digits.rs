//! Appends numbers to a line.

/// Appends a number in decimal digits.
pub(super) fn append_number(bytes: &mut Vec<u8>, mut number: u64) {
    if number < 10 {
        bytes.push(digit(number));
        return;
    }
    let mut digits = [0; 20];
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        *place = digit(number % 10);
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    bytes.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// Appends the last `N` decimal digits of a number.
pub(super) fn append_digits<const N: usize>(bytes: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; N];
    for place in digits.iter_mut().rev() {
        *place = digit(number % 10);
        number /= 10;
    }
    bytes.extend_from_slice(&digits);
}

/// Returns the character of a number below 10.
const fn digit(number: u64) -> u8 {
    let [low, ..] = number.to_le_bytes();
    b'0' + low
}
