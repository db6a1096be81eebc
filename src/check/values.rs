//! Counting NaN and infinities.

use std::ops::AddAssign;

use crate::dtype::Dtype;

/// Counts of elements that are not finite.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Values {
    /// Elements that are NaN.
    pub nan: u64,
    /// Elements that are infinite, of either sign.
    pub infinite: u64,
}

impl AddAssign for Values {
    fn add_assign(&mut self, other: Self) {
        self.nan += other.nan;
        self.infinite += other.infinite;
    }
}

impl Values {
    /// Whether elements of this type can be other than finite.
    pub(super) const fn can_be_in(dtype: Dtype) -> bool {
        matches!(dtype, Dtype::Float16 | Dtype::Float32 | Dtype::Float64)
    }

    /// Counts in `bytes`, which must be whole elements of type `dtype`.
    pub(super) fn of(dtype: Dtype, bytes: &[u8]) -> Self {
        // With all bits of the exponent set, a float is infinite if the mantissa is zero, and NaN otherwise.
        // The counters are as wide as the elements, so that the loop vectorizes.
        macro_rules! count {
            ($bits:ty, $infinity:expr) => {{
                let mut values = Self::default();
                for items in bytes.as_chunks().0.chunks(MOST) {
                    let (mut nan, mut infinite): ($bits, $bits) = (0, 0);
                    for item in items {
                        let magnitude = <$bits>::from_le_bytes(*item) & <$bits>::MAX >> 1;
                        nan += <$bits>::from(magnitude > $infinity);
                        infinite += <$bits>::from(magnitude == $infinity);
                    }
                    values += Self { nan: nan.into(), infinite: infinite.into() };
                }
                values
            }};
        }
        match dtype {
            Dtype::Float16 => count!(u16, 0x7C00),
            Dtype::Float32 => count!(u32, 0x7F80_0000),
            Dtype::Float64 => count!(u64, 0x7FF0_0000_0000_0000),
            _ => Self::default(),
        }
    }
}

/// Elements that are counted at once: a 16-bit counter must not overflow.
const MOST: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    #[test]
    fn what_is_not_finite_is_counted() {
        let wide =
            [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN, 5e-324];
        let wide: Vec<f64> = wide.into_iter().cycle().take(9 * 20_000).collect();
        let narrow: Vec<f32> =
            wide.iter().map(|x| if x.is_finite() { f32::MAX } else { f16::from_f64(*x).to_f32() }).collect();
        let half: Vec<f16> =
            wide.iter().map(|x| if x.is_finite() { f16::MAX } else { f16::from_f64(*x) }).collect();
        let expected = Values { nan: 40_000, infinite: 40_000 };
        assert_eq!(Values::of(Dtype::Float64, bytemuck::cast_slice(&wide)), expected);
        assert_eq!(Values::of(Dtype::Float32, bytemuck::cast_slice(&narrow)), expected);
        assert_eq!(Values::of(Dtype::Float16, bytemuck::cast_slice(&half)), expected);
        let all = vec![f16::NAN; 100_000];
        assert_eq!(
            Values::of(Dtype::Float16, bytemuck::cast_slice(&all)),
            Values { nan: 100_000, infinite: 0 }
        );
        assert_eq!(Values::of(Dtype::Uint32, &[0xFF; 400]), Values::default());
    }
}
