//! The lines of the account files as in passwd(5), group(5), shadow(5) and gshadow(5).

/// A line of an account file. A parsed line prints as the same text.
pub(crate) trait Row: Sized {
    /// Parses a line without its newline.
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse(line: &str) -> Result<Self, &'static str>;

    fn print(&self) -> String;

    /// Login or group name, the key of the line.
    fn name(&self) -> &str;
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// `x` when it is in `/etc/shadow`.
    pub(crate) password: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Full name and the like.
    pub(crate) gecos: String,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// `x` when it is in `/etc/gshadow`.
    pub(crate) password: String,
    pub(crate) gid: u32,
    pub(crate) members: Vec<String>,
}

/// A line of `/etc/shadow`. Times are in days; dates are days since 1970. `None` for an empty field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ShadowUser {
    pub(crate) name: String,
    /// Hashed; with `*` or `!` nobody can log in.
    pub(crate) password: String,
    /// The day of the password's last change.
    pub(crate) changed: Option<i64>,
    pub(crate) min_days: Option<i64>,
    pub(crate) max_days: Option<i64>,
    pub(crate) warn_days: Option<i64>,
    pub(crate) inactive_days: Option<i64>,
    /// The day from which nobody may log in.
    pub(crate) expires: Option<i64>,
    pub(crate) reserved: String,
}

/// A line of `/etc/gshadow`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ShadowGroup {
    pub(crate) name: String,
    /// Hashed; with `*` or `!` nobody can use it.
    pub(crate) password: String,
    pub(crate) admins: Vec<String>,
    pub(crate) members: Vec<String>,
}

impl Row for User {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let [name, password, uid, gid, gecos, home, shell] = fields(line)?;
        Ok(Self {
            name: named(name)?,
            password: password.to_owned(),
            uid: number(uid)?,
            gid: number(gid)?,
            gecos: gecos.to_owned(),
            home: home.to_owned(),
            shell: shell.to_owned(),
        })
    }

    fn print(&self) -> String {
        let Self { name, password, uid, gid, gecos, home, shell } = self;
        format!("{name}:{password}:{uid}:{gid}:{gecos}:{home}:{shell}")
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Row for Group {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let [name, password, gid, members] = fields(line)?;
        Ok(Self { name: named(name)?, password: password.to_owned(), gid: number(gid)?, members: list(members) })
    }

    fn print(&self) -> String {
        format!("{}:{}:{}:{}", self.name, self.password, self.gid, self.members.join(","))
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Row for ShadowUser {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let [name, password, changed, min, max, warn, inactive, expires, reserved] = fields(line)?;
        Ok(Self {
            name: named(name)?,
            password: password.to_owned(),
            changed: days(changed)?,
            min_days: days(min)?,
            max_days: days(max)?,
            warn_days: days(warn)?,
            inactive_days: days(inactive)?,
            expires: days(expires)?,
            reserved: reserved.to_owned(),
        })
    }

    fn print(&self) -> String {
        let days = [self.changed, self.min_days, self.max_days, self.warn_days, self.inactive_days, self.expires];
        let days = days.map(|days| days.map(|days| days.to_string()).unwrap_or_default());
        format!("{}:{}:{}:{}", self.name, self.password, days.join(":"), self.reserved)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Row for ShadowGroup {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let [name, password, admins, members] = fields(line)?;
        Ok(Self { name: named(name)?, password: password.to_owned(), admins: list(admins), members: list(members) })
    }

    fn print(&self) -> String {
        format!("{}:{}:{}:{}", self.name, self.password, self.admins.join(","), self.members.join(","))
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A number of days as in login.defs(5) and the account files; an empty text is `None`.
///
/// # Errors
/// When it is not a number.
pub(crate) fn days(text: &str) -> Result<Option<i64>, &'static str> {
    if text.is_empty() { Ok(None) } else { number(text).map(Some) }
}

fn fields<const N: usize>(line: &str) -> Result<[&str; N], &'static str> {
    let fields: Vec<&str> = line.split(':').collect();
    let wrong = if fields.len() < N { "has too few fields" } else { "has too many fields" };
    fields.try_into().map_err(|_| wrong)
}

fn named(name: &str) -> Result<String, &'static str> {
    if name.is_empty() { Err("has no name") } else { Ok(name.to_owned()) }
}

/// Only accepts the form that prints as it was read.
fn number<T: std::str::FromStr + ToString>(text: &str) -> Result<T, &'static str> {
    let number: Option<T> = text.parse().ok();
    number.filter(|number| number.to_string() == text).ok_or("has a field that is not a plain number")
}

fn list(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reads_back<R: Row + PartialEq + std::fmt::Debug>(row: &R) {
        assert_eq!(R::parse(&row.print()).as_ref(), Ok(row), "{}", row.print());
    }

    #[test]
    fn lines_that_are_refused() {
        for line in
            ["root", "root:x:0:0:root:/root", "a:x:0:0:::/bin/sh:more", ":x:0:0:::", "a:x:+1:0:::", "a:x:01:0:::"]
        {
            assert!(User::parse(line).is_err(), "{line}");
        }
        assert!(Group::parse("a:x:one:").is_err());
        assert!(ShadowUser::parse("a:!:soon::::::").is_err());
        assert!(ShadowGroup::parse("a:!:").is_err());
    }

    proptest! {
        #[test]
        fn rows_read_back(
            texts in proptest::array::uniform5("[ -9;-~é]{0,8}"),
            name in "[a-z_][a-z0-9_-]{0,8}",
            ids: (u32, u32),
            days in proptest::array::uniform6(proptest::option::of(any::<i64>())),
            names in proptest::collection::vec("[a-z]{1,4}", 0..4),
        ) {
            let [password, gecos, home, shell, reserved] = texts;
            let [changed, min_days, max_days, warn_days, inactive_days, expires] = days;
            let (uid, gid) = ids;
            let (n, p) = (|| name.clone(), || password.clone());
            reads_back(&User { name: n(), password: p(), uid, gid, gecos, home, shell });
            reads_back(&Group { name: n(), password: p(), gid, members: names.clone() });
            reads_back(&ShadowGroup { name: n(), password: p(), admins: names.clone(), members: names });
            reads_back(&ShadowUser {
                name: n(), password: p(), changed, min_days, max_days, warn_days, inactive_days, expires, reserved,
            });
        }

        #[test]
        fn what_is_read_prints_the_same(line in "[a-c0-9:,x*!-]{0,30}") {
            let printed = [
                User::parse(&line).map(|row| row.print()),
                Group::parse(&line).map(|row| row.print()),
                ShadowUser::parse(&line).map(|row| row.print()),
                ShadowGroup::parse(&line).map(|row| row.print()),
            ];
            for printed in printed.into_iter().flatten() {
                prop_assert_eq!(&printed, &line);
            }
        }
    }
}
