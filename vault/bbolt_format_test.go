package vault

import "encoding/binary"

// The format of bbolt's pages, for tests that damage them.
const (
	pageHeader = 16 // u64 id, u16 flags, u16 count, u32 overflow
	elemSize   = 16

	branchPage = 0x01
	leafPage   = 0x02
	freePage   = 0x10
	bucketLeaf = 0x01

	freeSum = 8 // bytes of the sum at the end of a list of free pages
)

var order = binary.NativeEndian

// pageKey returns the i-th key of a page.
func pageKey(b []byte, i int) []byte {
	at := pageHeader + i*elemSize
	pos, size := order.Uint32(b[at:]), order.Uint32(b[at+4:])
	if order.Uint16(b[8:]) == leafPage {
		pos, size = order.Uint32(b[at+4:]), order.Uint32(b[at+8:])
	}
	return b[at+int(pos):][:size:size]
}

// pageValue returns the i-th value of a leaf.
func pageValue(b []byte, i int) []byte {
	at := pageHeader + i*elemSize
	from := at + int(order.Uint32(b[at+4:])) + int(order.Uint32(b[at+8:]))
	return b[from:][:order.Uint32(b[at+12:])]
}
