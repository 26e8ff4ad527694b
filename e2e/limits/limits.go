// Package limits gives the tests the same surroundings everywhere. Test binaries call Set before
// their first test. It stands alone, so that the tests of every package can use it.
package limits
