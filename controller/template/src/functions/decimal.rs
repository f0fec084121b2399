//! Decimal numbers of any size: shopspring/decimal 1.4.0, which sprig's `addf` and kin compute with.

use num_bigint::{BigInt, Sign};

use crate::error::FunctionError;

/// `mantissa * 10^exponent`
pub(super) struct Decimal {
    mantissa: BigInt,
    exponent: i32,
}

/// Digits behind the point of a quotient.
const DIVISION_DIGITS: i32 = 16;
/// Digits that a number may have; products of floats reach it after about twenty factors.
const MAX_DIGITS: u64 = 20_000;

impl Decimal {
    /// Takes the shortest decimal that reads back as this float.
    ///
    /// # Errors
    /// Infinity and NaN, with which Go panics.
    pub(super) fn from_float(value: f64) -> Result<Self, FunctionError> {
        let text = format!("{value:e}");
        let parts = text.split_once('e').filter(|_| value.is_finite());
        let Some((digits, exponent)) = parts else {
            return Err(FunctionError::failed("cannot create a Decimal from an infinite number"));
        };
        let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let mantissa = digits.replace('.', "").parse().unwrap_or_default();
        let exponent: i32 = exponent.parse().unwrap_or(0);
        Ok(Self { mantissa, exponent: exponent - i32::try_from(decimals).unwrap_or(0) })
    }

    /// Returns about how many digits a calculation touches.
    pub(super) fn digits(&self) -> u64 {
        self.mantissa.bits() / 3 + u64::from(self.exponent.unsigned_abs())
    }

    fn bounded(self) -> Result<Self, FunctionError> {
        if self.digits() > MAX_DIGITS {
            return Err(FunctionError::failed("the number has too many digits"));
        }
        Ok(self)
    }

    /// Returns both mantissas for the lower exponent.
    fn aligned(self, other: Self) -> (BigInt, BigInt, i32) {
        let exponent = self.exponent.min(other.exponent);
        (self.scaled(exponent), other.scaled(exponent), exponent)
    }

    fn scaled(self, exponent: i32) -> BigInt {
        self.mantissa * power(self.exponent - exponent)
    }

    pub(super) fn add(self, other: Self) -> Result<Self, FunctionError> {
        let (a, b, exponent) = self.aligned(other);
        Self { mantissa: a + b, exponent }.bounded()
    }

    pub(super) fn sub(self, other: Self) -> Result<Self, FunctionError> {
        let (a, b, exponent) = self.aligned(other);
        Self { mantissa: a - b, exponent }.bounded()
    }

    pub(super) fn mul(self, other: Self) -> Result<Self, FunctionError> {
        let exponent = self.exponent + other.exponent;
        Self { mantissa: self.mantissa * other.mantissa, exponent }.bounded()
    }

    /// Divides to 16 decimals, half away from zero.
    pub(super) fn div(self, other: Self) -> Result<Self, FunctionError> {
        if other.mantissa.sign() == Sign::NoSign {
            return Err(FunctionError::failed("decimal division by 0"));
        }
        let shift = self.exponent - other.exponent + DIVISION_DIGITS;
        let (mut dividend, mut divisor) = (self.mantissa, other.mantissa);
        if shift >= 0 {
            dividend *= power(shift);
        } else {
            divisor *= power(-shift);
        }
        let negative = (dividend.sign() == Sign::Minus) != (divisor.sign() == Sign::Minus);
        let (dividend, divisor) = (dividend.magnitude(), divisor.magnitude());
        let quotient = (dividend * 2u8 + divisor) / (divisor * 2u8);
        let sign = if negative { Sign::Minus } else { Sign::Plus };
        Self { mantissa: BigInt::from_biguint(sign, quotient), exponent: -DIVISION_DIGITS }.bounded()
    }

    /// Returns the nearest float.
    pub(super) fn to_float(&self) -> f64 {
        format!("{}e{}", self.mantissa, self.exponent).parse().unwrap_or(0.0)
    }
}

fn power(exponent: i32) -> BigInt {
    BigInt::from(10).pow(exponent.unsigned_abs())
}
