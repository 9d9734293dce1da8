//! What no process can be started with: limits of Linux on arguments and environment (execve(2)).

/// Bytes of one argument, or of `NAME=value`, with the zero byte at its end (`MAX_ARG_STRLEN`: 32 pages).
pub const STRING: usize = 128 * 1024;

/// Bytes of all of them together: a quarter of the stack of 8 MiB that processes have.
pub const TOGETHER: usize = 2 * 1024 * 1024;

/// Bytes that are kept free for what is not known beforehand: the image's own variables and what amikad and
/// shells add.
pub const RESERVE: usize = 128 * 1024;

/// Bytes of the pointer to a string, which count as well.
const POINTER: usize = 8;

/// Why no process can be started with arguments and variables. A value is never part of it: it may be a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// One variable is too long.
    #[error(
        "environment variable {name} is too long: with its name it has {size} bytes, and Linux takes {} at most",
        STRING - 1
    )]
    Variable {
        /// Its name.
        name: String,
        /// Bytes of name, `=` and value.
        size: usize,
    },
    /// One argument is too long.
    #[error("argument {number} is too long: it has {size} bytes, and Linux takes {} at most", STRING - 1)]
    Argument {
        /// Its place in the command, the program's name being 0.
        number: usize,
        /// Its bytes.
        size: usize,
    },
    /// An argument has a zero byte in it.
    #[error("argument {number} contains a NUL byte, with which no program can be started")]
    Nul {
        /// Its place in the command.
        number: usize,
    },
    /// The program has no name.
    #[error("the command is an empty word: write the program's name")]
    NoProgram,
    /// Each fits, all of them do not.
    #[error(
        "the arguments and environment variables are too large together: {size} bytes, and at most {} fit; the largest is {largest}",
        TOGETHER - RESERVE
    )]
    Together {
        /// Bytes of all, with what the kernel adds to each.
        size: usize,
        /// Which of them is the largest: `argument 2`, `environment variable PATH`.
        largest: String,
    },
}

/// Checks one variable.
///
/// # Errors
/// [`Unfit::Variable`].
pub fn variable(name: &str, value: &str) -> Result<(), Unfit> {
    let size = name.len() + 1 + value.len();
    if size >= STRING {
        return Err(Unfit::Variable {
            name: name.to_owned(),
            size,
        });
    }
    Ok(())
}

/// Checks a command, which may be empty, and the variables that it is started with.
///
/// # Errors
/// [`Unfit`], of the first that does not fit.
pub fn check<'a>(
    command: &[String],
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), Unfit> {
    let mut size = 0;
    let mut largest = (0, String::new());
    let mut add = |bytes: usize, what: &dyn Fn() -> String| {
        size += bytes + 1 + POINTER;
        if bytes > largest.0 {
            largest = (bytes, what());
        }
    };
    if command.first().is_some_and(String::is_empty) {
        return Err(Unfit::NoProgram);
    }
    for (number, argument) in command.iter().enumerate() {
        if argument.contains('\0') {
            return Err(Unfit::Nul { number });
        }
        let size = argument.len();
        if size >= STRING {
            return Err(Unfit::Argument { number, size });
        }
        add(size, &|| format!("argument {number}"));
    }
    for (name, value) in variables {
        variable(name, value)?;
        add(name.len() + 1 + value.len(), &|| {
            format!("environment variable {name}")
        });
    }
    if size > TOGETHER - RESERVE {
        let largest = largest.1;
        return Err(Unfit::Together { size, largest });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn one_string_fits_up_to_the_kernels_limit_with_its_name_and_its_zero_byte() {
        // "A=" and the zero byte.
        assert_eq!(variable("A", &"x".repeat(STRING - 3)), Ok(()));
        assert_eq!(
            variable("A", &"x".repeat(STRING - 2)),
            Err(Unfit::Variable {
                name: "A".into(),
                size: STRING,
            })
        );
        // Bytes count, not characters.
        assert!(variable("A", &"é".repeat(STRING / 2)).is_err());
        let longest = "x".repeat(STRING - 1);
        assert_eq!(check(&words(&["a", &longest]), []), Ok(()));
        let longer = "x".repeat(STRING);
        assert_eq!(
            check(&words(&["a", &longer]), []),
            Err(Unfit::Argument {
                number: 1,
                size: STRING,
            })
        );
    }

    #[test]
    fn all_together_fit_up_to_a_quarter_of_the_stack() {
        let part = "x".repeat(100_000);
        let some: Vec<String> = vec![part.clone(); 19];
        assert_eq!(check(&some, []), Ok(()));
        let message = check(&some, [("BIG", part.as_str()), ("BIGGER", part.as_str())])
            .expect_err("too much");
        assert_eq!(
            message.to_string(),
            "the arguments and environment variables are too large together: 2100200 bytes, and at most 1966080 fit; \
             the largest is environment variable BIGGER"
        );
        // A million empty words are eight million bytes of pointers.
        assert!(check(&vec![String::from("x"); 1_000_000], []).is_err());
    }

    #[test]
    fn what_is_no_argument_is_refused() {
        assert_eq!(check(&words(&[""]), []), Err(Unfit::NoProgram));
        assert_eq!(check(&words(&["a", ""]), []), Ok(()));
        assert_eq!(
            check(&words(&["a", "b\0c"]), []),
            Err(Unfit::Nul { number: 1 })
        );
        assert_eq!(check(&[], []), Ok(()));
    }
}
