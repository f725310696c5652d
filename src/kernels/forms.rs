//! Which form of a kernel an adapter gets: a table by the class of the adapter and by kernel, and what a
//! measurement has to show to change it.
//!
//! | class | matmul, convolution | attention | norm | known by |
//! |---|---|---|---|---|
//! | computes on the CPU | registers | registers | registers | measured on SwiftShader and llvmpipe: up to several times as fast |
//! | Arm (Mali, Immortalis) | registers | registers | shared | shared memory is the cache that every read goes through anyway |
//! | Apple, AMD, Intel, NVIDIA, Qualcomm | shared | shared | shared | expected: a value is loaded once for 64 outputs instead of once for 4 |
//! | any other | shared | shared | shared | as most graphics cards |
//!
//! Half precision changes no form: sums and shared memory are `f32` in any case. Less shared memory makes
//! tiles smaller: 16 values deep instead of 32 where 64 rows and columns don't fit otherwise, and 32 or 16
//! queries of attention instead of 64.
//!
//! What is expected, and not measured, is measured once on each adapter: `kernels::probe`.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The two forms of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Tiles in shared memory.
    Shared,
    /// Everything in registers, without shared memory and barriers.
    Registers,
}

impl Form {
    /// The other one.
    pub fn other(self) -> Form {
        match self {
            Form::Shared => Form::Registers,
            Form::Registers => Form::Shared,
        }
    }
}

impl Display for Form {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Form::Shared => "tiles in shared memory",
            Form::Registers => "registers",
        })
    }
}

/// The form of each kernel that has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forms {
    /// Matrix products.
    pub matmul: Form,
    /// Convolutions.
    pub convolution: Form,
    /// Attention.
    pub attention: Form,
    /// Normalizations.
    pub norm: Form,
}

impl Forms {
    /// The same form for all kernels.
    pub const fn all(form: Form) -> Forms {
        Forms {
            matmul: form,
            convolution: form,
            attention: form,
            norm: form,
        }
    }
}

impl Display for Forms {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "matmul: {}; convolution: {}; attention: {}; norm: {}",
            self.matmul, self.convolution, self.attention, self.norm
        )
    }
}

/// The class of an adapter, by which the table has its forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterClass {
    /// Computes on the CPU.
    Software,
    /// Arm's, in many phones.
    Arm,
    /// Any other graphics card.
    Card,
}

/// Words of which one is in the description of every graphics card of Arm.
const ARM: [&str; 3] = ["arm", "mali", "immortalis"];

/// Floating-point operations a second that a slow card of its class reaches in these kernels. A card that
/// is slower still takes longer for a submit than it should, and one that is faster gets smaller ones.
const SLOW_CARD: f64 = 100e9;
/// The same of two cores of a CPU.
const SLOW_CPU: f64 = 5e9;

impl AdapterClass {
    /// The class of an adapter by what the browser says of it: the words of vendor, architecture, device
    /// and description. Browsers differ in which of them they tell.
    pub fn of(description: &str, is_software: bool) -> AdapterClass {
        let lower_case = description.to_lowercase();
        let mut words = lower_case.split(|character: char| !character.is_alphanumeric());
        if is_software {
            AdapterClass::Software
        } else if words.any(|word| ARM.contains(&word)) {
            AdapterClass::Arm
        } else {
            AdapterClass::Card
        }
    }

    /// The table's forms.
    pub fn forms(self) -> Forms {
        match self {
            AdapterClass::Software => Forms::all(Form::Registers),
            AdapterClass::Arm => Forms {
                norm: Form::Shared,
                ..Forms::all(Form::Registers)
            },
            AdapterClass::Card => Forms::all(Form::Shared),
        }
    }

    /// What is known before anything was measured.
    pub fn choice(self) -> Choice {
        Choice {
            forms: self.forms(),
            speed: match self {
                AdapterClass::Software => SLOW_CPU,
                AdapterClass::Arm | AdapterClass::Card => SLOW_CARD,
            },
        }
    }

    /// Whether the table's forms are known to be the faster ones.
    pub fn is_measured(self) -> bool {
        self == AdapterClass::Software
    }
}

/// What is known of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The forms of its kernels.
    pub forms: Forms,
    /// Floating-point operations a second of a matrix product.
    pub speed: f64,
}

/// Times of one kernel in both forms, in milliseconds of equally many launches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// In the table's form.
    pub of_table: Vec<f64>,
    /// In the other one.
    pub of_other: Vec<f64>,
}

/// Times of a form that are needed to compare it.
const LEAST_TIMES: usize = 3;
/// The time of the other form, relative to the table's, from which on it is the faster one for certain:
/// times differ by a few percent from one run to the next.
const CLEARLY_FASTER: f64 = 0.9;

impl Times {
    /// The form that is used: the table's, unless the other one has proven faster.
    pub fn faster(&self, table: Form) -> Form {
        let enough = |times: &[f64]| times.len() >= LEAST_TIMES;
        // A browser that hides times by rounding them shows some as zero.
        match (median(&self.of_table), median(&self.of_other)) {
            (Some(of_table), Some(of_other))
                if enough(&self.of_table)
                    && enough(&self.of_other)
                    && of_other > 0.0
                    && of_other < of_table * CLEARLY_FASTER =>
            {
                table.other()
            }
            _ => table,
        }
    }

    /// The least time in this form, or in the table's where it has none.
    pub fn of(&self, form: Form, table: Form) -> Option<f64> {
        let of_other = median(&self.of_other).filter(|_| form != table);
        of_other.or_else(|| median(&self.of_table))
    }
}

fn median(times: &[f64]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The time that measurements may take, and that the browser may take to prepare them: to compile.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    measuring: Duration,
    preparing: Duration,
}

impl Budget {
    /// A budget.
    pub fn of(measuring: Duration, preparing: Duration) -> Budget {
        Budget {
            measuring,
            preparing,
        }
    }

    /// Takes the time of a measurement that has been made.
    pub fn measured(&mut self, time: Duration) {
        self.measuring = self.measuring.saturating_sub(time);
    }

    /// Takes the time of a first run, most of which is preparation.
    pub fn prepared(&mut self, time: Duration) {
        self.preparing = self.preparing.saturating_sub(time);
    }

    /// Whether a measurement that takes about this long may be made.
    pub fn allows(&self, time: Duration) -> bool {
        !self.preparing.is_zero() && time < self.measuring
    }

    /// Whether a first run may be made.
    pub fn allows_preparation(&self) -> bool {
        self.allows(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_forms_for_every_class() {
        let forms = |description, is_software| AdapterClass::of(description, is_software).forms();
        let software = forms("Google, swiftshader", true);
        assert_eq!(software, Forms::all(Form::Registers));
        // A software adapter counts as one, whatever else it is called.
        assert_eq!(forms("Mesa, llvmpipe on arm", true), software);
        for card in [
            "apple, metal-3",
            "nvidia, lovelace",
            "amd, rdna-3",
            "Intel(R) Iris(R) Xe Graphics, intel, gen-12lp",
            "qualcomm, adreno-7xx",
            "WebGPU adapter",
            // A word of another vendor that has "arm" in it.
            "charm graphics",
        ] {
            assert_eq!(forms(card, false), Forms::all(Form::Shared), "{card}");
        }
        for arm in ["arm, valhall", "Mali-G78", "ARM, Immortalis-G715"] {
            let forms = forms(arm, false);
            assert_eq!(forms.matmul, Form::Registers, "{arm}");
            assert_eq!(forms.attention, Form::Registers, "{arm}");
            assert_eq!(forms.norm, Form::Shared, "{arm}");
        }
    }

    #[test]
    fn only_what_is_not_known_is_measured() {
        assert!(AdapterClass::of("llvmpipe", true).is_measured());
        assert!(!AdapterClass::of("arm, valhall", false).is_measured());
        assert!(!AdapterClass::of("nvidia, ada", false).is_measured());
    }

    #[test]
    fn the_other_form_has_to_be_clearly_faster() {
        let faster = |of_table: &[f64], of_other: &[f64]| {
            let times = Times {
                of_table: of_table.to_vec(),
                of_other: of_other.to_vec(),
            };
            times.faster(Form::Shared)
        };
        let table = [20.0, 21.0, 20.5];
        assert_eq!(faster(&table, &[10.0, 11.0, 10.5]), Form::Registers);
        assert_eq!(faster(&table, &[19.9, 19.8, 19.7]), Form::Shared);
        assert_eq!(faster(&table, &[40.0, 41.0, 39.0]), Form::Shared);
        // One slow run of three doesn't count.
        assert_eq!(faster(&table, &[10.0, 90.0, 10.5]), Form::Registers);
        // Too few times.
        assert_eq!(faster(&table, &[10.0, 10.0]), Form::Shared);
        assert_eq!(faster(&table[..2], &[10.0, 10.0, 10.0]), Form::Shared);
        assert_eq!(faster(&[], &[]), Form::Shared);
        // Rounded to 100 ms.
        assert_eq!(faster(&[100.0, 100.0, 0.0], &[0.0; 3]), Form::Shared);
        assert_eq!(faster(&[f64::NAN; 3], &[f64::NAN; 3]), Form::Shared);
    }

    #[test]
    fn speed_is_that_of_the_form_that_is_used() {
        let times = Times {
            of_table: vec![20.0, 22.0, 21.0],
            of_other: vec![10.0],
        };
        assert_eq!(times.of(Form::Shared, Form::Shared), Some(21.0));
        assert_eq!(times.of(Form::Registers, Form::Shared), Some(10.0));
        assert_eq!(
            Times::default().of(Form::Registers, Form::Registers),
            None,
            "nothing was measured"
        );
    }

    #[test]
    fn a_budget_ends_with_either_of_its_times() {
        let milliseconds = Duration::from_millis;
        let mut budget = Budget::of(milliseconds(100), milliseconds(1000));
        assert!(budget.allows(milliseconds(99)) && budget.allows_preparation());
        budget.measured(milliseconds(60));
        assert!(!budget.allows(milliseconds(40)) && budget.allows(milliseconds(39)));
        budget.prepared(milliseconds(400));
        assert!(budget.allows_preparation());
        let slow_to_compile = {
            let mut budget = budget;
            budget.prepared(milliseconds(600));
            budget
        };
        assert!(!slow_to_compile.allows_preparation() && !slow_to_compile.allows(Duration::ZERO));
        budget.measured(milliseconds(500));
        assert!(!budget.allows_preparation());
    }
}
