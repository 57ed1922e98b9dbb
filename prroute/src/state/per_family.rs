//! One value for IPv4 and one for IPv6.

use std::ops::{Index, IndexMut};

use super::observed::Family;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerFamily<T> {
    pub v4: T,
    pub v6: T,
}

impl<T> PerFamily<T> {
    pub fn from_fn(mut value: impl FnMut(Family) -> T) -> Self {
        Self { v4: value(Family::V4), v6: value(Family::V6) }
    }

    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerFamily<U> {
        PerFamily { v4: change(self.v4), v6: change(self.v6) }
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        [&self.v4, &self.v6].into_iter()
    }
}

impl<T> Index<Family> for PerFamily<T> {
    type Output = T;

    fn index(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl<T> IndexMut<Family> for PerFamily<T> {
    fn index_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
